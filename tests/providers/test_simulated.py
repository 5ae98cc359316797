"""The simulated provider: always the same, always marked, with all that a request can ask for."""

from typing import Any

import orjson
import pytest
from pretending import call, complete, stream, text_of
from schema_check import fits

from neuralrouting.engine import estimate_tokens
from neuralrouting.errors import (
    UpstreamRejected,
)
from neuralrouting.exchange import JsonObject
from neuralrouting.providers.base import usage_of
from neuralrouting.providers.simulated import SimulatedProvider
from neuralrouting.providers.tally import Tally

pytestmark = pytest.mark.anyio


# answers
async def test_an_answer_says_that_it_is_simulated_in_text_and_fingerprint():
    data = await complete()
    assert "simulated" in text_of(data)
    assert data["system_fingerprint"] == "simulated"
    assert data["model"] == "simulated/gpt-4o"
    assert data["choices"][0]["finish_reason"] == "stop"


async def test_the_same_request_gets_the_same_answer_and_another_request_another():
    assert text_of(await complete("A")) == text_of(await complete("A"))
    assert text_of(await complete("A")) != text_of(await complete("B"))


async def test_a_stream_says_what_the_whole_answer_says():
    whole, chunks = await complete(), await stream()
    tally = Tally(0)
    tally.see(chunks)
    assert tally.completion()["choices"] == whole["choices"]
    assert tally.completion()["usage"] == whole["usage"]


async def test_a_stream_begins_with_the_role_and_ends_with_finish_and_usage():
    first, *_, finish, usage = await stream()
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert (finish["choices"][0]["delta"], finish["choices"][0]["finish_reason"]) == ({}, "stop")
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] > 0


async def test_every_chunk_has_one_id_and_is_marked():
    chunks = await stream()
    assert {(c["id"], c["object"], c["model"], c["system_fingerprint"]) for c in chunks} == {
        (chunks[0]["id"], "chat.completion.chunk", "simulated/gpt-4o", "simulated")
    }


async def test_usage_counts_what_is_there():
    request = call("Tell me something")
    data = (await SimulatedProvider().complete(request)).data
    usage = usage_of(data)
    assert usage is not None
    assert usage.prompt_tokens == request.inspection.prompt_tokens
    assert usage.completion_tokens == estimate_tokens(text_of(data))


async def test_n_choices_differ():
    data = await complete(n=3)
    assert [choice["index"] for choice in data["choices"]] == [0, 1, 2]
    assert len({text_of(data, i) for i in range(3)}) == 3
    assert {c["choices"][0]["index"] for c in await stream(n=3) if c["choices"]} == {0, 1, 2}


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_max_tokens_cuts_the_answer_short(field: str):
    data = await complete(**{field: 5})
    assert data["choices"][0]["finish_reason"] == "length"
    assert 0 < data["usage"]["completion_tokens"] <= 5


async def test_stop_ends_the_answer_before_it():
    whole = text_of(await complete())
    data = await complete(stop=["no such thing", " was called"])
    assert whole.startswith(text_of(data))
    assert text_of(data).endswith("no model")
    assert data["choices"][0]["finish_reason"] == "stop"


async def test_logprobs_have_openais_shape():
    data = await complete(logprobs=True, top_logprobs=2)
    content = data["choices"][0]["logprobs"]["content"]
    assert "".join(token["token"] for token in content) == text_of(data)
    assert all(len(token["top_logprobs"]) == 2 and token["logprob"] < 0 for token in content)
    assert (await stream(logprobs=True))[1]["choices"][0]["logprobs"]["content"]
    assert (await complete())["choices"][0]["logprobs"] is None


# JSON
async def test_json_mode_gives_a_marked_object():
    data = await complete(response_format={"type": "json_object"})
    assert orjson.loads(text_of(data))["simulated"] is True


async def test_a_json_schema_is_satisfied():
    schema = {
        "type": "object",
        "properties": {"setup": {"type": "string"}, "rating": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
        "required": ["setup", "rating"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "joke", "strict": True, "schema": schema}}
    value = orjson.loads(text_of(await complete(response_format=wanted)))
    assert value.keys() == {"setup", "rating"}
    assert fits(schema, value, schema)


async def test_a_schema_that_is_too_large_is_refused():
    schema = {"type": "array", "items": {"type": "string"}, "minItems": 10**9}
    with pytest.raises(UpstreamRejected, match="items"):
        await complete(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})


# tools
def tool(name: str, **properties: JsonObject) -> JsonObject:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


WEATHER, CLOCK = tool("weather", city={"type": "string"}, days={"type": "integer", "minimum": 3}), tool("clock")


def calls_of(completion: JsonObject) -> list[tuple[str, Any]]:
    calls = completion["choices"][0]["message"].get("tool_calls", [])
    return [(c["function"]["name"], orjson.loads(c["function"]["arguments"])) for c in calls]


async def test_the_first_tool_is_called_with_arguments_that_fit():
    data = await complete(tools=[WEATHER, CLOCK])
    ((name, arguments),) = calls_of(data)
    assert (name, arguments["days"] >= 3, isinstance(arguments["city"], str)) == ("weather", True, True)
    assert data["choices"][0]["finish_reason"] == "tool_calls"
    assert data["choices"][0]["message"]["content"] is None
    assert data["usage"]["completion_tokens"] > 1


async def test_a_forced_tool_is_the_one_that_is_called():
    data = await complete(tools=[WEATHER, CLOCK], tool_choice={"type": "function", "function": {"name": "clock"}})
    assert calls_of(data) == [("clock", {})]


async def test_several_tools_are_called_only_when_asked():
    assert len(calls_of(await complete(tools=[WEATHER, CLOCK], parallel_tool_calls=True))) == 2
    assert len(calls_of(await complete(tools=[WEATHER, CLOCK], parallel_tool_calls=False))) == 1


async def test_no_tool_is_called_when_the_choice_is_none():
    assert "simulated" in text_of(await complete(tools=[WEATHER], tool_choice="none"))


@pytest.mark.parametrize(("choice", "called"), [("auto", 0), ("required", 1)])
async def test_after_a_tools_result_there_is_text_unless_a_call_is_required(choice: str, called: int):
    past = {"id": "c", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "When?"},
        {"role": "assistant", "content": None, "tool_calls": [past]},
        {"role": "tool", "tool_call_id": "c", "content": "noon"},
    ]
    assert len(calls_of(await complete(messages=messages, tools=[CLOCK], tool_choice=choice))) == called


async def test_streamed_calls_add_up_to_whole_ones():
    whole = await complete(tools=[WEATHER, CLOCK], parallel_tool_calls=True)
    put_together: list[JsonObject] = []
    for chunk in await stream(tools=[WEATHER, CLOCK], parallel_tool_calls=True):
        for fragment in chunk["choices"][0]["delta"].get("tool_calls", ()) if chunk["choices"] else ():
            if "id" in fragment:
                assert fragment.pop("index") == len(put_together)
                put_together.append(fragment)
            else:
                function = put_together[fragment["index"]]["function"]
                function["arguments"] += fragment["function"]["arguments"]
    assert put_together == whole["choices"][0]["message"]["tool_calls"]
