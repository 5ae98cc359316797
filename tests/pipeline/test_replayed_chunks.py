"""A whole answer in pieces says what the whole one said."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.pipeline.replay import PIECE_CHARS, chunks_of

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}


def whole(*messages: dict[str, Any], finish: str = "stop", **more: object) -> dict[str, Any]:
    choices = [{"index": n, "message": m, "finish_reason": finish} for n, m in enumerate(messages)]
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 5, "model": "m", "choices": choices, **more}


def joined(chunks: list[dict[str, Any]], name: str, index: int = 0) -> str:
    parts = (part for chunk in chunks for part in chunk["choices"] if part["index"] == index)
    return "".join(part["delta"].get(name) or "" for part in parts)


texts = st.text(max_size=3 * PIECE_CHARS)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=3))
def test_every_word_of_every_choice_comes_once_and_in_order(said: list[tuple[str, str]]):
    chunks = chunks_of(whole(*({"content": text, "reasoning_content": thought} for text, thought in said)), "r", 1)
    for index, (text, thought) in enumerate(said):
        assert joined(chunks, "content", index) == text
        assert joined(chunks, "reasoning_content", index) == thought
        ends = [p["finish_reason"] for c in chunks for p in c["choices"] if p["index"] == index and p["finish_reason"]]
        assert ends == ["stop"]
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)
    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks} == {("chatcmpl-1", 5, "m")}


def test_calls_come_with_their_places_and_the_usage_last():
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    chunks = chunks_of(whole({"content": None, "tool_calls": [CALL, CALL]}, finish="tool_calls", usage=usage), "r", 1)
    [calls] = [c["choices"][0]["delta"]["tool_calls"] for c in chunks[:-1] if "tool_calls" in c["choices"][0]["delta"]]
    assert [call["index"] for call in calls] == [0, 1]
    assert calls[0]["function"] == CALL["function"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], usage)


def test_log_probabilities_refusals_and_what_is_new_are_passed_on_once():
    data = whole({"content": "hi", "refusal": "no", "annotations": [{"type": "url"}]})
    data["choices"][0]["logprobs"] = {"content": [{"token": "hi", "logprob": -0.1}]}
    chunks = chunks_of(data, "r", 1)
    parts = [chunk["choices"][0] for chunk in chunks]
    assert [part["logprobs"] for part in parts if part["logprobs"]] == [data["choices"][0]["logprobs"]]
    assert joined(chunks, "refusal") == "no"
    assert [p["delta"]["annotations"] for p in parts if "annotations" in p["delta"]] == [[{"type": "url"}]]


def test_an_answer_without_id_and_time_gets_those_of_its_request():
    data = {"choices": [{"message": {"content": "hi"}}]}
    [first, *_] = chunks_of(data, "req_7", 9)
    assert (first["id"], first["created"], first["model"]) == ("chatcmpl-req_7", 9, None)
