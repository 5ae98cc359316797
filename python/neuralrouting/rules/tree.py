"""YAML as a tree that knows where everything stands: no aliases, no tags, bounded in size and depth."""

import re
from typing import Any, Final, NamedTuple, NoReturn

import msgspec
import yaml

MAX_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 6
"""A day of a time of a rule stands five deep."""

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where the package has it: 64 KB take it a tenth of the time."""
# As in YAML, less the marks that begin a text and the surrogates, which are no characters.
_NO_CHARACTER: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


class RulesRejected(ValueError):
    """Rules that cannot be obeyed: what is wrong, and where it stands; both counts begin at 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.message = message
        self.line = line
        self.column = column


class Place(NamedTuple):
    """Where something begins, counted from 1."""

    line: int
    column: int

    def reject(self, message: str) -> NoReturn:
        """Raise RulesRejected for what stands here."""
        raise RulesRejected(message, *self)


class Scalar(msgspec.Struct, frozen=True):
    """One value as it is written; `plain` without quotes."""

    value: str
    plain: bool
    place: Place


class Items(msgspec.Struct, frozen=True):
    """A list."""

    items: "tuple[Node, ...]"
    place: Place


class Fields(msgspec.Struct, frozen=True):
    """A mapping whose names are texts, each there once."""

    pairs: "tuple[tuple[Scalar, Node], ...]"
    place: Place


Node = Scalar | Items | Fields


def read_tree(text: str) -> Node | None:
    """Read a text of one YAML document, None where nothing stands in it. Raises RulesRejected."""
    if len(text) > MAX_BYTES or len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        Place(1, 1).reject(f"rules may have up to {MAX_BYTES // 1024} KB")
    odd = _NO_CHARACTER.search(text)
    if odd is not None:
        _no_character(odd, _place_at(text, odd.start()))
    lines = max(1, len(text.splitlines()))
    try:
        return _Builder(text).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(1, 1) if mark is None else Place(min(mark.line + 1, lines), mark.column + 1)
        place.reject(f"not YAML: {error.problem or error.context}")
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        if isinstance(error, RulesRejected):
            raise
        # What the parser itself stumbles over, an escape of a character that does not exist among others.
        Place(1, 1).reject(f"not YAML: {str(error).splitlines()[0]}")


class _Builder:
    """Makes a tree out of the parser's events, which is no deeper than it may be."""

    def __init__(self, text: str) -> None:
        self._events: Any = yaml.parse(text, _LOADER)

    def document(self) -> Node | None:
        tree: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent) and tree is not None:
                _place(event).reject("only one document is read: take this `---` out")
            if isinstance(event, yaml.NodeEvent):
                tree = self._node(event, 1)
        return None if isinstance(tree, Scalar) and tree.plain and not tree.value else tree

    def _node(self, event: Any, depth: int) -> Node:  # noqa: ANN401  an event of an untyped package
        place = _place(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            place.reject("anchors (&) and aliases (*) are not taken; put text that begins with one in quotes")
        if event.tag is not None:
            place.reject(f"tags are not taken: {event.tag[:40]}")
        if depth > MAX_DEPTH:
            place.reject("this is nested too deep")
        if isinstance(event, yaml.ScalarEvent):
            odd = _NO_CHARACTER.search(event.value)  # written as an escape
            if odd is not None:
                _no_character(odd, place)
            return Scalar(event.value, not event.style, place)
        if isinstance(event, yaml.SequenceStartEvent):
            return Items(tuple(self._items(depth + 1)), place)
        return Fields(tuple(self._pairs(depth + 1)), place)

    def _items(self, depth: int) -> list[Node]:
        found: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._node(event, depth))
        return found

    def _pairs(self, depth: int) -> list[tuple[Scalar, Node]]:
        found: dict[str, tuple[Scalar, Node]] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            name = self._node(event, depth)
            if not isinstance(name, Scalar) or not name.value.isprintable():
                name.place.reject("the name of a field must be a word")
            if name.value in found:
                first = found[name.value][0].place.line
                name.place.reject(f'"{name.value[:40]}" is here twice; the first is in line {first}')
            found[name.value] = (name, self._node(next(self._events), depth))
        return list(found.values())


def _no_character(odd: re.Match[str], place: Place) -> NoReturn:
    place.reject(f"the character U+{ord(odd[0]):04X} cannot stand in rules")


def _place(event: Any) -> Place:  # noqa: ANN401  as above
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _place_at(text: str, at: int) -> Place:
    before = text[:at].splitlines(keepends=True) or [""]
    return Place(len(before), len(before[-1]) + 1)
