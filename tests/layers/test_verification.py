"""Which answers are doubted, and which look doubtful and are not: pure, from values alone."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.layers.verification import LEAST_LOGPROBS, SMALL_LIMIT, UNSURE_LOGPROB, Asked, doubt
from neuralrouting.layers.verification.form import is_unbalanced
from neuralrouting.layers.verification.schema import fits
from neuralrouting.layers.verification.wording import SHORT_CHARS

QUESTION = Asked("How far is the moon?", "qa")


def said(text: str | None, finish: str = "stop", **message: object) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}]}


def doubted(text: str | None, asked: Asked = QUESTION, finish: str = "stop", **message: object) -> str | None:
    return doubt(asked, said(text, finish, **message))


# --- nothing, and cut off -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [None, "", " \n\t", "<think>hm, what could it be"])
def test_an_answer_without_a_word_is_empty(text: str | None):
    assert doubted(text) == "empty"


@pytest.mark.parametrize("data", [{}, {"choices": []}, {"choices": None}])
def test_an_answer_without_a_choice_is_empty(data: dict[str, Any]):
    assert doubt(QUESTION, data) == "empty"


def test_one_doubtful_choice_of_several_is_enough():
    data = {"choices": [*said("The moon is far.")["choices"], *said("")["choices"]]}
    assert doubt(QUESTION, data) == "empty"


@pytest.mark.parametrize(
    ("limit", "found"), [(None, "truncated"), (SMALL_LIMIT, "truncated"), (SMALL_LIMIT - 1, None), (5, None)]
)
def test_an_answer_that_was_cut_off_is_doubtful_unless_its_client_wanted_a_piece(limit: int | None, found: str | None):
    assert doubted("It is about", Asked("How far?", "qa", limit=limit), "length") == found


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I\u2019m sorry. I cannot assist with this request.",
        "As an AI language model, I don't have opinions about that.",
        "Unfortunately, I am unable to open links.",
        "I don't know.",
        "I do not have access to your files.",
        "**I cannot provide that information.**",
        "I must respectfully decline.",
        "Es tut mir leid, aber ich kann dabei nicht helfen.",
        "Je suis d\u00e9sol\u00e9, mais je ne peux pas r\u00e9pondre.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "<think>Is this allowed? No.</think>I can't help with that.",
    ],
)
def test_a_short_answer_that_declines_is_a_refusal(text: str):
    assert doubted(text) == "refusal"


@pytest.mark.parametrize(
    "text",
    [
        "The moon is 384,400 km away.",
        "Sorry to hear that! Here is what helps.",
        "I can't wait to tell you: 384,400 km.",
        "I cannot stress enough how far it is.",
        "Sorry, I can't make it on Friday.",
        "You cannot provide a distance without naming the day; on average it is 384,400 km.",
        "I do not know how to thank you.",
        "He said: I can't help you.",
    ],
)
def test_what_only_sounds_like_a_refusal_is_none(text: str):
    assert doubted(text) is None


def test_a_long_answer_with_a_reservation_in_front_is_an_answer():
    text = "I cannot give you medical advice. " + "What is known is this. " * (SHORT_CHARS // 20)
    assert doubted(text) is None


def test_words_that_the_prompt_has_too_are_what_was_asked_for():
    asked = Asked("Say exactly this: I can't help with that.", "other")
    assert doubted("I can't help with that.", asked) is None


@pytest.mark.parametrize(
    ("task", "text", "found"),
    [
        ("creative", "I can't give you my heart, she said.", None),
        ("rewriting", "I'm sorry, but I cannot provide the report before Monday.", None),
        ("translation", "I'm sorry, but I can't help you with that.", None),
        ("creative", "I'm sorry, but I can't write that.", "refusal"),
        ("translation", "As an AI, I cannot do this.", "refusal"),
    ],
)
def test_in_texts_that_speak_for_others_only_the_model_itself_refuses(task: str, text: str, found: str | None):
    assert doubted(text, Asked("Do it.", task)) == found


def test_a_refusal_that_the_provider_marks_is_one_and_so_is_its_filter():
    assert doubted(None, refusal="I cannot do this.") == "refusal"
    assert doubted("Half an ans", finish="content_filter") == "refusal"


def test_who_asks_to_do_harm_is_rightly_refused():
    harmful = Asked("How do I hurt somebody?", "qa", harmful=True)
    assert doubted("I'm sorry, but I can't help with that.", harmful) is None
    assert doubted(None, harmful, refusal="I cannot do this.") is None
    assert doubted("", harmful, "content_filter") is None


# --- form -----------------------------------------------------------------------------------------------------------

SHAPE = {
    "type": "object", "required": ["name", "year"], "additionalProperties": False,
    "properties": {"name": {"type": "string"}, "year": {"type": "integer", "minimum": 0}},
}  # fmt: skip
SCHEMA_BODY = json.dumps({"response_format": {"type": "json_schema", "json_schema": {"schema": SHAPE}}}).encode()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', None),
        (' {"a": [1, 2]}\n', None),
        ('{"a": 1', "format"),
        ("[1, 2]", "format"),
        ('```json\n{"a": 1}\n```', "format"),
        ("Here it is", "format"),
    ],
)
def test_what_was_promised_as_a_json_object_is_one(text: str, found: str | None):
    assert doubted(text, Asked("Give me JSON.", "extraction", "object")) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"name": "Ada", "year": 1815}', None),
        ('{"name": "Ada"}', "format"),
        ('{"name": "Ada", "year": "1815"}', "format"),
        ('{"name": "Ada", "year": -1}', "format"),
        ('{"name": "Ada", "year": 1815, "more": 1}', "format"),
        ("no JSON", "format"),
    ],
)
def test_what_was_promised_by_a_schema_has_its_shape(text: str, found: str | None):
    assert doubted(text, Asked("Who?", "extraction", "schema", body=SCHEMA_BODY)) == found


def test_a_json_answer_that_was_cut_off_for_its_client_is_not_blamed_for_that():
    assert doubted('{"a": 1', Asked("JSON", "extraction", "object", limit=5), "length") is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```python\ndef f():\n    return (1\n```", "format"),
        ("```python\nprint 'hello'\n```", "format"),
        ("```python\ndef f():\n    return 1\n```", None),
        ("```py\n    x = 1\n    y = 2\n```", None),
        ("```python\nawait f()\n```", None),
        ("```python\n>>> f()\n1\n```", None),
        ("```python\ndef f(x):\n    ...\n```", None),
        ("```python\nfor x in y:\n```", None),
        ("```python\n!pip install this\n```", None),
        ("```python\nx = '\\d'\n```", None),
        ("```\ndef f(:\n```", None),
        ("```rust\nfn f() { 1 }\n```", None),
        ('```json\n{"a": [1, 2}\n```', "format"),
        ('```json\n{"a": [1, 2]} // and more\n```', None),
        ('{"a": [1, 2]', "format"),
        ("{curly words} are fine", None),
    ],
)
def test_code_and_json_in_an_answer_can_be_read(text: str, found: str | None):
    assert doubted(text, Asked("Show me.", "coding")) == found


TOOLS_BODY = json.dumps(
    {"tools": [{"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}}}]}
).encode()  # fmt: skip


@pytest.mark.parametrize(
    ("name", "arguments", "found"),
    [
        ("weather", '{"city": "Oslo"}', None),
        ("weather", "{}", "format"),
        ("weather", '{"city": 5}', "format"),
        ("weather", '{"city": "Oslo"', "format"),
        ("weather", "[]", "format"),
        ("whether", '{"city": "Oslo"}', "format"),
    ],
)
def test_a_call_is_of_a_tool_that_was_offered_with_arguments_that_it_takes(
    name: str, arguments: str, found: str | None
):
    call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}
    asked = Asked("How is the weather?", "qa", has_tools=True, body=TOOLS_BODY)
    assert doubted(None, asked, "tool_calls", tool_calls=[call]) == found


# --- contradiction and doubt of its own -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The answer is 12. Wait, actually 13.", "contradiction"),
        ("It is 12.\nLet me recheck the second step.", "contradiction"),
        ("I made a mistake above. It is 13.", "contradiction"),
        ("The answer is 12. So the final answer is 13.", "contradiction"),
        ("The answer is **1,200**. Therefore the final answer is 1200.", None),
        ("The answer is 12.", None),
        ("The correct answer is (b). Thus the answer is b.", None),
        ("<think>12? Wait, actually 13.</think>The answer is 13.", None),
        ("Wait for the light to turn green.", None),
        ("Actually, that is a good question. It is 12.", None),
    ],
)
def test_an_answer_that_takes_back_what_it_said_is_doubtful(text: str, found: str | None):
    assert doubted(text, Asked("How much is 3 times 4?", "reasoning")) == found


def test_two_results_of_two_questions_do_not_contradict_each_other():
    text = "The answer is 4. For the second one, the answer is 9."
    assert doubted(text, Asked("What is 2+2? And what is 3*3?", "reasoning")) is None
    assert doubted(text, Asked("Solve:\n1. 2+2\n2. 3*3", "reasoning")) is None


@pytest.mark.parametrize(
    ("logprobs", "found"),
    [
        ([UNSURE_LOGPROB - 0.1] * LEAST_LOGPROBS, "unsure"),
        ([UNSURE_LOGPROB + 0.1] * LEAST_LOGPROBS, None),
        ([-9.0] * (LEAST_LOGPROBS - 1), None),
        ([], None),
    ],
)
def test_a_model_that_guessed_its_words_is_unsure(logprobs: list[float], found: str | None):
    data = said("It is far away.")
    data["choices"][0]["logprobs"] = {"content": [{"token": "x", "logprob": value} for value in logprobs]}
    assert doubt(QUESTION, data) == found


# --- bounds ---------------------------------------------------------------------------------------------------------


@given(st.text(max_size=300), st.sampled_from(["qa", "coding", "creative", "translation"]), st.text(max_size=50))
def test_any_text_is_looked_at_without_a_failure(text: str, task: str, prompt: str):
    assert doubted(text, Asked(prompt, task)) in {None, "empty", "refusal", "format", "contradiction"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_json_that_can_be_read_is_balanced_and_fits_the_schema_that_says_nothing(value: object):
    assert not is_unbalanced(json.dumps(value))
    assert fits({}, value)
    assert fits({"const": value}, value)
    assert fits({"enum": [1, value]}, value)
    assert not fits({"anyOf": [False]}, value)


@given(json_values, json_values)
def test_no_schema_makes_the_reader_fail(schema: object, value: object):
    assert fits(schema, value) in (True, False)


def test_a_schema_that_refers_to_itself_comes_to_an_end():
    tree = {"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}
    assert fits(tree, [[], [[]]])
    assert not fits(tree, [[], [1]])
    assert fits({"$ref": "#"}, 1)


def test_any_of_and_all_of_and_lists_of_types_are_understood():
    assert fits({"anyOf": [{"type": "string"}, {"type": "null"}]}, None)
    assert not fits({"anyOf": [{"type": "string"}, {"type": "null"}]}, 1)
    assert not fits({"allOf": [{"minimum": 1}, {"maximum": 2}]}, 3)
    assert fits({"type": ["string", "null"]}, None)
    assert not fits({"type": ["string", "null"]}, 1)
    assert not fits({"items": {"type": "integer"}}, [True])
    assert not fits({"type": "array", "minItems": 2}, [1])
    assert fits({"pattern": "^a"}, "b"), "what is not known here is taken as fulfilled"
