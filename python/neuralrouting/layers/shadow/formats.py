"""Whether text is the JSON that was asked for, and whether its code parses."""

import ast
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

import orjson

from neuralrouting.exchange import JsonObject

BROKEN: Final = object()
"""What is there in the place of a JSON value where there is none."""
MAX_CODE_CHARS = 20_000
"""Code beyond this is not parsed: a verdict is not worth the time."""
MAX_DEPTH, MAX_STEPS = 32, 10_000
"""Levels of a schema that are followed, and how often one is held against a value: some explode."""
_FENCE = "```"
_PYTHON = frozenset(("python", "py", "python3"))


def json_of(text: str) -> Any:  # noqa: ANN401  any JSON value
    """Return the JSON value that a whole text is, `BROKEN` where it is none: a fence round it is not JSON either."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return BROKEN


def broken_code(text: str) -> bool:
    """Whether an answer has fenced Python or JSON in it that does not parse."""
    return any(_unreadable(kind, code) for kind, code in _fenced(text))


def _fenced(text: str) -> Iterator[tuple[str, str]]:
    """Yield language and code of each fence that is closed; line by line, so that no text takes longer than it is."""
    kind: str | None = None
    code: list[str] = []
    for line in text.split("\n"):
        if not line.startswith(_FENCE):
            code.append(line)
        elif kind is None:
            kind, code = line[len(_FENCE) :].strip().lower(), []
        else:
            yield kind, "\n".join(code)
            kind, code = None, []


def _unreadable(kind: str, code: str) -> bool:
    if len(code) > MAX_CODE_CHARS:
        return False
    if kind == "json":
        return json_of(code) is BROKEN
    if kind not in _PYTHON or code.lstrip().startswith(">>>"):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a warning would print a line of the answer
        try:
            ast.parse(code)
        except (SyntaxError, ValueError):
            return True
        except (RecursionError, MemoryError):  # too deep for the parser says nothing about the code
            return False
    return False


def obeys(value: Any, schema: JsonObject) -> bool:  # noqa: ANN401  JSON
    """Whether a JSON value fits a schema, as far as the keywords that providers enforce go.

    Known are type, enum, const, properties, required, additionalProperties (false), items, minItems, maxItems, anyOf,
    oneOf, allOf and local `$ref`; other keywords are passed over, so that a value is never called wrong for them.
    """
    return _Reading(schema).fits(value, schema)


class _Reading:
    """One value held against one schema, in so many steps: what is left then is taken for right."""

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._steps = MAX_STEPS

    def fits(self, value: Any, schema: Any, depth: int = 0) -> bool:  # noqa: ANN401
        self._steps -= 1
        if self._steps < 0 or depth > MAX_DEPTH or not isinstance(schema, dict):
            return schema is not False
        rules = cast("JsonObject", schema)
        if "$ref" in rules:
            return self.fits(value, _resolved(str(rules["$ref"]), self._root), depth + 1)
        if not (_named(value, rules) and _typed(value, rules.get("type")) and self._combined(value, rules, depth)):
            return False
        if isinstance(value, dict):
            return self._object_fits(cast("JsonObject", value), rules, depth)
        return self._array_fits(cast("list[Any]", value), rules, depth) if isinstance(value, list) else True

    def _combined(self, value: Any, rules: JsonObject, depth: int) -> bool:  # noqa: ANN401
        def fit(name: str) -> int:
            return sum(self.fits(value, each, depth + 1) for each in rules[name])

        if "anyOf" in rules and not fit("anyOf"):
            return False
        if "oneOf" in rules and fit("oneOf") != 1 and self._steps >= 0:
            return False
        return "allOf" not in rules or fit("allOf") == len(rules["allOf"])

    def _object_fits(self, value: JsonObject, rules: JsonObject, depth: int) -> bool:
        known: JsonObject = rules.get("properties") or {}
        if any(name not in value for name in rules.get("required") or ()):
            return False
        if rules.get("additionalProperties") is False and any(name not in known for name in value):
            return False
        return all(self.fits(value[name], known[name], depth + 1) for name in value if name in known)

    def _array_fits(self, value: list[Any], rules: JsonObject, depth: int) -> bool:
        if not rules.get("minItems", 0) <= len(value) <= rules.get("maxItems", len(value)):
            return False
        return "items" not in rules or all(self.fits(each, rules["items"], depth + 1) for each in value)


def _named(value: Any, rules: JsonObject) -> bool:  # noqa: ANN401
    return ("enum" not in rules or value in rules["enum"]) and ("const" not in rules or value == rules["const"])


def _resolved(path: str, root: JsonObject) -> Any:  # noqa: ANN401
    """Follow `#/$defs/name`; what leads nowhere demands nothing."""
    at: Any = root
    for step in path.removeprefix("#").strip("/").split("/"):
        if not step:
            continue
        if not isinstance(at, dict):
            return {}
        at = cast("JsonObject", at).get(step.replace("~1", "/").replace("~0", "~"), {})
    return at


def _typed(value: Any, wanted: Any) -> bool:  # noqa: ANN401
    names = [wanted] if isinstance(wanted, str) else cast("list[str]", wanted) if isinstance(wanted, list) else []
    tests = [_TYPES[name] for name in names if name in _TYPES]
    return not tests or any(test(value) for test in tests)


def _is_number(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": _is_number,
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
}
