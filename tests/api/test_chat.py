"""`POST /v1/chat/completions`: OpenAI's shapes to the byte, our facts beside them, and nothing else."""

import httpx
import pytest
from conversation import ASK_USAGE, CHAT, ask, chunks, envelope, finish_of, new_prompt, row_of, text_of
from staging import Stage

from fake_replies import Answer
from live_gateway import LiveGateway

FACTS = {"model_used", "cache_hit", "cache_exact", "business_metrics", "request_id"}
NR_HEADERS = {
    "x-nr-request-id", "x-nr-model", "x-nr-provider", "x-nr-cache", "x-nr-cost-usd", "x-nr-saved-usd",
    "x-nr-overhead-ms", "x-nr-task", "x-nr-complexity",
}  # fmt: skip
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALLS = Answer(calls=(("weather", '{"city":"Oslo"}'), ("weather", '{"city":"Rome"}')), finish="tool_calls")


def nr_headers(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("x-nr-")}


# --- whole answers --------------------------------------------------------------------------------------------------


def test_a_whole_answer_is_the_providers_own_with_our_facts_beside_it(stage: Stage, on_stage: httpx.Client):
    response = on_stage.post(CHAT, json=ask(stage.prompt(Answer("Hello")), model="m"))
    body = response.json()
    assert {name: value for name, value in body.items() if name not in FACTS} == Answer("Hello").completion()
    assert body["model_used"] == "m"
    assert (body["cache_hit"], body["cache_exact"]) == (False, False)
    assert "cache_similarity" not in body
    assert body["business_metrics"] == {
        "cost_usd": 0.000025,  # 11 tokens in at $1, 7 out at $2 per million
        "estimated_gpt4_cost": 0.0000975,  # at $2.50 and $10
        "savings_percentage": 74.36,
    }
    assert body["request_id"] == response.headers["x-nr-request-id"]


def test_the_same_facts_ride_in_the_headers(stage: Stage, on_stage: httpx.Client):
    headers = nr_headers(on_stage.post(CHAT, json=ask(stage.prompt(), model="m")))
    assert set(headers) == NR_HEADERS
    assert headers["x-nr-model"] == "m"
    assert headers["x-nr-provider"] == "scripted"
    assert headers["x-nr-cache"].split(";")[0] == "miss"
    assert headers["x-nr-cost-usd"] == "0.000025000"
    assert headers["x-nr-saved-usd"] == "0.000072500"
    assert 0 < float(headers["x-nr-overhead-ms"]) < 1000


def test_every_request_has_an_id_of_its_own_which_is_that_of_its_row(stage: Stage, on_stage: httpx.Client):
    ids = [on_stage.post(CHAT, json=ask(stage.prompt(), model="m")).headers["x-request-id"] for _ in range(3)]
    assert len(set(ids)) == 3
    for request_id in ids:
        row = row_of(stage.gateway, request_id)
        assert (row.status, row.model, row.provider, row.cost_nanousd) == (200, "m", "scripted", 25_000)
        assert (row.prompt_tokens, row.completion_tokens, row.usage_source) == (11, 7, "provider")
        assert (row.key_id, row.endpoint, row.requested_model) == (stage.gateway.key_id, CHAT, "m")
        assert row.request_body is None
        assert row.response_body is None


