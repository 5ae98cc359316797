"""The official Python client works against the gateway, unchanged but for base URL and key."""

import json
from collections.abc import AsyncIterator, Iterator

import openai
import pytest
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

ASK = [{"role": "user", "content": "Tell me about mountains."}]


def tool(name: str, argument: str) -> dict:
    parameters = {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


WEATHER, TIME = tool("get_weather", "city"), tool("get_time", "zone")


@pytest.fixture
def client(base_url: str, api_key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=base_url, api_key=api_key, max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(base_url: str, api_key: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0) as client:
        yield client


def test_models_are_listed_and_told_one_by_one(client: openai.OpenAI):
    names = {model.id for model in client.models.list()}
    assert {"auto", "neural-router-v2", "neural-optimizer"} <= names
    for name in ("auto", "gpt-4o"):
        assert client.models.retrieve(name).id == name


def test_a_chat_is_answered(client: openai.OpenAI):
    answer = client.chat.completions.create(model="gpt-4o", messages=ASK)
    assert isinstance(answer, ChatCompletion)
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_our_facts_stand_in_extra_fields(client: openai.OpenAI):
    answer = client.chat.completions.create(model="auto", messages=ASK)
    extra = answer.model_extra
    assert extra["model_used"]
    assert extra["request_id"]
    assert extra["cache_hit"] in (True, False)
    assert set(extra["business_metrics"]) == {"cost_usd", "estimated_gpt4_cost", "savings_percentage"}
    assert extra["simulated"] is True


def test_the_same_facts_stand_in_headers(client: openai.OpenAI):
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=ASK)
    names = ("request-id", "model", "provider", "cache", "cost-usd", "saved-usd", "overhead-ms")
    assert [name for name in names if f"x-nr-{name}" not in raw.headers] == []
    assert raw.headers["x-nr-simulated"] == "true"
    assert raw.headers["x-nr-request-id"] == raw.parse().model_extra["request_id"]
    assert float(raw.headers["x-nr-overhead-ms"]) >= 0


def test_a_repeated_prompt_comes_from_the_cache(client: openai.OpenAI):
    ask = [{"role": "user", "content": "Which prompt is asked twice? This one."}]
    first, again = (client.chat.completions.create(model="gpt-4o", messages=ask) for _ in range(2))
    assert first.model_extra["cache_hit"] is False
    assert again.model_extra["cache_hit"] is True
    assert again.model_extra["cache_similarity"] == 1.0
    assert again.choices == first.choices


def test_fields_that_the_client_does_not_know_are_no_error(client: openai.OpenAI):
    extra = {"made_up": 123456789012345678901234567890, "feature": "conformance"}
    answer = client.chat.completions.create(model="gpt-4o", messages=ASK, extra_body=extra)
    assert answer.choices[0].message.content


def test_several_choices_and_limits_are_respected(client: openai.OpenAI):
    answer = client.chat.completions.create(model="gpt-4o", messages=ASK, n=2, max_completion_tokens=5)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert {choice.finish_reason for choice in answer.choices} == {"length"}


def test_a_stream_holds_the_same_answer_and_no_usage_that_nobody_asked_for(client: openai.OpenAI):
    whole = client.chat.completions.create(model="gpt-4o", messages=ASK).choices[0].message.content
    with client.chat.completions.create(model="gpt-4o", messages=ASK, stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({(chunk.id, chunk.model, chunk.created) for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_ends_with_one_usage_chunk_when_asked(client: openai.OpenAI):
    whole = client.chat.completions.create(model="gpt-4o", messages=ASK)
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=ASK, stream=True, stream_options=options))
    *body, last = chunks
    assert last.choices == []
    assert last.usage.total_tokens == whole.usage.total_tokens
    assert last.model_extra["model_used"] == whole.model_extra["model_used"]
    assert all(chunk.choices and chunk.usage is None for chunk in body)


def test_the_stream_helper_puts_the_answer_together(client: openai.OpenAI):
    with client.chat.completions.stream(model="gpt-4o", messages=ASK) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        whole = stream.get_final_completion().choices[0].message.content
    assert "".join(pieces) == whole
    assert len(pieces) > 1


def test_a_demanded_tool_is_called_with_arguments_of_its_schema(client: openai.OpenAI):
    answer = client.chat.completions.create(model="gpt-4o", messages=ASK, tools=[WEATHER], tool_choice="required")
    (call,) = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert call.id
    assert call.function.name == "get_weather"
    assert isinstance(json.loads(call.function.arguments)["city"], str)


def test_parallel_tool_calls_arrive_whole_and_streamed(client: openai.OpenAI):
    asked = {"model": "gpt-4o", "messages": ASK, "tools": [WEATHER, TIME], "parallel_tool_calls": True}
    whole = client.chat.completions.create(**asked).choices[0].message.tool_calls
    with client.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion().choices[0].message.tool_calls
    assert [call.function.name for call in whole] == ["get_weather", "get_time"]
    assert len({call.id for call in whole}) == 2

    def told(calls: list) -> list:
        return [(call.id, call.function.name, call.function.arguments) for call in calls]

    assert told(streamed) == told(whole)


def test_a_tool_loop_ends_with_an_answer(client: openai.OpenAI):
    asked = {"model": "gpt-4o", "tools": [WEATHER]}
    message = client.chat.completions.create(messages=ASK, **asked).choices[0].message
    results = [{"role": "tool", "tool_call_id": call.id, "content": "Sunny"} for call in message.tool_calls]
    turns = [*ASK, message.model_dump(exclude_none=True), *results]
    answer = client.chat.completions.create(messages=turns, **asked).choices[0]
    assert answer.finish_reason == "stop"
    assert answer.message.content
    assert not answer.message.tool_calls


def test_an_answer_is_parsed_into_the_type_that_was_asked_for(client: openai.OpenAI):
    class City(BaseModel):
        name: str
        inhabitants: int

    answer = client.chat.completions.parse(model="gpt-4o", messages=ASK, response_format=City)
    assert isinstance(answer.choices[0].message.parsed, City)


def test_a_test_key_is_served_by_simulated_models(client: openai.OpenAI, test_key: str):
    answer = client.with_options(api_key=test_key).chat.completions.create(model="auto", messages=ASK)
    assert answer.model_extra["simulated"] is True


def test_a_wrong_key_is_an_authentication_error(client: openai.OpenAI):
    with pytest.raises(openai.AuthenticationError) as caught:
        client.with_options(api_key="nr_live_wrong").chat.completions.create(model="gpt-4o", messages=ASK)
    assert caught.value.code == "invalid_api_key"


def test_an_unknown_model_is_a_not_found_error(client: openai.OpenAI):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="no-such-model", messages=ASK)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_a_wrong_field_is_named(client: openai.OpenAI):
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.chat.completions.create(model="gpt-4o", messages="not a list")
    assert (caught.value.code, caught.value.param) == ("invalid_field", "messages")


def test_an_unknown_path_is_a_not_found_error(client: openai.OpenAI):
    with pytest.raises(openai.NotFoundError) as caught:
        client.get("/no/such/path", cast_to=object)
    assert set(caught.value.body) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(("failure", "expected"), [("503", openai.InternalServerError), ("429", openai.RateLimitError)])
def test_a_failing_provider_is_told_apart(client: openai.OpenAI, failure: str, expected: type[Exception]):
    ask = [{"role": "user", "content": f"Hello [[sim fail={failure}]]"}]
    with pytest.raises(expected) as caught:
        client.chat.completions.create(model="gpt-4o", messages=ask)
    assert caught.value.body["message"]


def test_a_stream_that_breaks_raises_instead_of_ending(client: openai.OpenAI):
    ask = [{"role": "user", "content": "Hello [[sim fail=cut3 tokens=40]]"}]
    received = []
    with (
        pytest.raises(openai.APIError) as caught,
        client.chat.completions.create(model="gpt-4o", messages=ask, stream=True) as stream,
    ):
        received.extend(stream)
    assert len(received) == 3
    assert caught.value.code == "upstream_interrupted"


@pytest.mark.anyio
async def test_the_asynchronous_client_is_answered(async_client: openai.AsyncOpenAI):
    answer = await async_client.chat.completions.create(model="auto", messages=ASK)
    assert answer.choices[0].message.content


@pytest.mark.anyio
async def test_the_asynchronous_client_streams(async_client: openai.AsyncOpenAI):
    whole = await async_client.chat.completions.create(model="gpt-4o", messages=ASK)
    async with await async_client.chat.completions.create(model="gpt-4o", messages=ASK, stream=True) as stream:
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(pieces) == whole.choices[0].message.content


@pytest.mark.anyio
async def test_a_client_that_leaves_a_stream_can_ask_again(async_client: openai.AsyncOpenAI):
    ask = [{"role": "user", "content": "Hello [[sim token_ms=20 tokens=400]]"}]
    async with await async_client.chat.completions.create(model="gpt-4o", messages=ask, stream=True) as stream:
        await anext(aiter(stream))
    answer = await async_client.chat.completions.create(model="gpt-4o", messages=ASK)
    assert answer.choices[0].message.content
