"""Parameters and tools of OpenAI's request as Anthropic's, topic by topic."""

from typing import Any

import pytest
from claude import HI, WEATHER, call, deployment, sent

from neuralrouting.errors import UpstreamRejected
from neuralrouting.providers.anthropic_request import takes_sampling
from neuralrouting.providers.faults import ModelLimit


# what is always there
def test_the_smallest_request_has_model_messages_and_the_mandatory_max_tokens():
    assert sent() == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": "Hi"}],
    }


def test_a_stream_is_asked_for_only_when_it_is_wanted():
    assert sent(stream=True)["stream"] is True
    assert "stream" not in sent()


def test_openais_own_stream_options_do_not_reach_anthropic():
    assert "stream_options" not in sent(stream=True, stream_options={"include_usage": True})


# tools
def test_a_tool_definition_keeps_name_description_and_schema():
    (tool,) = sent(tools=[WEATHER])["tools"]
    assert tool == {
        "name": "weather",
        "description": "Tells the weather",
        "input_schema": WEATHER["function"]["parameters"],
    }


@pytest.mark.parametrize(
    "function", [{"name": "f"}, {"name": "f", "parameters": {}}, {"name": "f", "parameters": None}]
)
def test_a_tool_without_parameters_takes_an_empty_object(function: dict[str, Any]):
    (tool,) = sent(tools=[{"type": "function", "function": function}])["tools"]
    assert tool["input_schema"] == {"type": "object", "properties": {}}


def test_strict_goes_only_to_models_that_know_structured_output():
    strict = [{"type": "function", "function": {**WEATHER["function"], "strict": True}}]
    assert sent(tools=strict)["tools"][0]["strict"] is True
    assert "strict" not in sent(tools=strict, at=deployment(json_schema=False))["tools"][0]


def test_a_tool_that_is_no_function_is_for_another_model():
    with pytest.raises(ModelLimit, match="type function"):
        sent(tools=[{"type": "custom", "custom": {"name": "x"}}])


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "weather"}}, {"type": "tool", "name": "weather"}),
    ],
)
def test_each_tool_choice_has_its_counterpart(choice: object, told: dict[str, str]):
    assert sent(tools=[WEATHER], tool_choice=choice)["tool_choice"] == told


def test_a_tool_choice_without_counterpart_is_refused():
    with pytest.raises(ModelLimit, match="tool_choice"):
        sent(tools=[WEATHER], tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}})


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (None, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", {"type": "any", "disable_parallel_tool_use": True}),
        ("none", {"type": "none"}),
    ],
)
def test_parallel_tool_calls_can_be_switched_off(choice: str | None, told: dict[str, Any]):
    assert sent(tools=[WEATHER], tool_choice=choice, parallel_tool_calls=False)["tool_choice"] == told


def test_parallel_tool_calls_are_on_unless_switched_off():
    assert "tool_choice" not in sent(tools=[WEATHER], parallel_tool_calls=True)


def test_calls_in_the_past_without_tools_declare_them_and_forbid_more():
    told = sent(
        HI,
        {"role": "assistant", "tool_calls": [call("a"), call("b")]},
        {"role": "tool", "tool_call_id": "a", "content": "x"},
        {"role": "tool", "tool_call_id": "b", "content": "y"},
    )
    assert told["tools"] == [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]
    assert told["tool_choice"] == {"type": "none"}


# parameters
@pytest.mark.parametrize(
    ("fields", "max_tokens"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 1_000_000}, 8192),
        ({"max_tokens": None}, 8192),
    ],
)
def test_max_tokens_is_what_was_asked_within_the_models_limit(fields: dict[str, Any], max_tokens: int):
    assert sent(**fields)["max_tokens"] == max_tokens


@pytest.mark.parametrize(("asked", "told"), [(0, 0), (0.7, 0.7), (1, 1), (1.8, 1)])
def test_temperature_ends_at_one(asked: float, told: float):
    assert sent(temperature=asked)["temperature"] == told


def test_top_p_and_top_k_go_through_but_a_top_p_of_one_says_nothing():
    assert {"top_p": 0.9, "top_k": 40}.items() <= sent(top_p=0.9, top_k=40).items()
    assert "top_p" not in sent(top_p=1, temperature=0.5)


def test_models_without_sampling_are_not_sent_any():
    told = sent(temperature=0.2, top_p=0.5, top_k=3, at=deployment("claude-opus-4-8"))
    assert not {"temperature", "top_p", "top_k"} & told.keys()


@pytest.mark.parametrize(
    ("model", "sampled"),
    [
        ("claude-3-haiku-20240307", True),
        ("claude-3-5-sonnet-latest", True),
        ("claude-3-7-sonnet-20250219", True),
        ("claude-sonnet-4-20250514", True),
        ("claude-opus-4-1-20250805", True),
        ("claude-haiku-4-5", True),
        ("claude-sonnet-4.6", True),
        ("claude-opus-4-6", True),
        ("claude-opus-4-7", False),
        ("claude-opus-4-8-20260601", False),
        ("claude-sonnet-5", False),
        ("claude-opus-5-1", False),
        ("claude-unheard-of", False),
    ],
)
def test_sampling_ended_with_claude_4_6(model: str, sampled: bool):  # noqa: FBT001
    assert takes_sampling(model) is sampled


@pytest.mark.parametrize(("stop", "told"), [("END", ["END"]), (["a", "b"], ["a", "b"])])
def test_stop_becomes_stop_sequences(stop: object, told: list[str]):
    assert sent(stop=stop)["stop_sequences"] == told


def test_no_stop_is_no_field():
    assert "stop_sequences" not in sent(stop=None)


def test_user_becomes_the_metadata_user_id():
    assert sent(user="u-1")["metadata"] == {"user_id": "u-1"}


def test_thinking_and_output_config_are_passed_on():
    told = sent(thinking={"type": "adaptive"}, output_config={"effort": "low"})
    assert told["thinking"] == {"type": "adaptive"}
    assert told["output_config"] == {"effort": "low"}


def test_what_anthropics_own_openai_endpoint_ignores_is_left_out():
    ignored = {
        "seed": 1,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.1,
        "logit_bias": {"1": 1},
        "store": True,
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "reasoning_effort": "low",
        "n": 1,
        "logprobs": False,
    }
    assert sent(**ignored) == sent()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("modalities", ["text", "audio"]),
        ("functions", [{"name": "f"}]),
        ("web_search_options", {}),
        ("response_format", {"type": "json_object"}),
    ],
)
def test_what_claude_cannot_do_is_refused_by_name_and_left_to_other_models(field: str, value: object):
    with pytest.raises(ModelLimit, match=field) as caught:
        sent(**{field: value})
    assert caught.value.param == field
    assert caught.value.failover


def test_a_json_schema_becomes_structured_output():
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    told = sent(response_format=wanted, output_config={"effort": "high"})
    assert told["output_config"] == {"effort": "high", "format": {"type": "json_schema", "schema": schema}}


def test_a_response_format_of_text_says_nothing():
    assert sent(response_format={"type": "text"}) == sent()


def test_a_json_schema_without_schema_is_refused():
    with pytest.raises(UpstreamRejected, match="schema is missing"):
        sent(response_format={"type": "json_schema", "json_schema": {"name": "x"}})


def test_a_field_of_a_wrong_type_is_refused_with_its_place():
    with pytest.raises(UpstreamRejected, match=r"\$\.messages\[0\]\.content"):
        sent({"role": "user", "content": [{"type": "text", "text": 5}]})