def test_tool_calls_come_through_whole_and_streamed(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt(CALLS)
    whole = on_stage.post(CHAT, json=ask(prompt, model="m", tools=[WEATHER])).json()
    assert whole["choices"] == CALLS.completion()["choices"]
    found = chunks(on_stage.post(CHAT, json=ask(prompt, model="m", tools=[WEATHER], stream=True)))
    deltas = [call for chunk in found for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    for index in (0, 1):
        own = [call for call in deltas if call["index"] == index]
        assert [call.get("id") for call in own] == [f"call_{index}", *[None] * (len(own) - 1)]
        arguments = "".join(call["function"]["arguments"] for call in own)
        assert arguments == CALLS.calls[index][1]
    assert finish_of(found) == ["tool_calls"]


def test_what_the_client_sends_reaches_the_provider_byte_for_byte_and_what_is_ours_does_not(
    stage: Stage, on_stage: httpx.Client
):
    prompt = stage.prompt()
    kept = (
        '"messages":[{"role":"developer","content":"Be \\u00e9 brief"}'
        f',{{"role":"user","name":"ada","content":"{prompt}"}}]'
        ',"seed":123456789012345678,"x_big":12345678901234567890123456789,"x_float":1.10,"stop":["a","b"]'
        ',"user":"ada","max_completion_tokens":50,"logit_bias":{"50256":-100},"x_unknown":{"z":1,"a":[null,true]}'
    )
    ours = '"routing_mode":"cost","session_id":"s-1","feature":"search"'
    response = on_stage.post(CHAT, content=f'{{"model":"m",{kept},{ours}}}')
    assert response.status_code == 200, response.text
    [call] = stage.calls(prompt)
    assert call.body.decode() == f'{{"model":"m",{kept}}}'
    assert "authorization" not in call.headers
    assert call.headers["accept-encoding"] == "identity"
    assert not [name for name in call.headers if name.startswith("x-")]
    row = row_of(stage.gateway, response)
    assert (row.routing_mode, row.session_id, row.feature, row.end_user) == ("cost", "s-1", "search", "ada")


# --- streams --------------------------------------------------------------------------------------------------------


def test_a_stream_has_no_usage_and_no_empty_choices_for_who_did_not_ask(stage: Stage, on_stage: httpx.Client):
    for options in ({}, {"stream_options": {"include_usage": False}}, {"stream_options": None}):
        prompt = stage.prompt()
        found = chunks(on_stage.post(CHAT, json=ask(prompt, model="m", stream=True, **options)))
        assert text_of(found) == f"answer to {prompt}"
        assert all(set(chunk) == {"id", "object", "created", "model", "choices"} for chunk in found)
        assert all(len(chunk["choices"]) == 1 for chunk in found)
        [call] = stage.calls(prompt)
        assert call.json()["stream_options"]["include_usage"] is True, "upstream is asked always"


def test_a_stream_ends_with_one_usage_chunk_for_who_asked(stage: Stage, on_stage: httpx.Client):
    response = on_stage.post(CHAT, json=ask(stage.prompt(), model="m", **ASK_USAGE))
    *parts, last = chunks(response)
    assert all(part["usage"] is None and part["choices"] for part in parts)
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    assert set(last) == {"id", "object", "created", "model", "choices", "usage", *FACTS}
    assert last["model_used"] == "m"
    assert last["business_metrics"]["cost_usd"] == 0.000025
    assert last["request_id"] == response.headers["x-nr-request-id"]


def test_all_chunks_share_their_frame_the_first_has_the_role_and_the_last_the_reason(
    stage: Stage, on_stage: httpx.Client
):
    for fields in ({"stream": True}, ASK_USAGE):
        found = chunks(on_stage.post(CHAT, json=ask(stage.prompt(), model="m", **fields)))
        assert len({(c["id"], c["object"], c["created"], c["model"]) for c in found}) == 1
        assert found[0]["object"] == "chat.completion.chunk"
        assert found[0]["choices"][0]["delta"]["role"] == "assistant"
        last = [chunk for chunk in found if chunk["choices"]][-1]
        assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "stop")
        assert finish_of(found) == ["stop"]


def test_a_streams_headers_say_who_answers_and_keep_the_money_for_the_end(stage: Stage, on_stage: httpx.Client):
    response = on_stage.post(CHAT, json=ask(stage.prompt(), model="m", stream=True))
    assert set(nr_headers(response)) == NR_HEADERS - {"x-nr-cost-usd", "x-nr-saved-usd"}
    assert response.headers["x-nr-model"] == "m"
    assert response.headers["cache-control"] == "no-cache"


def test_usage_that_the_provider_does_not_tell_is_estimated_and_marked(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt(Answer("six words are in this answer", usage=None))
    response = on_stage.post(CHAT, json=ask(prompt, model="m", **ASK_USAGE))
    usage = chunks(response)[-1]["usage"]
    assert 4 <= usage["completion_tokens"] <= 9
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    row = row_of(stage.gateway, response)
    assert row.usage_source == "estimated"


# --- what has no price ----------------------------------------------------------------------------------------------


def test_an_unpriced_model_shows_null_and_unpriced_and_never_zero(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt()
    response = on_stage.post(CHAT, json=ask(prompt, model="free-of-price"))
    metrics = response.json()["business_metrics"]
    assert metrics == {"cost_usd": None, "estimated_gpt4_cost": 0.0000975, "savings_percentage": None}
    assert response.headers["x-nr-cost-usd"] == response.headers["x-nr-saved-usd"] == "unpriced"
    row = row_of(stage.gateway, response)
    assert (row.cost_nanousd, row.baseline_nanousd, row.price_version) == (None, 97_500, "unpriced")


# --- who is asked ---------------------------------------------------------------------------------------------------


def test_the_header_forces_a_model_over_the_one_in_the_body(stage: Stage, on_stage: httpx.Client):
    for fields in ({"model": "gpt-4o"}, {"model": "no-such-model"}, {"model": "auto"}):
        response = on_stage.post(CHAT, json=ask(stage.prompt(), **fields), headers={"X-Force-Model": "scripted/m"})
        assert response.headers["x-nr-model"] == "m"


def test_the_header_alone_is_enough(stage: Stage, on_stage: httpx.Client):
    body = ask(stage.prompt())
    del body["model"]
    assert on_stage.post(CHAT, json=body, headers={"X-Force-Model": "m"}).status_code == 200
    envelope(on_stage.post(CHAT, json=body), 422, "invalid_field", "model")


@pytest.mark.parametrize("mode", ["auto", "cost", "quality", "speed"])
def test_the_mode_comes_from_header_or_body(client: httpx.Client, gateway: LiveGateway, mode: str):
    by_header = client.post(CHAT, json=ask(new_prompt()), headers={"X-Routing-Mode": mode})
    by_body = client.post(CHAT, json=ask(new_prompt(), routing_mode=mode))
    for response in (by_header, by_body):
        assert row_of(gateway, response).routing_mode == mode


def test_the_modes_choose_differently(client: httpx.Client):
    served = {
        mode: client.post(CHAT, json=ask(new_prompt(), routing_mode=mode)).headers["x-nr-model"]
        for mode in ("cost", "quality")
    }
    assert served["cost"] != served["quality"]


@pytest.mark.parametrize("name", ["auto", "neural-router-v2", "neural-optimizer"])
def test_the_virtual_names_let_the_gateway_choose(client: httpx.Client, name: str):
    assert client.post(CHAT, json=ask(new_prompt(), model=name)).headers["x-nr-provider"] == "simulated"


def test_a_test_key_reaches_simulated_models_only(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt()
    key = {"Authorization": f"Bearer {stage.gateway.test_key}"}
    for model in ("auto", "m", "gpt-4o"):
        response = on_stage.post(CHAT, json=ask(prompt, model=model), headers=key)
        assert response.headers["x-nr-simulated"] == "true"
        assert response.headers["x-nr-provider"] == "simulated"
    assert stage.calls(prompt) == []


# --- what is simulated ----------------------------------------------------------------------------------------------


def test_a_simulated_answer_is_marked_in_headers_body_stream_and_row(client: httpx.Client, gateway: LiveGateway):
    whole = client.post(CHAT, json=ask(new_prompt(), model="gpt-4o"))
    streamed = client.post(CHAT, json=ask(new_prompt(), model="gpt-4o", **ASK_USAGE))
    again = client.post(CHAT, json=ask(new_prompt(), model="gpt-4o", stream=True))
    assert whole.json()["simulated"] is True
    assert whole.json()["model"] == whole.json()["model_used"] == "simulated/gpt-4o"
    assert chunks(streamed)[-1]["simulated"] is True
    assert all(chunk["model"] == "simulated/gpt-4o" for chunk in [*chunks(streamed), *chunks(again)])
    for response in (whole, streamed, again):
        assert response.headers["x-nr-simulated"] == "true"
        assert response.headers["x-nr-model"] == "simulated/gpt-4o"
        row = row_of(gateway, response)
        assert row.simulated is True


def test_a_real_answer_is_not_marked_simulated(stage: Stage, on_stage: httpx.Client):
    response = on_stage.post(CHAT, json=ask(stage.prompt(), model="m"))
    assert "simulated" not in response.json()
    assert "x-nr-simulated" not in response.headers
