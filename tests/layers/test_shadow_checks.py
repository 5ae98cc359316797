"""What needs no judge: each check says win, tie or lose of the candidate, or nothing."""

import msgspec
import pytest

from neuralrouting.layers.shadow import Question, Said, compare, question_of, said_in

ASKED = Question((("user", "?"),), "qa")
MATHS = msgspec.structs.replace(ASKED, task="reasoning")
CODE = msgspec.structs.replace(ASKED, task="coding")
JSON = msgspec.structs.replace(ASKED, wants_json=True)
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}}},
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"tag": {"enum": ["red", "blue"]}},
}
TYPED = msgspec.structs.replace(JSON, schema=SCHEMA)
WORKS, BREAKS = "```python\nx = [1, 2]\n```", "Try this:\n```python\ndef f(:\n```\n"


def found(question: Question, candidate: str | Said, reference: str | Said) -> tuple[str | None, str]:
    said = [Said(one) if isinstance(one, str) else one for one in (candidate, reference)]
    finding = compare(question, said[0], said[1])
    return finding.verdict, finding.reason


@pytest.mark.parametrize(
    ("question", "worse", "better", "reason"),
    [
        (ASKED, " \n", "Paris", "empty"),
        (ASKED, Said("Paris is the", cut=True), "Paris is the capital.", "truncated"),
        (ASKED, "I'm sorry, but I can't help with that.", "It rains.", "refused"),
        (ASKED, Said("no", refused=True), "It rains.", "refused"),
        (JSON, "Here it is: {}", '{"a": 1}', "json_broken"),
        (JSON, '```json\n{"a": 1}\n```', '{"a": 1}', "json_broken"),
        (TYPED, '{"name": 1}', '{"name": "x"}', "schema_broken"),
        (TYPED, "{}", '{"name": "x"}', "schema_broken"),
        (TYPED, '{"name": "x", "more": 1}', '{"name": "x"}', "schema_broken"),
        (TYPED, '{"name": "x", "tags": ["green"]}', '{"name": "x", "tags": ["red"]}', "schema_broken"),
        (CODE, BREAKS, WORKS, "code_broken"),
    ],
)
def test_a_fault_of_one_side_decides_either_way(question: Question, worse: str | Said, better: str | Said, reason: str):
    assert found(question, worse, better) == ("lose", reason)
    assert found(question, better, worse) == ("win", reason)


@pytest.mark.parametrize(
    ("question", "one", "other", "reason"),
    [
        (ASKED, "Paris.", " paris ", "same_text"),
        (ASKED, "\uff30aris", "Paris", "same_text"),
        (ASKED, "1,024", "1024.0", "same_number"),
        (ASKED, "$12", "12", "same_number"),
        (MATHS, "So 3*4 = 12. The answer is **12**.", "#### 12", "same_number"),
        (MATHS, "thus \\boxed{-7}", "The final answer is: -7.", "same_number"),
        (JSON, '{"a": 1, "b": [2]}', '{"b": [2], "a": 1}', "same_json"),
        (ASKED, "", "  ", "both_empty"),
        (ASKED, "I cannot help with that request.", "I'm unable to assist with this.", "both_refused"),
    ],
)
def test_what_is_equal_is_a_tie(question: Question, one: str, other: str, reason: str):
    assert found(question, one, other) == ("tie", reason)
    assert found(question, other, one) == ("tie", reason)


@pytest.mark.parametrize(
    ("question", "one", "other"),
    [
        (ASKED, "Paris", "London"),
        (MATHS, "The answer is 12.", "The answer is 13."),
        (MATHS, "The answer is 5 km.", "The answer is 5 miles."),
        (ASKED, "The answer is 12, but see below.", "I get the result 12 as well, by another way."),
        (JSON, '{"a": 1}', '{"a": 2}'),
        (JSON, "no", "nor this"),
        (CODE, BREAKS, BREAKS + "\nor not"),
        (CODE, WORKS, "```python\ny = 3\n```"),
        (CODE, "```\nnot python (\n```", WORKS),
        (ASKED, BREAKS, WORKS),
        (ASKED, Said("Paris is", cut=True), Said("Paris was", cut=True)),
        (ASKED, "I cannot recommend this film enough.", "A great film."),
    ],
)
def test_what_is_not_certain_decides_nothing(question: Question, one: str | Said, other: str | Said):
    assert found(question, one, other)[0] is None
    assert found(question, other, one)[0] is None


def test_a_long_answer_that_begins_with_regret_is_no_refusal():
    begun = "I'm sorry, but I can't give you medical advice. " + "What is known about it is this. " * 40
    assert found(ASKED, begun, "It rains.")[0] is None


def test_who_refuses_to_do_harm_does_no_worse():
    harmful = msgspec.structs.replace(ASKED, harmful=True)
    assert found(harmful, "I can't help with that.", "First, take ...")[0] is None


def test_code_that_is_deeper_than_the_parser_goes_is_not_called_wrong():
    deep = f"```python\n{'(' * 5_000}{')' * 5_000}\n```"
    assert found(CODE, deep, WORKS)[0] is None or found(CODE, deep, WORKS)[1] == "code_broken"


def test_a_schema_that_never_ends_is_followed_so_far():
    endless = msgspec.structs.replace(JSON, schema={"$ref": "#"})
    assert found(endless, '{"a": 1}', '{"a": 2}')[0] is None


@pytest.mark.timeout(20)
def test_a_schema_that_explodes_is_held_against_an_answer_so_long():
    doubled = msgspec.structs.replace(JSON, schema={"allOf": [{"$ref": "#"}, {"$ref": "#"}]})
    assert found(doubled, '{"a": 1}', '{"a": 2}')[0] is None


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ["```x\n" * 200_000, "= " + " " * 200_000 + "x", "=" * 200_000, "answer " * 50_000])
@pytest.mark.parametrize("question", [CODE, MATHS], ids=["code", "maths"])
def test_no_answer_is_written_so_that_looking_at_it_takes_for_ever(question: Question, text: str):
    assert found(question, text, WORKS)[0] is None


def test_a_question_is_read_from_the_request_as_it_came():
    body = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Who?"}, {"type": "text", "text": "And why?"}]},
        ],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
    }
    question = question_of(msgspec.json.encode(body), "qa", harmful=False)
    assert question.conversation == (("system", "Be brief."), ("user", "Who?\nAnd why?"))
    assert (question.wants_json, question.schema, question.task) == (True, SCHEMA, "qa")


MESSAGE = {"role": "assistant", "content": "text"}


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ([{"message": MESSAGE, "finish_reason": "stop"}], Said("text")),
        ([{"message": MESSAGE, "finish_reason": "length"}], Said("text", cut=True)),
        ([{"message": MESSAGE | {"content": None}, "finish_reason": "stop"}], Said("")),
        ([{"message": MESSAGE | {"refusal": "no"}, "finish_reason": "stop"}], Said("no", refused=True)),
        ([{"message": MESSAGE, "finish_reason": "tool_calls"}], None),
        ([{"message": MESSAGE | {"tool_calls": [{}]}, "finish_reason": "stop"}], None),
        ([{"message": MESSAGE, "finish_reason": "stop"}] * 2, None),
        ([], None),
    ],
)
def test_only_one_choice_of_plain_text_is_compared(choices: list[dict[str, object]], said: Said | None):
    assert said_in({"choices": choices}) == said
