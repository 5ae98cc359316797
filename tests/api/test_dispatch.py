"""`POST /v1/dispatch` and `/v1/dispatch/stream`: the native shapes, with the figures in them."""

import httpx
import pytest
from conversation import ASK_USAGE, DISPATCH, DISPATCH_STREAM, Json, ask, chunks, envelope, new_prompt, row_of, text_of
from staging import Stage

from cache_told import cache_told
from fake_faults import FAULTS
from fake_replies import Answer
from fake_upstream import http_reply
from live_gateway import LiveGateway

FIELDS = {
    "status", "output", "finish_reason", "model_used", "cache_hit", "cache_exact", "business_metrics", "usage",
    "request_id",
}  # fmt: skip
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
CALLS = Answer(calls=(("look", '{"at":"sky"}'),), finish="tool_calls")
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def dispatched(client: httpx.Client, prompt: str, **fields: object) -> httpx.Response:
    body = ask(prompt, **fields)
    if "model" not in fields:
        del body["model"]
    return client.post(DISPATCH, json=body, headers={} if "model" in fields else {"X-Force-Model": "m"})


def streamed(client: httpx.Client, prompt: str, **fields: object) -> tuple[list[Json], Json, httpx.Response]:
    """The chunks and the billing event of a stream."""
    response = client.post(DISPATCH_STREAM, json=ask(prompt, **{"model": "m", **fields}))
    *parts, billing = chunks(response)
    assert all(part["object"] == "chat.completion.chunk" for part in parts)
    assert billing["object"] == "nr.billing"
    return parts, billing, response


# --- whole ----------------------------------------------------------------------------------------------------------


