"""A small JSON schema validator, written apart from the generator it checks."""

from typing import Any

from neuralrouting.exchange import JsonObject


def fits(schema: Any, value: Any, root: JsonObject) -> bool:  # noqa: ANN401, PLR0911, PLR0912
    """Whether the value satisfies the schema."""
    if schema is True or schema == {}:
        return True
    if "$ref" in schema:
        return fits(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root)
    if "anyOf" in schema:
        return any(fits(branch, value, root) for branch in schema["anyOf"])
    if "allOf" in schema:
        return all(fits(part, value, root) for part in schema["allOf"])
    if "const" in schema:
        return value == schema["const"]
    if "enum" in schema:
        return value in schema["enum"]
    types = schema.get("type")
    if isinstance(types, list):
        return any(fits({**schema, "type": kind}, value, root) for kind in types)
    if types == "object":
        if not isinstance(value, dict) or not value.keys() >= set(schema.get("required", ())):
            return False
        return all(fits(schema.get("properties", {}).get(name, True), item, root) for name, item in value.items())
    if types == "array":
        if not isinstance(value, list) or not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 99):
            return False
        return all(fits(schema.get("items", True), item, root) for item in value)
    if types == "string":
        return isinstance(value, str) and schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**6)
    if types in ("integer", "number"):
        kind = int if types == "integer" else (int, float)
        if isinstance(value, bool) or not isinstance(value, kind):
            return False
        low, high = schema.get("minimum", -1e18), schema.get("maximum", 1e18)
        over, under = schema.get("exclusiveMinimum", -1e19), schema.get("exclusiveMaximum", 1e19)
        return low <= value <= high and over < value < under and value % schema.get("multipleOf", 1) % 1 == value % 1
    if types == "boolean":
        return isinstance(value, bool)
    return value is None
