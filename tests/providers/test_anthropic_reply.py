"""Anthropic's message as OpenAI's chat completion."""

from typing import Any

import orjson
import pytest

from neuralrouting.errors import (
    UpstreamAuth,
    UpstreamBadResponse,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRateLimited,
)
from neuralrouting.exchange import JsonObject
from neuralrouting.providers.anthropic_reply import completion_of
from neuralrouting.providers.base import usage_of

CREATED_S = 1_700_000_000


def message(*content: dict[str, Any], **fields: object) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": content,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
        **fields,
    }


def completion(*content: dict[str, Any], **fields: object) -> JsonObject:
    return completion_of(orjson.dumps(message(*content, **fields)), "anthropic", CREATED_S)


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


def tool_use(value: object, identity: str = "toolu_1") -> dict[str, Any]:
    return {"type": "tool_use", "id": identity, "name": "weather", "input": value}


def test_a_text_answer_has_openais_shape():
    assert completion(text("Hello")) == {
        "id": "msg_1",
        "object": "chat.completion",
        "created": CREATED_S,
        "model": "claude-sonnet-4-5-20250929",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def test_several_text_blocks_are_one_text():
    assert completion(text("a"), text("b"))["choices"][0]["message"]["content"] == "ab"


def test_tool_uses_become_tool_calls_with_arguments_in_a_string():
    told = completion(text("Looking."), tool_use({"city": "Rome"}), tool_use({}, "toolu_2"), stop_reason="tool_use")
    choice = told["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "Looking."
    assert choice["message"]["tool_calls"] == [
        {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
        {"id": "toolu_2", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
    ]


def test_calls_without_text_have_null_content():
    assert completion(tool_use({}))["choices"][0]["message"]["content"] is None


def test_an_empty_answer_is_an_empty_text():
    assert completion()["choices"][0]["message"]["content"] == ""


def test_big_integers_in_arguments_survive():
    body = orjson.dumps(message(tool_use("ARGS"))).replace(b'"ARGS"', b'{"n": 123456789012345678901234567890}')
    (told,) = completion_of(body, "anthropic", CREATED_S)["choices"][0]["message"]["tool_calls"]
    assert told["function"]["arguments"] == '{"n": 123456789012345678901234567890}'


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("compaction", "length"),
        ("pause_turn", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
        (None, "stop"),
    ],
)
def test_each_stop_reason_has_its_finish_reason(stop_reason: str | None, finish_reason: str):
    assert completion(text("x"), stop_reason=stop_reason)["choices"][0]["finish_reason"] == finish_reason


def test_thinking_is_readable_and_kept_for_the_next_request():
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "sig"}
    redacted = {"type": "redacted_thinking", "data": "ZGF0YQ=="}
    told = completion(thinking, redacted, text("Yes"))["choices"][0]["message"]
    assert told["content"] == "Yes"
    assert told["reasoning_content"] == "Hm."
    assert told["thinking_blocks"] == [thinking, redacted]


def test_blocks_we_do_not_know_are_passed_over():
    assert completion({"type": "server_tool_use", "id": "s", "name": "web"}, text("x"))["choices"][0]["message"] == {
        "role": "assistant",
        "content": "x",
        "refusal": None,
    }


# usage
def test_prompt_tokens_include_what_was_cached():
    usage = {
        "input_tokens": 3,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": 2000,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    told = usage_of(completion(text("x"), usage=usage))
    assert told is not None
    assert (told.prompt_tokens, told.completion_tokens) == (2103, 9)
    assert (told.cached_tokens, told.cache_write_tokens, told.reasoning_tokens) == (2000, 100, 4)
    assert told.source == "provider"


def test_null_counts_of_the_cache_are_none():
    usage = {
        "input_tokens": 3,
        "cache_creation_input_tokens": None,
        "cache_read_input_tokens": None,
        "output_tokens": 9,
    }
    assert completion(text("x"), usage=usage)["usage"]["prompt_tokens"] == 3


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"input_tokens": 3},
        {"input_tokens": -3, "output_tokens": 9},
        {"input_tokens": 3.5, "output_tokens": 9},
        {"input_tokens": "3", "output_tokens": 9},
        {"input_tokens": 3, "output_tokens": 10**18},
        {"input_tokens": 3, "output_tokens": 9, "cache_read_input_tokens": "many"},
    ],
)
def test_counts_that_are_none_leave_the_answer_without_usage(usage: object):
    told = completion(text("x"), usage=usage)
    assert "usage" not in told
    assert told["choices"][0]["message"]["content"] == "x"


def test_an_absurd_count_is_told_and_capped_by_who_bills():
    told = usage_of(completion(text("x"), usage={"input_tokens": 3, "output_tokens": 10**12}))
    assert told is not None
    assert told.source == "capped"


# what is not a message
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"null", b"{}", b'{"id":"x"}', b'{"id":"x","content":"y"}', b'{"id":"x","content":[{}]}'],
)
def test_what_is_no_message_is_a_bad_response(body: bytes):
    with pytest.raises(UpstreamBadResponse):
        completion_of(body, "anthropic", CREATED_S)


@pytest.mark.parametrize("kind", ["text", "tool_use", "thinking"])
def test_invalid_utf8_is_a_bad_response(kind: str):
    block = {"type": kind, "text": "MARK", "thinking": "MARK", "input": {"a": "MARK"}, "id": "i", "name": "n"}
    body = orjson.dumps(message(block)).replace(b"MARK", b"\xff\xfe")
    with pytest.raises(UpstreamBadResponse):
        completion_of(body, "anthropic", CREATED_S)


@pytest.mark.parametrize(
    ("kind", "fault", "status"),
    [
        ("overloaded_error", UpstreamOverloaded, 529),
        ("rate_limit_error", UpstreamRateLimited, 429),
        ("authentication_error", UpstreamAuth, 401),
        ("billing_error", UpstreamAuth, 402),
        ("api_error", UpstreamError, 500),
        ("something_new", UpstreamBadResponse, 200),
    ],
)
def test_an_error_inside_a_200_is_what_it_says(kind: str, fault: type[UpstreamError], status: int):
    body = orjson.dumps({"type": "error", "error": {"type": kind, "message": "no"}, "request_id": "r"})
    with pytest.raises(fault) as caught:
        completion_of(body, "anthropic", CREATED_S)
    assert caught.value.provider_status == status
