"""A repeated request is answered from memory, in either wire shape, and only when that is right."""

import asyncio
import time

import httpx
import pytest
from conversation import ASK_USAGE, CHAT, DISPATCH, DISPATCH_STREAM, ask, chunks, row_of, said
from staging import Stage

from cache_told import cache_told
from fake_faults import broken_stream
from fake_replies import Answer
from fake_upstream import Entry, http_reply
from neuralrouting.accounts.keys import create_key
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.trail import GATEWAY

WHOLE, STREAMED = {}, {"stream": True}


def post(client: httpx.Client, prompt: str, path: str = CHAT, cache: str = "", **fields: object) -> httpx.Response:
    headers = {"Cache-Control": cache} if cache else {}
    return client.post(path, json=ask(prompt, **{"model": "m", **fields}), headers=headers)


def outcomes(client: httpx.Client, prompt: str, *caches: str) -> list[str]:
    """What `x-nr-cache` says, asked once with each of these `Cache-Control` headers."""
    return [cache_told(post(client, prompt, cache=cache)) for cache in caches]


# --- hits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [WHOLE, STREAMED, ASK_USAGE], ids=["whole", "streamed", "streamed with usage"])
@pytest.mark.parametrize("first", [WHOLE, STREAMED, ASK_USAGE], ids=["whole", "streamed", "streamed with usage"])
def test_a_repeat_is_answered_without_the_provider_in_either_shape(
    stage: Stage, on_stage: httpx.Client, first: dict[str, object], again: dict[str, object]
):
    prompt = stage.prompt()
    told, repeated = post(on_stage, prompt, **first), post(on_stage, prompt, **again)
    assert said(told) == said(repeated) == f"answer to {prompt}"
    assert [cache_told(told), cache_told(repeated)] == ["miss", "exact"]
    assert len(stage.calls(prompt)) == 1


@pytest.mark.parametrize("path", [CHAT, DISPATCH, DISPATCH_STREAM])
def test_all_endpoints_share_what_is_stored(stage: Stage, on_stage: httpx.Client, path: str):
    prompt = stage.prompt()
    post(on_stage, prompt)
    repeated = post(on_stage, prompt, path)
    assert cache_told(repeated) == "exact"
    assert said(repeated) == f"answer to {prompt}"