def test_the_answer_has_the_native_shape(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt()
    response = dispatched(on_stage, prompt)
    body = response.json()
    assert set(body) == FIELDS
    assert body["status"] == "success"
    assert body["output"] == {"ai_answer": f"answer to {prompt}"}
    assert (body["model_used"], body["finish_reason"], body["usage"]) == ("m", "stop", USAGE)
    assert (body["cache_hit"], body["cache_exact"]) == (False, False)
    assert body["business_metrics"] == {
        "cost_usd": 0.000025, "estimated_gpt4_cost": 0.0000975, "savings_percentage": 74.36,
    }  # fmt: skip
    assert body["request_id"] == response.headers["x-nr-request-id"]
    row = row_of(stage.gateway, response)
    assert (row.endpoint, row.stream, row.cost_nanousd) == (DISPATCH, False, 25_000)


def test_a_repeat_is_a_hit_with_its_similarity(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt()
    first, again = (dispatched(on_stage, prompt).json() for _ in range(2))
    assert set(again) == FIELDS | {"cache_similarity"}
    assert (again["cache_hit"], again["cache_exact"], again["cache_similarity"]) == (True, True, 1.0)
    assert again["output"] == first["output"]
    assert again["business_metrics"]["cost_usd"] == 0.0
    assert again["business_metrics"]["savings_percentage"] == 100.0
    assert len(stage.calls(prompt)) == 1


def test_tool_calls_stand_in_the_output(stage: Stage, on_stage: httpx.Client):
    body = dispatched(on_stage, stage.prompt(CALLS), tools=[LOOK]).json()
    assert body["output"] == {
        "ai_answer": None,
        "tool_calls": CALLS.completion()["choices"][0]["message"]["tool_calls"],
    }
    assert body["finish_reason"] == "tool_calls"


def test_a_refusal_stands_in_the_output(stage: Stage, on_stage: httpx.Client):
    refused = Answer("x").completion()
    refused["choices"][0]["message"] = {"role": "assistant", "content": None, "refusal": "No."}
    body = dispatched(on_stage, stage.prompt(http_reply(200, refused))).json()
    assert body["output"] == {"ai_answer": None, "refusal": "No."}


def test_it_is_whole_whatever_the_body_says_about_streaming(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt()
    response = dispatched(on_stage, prompt, **ASK_USAGE)
    assert response.headers["content-type"] == "application/json"
    assert response.json()["output"]["ai_answer"] == f"answer to {prompt}"
    [call] = stage.calls(prompt)
    assert "stream" not in call.json(), "the endpoint decides, not the body"
    assert "stream_options" not in call.json()
    assert row_of(stage.gateway, response).stream is False


def test_an_unpriced_model_shows_null(stage: Stage, on_stage: httpx.Client):
    metrics = dispatched(on_stage, stage.prompt(), model="free-of-price").json()["business_metrics"]
    assert metrics == {"cost_usd": None, "estimated_gpt4_cost": 0.0000975, "savings_percentage": None}


def test_usage_that_nobody_told_is_estimated(stage: Stage, on_stage: httpx.Client):
    usage = dispatched(on_stage, stage.prompt(Answer("three words here", usage=None))).json()["usage"]
    assert usage["completion_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_without_a_model_the_gateway_chooses(client: httpx.Client, gateway: LiveGateway):
    response = client.post(DISPATCH, json={"messages": [{"role": "user", "content": new_prompt()}]})
    body = response.json()
    assert body["simulated"] is True
    assert body["model_used"].startswith("simulated/")
    assert row_of(gateway, response).simulated is True


@pytest.mark.parametrize("mode", ["auto", "cost", "quality", "speed"])
def test_the_mode_is_a_field(client: httpx.Client, gateway: LiveGateway, mode: str):
    response = client.post(DISPATCH, json=ask(new_prompt(), routing_mode=mode, user="ada", session_id="s", feature="f"))
    row = row_of(gateway, response)
    assert (row.routing_mode, row.end_user, row.session_id, row.feature) == (mode, "ada", "s", "f")


def test_an_error_has_the_envelope_of_everything_else(stage: Stage, on_stage: httpx.Client):
    envelope(dispatched(on_stage, stage.prompt(FAULTS["401"])), 502, "provider_auth")
    envelope(on_stage.post(DISPATCH, json={"messages": []}), 422, "invalid_field", "messages")


# --- streamed -------------------------------------------------------------------------------------------------------


def test_a_stream_ends_with_the_bill(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt()
    parts, billing, response = streamed(on_stage, prompt)
    assert text_of(parts) == f"answer to {prompt}"
    assert all(part["choices"] and "usage" not in part for part in parts)
    assert billing == {
        "object": "nr.billing",
        "model_used": "m",
        "financials": {
            "billed_price": 0.000025,
            "provider_cost": 0.000025,
            "estimated_gpt4_cost": 0.0000975,
            "savings": 0.0000725,
            "savings_percentage": 74.36,
        },
        "usage": USAGE,
        "cache_hit": False,
        "cache_exact": False,
        "request_id": response.headers["x-nr-request-id"],
    }
    row = row_of(stage.gateway, response)
    assert (row.endpoint, row.status, row.cost_nanousd) == (DISPATCH_STREAM, 200, 25_000)
    assert row.ttft_us


def test_it_streams_whatever_the_body_says(stage: Stage, on_stage: httpx.Client):
    for fields in ({}, {"stream": False}, {"stream": True}):
        prompt = stage.prompt()
        parts, _, response = streamed(on_stage, prompt, **fields)
        assert text_of(parts) == f"answer to {prompt}"
        assert stage.calls(prompt)[0].json()["stream"] is True
        assert row_of(stage.gateway, response).stream is True


def test_a_repeat_is_streamed_from_memory_with_a_bill_of_nothing(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt()
    streamed(on_stage, prompt)
    parts, billing, response = streamed(on_stage, prompt)
    assert text_of(parts) == f"answer to {prompt}"
    assert cache_told(response) == "exact"
    assert (billing["cache_hit"], billing["cache_exact"], billing["cache_similarity"]) == (True, True, 1.0)
    assert billing["financials"]["billed_price"] == billing["financials"]["provider_cost"] == 0.0
    assert billing["financials"]["savings"] == 0.0000975
    assert billing["usage"] == USAGE
    assert len(stage.calls(prompt)) == 1


def test_the_bill_of_an_unpriced_model_is_unknown(stage: Stage, on_stage: httpx.Client):
    _, billing, _ = streamed(on_stage, stage.prompt(), model="free-of-price")
    assert billing["financials"] == {
        "billed_price": None,
        "provider_cost": None,
        "estimated_gpt4_cost": 0.0000975,
        "savings": None,
        "savings_percentage": None,
    }


def test_tool_calls_are_streamed_and_billed(stage: Stage, on_stage: httpx.Client):
    parts, billing, _ = streamed(on_stage, stage.prompt(CALLS), tools=[LOOK])
    fragments = [call for part in parts for call in part["choices"][0]["delta"].get("tool_calls", ())]
    assert "".join(call["function"]["arguments"] for call in fragments) == '{"at":"sky"}'
    assert billing["cache_hit"] is False


def test_a_simulated_bill_says_so(client: httpx.Client):
    _, billing, _ = streamed(client, new_prompt(), model="gpt-4o")
    assert billing["simulated"] is True
    assert billing["model_used"] == "simulated/gpt-4o"
