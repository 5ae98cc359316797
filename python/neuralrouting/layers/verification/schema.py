"""The part of JSON Schema that providers take for structured output.

Not all of JSON Schema: what is not known here (`pattern`, `format`, `if`, references to elsewhere) is taken as
fulfilled, so that a shape is never called broken for what we cannot read.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from neuralrouting.exchange import JsonObject

MAX_STEPS: Final = 20_000
"""Values and branches that are looked at; beyond them a value is taken as fitting."""
MAX_DEPTH: Final = 100


def fits(schema: Any, value: Any) -> bool:  # noqa: ANN401  any JSON
    """Whether a value has the shape of a schema. Bounded: what is too large to look at fits."""
    return _Reading(schema).fits(schema, value, 0)


class _Reading:
    """One schema being compared with one value."""

    __slots__ = ("_left", "_root")

    def __init__(self, root: Any) -> None:  # noqa: ANN401  any JSON
        self._root = root
        self._left = MAX_STEPS

    def fits(self, schema: Any, value: Any, depth: int) -> bool:  # noqa: ANN401, PLR0911  any JSON, step by step
        self._left -= 1
        if schema is False:
            return False
        if not isinstance(schema, dict) or self._left <= 0 or depth > MAX_DEPTH:
            return True
        asked, deeper = cast("JsonObject", schema), depth + 1
        if isinstance(reference := asked.get("$ref"), str) and not self.fits(self._found(reference), value, deeper):
            return False
        if not (_is_one_of(asked, value) and self._fits_parts(asked, value, deeper)):
            return False
        if isinstance(value, dict):
            return self._has_members(asked, cast("JsonObject", value), deeper)
        if isinstance(value, list):
            return self._has_items(asked, cast("list[Any]", value), deeper)
        return _is_within(asked, value)

    def _fits_parts(self, asked: JsonObject, value: Any, depth: int) -> bool:  # noqa: ANN401  any JSON
        """All of `allOf`, and one of each choice."""
        choices = [branches for name in ("anyOf", "oneOf") if (branches := _list(asked.get(name)))]
        return all(self.fits(part, value, depth) for part in _list(asked.get("allOf"))) and all(
            any(self.fits(branch, value, depth) for branch in branches) for branches in choices
        )

    def _found(self, reference: str) -> Any:  # noqa: ANN401  any JSON
        """What a reference inside this schema leads to; what leads elsewhere says nothing."""
        if not reference.startswith("#"):
            return True
        found: Any = self._root
        for name in reference[1:].split("/")[1:]:
            found = (
                cast("JsonObject", found).get(name.replace("~1", "/").replace("~0", "~"))
                if isinstance(found, dict)
                else None
            )
        return True if found is None else found

    def _has_members(self, asked: JsonObject, value: JsonObject, depth: int) -> bool:
        if any(isinstance(name, str) and name not in value for name in _list(asked.get("required"))):
            return False
        properties, others = _object(asked.get("properties")), asked.get("additionalProperties", True)
        if "patternProperties" in asked:
            others = True
        return all(self.fits(properties.get(name, others), member, depth) for name, member in value.items())

    def _has_items(self, asked: JsonObject, value: Sequence[Any], depth: int) -> bool:
        if _is_outside(len(value), asked.get("minItems"), asked.get("maxItems")):
            return False
        first = _list(asked.get("prefixItems"))
        rest = asked.get("items", True)
        return all(self.fits(first[n] if n < len(first) else rest, item, depth) for n, item in enumerate(value))


def _is_one_of(asked: Mapping[str, Any], value: Any) -> bool:  # noqa: ANN401  any JSON
    """Type, `enum` and `const`."""
    told = asked.get("type")
    kinds = [told] if isinstance(told, str) else _list(told)
    known = [_KINDS[kind] for kind in kinds if isinstance(kind, str) and kind in _KINDS]
    if known and len(known) == len(kinds) and not any(is_kind(value) for is_kind in known):
        return False
    if isinstance(asked.get("enum"), list) and not any(_same(value, each) for each in asked["enum"]):
        return False
    return "const" not in asked or _same(value, asked["const"])


def _is_within(asked: Mapping[str, Any], value: Any) -> bool:  # noqa: ANN401  any JSON
    """Bounds of numbers and of lengths."""
    if isinstance(value, str):
        return not _is_outside(len(value), asked.get("minLength"), asked.get("maxLength"))
    return not _is_number(value) or not _is_outside(value, asked.get("minimum"), asked.get("maximum"))


def _is_outside(value: float, least: Any, most: Any) -> bool:  # noqa: ANN401  any JSON
    return (_is_number(least) and value < least) or (_is_number(most) and value > most)


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401  any JSON
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _is_number(value: Any) -> bool:  # noqa: ANN401  any JSON
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _object(value: Any) -> JsonObject:  # noqa: ANN401  any JSON
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:  # noqa: ANN401  any JSON
    return cast("list[Any]", value) if isinstance(value, list) else []


_KINDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": lambda value: _is_number(value) and float(value).is_integer(),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