def test_a_hit_says_so_costs_nothing_and_saves_the_baseline(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt()
    first = post(on_stage, prompt).json()
    response = post(on_stage, prompt)
    hit = response.json()
    assert (hit["cache_hit"], hit["cache_exact"], hit["cache_similarity"]) == (True, True, 1.0)
    assert hit["business_metrics"] == {"cost_usd": 0.0, "estimated_gpt4_cost": 0.0000975, "savings_percentage": 100.0}
    assert response.headers["x-nr-cost-usd"] == "0.000000000"
    assert response.headers["x-nr-saved-usd"] == "0.000097500"
    assert hit["usage"] == first["usage"]
    assert hit["choices"] == first["choices"]
    assert hit["id"] != first["id"]
    row = row_of(stage.gateway, hit["request_id"])
    assert (row.cache, row.cost_nanousd, row.attempts, row.model, row.status) == ("exact", 0, "[]", "m", 200)


def test_a_streamed_hit_tells_the_money_in_its_headers_already(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt()
    post(on_stage, prompt)
    response = post(on_stage, prompt, **ASK_USAGE)
    assert response.headers["x-nr-cost-usd"] == "0.000000000"
    *parts, last = chunks(response)
    assert all(part["usage"] is None for part in parts)
    assert (last["choices"], last["cache_hit"], last["cache_similarity"]) == ([], True, 1.0)


def test_a_streamed_hit_without_the_ask_has_no_usage_in_it(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt()
    post(on_stage, prompt)
    assert all("usage" not in chunk and chunk["choices"] for chunk in chunks(post(on_stage, prompt, **STREAMED)))


def test_user_session_and_feature_do_not_change_the_answer_but_a_parameter_does(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt()
    post(on_stage, prompt)
    assert cache_told(post(on_stage, prompt, user="ada", session_id="s", feature="f")) == "exact"
    assert cache_told(post(on_stage, prompt, temperature=0.5)) == "miss"
    assert cache_told(post(on_stage, prompt, routing_mode="quality")) == "miss"
    assert cache_told(post(on_stage, prompt, model="scripted/m")) == "miss"


# --- what the client says about caching -----------------------------------------------------------------------------


def test_no_cache_asks_the_provider_and_stores_what_it_says(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt()
    assert outcomes(on_stage, prompt, "", "no-cache", "") == ["miss", "bypass", "exact"]
    assert len(stage.calls(prompt)) == 2
    fresh = stage.prompt()
    assert outcomes(on_stage, fresh, "no-cache", "") == ["bypass", "exact"]


def test_no_store_neither_reads_nor_stores(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt()
    assert outcomes(on_stage, prompt, "no-store", "", "no-store", "") == ["bypass", "miss", "bypass", "exact"]
    assert len(stage.calls(prompt)) == 3


def test_directives_are_read_in_any_case_and_company(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt()
    assert outcomes(on_stage, prompt, "", "No-Cache, max-age=600", "max-age=0", "private") == [
        "miss", "bypass", "bypass", "exact",
    ]  # fmt: skip


# --- what is never stored -------------------------------------------------------------------------------------------

REFUSAL = Answer("I cannot help.").completion()
REFUSAL["choices"][0]["message"] = {"role": "assistant", "content": None, "refusal": "I cannot help."}
UNFIT: dict[str, Entry] = {
    "tool calls": Answer(calls=(("look", "{}"),), finish="tool_calls"),
    "text with tool calls": Answer("Looking", calls=(("look", "{}"),), finish="tool_calls"),
    "cut by length": Answer("It was a dark and", finish="length"),
    "filtered": Answer("It was", finish="content_filter"),
}


@pytest.mark.parametrize("fields", [WHOLE, STREAMED], ids=["whole", "streamed"])
@pytest.mark.parametrize("entry", UNFIT.values(), ids=UNFIT.keys())
def test_what_is_not_a_whole_plain_answer_is_never_replayed(
    stage: Stage, on_stage: httpx.Client, entry: Entry, fields: dict[str, object]
):
    prompt = stage.prompt(entry)
    assert [cache_told(post(on_stage, prompt, **fields)) for _ in range(2)] == ["miss", "miss"]
    assert len(stage.calls(prompt)) == 2


def test_a_refusal_is_never_replayed(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt(http_reply(200, REFUSAL))
    assert [post(on_stage, prompt).json()["choices"][0]["message"]["refusal"] for _ in range(2)] == [
        "I cannot help.", "I cannot help.",
    ]  # fmt: skip
    assert len(stage.calls(prompt)) == 2


def test_a_truncated_stream_is_never_replayed(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt(broken_stream())
    assert not post(on_stage, prompt, **STREAMED).text.endswith("data: [DONE]\n\n")
    assert cache_told(post(on_stage, prompt)) == "miss"


def test_an_error_is_never_replayed(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt(http_reply(400, {"error": {"message": "no", "type": "x", "param": None, "code": "y"}}))
    assert post(on_stage, prompt).status_code == 400
    stage.lines[prompt] = Answer("now it works")
    assert said(post(on_stage, prompt)) == "now it works"


# --- whose it is ----------------------------------------------------------------------------------------------------


def key_of(stage: Stage, account: str) -> dict[str, str]:
    async def make() -> str:
        async with stage.gateway.opened() as database:
            now_ms = int(time.time() * 1000)
            await AccountRows(database).ensure(account, account, now_ms, actor=GATEWAY)
            return (await create_key(KeyRows(database), account, "k", live=True, now_ms=now_ms, actor=GATEWAY)).key

    return {"Authorization": f"Bearer {asyncio.run(make())}"}


def test_two_accounts_never_share_and_two_keys_of_one_account_do(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt()
    mine, mine_too, rivals = key_of(stage, "acme"), key_of(stage, "acme"), key_of(stage, "rival")
    told = [on_stage.post(CHAT, json=ask(prompt, model="m"), headers=key) for key in (mine, mine_too, rivals, rivals)]
    assert [cache_told(response) for response in told] == ["miss", "exact", "miss", "exact"]
    assert len(stage.calls(prompt)) == 2
    accounts = [row_of(stage.gateway, response).account_id for response in (told[0], told[2])]
    assert accounts == ["acme", "rival"]


def test_a_test_key_neither_sees_nor_leaves_answers_of_live_keys(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt()
    test = {"Authorization": f"Bearer {stage.gateway.test_key}"}
    simulated = on_stage.post(CHAT, json=ask(prompt, model="m"), headers=test)
    real = on_stage.post(CHAT, json=ask(prompt, model="m"))
    again = on_stage.post(CHAT, json=ask(prompt, model="m"), headers=test)
    assert [cache_told(r) for r in (simulated, real, again)] == ["miss", "miss", "exact"]
    assert [r.headers["x-nr-provider"] for r in (simulated, real, again)] == ["simulated", "scripted", "simulated"]
