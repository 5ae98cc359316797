"""Values made up for JSON schemas satisfy them, and no schema can make them large."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schema_check import fits

from neuralrouting.exchange import JsonObject
from neuralrouting.providers.simulated_schema import SchemaError, example_of

NUMBERS = st.integers(-1000, 1000)
BOUNDS = st.one_of(
    st.just({}),
    st.builds(lambda low: {"minimum": low}, NUMBERS),
    st.builds(lambda high: {"maximum": high}, NUMBERS),
    st.builds(lambda low, span: {"minimum": low, "maximum": low + span}, NUMBERS, st.integers(0, 9)),
    st.builds(lambda low, span: {"exclusiveMinimum": low, "exclusiveMaximum": low + span}, NUMBERS, st.integers(2, 9)),
)
LEAVES = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"$ref": "#/$defs/named"}),
    st.builds(lambda kind, bounds: {"type": kind, **bounds}, st.sampled_from(["integer", "number"]), BOUNDS),
    st.builds(
        lambda least, span: {"type": "string", "minLength": least, "maxLength": least + span},
        st.integers(0, 30),
        st.integers(0, 9),
    ),
    st.builds(lambda values: {"enum": values}, st.lists(st.text(max_size=4) | NUMBERS, min_size=1, max_size=4)),
    st.builds(lambda value: {"const": value}, st.text(max_size=4)),
    st.just({"type": ["string", "null"]}),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda properties: {"type": "object", "properties": properties, "required": list(properties)},
            st.dictionaries(st.text(max_size=4), inner, max_size=3),
        ),
        st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 3)),
        st.builds(lambda branches: {"anyOf": branches}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"allOf": [part]}, inner),
    ),
    max_leaves=10,
)


@settings(deadline=None)
@given(SCHEMAS, st.integers(0, 255))
def test_examples_satisfy_their_schemas(schema: JsonObject, seed: int):
    root = {**schema, "$defs": {"named": {"type": "string"}}}
    assert fits(schema, example_of(root, seed), root)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
KEYWORDS = [
    "type", "enum", "const", "$ref", "anyOf", "allOf", "oneOf", "properties", "required", "items", "prefixItems",
    "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum", "multipleOf", "minLength", "maxLength", "format",
]  # fmt: skip


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(KEYWORDS), JSON | st.sampled_from(["object", "array", "integer", "number", "#"]))
)
def test_nonsense_for_a_schema_gives_some_value_or_a_schema_error(schema: JsonObject):
    try:
        orjson.dumps(example_of(schema, 3), option=orjson.OPT_NON_STR_KEYS)
    except SchemaError:
        pass
    except TypeError as error:
        assert "64-bit" in str(error)  # an integer of the schema's own that JSON here cannot write  # noqa: PT017


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "array", "minItems": 100, "items": {"type": "array", "minItems": 100, "items": {"type": "string"}}},
        {"type": "string", "minLength": 10**9},
    ],
)
def test_a_schema_without_small_examples_is_refused(schema: JsonObject):
    with pytest.raises(SchemaError):
        example_of(schema, 1)


def test_a_linked_list_comes_to_an_end():
    node = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
        "required": ["next"],
    }
    value, length = example_of({"$ref": "#/$defs/node", "$defs": {"node": node}}, 1), 0
    while value is not None:
        value, length = value["next"], length + 1
    assert 1 <= length < 20
