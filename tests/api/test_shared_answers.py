"""Many clients ask the same at once of a real gateway: the provider is asked once, and they need not know."""

import asyncio
import json
import time
from collections.abc import Iterator

import httpx
import pytest
from conversation import ASK_USAGE, CHAT, ask, row_of, said, wait_until
from staging import Stage, set_stage

from fake_replies import Answer, sse
from fake_upstream import HANG, Entry, Recorded, Reply, http_reply
from neuralrouting.accounts.keys import create_key
from neuralrouting.storage.keys import KeyOptions, KeyRows
from neuralrouting.storage.trail import GATEWAY

WORDS = tuple(f"word{number} " for number in range(12))
SLOW = Answer("".join(WORDS), pieces=WORDS)
GAP_S = 0.05


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A gateway of one worker: requests meet in a worker."""
    with set_stage(tmp_path_factory.mktemp("alone"), SERVER_WORKERS="1", CACHE_PERSIST="false") as stage:
        yield stage


def slowly(request: Recorded) -> Reply:
    if request.stream:
        return sse(SLOW.openai_events(), gap_s=GAP_S)
    return Reply((GAP_S * len(WORDS), *http_reply(200, SLOW.completion()).steps))


async def ask_all(stage: Stage, prompt: str, ways: list[dict[str, object]]) -> list[httpx.Response]:
    async with httpx.AsyncClient(
        base_url=stage.gateway.url,
        headers={"Authorization": f"Bearer {stage.gateway.api_key}"},
        timeout=30,
        trust_env=False,
        limits=httpx.Limits(max_connections=100),
    ) as client:
        first = asyncio.create_task(client.post(CHAT, json=ask(prompt, model="m", **ways[0])))
        await asyncio.sleep(0.1)
        rest = [client.post(CHAT, json=ask(prompt, model="m", **way)) for way in ways[1:]]
        return [await first, *await asyncio.gather(*rest)]


@pytest.mark.parametrize("leads", [{}, {"stream": True}], ids=["whole leads", "stream leads"])
def test_fifty_clients_at_once_are_answered_by_one_call(alone: Stage, leads: dict[str, object]):
    prompt = alone.prompt(slowly)
    ways = [leads, *([{}, {"stream": True}, ASK_USAGE] * 17)[:49]]
    told = asyncio.run(ask_all(alone, prompt, ways))
    assert {said(response) for response in told} == {SLOW.text}
    assert len(alone.calls(prompt)) == 1
    rows = [row_of(alone.gateway, response) for response in told]
    assert [row.cache for row in rows] == ["miss", *["exact"] * 49]
    assert sum(row.charged_mc for row in rows) == rows[0].charged_mc
    assert sum(row.cost_nanousd or 0 for row in rows) == rows[0].cost_nanousd
    assert {(row.prompt_tokens, row.completion_tokens) for row in rows} == {SLOW.usage}
    assert len({response.headers["x-request-id"] for response in told}) == 50


def test_a_follower_hears_the_first_word_long_before_the_last_is_said(alone: Stage):
    prompt = alone.prompt(slowly)

    async def first_word_s() -> tuple[float, float]:
        async with httpx.AsyncClient(base_url=alone.gateway.url, timeout=30, trust_env=False) as client:
            client.headers["Authorization"] = f"Bearer {alone.gateway.api_key}"
            fields = ask(prompt, model="m", stream=True)
            leading = asyncio.create_task(client.post(CHAT, json=fields))
            await asyncio.sleep(2.5 * GAP_S)
            started_s = time.monotonic()
            async with client.stream("POST", CHAT, json=fields) as response:
                lines = response.aiter_lines()
                while "word0" not in await anext(lines):
                    pass
                first_s = time.monotonic() - started_s
                async for _ in lines:
                    pass
            await leading
            return first_s, time.monotonic() - started_s

    first_s, whole_s = asyncio.run(first_word_s())
    assert len(alone.calls(prompt)) == 1
    assert first_s < whole_s / 2


def test_the_leaders_client_may_leave_and_the_others_do_not_notice(alone: Stage):
    prompt = alone.prompt(slowly)

    async def leave_and_stay() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=alone.gateway.url, timeout=30, trust_env=False) as client:
            client.headers["Authorization"] = f"Bearer {alone.gateway.api_key}"

            async def leave() -> str:
                fields = ask(prompt, model="m", stream=True)
                async with client.stream("POST", CHAT, json=fields) as response:
                    came = response.aiter_bytes()  # closes the response when it is let go of
                    await anext(came)
                    staying.extend(
                        asyncio.create_task(client.post(CHAT, json=ask(prompt, model="m", **way)))
                        for way in ({"stream": True}, {})
                    )
                    await asyncio.sleep(2 * GAP_S)
                return response.headers["x-request-id"]

            staying: list[asyncio.Task[httpx.Response]] = []
            ids.append(await leave())
            return list(await asyncio.gather(*staying))

    ids: list[str] = []
    told = asyncio.run(leave_and_stay())
    assert [said(response) for response in told] == [SLOW.text] * 2
    assert len(alone.calls(prompt)) == 1
    led = row_of(alone.gateway, ids[0])
    assert (led.status, led.cache, led.completion_tokens) == (200, "miss", 7)


def test_when_all_have_left_the_provider_is_rid_of_the_call(alone: Stage):
    hanging: Entry = sse(SLOW.openai_events()[:4], ending=(HANG,))
    prompt, before = alone.prompt(hanging), len(alone.upstream.hangups)

    async def all_leave() -> None:
        async with httpx.AsyncClient(base_url=alone.gateway.url, timeout=0.4, trust_env=False) as client:
            client.headers["Authorization"] = f"Bearer {alone.gateway.api_key}"
            fields = ask(prompt, model="m", feature=prompt)
            ways = [client.post(CHAT, json=fields | {"stream": stream}) for stream in (True, True, False)]
            await asyncio.gather(*ways, return_exceptions=True)

    asyncio.run(all_leave())
    wait_until(lambda: len(alone.upstream.hangups) > before, 1.0)
    assert len(alone.calls(prompt)) == 1
    rows = alone.gateway.rows(feature=prompt)
    assert [row.status for row in rows] == [499] * 3


def test_who_shares_takes_no_tokens_from_the_limit_of_the_minute(alone: Stage):

    async def limited() -> str:
        async with alone.gateway.opened() as database:
            options = KeyOptions(tokens_per_minute=100_000)
            return (
                await create_key(KeyRows(database), "default", "l", live=True, now_ms=1, options=options, actor=GATEWAY)
            ).key

    key, prompt = asyncio.run(limited()), alone.prompt(slowly)

    async def all_at_once() -> httpx.Response:
        async with httpx.AsyncClient(base_url=alone.gateway.url, timeout=30, trust_env=False) as client:
            client.headers["Authorization"] = f"Bearer {key}"
            fields = ask(prompt, model="m", max_tokens=1_000)
            await asyncio.gather(*(client.post(CHAT, json=fields | {"stream": n % 2 == 0}) for n in range(20)))
            return await client.post(CHAT, json=ask(alone.prompt(), model="m", max_tokens=1_000))

    after = asyncio.run(all_at_once())
    assert json.loads(after.content)["choices"]
    left = int(after.headers["x-ratelimit-remaining-tokens"])
    assert 100_000 - left < 1_500
