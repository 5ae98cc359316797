"""OpenAI's messages as Anthropic's system prompt and turns: roles, tools both ways, images, thinking."""

from typing import Any

import orjson
import pytest
from claude import HI, WEATHER, call, deployment, sent

from neuralrouting.errors import UpstreamRejected
from neuralrouting.providers.anthropic_request import messages_request
from neuralrouting.providers.faults import ModelLimit


# system
def test_system_and_developer_messages_are_hoisted_and_joined():
    told = sent(
        {"role": "system", "content": "A"}, HI, {"role": "developer", "content": [{"type": "text", "text": "B"}]}
    )
    assert told["system"] == "A\nB"
    assert told["messages"] == [HI]


def test_a_lone_system_message_is_asked_as_the_user():
    told = sent({"role": "system", "content": "Say hi"})
    assert told["messages"] == [{"role": "user", "content": "Say hi"}]
    assert "system" not in told


def test_a_cache_mark_in_the_system_prompt_survives():
    part = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}
    assert sent({"role": "system", "content": [part]}, HI)["system"] == [part]


# roles
def test_neighbours_of_one_role_become_one_turn():
    told = sent(HI, {"role": "user", "content": "there"}, {"role": "assistant", "content": "Yes"}, HI)
    assert [turn["role"] for turn in told["messages"]] == ["user", "assistant", "user"]
    assert told["messages"][0]["content"] == [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]


def test_empty_messages_leave_no_empty_text_block():
    told = sent({"role": "user", "content": ""}, HI, {"role": "assistant", "content": None}, HI)
    assert told["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hi"}] * 2}]


def test_trailing_whitespace_of_a_prefill_is_cut():
    told = sent(HI, {"role": "assistant", "content": "The answer is \n"})
    assert told["messages"][-1] == {"role": "assistant", "content": "The answer is"}


def test_a_prefill_of_nothing_but_whitespace_is_left_out():
    assert sent(HI, {"role": "assistant", "content": " \n"})["messages"] == [HI]


@pytest.mark.parametrize("messages", [[{"role": "user", "content": ""}], [{"role": "assistant", "content": " "}]])
def test_a_conversation_without_content_is_refused(messages: list[dict[str, Any]]):
    with pytest.raises(UpstreamRejected, match="no content"):
        sent(*messages)


def test_a_refusal_in_the_past_is_text():
    told = sent(HI, {"role": "assistant", "content": None, "refusal": "No."}, HI)
    assert told["messages"][1] == {"role": "assistant", "content": "No."}


def test_the_old_function_role_is_refused_by_name():
    with pytest.raises(UpstreamRejected, match="function") as caught:
        sent(HI, {"role": "function", "name": "f", "content": "x"})
    assert caught.value.param == "messages[1].role"


# tools both ways
def test_tool_calls_become_tool_use_and_their_results_one_user_turn():
    told = sent(
        HI,
        {"role": "assistant", "content": "Looking.", "tool_calls": [call("call_1"), call("call_2", arguments="")]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "call_2", "content": ""},
        tools=[WEATHER],
    )
    assert told["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Rome"}},
                {"type": "tool_use", "id": "call_2", "name": "weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "call_2"},
            ],
        },
    ]


def test_tool_results_stand_before_what_the_user_says_beside_them():
    told = sent(
        HI,
        {"role": "assistant", "tool_calls": [call("a"), call("b")]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "user", "content": "Hurry"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        tools=[WEATHER],
    )
    assert [block["type"] for block in told["messages"][-1]["content"]] == ["tool_result", "tool_result", "text"]


def test_a_tool_result_may_hold_an_image():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    told = sent(
        HI,
        {"role": "assistant", "tool_calls": [call("a")]},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "see"}, image]},
        tools=[WEATHER],
    )
    (result,) = told["messages"][-1]["content"]
    assert [block["type"] for block in result["content"]] == ["text", "image"]


def test_big_integers_and_odd_floats_in_arguments_and_schemas_survive():
    schema = {"type": "object", "properties": {"n": {"maximum": 2**80}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": "SCHEMA"}}
    body = orjson.dumps(
        {"messages": [HI, {"role": "assistant", "tool_calls": [call("a", "f", "ARGS")]}], "tools": [tool]}
    )
    written = str(schema).replace("'", '"').encode()
    body = body.replace(b'"SCHEMA"', written).replace(
        b'"ARGS"', rb'"{\"n\": 123456789012345678901234567890, \"x\": 1.0e5}"'
    )
    translated = messages_request(body, deployment(), stream=False)
    assert b'{"n": 123456789012345678901234567890, "x": 1.0e5}' in translated
    assert str(2**80).encode() in translated


def test_ids_of_other_providers_are_made_fit_on_both_sides():
    told = sent(
        HI,
        {"role": "assistant", "tool_calls": [call("functions.weather:0")]},
        {"role": "tool", "tool_call_id": "functions.weather:0", "content": "x"},
        tools=[WEATHER],
    )
    use, result = told["messages"][1]["content"][0], told["messages"][2]["content"][0]
    assert use["id"] == result["tool_use_id"] == "functions_weather_0"


@pytest.mark.parametrize("arguments", ["[1]", "{", "null", '"text"', '{"a":1}{"b":2}'])
def test_arguments_that_are_no_object_are_refused_with_their_place(arguments: str):
    with pytest.raises(UpstreamRejected) as caught:
        sent(HI, {"role": "assistant", "tool_calls": [call("a", arguments=arguments)]}, tools=[WEATHER])
    assert caught.value.param == "messages[1].tool_calls[0].function.arguments"


def test_a_tool_message_without_an_id_is_refused():
    with pytest.raises(UpstreamRejected, match="tool_call_id"):
        sent(HI, {"role": "tool", "content": "x"})


def test_thinking_blocks_come_back_verbatim_and_first():
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln=="}
    told = sent(
        HI,
        {"role": "assistant", "content": "Let me see.", "thinking_blocks": [thinking], "tool_calls": [call("a")]},
        {"role": "tool", "tool_call_id": "a", "content": "x"},
        tools=[WEATHER],
    )
    assert [block["type"] for block in told["messages"][1]["content"]] == ["thinking", "text", "tool_use"]
    assert told["messages"][1]["content"][0] == thinking


# images and files
def test_a_data_url_becomes_a_base64_source():
    part = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/4AA=", "detail": "low"}}
    (block,) = sent({"role": "user", "content": [part]})["messages"][0]["content"]
    assert block == {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4AA="},
    }


def test_a_web_address_becomes_a_url_source():
    part = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
    told = sent({"role": "user", "content": [{"type": "text", "text": "What?"}, part]})
    assert told["messages"][0]["content"] == [
        {"type": "text", "text": "What?"},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}},
    ]


@pytest.mark.parametrize(
    "url", ["data:image/png,raw", "file:///etc/passwd", "data:;base64,AA", "data:image/png;base64"]
)
def test_other_addresses_of_images_are_refused(url: str):
    with pytest.raises(UpstreamRejected) as caught:
        sent({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})
    assert caught.value.param == "messages[0].content[0].image_url.url"


def test_a_pdf_becomes_a_document():
    part = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}}
    (block,) = sent({"role": "user", "content": [part]})["messages"][0]["content"]
    assert block == {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
        "title": "a.pdf",
    }


@pytest.mark.parametrize(
    "part",
    [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, {"type": "file", "file": {"file_id": "f"}}],
)
def test_parts_without_counterpart_are_for_another_model(part: dict[str, Any]):
    with pytest.raises(ModelLimit):
        sent({"role": "user", "content": [part]})
