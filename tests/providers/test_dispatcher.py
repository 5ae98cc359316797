"""Attempts, deadlines and the first-chunk gate: what a dispatcher does beside the failover table."""

import asyncio
import time

import pytest
from asking import eventually
from dispatching import PATIENT, Scene, rest_of, scene
from openaiish import chunk, deployment, inspection, parsed, said, text_of, until_close

from fake_faults import CUT_AT, FAULTS, GOOD, STREAM_FAULTS, TEXT, Fault, rate_limited, slow_stream
from fake_replies import DONE, sse
from fake_upstream import CLOSE, HANG, FakeUpstream, Recorded, Reply, head, refused_url
from neuralrouting.errors import (
    NoCapableModel,
    UpstreamBadResponse,
    UpstreamError,
    UpstreamInterrupted,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from neuralrouting.exchange import JsonObject, Route
from neuralrouting.providers.dispatcher import MAX_GATE_CHUNKS, Dispatcher
from neuralrouting.providers.http import HttpClient
from neuralrouting.providers.openai import OpenAIProvider
from neuralrouting.providers.speeds import Speeds

pytestmark = pytest.mark.anyio

ASKED = Recorded("POST", "/chat/completions", (), b"{}", b"")
BUSY = FAULTS["503"]
LATE_S = 0.15
"""By how much a deadline may be overrun; most of it is for a busy machine."""
BROKEN_LATER: dict[str, type[UpstreamError]] = {
    "error event later": UpstreamOverloaded,
    "cut, chunked": UpstreamInterrupted,
    "cut, length": UpstreamInterrupted,
    "cut, close": UpstreamInterrupted,
    "reset": UpstreamInterrupted,
    "event too large": UpstreamBadResponse,
    "hang": UpstreamTimeout,
}


# Who is asked


async def test_a_good_first_candidate_is_the_only_one_asked():
    async with scene([GOOD], [GOOD]) as seen:
        assert (await seen.complete()).deployment.provider == "first"
        assert (await seen.open()).deployment.provider == "first"
        (attempt,) = seen.attempts
        assert (attempt.outcome, attempt.provider_status, attempt.deployment) == ("ok", 200, "first/m-1")
        assert 0 < attempt.latency_us < 1_000_000
        assert seen.asked == (2, 0)


@pytest.mark.parametrize("streamed", [False, True])
async def test_three_candidates_are_asked_in_order(streamed: bool):  # noqa: FBT001
    async with scene([BUSY], [FAULTS["500"]], [GOOD]) as seen:
        assert await seen.text(streamed=streamed) == TEXT
        assert seen.asked == (1, 1, 1)
        assert seen.outcomes[:2] == ["upstream_overloaded", "upstream_error"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_no_more_than_the_allowed_attempts_are_made(streamed: bool):  # noqa: FBT001
    async with scene([BUSY], [BUSY], [GOOD], max_attempts=2) as seen:
        with pytest.raises(UpstreamOverloaded):
            await seen.text(streamed=streamed)
        assert seen.asked == (1, 1, 0)
    async with scene([BUSY], max_attempts=1) as seen:
        with pytest.raises(UpstreamOverloaded):
            await seen.text(streamed=streamed)
        assert seen.asked == (1,)


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_client_may_come_back_as_soon_as_the_first_of_them_allows(streamed: bool):  # noqa: FBT001
    async with scene([rate_limited("20")], [rate_limited(None)], [rate_limited("90")]) as seen:
        with pytest.raises(UpstreamRateLimited) as caught:
            await seen.text(streamed=streamed)
        assert caught.value.retry_after_s == 20
        assert seen.rests_s("third") == pytest.approx(90, abs=0.3)


@pytest.mark.parametrize("streamed", [False, True])
async def test_nobody_waits_for_a_pause_that_would_take_most_of_the_time_left(streamed: bool):  # noqa: FBT001
    async with scene([rate_limited("1"), GOOD], total_timeout_s=3, stream_timeout_s=3) as seen:
        with pytest.raises(UpstreamRateLimited):
            await seen.text(streamed=streamed)
        assert (seen.asked, seen.elapsed_s < 0.5) == ((1,), True)


async def test_a_route_without_candidates_is_a_request_nobody_can_serve():
    async with scene() as seen:
        with pytest.raises(NoCapableModel):
            await seen.complete()


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_provider_that_is_not_there_is_passed_over(streamed: bool):  # noqa: FBT001
    http, speeds = HttpClient(), Speeds()
    async with FakeUpstream([GOOD]) as upstream:
        urls = {"first": refused_url(), "second": upstream.url}
        providers = {name: OpenAIProvider(name, http, url, None) for name, url in urls.items()}
        dispatcher = Dispatcher(providers, speeds, PATIENT, 3)
        ask = dispatcher.open if streamed else dispatcher.complete
        served = await ask(Route("auto", "t", (deployment("first"), deployment("second"))), inspection(), [])
        assert served.deployment.provider == "second"
        assert speeds.cooling("first/m-1", time.monotonic() + 4)
        with pytest.raises(UpstreamUnreachable):
            await ask(Route("auto", "t", (deployment("first"),)), inspection(), [])
        await http.close()


# The gate


@pytest.mark.parametrize("name", ["error event first", "cut before the first event", "event is not json"])
async def test_what_breaks_before_the_first_token_is_never_seen(name: str):
    async with scene([STREAM_FAULTS[name]], [GOOD]) as seen:
        assert await seen.text(streamed=True) == TEXT


ROLE = chunk({"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None})
KEEP_ALIVE = chunk()


@pytest.mark.parametrize("after", [b'data: {"error":{"message":"no"}}\n\n', b"", b"data: {\n\n", DONE])
async def test_a_role_alone_is_no_token_yet(after: bytes):
    async with scene([until_close(ROLE, 0.03, KEEP_ALIVE, 0.03, after, CLOSE)], [GOOD]) as seen:
        assert await seen.text(streamed=True) == TEXT
        assert seen.outcomes == ["upstream_bad_response"]


@pytest.mark.parametrize(
    "first",
    [
        {"content": "x"},
        {"reasoning_content": "hm"},
        {"refusal": "no"},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]},
    ],
)
async def test_whatever_carries_something_opens_the_stream(first: JsonObject):
    begun = sse([ROLE, chunk({"index": 0, "delta": first, "finish_reason": None})], ending=(HANG,))
    async with scene([begun], [GOOD]) as seen:
        opened = await seen.open()
        assert opened.deployment.provider == "first"
        assert parsed(opened.first)[-1]["choices"][0]["delta"].keys() == first.keys()
        await opened.rest.aclose()


async def test_an_empty_answer_that_says_why_it_ended_is_an_answer():
    async with scene([sse([ROLE, chunk(said("", "stop")), DONE])], [GOOD]) as seen:
        assert await seen.text(streamed=True) == ""
        assert seen.asked == (1, 0)


async def test_a_provider_that_streams_nothing_but_keep_alives_is_given_up():
    async with scene([sse([KEEP_ALIVE] * (MAX_GATE_CHUNKS + 1), ending=(HANG,))], [GOOD]) as seen:
        assert await seen.text(streamed=True) == TEXT


async def test_the_time_to_the_first_token_is_measured_from_the_attempt_that_gave_it():
    async with scene([Reply((0.2, *BUSY(ASKED).steps))], [GOOD]) as seen:
        opened = await seen.open()
        assert opened.ttft_us < 150_000
        assert seen.attempts[0].latency_us >= 200_000
        await opened.rest.aclose()


# After the first token


@pytest.mark.parametrize("name", BROKEN_LATER)
async def test_after_the_first_token_nobody_else_is_asked_and_the_break_is_told(name: str):
    chunks: list[JsonObject] = []
    async with scene([STREAM_FAULTS[name]], [GOOD], idle_timeout_s=0.2) as seen:
        opened = await seen.open()
        with pytest.raises(BROKEN_LATER[name]):
            await rest_of(opened, chunks)
        assert text_of(chunks) == " ".join(TEXT.split()[: CUT_AT - 1]) + " "
        assert seen.asked == (1, 0)
        assert seen.rests_s("first") == pytest.approx(5, abs=0.3)


async def test_silence_in_the_middle_has_its_own_bound():
    async with scene([STREAM_FAULTS["hang"]], idle_timeout_s=0.2) as seen:
        opened, started_s = await seen.open(), time.monotonic()
        with pytest.raises(UpstreamTimeout, match=r"silent for 0\.2 s"):
            await rest_of(opened, [])
        assert time.monotonic() - started_s < 0.2 + 0.05 + LATE_S
        await eventually(lambda: seen.upstreams[0].hangups)


async def test_a_stream_that_never_pauses_for_long_still_ends_in_time():
    async with scene([slow_stream(0.1)], stream_timeout_s=0.4, idle_timeout_s=0.2) as seen:
        started_s = time.monotonic()
        with pytest.raises(UpstreamTimeout):
            await rest_of(await seen.open(), [])
        assert 0.35 < time.monotonic() - started_s < 0.4 + LATE_S


async def test_a_stream_that_is_left_is_closed_whether_it_was_read_or_not():
    for read in (False, True):
        async with scene([slow_stream(0.05)]) as seen:
            opened = await seen.open()
            if read:
                await anext(opened.rest)
            left_s = time.monotonic()
            await opened.rest.aclose()
            await eventually(lambda seen=seen: seen.upstreams[0].hangups)
            assert seen.upstreams[0].hangups[0] - left_s < 0.1
            with pytest.raises(StopAsyncIteration):
                await anext(opened.rest)


# Deadlines

DRIPS: dict[str, Fault | Reply] = {
    "headers": FAULTS["header drip"],
    "body": Reply((head(200, {"content-type": "application/json", "content-length": "9000"}), *[b" ", 0.02] * 450)),
    "error body": Reply((head(500, {"content-length": "9000"}), *[b" ", 0.02] * 450)),
    "silence": Reply((HANG,)),
}
EVENT_DRIPS: dict[str, Fault | Reply] = {
    **{name: drip for name, drip in DRIPS.items() if name != "body"},
    "keep-alives": sse([ROLE, *[b": still there\n\n", 0.02] * 450]),
    "one event": sse([b"data: ", *[b" ", 0.02] * 450]),
}


@pytest.mark.parametrize("drip", DRIPS)
async def test_a_drip_does_not_outlast_the_deadline(drip: str):
    async with scene([DRIPS[drip]], total_timeout_s=0.3) as seen:
        with pytest.raises(UpstreamTimeout):
            await seen.complete()
        assert 0.28 < seen.elapsed_s < 0.3 + LATE_S
        assert seen.asked == (1,)


@pytest.mark.parametrize("drip", EVENT_DRIPS)
async def test_a_stream_that_drips_before_its_first_token_does_not_outlast_the_deadline(drip: str):
    async with scene([EVENT_DRIPS[drip]], stream_timeout_s=0.3) as seen:
        with pytest.raises(UpstreamTimeout):
            await seen.open()
        assert 0.28 < seen.elapsed_s < 0.3 + LATE_S
    async with scene([EVENT_DRIPS[drip]], [GOOD], first_token_timeout_s=0.2) as seen:
        opened = await seen.open()
        assert 0.18 < seen.elapsed_s < 0.2 + LATE_S
        await opened.rest.aclose()


async def test_who_comes_first_leaves_time_for_who_comes_next():
    async with scene([Reply((HANG,))], [Reply((HANG,))], [GOOD], total_timeout_s=0.8) as seen:
        assert await seen.text(streamed=False) == TEXT
        first, second, third = seen.attempts
        assert first.latency_us / 1e6 == pytest.approx(0.4, abs=LATE_S)
        assert second.latency_us / 1e6 == pytest.approx(0.2, abs=LATE_S)
        assert third.outcome == "ok"


@pytest.mark.parametrize("candidates", [1, 2])
async def test_the_last_one_has_all_the_time_there_is(candidates: int):
    """It is not cut at the patience for first tokens, nor at its half of the time: nobody comes after it."""
    scripts = [[BUSY]] * (candidates - 1)
    slow_whole, slow_first = Reply((0.4, *GOOD(ASKED).steps)), sse([0.4, *GOOD.openai_events()])
    async with scene(*scripts, [slow_whole], total_timeout_s=0.7) as seen:
        assert await seen.text(streamed=False) == TEXT
    async with scene(*scripts, [slow_first], stream_timeout_s=0.9, first_token_timeout_s=0.1) as seen:
        assert await seen.text(streamed=True) == TEXT


# Leaving


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("hang", ["hang before headers", "header drip"])
async def test_a_client_that_leaves_ends_the_attempt_at_once_and_it_is_recorded(hang: str, streamed: bool):  # noqa: FBT001
    async with scene([FAULTS[hang]], [GOOD]) as seen:
        asking = asyncio.create_task(seen.text(streamed=streamed))
        await eventually(lambda: seen.asked == (1, 0))
        asking.cancel()
        left_s = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await eventually(lambda: seen.upstreams[0].hangups)
        assert seen.upstreams[0].hangups[0] - left_s < 0.1
        assert (seen.outcomes, seen.asked) == (["client_closed"], (1, 0))
        assert not seen.rests_s("first")


async def test_a_client_that_leaves_during_a_pause_asks_nobody_again():
    async with scene([rate_limited("1"), GOOD]) as seen:
        asking = asyncio.create_task(seen.complete())
        await eventually(lambda: seen.attempts)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (seen.outcomes, seen.asked) == (["upstream_rate_limited"], (1,))


async def test_connections_are_used_again_over_many_requests_of_both_kinds():
    async with scene([GOOD]) as seen:
        for _ in range(10):
            assert await seen.text(streamed=True) == TEXT
            await asyncio.sleep(0.01)
            assert await seen.text(streamed=False) == TEXT
        assert seen.upstreams[0].connections == 1


async def many(seen: Scene, requests: int) -> list[str]:
    return await asyncio.gather(*(seen.text(streamed=bool(number % 2)) for number in range(requests)))


async def test_a_hundred_requests_at_once_fail_over_without_leaving_anything_behind():
    async with scene([BUSY], [GOOD]) as seen:
        assert await many(seen, 100) == [TEXT] * 100
        assert seen.asked == (100, 100)
