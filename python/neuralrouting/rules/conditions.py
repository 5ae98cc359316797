"""What can be said under `when`, each from its text."""

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from neuralrouting.rules.tree import Fields, Items, Node, Place, Scalar
from neuralrouting.rules.values import DAY_MINUTES, DAYS, DOMAINS, TASKS, Clock, Span

MAX_VALUES: Final = 50
NAME_CHARS: Final = 100
TEXT_CHARS: Final = 200
REASON_CHARS: Final = 300
MOST_TOKENS: Final = 1e9
MOST_COMPLEX: Final = 10.0
_RISKS: Final = ("none", "any")
_RANGE: Final = re.compile(r"(?P<low>\d{1,10}(\.\d)?)?\.\.(?P<high>\d{1,10}(\.\d)?)?", re.ASCII)
_HOURS: Final = re.compile(r"(\d\d):([0-5]\d)\s*-\s*(\d\d):([0-5]\d)", re.ASCII)
_Value = TypeVar("_Value")
_Word = TypeVar("_Word", bound=str)


def text_of(node: Node, most: int = TEXT_CHARS) -> str:
    """Read one line of text. Raises RulesRejected."""
    if not isinstance(node, Scalar):
        node.place.reject("one text is wanted here")
    if not node.value.strip() or len(node.value) > most or not node.value.isprintable():
        node.place.reject(f"one printable line of 1 to {most} characters is wanted here")
    return node.value


def word_of(node: Node, known: Collection[_Word], what: str) -> _Word:
    """Read one of the words that are known. Raises RulesRejected, with the nearest of them."""
    word = text_of(node)
    found = next((one for one in known if one == word), None)
    if found is None:
        near = difflib.get_close_matches(word.lower(), list(known), n=1)
        hint = f' did you mean "{near[0]}"?' if near else ""
        node.place.reject(f'unknown {what} "{word[:40]}";{hint} known: {", ".join(known)}')
    return found


def flag_of(node: Node) -> bool:
    """Read true or false. Raises RulesRejected."""
    if not isinstance(node, Scalar) or not node.plain or node.value not in ("true", "false"):
        node.place.reject("true or false is wanted here")
    return node.value == "true"


def several(node: Node, read: Callable[[Node], _Value], most: int = MAX_VALUES) -> tuple[_Value, ...]:
    """Read one value, or a list of them, each there once. Raises RulesRejected."""
    nodes = node.items if isinstance(node, Items) else (node,)
    if not 0 < len(nodes) <= most:
        node.place.reject(f"a list here has 1 to {most} values")
    found: dict[_Value, None] = {}
    for one in nodes:
        value = read(one)
        if value in found:
            one.place.reject(f'"{value}" is in this list twice')
        found[value] = None
    return tuple(found)


def _texts(node: Node) -> tuple[str, ...]:
    return several(node, text_of)


def _keywords(node: Node) -> tuple[str, ...]:
    return several(node, lambda one: " ".join(text_of(one).split()))


def _tasks(node: Node) -> tuple[str, ...]:
    return several(node, lambda one: word_of(one, TASKS, "task"))


def _risks(node: Node) -> tuple[str, ...]:
    found = several(node, lambda one: word_of(one, (*_RISKS, *DOMAINS), "risk"))
    if len(found) > 1 and set(found) & set(_RISKS):
        node.place.reject("`none` and `any` stand alone; a list is one of domains")
    return found


def _span(node: Node, most: float, *, whole: bool) -> Span:
    """Read a range such as 4..8, 6.1.. or ..3."""
    example = "1000..4000, 1000.. or ..4000" if whole else "4..8, 6.1.. or ..3"
    found = _RANGE.fullmatch(node.value) if isinstance(node, Scalar) else None
    if found is None or (found["low"] is None and found["high"] is None):
        node.place.reject(f"a range is wanted here, both ends of which are in it: {example}")
    low, high = (None if found[end] is None else float(found[end]) for end in ("low", "high"))
    if whole and "." in f"{found['low'] or ''}{found['high'] or ''}":
        node.place.reject("tokens are whole")
    if max(low or 0.0, high or 0.0) > most:
        node.place.reject(f"this goes up to {most:.0f}")
    if low is not None and high is not None and low > high:
        node.place.reject(f"nothing is within {found[0]}: the lower end comes first")
    return Span(low, high)


def _complexity(node: Node) -> Span:
    return _span(node, MOST_COMPLEX, whole=False)


def _tokens(node: Node) -> Span:
    return _span(node, MOST_TOKENS, whole=True)


def _clock(node: Node) -> Clock:
    readers: dict[str, Callable[[Node], Any]] = {"days": _days, "hours": _hours, "zone": _zone}
    if not isinstance(node, Fields):
        node.place.reject("`time` has fields here: days, hours, zone")
    for name, _ in node.pairs:
        if name.value not in readers:
            name.place.reject(f'`time` has no field "{name.value[:40]}"; known: days, hours, zone')
    told = {name.value: readers[name.value](value) for name, value in node.pairs}
    if "days" not in told and "hours" not in told:
        node.place.reject("`time` needs days, hours or both")
    start, end = told.get("hours", (0, DAY_MINUTES))
    return Clock(told.get("days", tuple(range(7))), start, end, told.get("zone", "UTC"))


def _days(node: Node) -> tuple[int, ...]:
    return tuple(sorted(DAYS.index(day) for day in several(node, lambda one: word_of(one, DAYS, "day"))))


def _hours(node: Node) -> tuple[int, int]:
    found = _HOURS.fullmatch(node.value.strip()) if isinstance(node, Scalar) else None
    if found is None:
        node.place.reject('hours are written "09:00-18:00"')
    start, end = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    if start >= DAY_MINUTES or end > DAY_MINUTES:
        node.place.reject("a day goes from 00:00 to 24:00")
    if start == end:
        node.place.reject("these hours end when they begin; leave `hours` out for the whole day")
    return start, end


def _zone(node: Node) -> str:
    name = text_of(node)
    if name == Clock().zone:
        return name
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        _unknown_zone(name, node.place)
    return name


def _unknown_zone(name: str, place: Place) -> None:
    near = difflib.get_close_matches(name, sorted(available_timezones()), n=1)
    hint = f'did you mean "{near[0]}"?' if near else "such as Europe/Berlin or UTC"
    place.reject(f'no time zone is named "{name[:40]}"; {hint}')


READERS: Final[Mapping[str, Callable[[Node], Any]]] = {
    "task": _tasks,
    "complexity": _complexity,
    "risk": _risks,
    "user": _texts,
    "feature": _texts,
    "key": _texts,
    "team": _texts,
    "model": _texts,
    "prompt_tokens": _tokens,
    "tools": flag_of,
    "images": flag_of,
    "json": flag_of,
    "stream": flag_of,
    "keyword": _keywords,
    "time": _clock,
}
"""How each field of `When` is read; their order is the one in which messages name them."""
