"""Makes up a value that satisfies a JSON schema: always the same for the same seed."""

import math
from typing import Any, cast

from neuralrouting.exchange import JsonObject

MAX_VALUES = 2_000
"""Values in one example; a schema that needs more is refused rather than let it fill the memory."""
MAX_DEPTH = 24
MAX_STRING_CHARS = 10_000
_FORMATS = {
    "date": "2025-01-15",
    "date-time": "2025-01-15T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


class SchemaError(ValueError):
    """No example can be made: the schema is too large or circles."""


def example_of(schema: JsonObject, seed: int) -> Any:  # noqa: ANN401  any JSON
    """Return a value with the required properties only.

    Understands types, enum, const, local $ref, allOf, anyOf, oneOf and the bounds of numbers, strings and
    arrays; not `pattern`, `not`, `if`. Raises SchemaError.
    """
    return _Maker(schema, seed).make(schema, 0)


class _Maker:
    def __init__(self, root: JsonObject, seed: int) -> None:
        self._root = root
        self._seed = seed
        self._left = MAX_VALUES

    def make(self, told: Any, depth: int) -> Any:  # noqa: ANN401, PLR0911  a table of JSON's types
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise SchemaError("the JSON schema nests too deep or asks for too many values to simulate")
        schema = self._resolved(_object(told), depth)
        if "const" in schema:
            return schema["const"]
        if options := _list(schema.get("enum")):
            return options[self._seed % len(options)]
        match _type_of(schema, depth):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer":
                return _integer(schema, self._seed)
            case "number":
                return _number(schema, self._seed)
            case "boolean":
                return self._seed % 2 == 0
            case "null":
                return None
            case _:
                return _string(schema)

    def _resolved(self, schema: JsonObject, depth: int, steps: int = 0) -> JsonObject:
        """Follow references and alternatives until a plain schema is left; bounded, since they may circle."""
        if steps > MAX_DEPTH:
            raise SchemaError("the JSON schema refers to itself without end")
        for keyword in ("$ref", "allOf", "anyOf", "oneOf"):
            if keyword in schema:
                rest = {name: value for name, value in schema.items() if name != keyword}
                parts = self._parts(keyword, schema[keyword], depth)
                resolved = [self._resolved(part, depth, steps + 1) for part in parts]
                return self._resolved(_merged([*resolved, rest]), depth, steps + 1)
        return schema

    def _parts(self, keyword: str, value: Any, depth: int) -> list[JsonObject]:  # noqa: ANN401  any JSON
        if keyword == "$ref":
            return [self._target(str(value))]
        parts = _list(value)
        return [_object(part) for part in (parts if keyword == "allOf" else parts and [_branch(parts, depth)])]

    def _target(self, pointer: str) -> JsonObject:
        target = self._root
        for step in pointer.removeprefix("#").strip("/").split("/"):
            if step:
                target = _object(target.get(step.replace("~1", "/").replace("~0", "~")))
        return target

    def _object(self, schema: JsonObject, depth: int) -> JsonObject:
        properties, extra = _object(schema.get("properties")), schema.get("additionalProperties")
        names = [str(name) for name in _list(schema.get("required"))]
        return {name: self.make(properties.get(name, extra), depth + 1) for name in names}

    def _array(self, schema: JsonObject, depth: int) -> list[Any]:
        prefix, items = _list(schema.get("prefixItems")), schema.get("items")
        wanted = _natural(schema.get("minItems"), 0 if items is None else 1)
        count = max(min(wanted, _natural(schema.get("maxItems"), wanted)), len(prefix))
        if count > MAX_VALUES:
            raise SchemaError(f"the JSON schema asks for an array of over {MAX_VALUES} items")
        return [self.make(prefix[i] if i < len(prefix) else items, depth + 1) for i in range(count)]


def _object(value: Any) -> JsonObject:  # noqa: ANN401  any JSON
    """Take a schema that is `true`, missing or nonsense as one that says nothing."""
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:  # noqa: ANN401  any JSON
    return cast("list[Any]", value) if isinstance(value, list) else []


def _natural(value: Any, default: int) -> int:  # noqa: ANN401  any JSON
    return value if type(value) is int and value >= 0 else default


def _type_of(schema: JsonObject, depth: int) -> str:
    told = schema.get("type")
    if isinstance(told, str):
        return told
    if types := _list(told):
        return str(_branch(types, depth))
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _branch(branches: list[Any], depth: int) -> Any:  # noqa: ANN401  any JSON
    """Choose the first alternative that says something; deep down null, so that a list of lists ends."""
    nothing = [branch for branch in branches if branch == "null" or _object(branch).get("type") == "null"]
    something = [branch for branch in branches if branch not in nothing]
    return (nothing or something)[0] if depth > MAX_DEPTH // 4 else (something or nothing)[0]


def _merged(parts: list[JsonObject]) -> JsonObject:
    """Let later parts win, but keep every property and everything required."""
    merged: JsonObject = {}
    for part in parts:
        properties = _object(merged.get("properties")) | _object(part.get("properties"))
        required = [*_list(merged.get("required")), *_list(part.get("required"))]
        merged = merged | part
        if properties:
            merged["properties"] = properties
        if required:
            merged["required"] = list(dict.fromkeys(map(str, required)))
    return merged


def _integer(schema: JsonObject, seed: int) -> int:
    step = schema.get("multipleOf")
    step = int(step) if isinstance(step, (int, float)) and step >= 1 else 1
    low, high = _bounds(schema, 1)
    if low is None and high is not None:
        return math.floor(high / step) * step
    return math.ceil((seed % 10 + 1 if low is None else low) / step) * step


def _number(schema: JsonObject, seed: int) -> float:
    if schema.get("multipleOf"):
        return _integer(schema, seed)
    low, high = _bounds(schema, 0)
    if low is None:
        return seed % 10 + 0.5 if high is None else high - 0.5
    return low + 0.5 if high is None else low + (high - low) / 2


def _bounds(schema: JsonObject, gap: int) -> tuple[float | None, float | None]:
    """Return the least and the greatest number allowed; `gap` is how far inside an exclusive bound lies."""
    lows = [_bound(schema.get("minimum"), 0), _bound(schema.get("exclusiveMinimum"), gap)]
    highs = [_bound(schema.get("maximum"), 0), _bound(schema.get("exclusiveMaximum"), -gap)]
    low = max((low for low in lows if low is not None), default=None)
    return low, min((high for high in highs if high is not None), default=None)


def _bound(told: Any, gap: int) -> float | None:  # noqa: ANN401  any JSON
    """Read a bound; draft 4 wrote exclusive ones as booleans, which say nothing here."""
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not math.isfinite(told):
        return None
    return told + gap


def _string(schema: JsonObject) -> str:
    least = _natural(schema.get("minLength"), 0)
    if least > MAX_STRING_CHARS:
        raise SchemaError(f"the JSON schema asks for a string of over {MAX_STRING_CHARS} characters")
    text = _FORMATS.get(str(schema.get("format")), "simulated").ljust(least, ".")
    return text[: _natural(schema.get("maxLength"), len(text))]
