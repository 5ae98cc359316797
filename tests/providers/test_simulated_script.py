"""The simulated provider fails, waits and counts as its script says."""

import asyncio
import time

import pytest
from pretending import call, complete, stream, text_of

from neuralrouting.errors import (
    ConfigError,
    UpstreamAuth,
    UpstreamError,
    UpstreamInterrupted,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from neuralrouting.exchange import JsonObject
from neuralrouting.providers.base import usage_of
from neuralrouting.providers.simulated import SimulatedProvider
from neuralrouting.providers.simulated_script import Failure, Script, directed, read_failures

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("fail", "fault"),
    [
        ("503", UpstreamOverloaded),
        ("529", UpstreamOverloaded),
        ("429", UpstreamRateLimited),
        ("401", UpstreamAuth),
        ("400", UpstreamRejected),
        ("500", UpstreamError),
        ("refuse", UpstreamUnreachable),
        ("timeout", UpstreamTimeout),
        ("cut", UpstreamInterrupted),
    ],
)
async def test_a_failure_is_what_the_script_says_wherever_it_says_it(fail: str, fault: type[UpstreamError]):
    for run in (complete, stream):
        with pytest.raises(fault):
            await run("Hello", fail=fail)
        with pytest.raises(fault):
            await run(f"Please [[sim fail={fail}]] thank you")


async def test_a_timeout_lasts_until_the_deadline():
    started_s = time.monotonic()
    with pytest.raises(UpstreamTimeout):
        await complete(fail="timeout")
    assert 0.15 < time.monotonic() - started_s < 1


@pytest.mark.parametrize(("fail", "chunks"), [("cut", 3), ("cut0", 0), ("cut5", 5)])
async def test_a_cut_stream_breaks_after_its_chunks(fail: str, chunks: int):
    seen: list[JsonObject] = []

    async def collect() -> None:
        async for batch in SimulatedProvider(fail=fail).stream(call()):
            seen.extend(batch)

    with pytest.raises(UpstreamInterrupted):
        await collect()
    assert len(seen) == chunks


async def test_a_failure_may_be_for_one_model_only():
    with pytest.raises(UpstreamOverloaded):
        await complete(fail="503@gpt-4o")
    with pytest.raises(UpstreamOverloaded):
        await complete(fail="503@simulated/gpt-4o")
    assert text_of(await complete(fail="503@gpt-4o", model="gpt-4o-mini"))


async def test_a_rate_fails_its_share_and_always_the_same_requests():
    async def fails(prompt: str, model: str = "gpt-4o") -> bool:
        try:
            await complete(prompt, fail="503:0.25", model=model)
        except UpstreamOverloaded:
            return True
        return False

    first = [await fails(f"prompt {i}") for i in range(400)]
    assert 60 < sum(first) < 140
    assert first == [await fails(f"prompt {i}") for i in range(400)]
    assert first != [await fails(f"prompt {i}", "gpt-4o-mini") for i in range(400)]


async def test_waiting_is_scripted_by_prompt_and_by_configuration():
    async def took_s(provider: SimulatedProvider, prompt: str) -> float:
        started_s = time.monotonic()
        await provider.complete(call(prompt))
        return time.monotonic() - started_s

    assert await took_s(SimulatedProvider(latency_ms=60), "Hello") >= 0.06
    assert await took_s(SimulatedProvider(), "[[sim latency_ms=60]]") >= 0.06
    assert await took_s(SimulatedProvider(latency_ms=5000), "[[sim latency_ms=0]]") < 1


async def test_tokens_of_a_stream_take_their_time_one_by_one():
    provider = SimulatedProvider(token_ms=5)
    arrivals_s = [time.monotonic() async for batch in provider.stream(call("[[sim tokens=10]]")) if len(batch) == 1]
    assert len(arrivals_s) > 5
    assert arrivals_s[-1] - arrivals_s[0] >= 0.005 * (len(arrivals_s) - 1)


async def test_a_stream_that_is_left_stops_waiting():
    batches = SimulatedProvider(token_ms=60_000).stream(call())
    await anext(batches)
    async with asyncio.timeout(1):
        await batches.aclose()


async def test_the_length_is_scripted_in_words():
    assert len(text_of(await complete("[[sim tokens=200]]")).split()) == 200
    assert text_of(await complete("[[sim tokens=3]]")) == "This answer is"


async def test_usage_can_be_left_out_or_lie():
    assert "usage" not in await complete("[[sim usage=none]]")
    assert all(chunk["choices"] for chunk in await stream("[[sim usage=none]]"))
    told = usage_of(await complete("[[sim usage=lie]]"))
    assert told is not None
    assert told.source == "capped"


@pytest.mark.parametrize(
    "directive", ["fail=maybe", "fail=200", "tokens=-1", "tokens=1e9", "latency_ms=soon", "usage=some", "colour=red"]
)
async def test_a_directive_that_is_not_understood_is_refused(directive: str):
    with pytest.raises(UpstreamRejected, match=directive.partition("=")[0]):
        await complete(f"[[sim {directive}]]")


async def test_text_that_merely_looks_like_a_directive_is_left_alone():
    for prompt in ("[[sim fail=503", "sim fail=503", "[[ sim fail=503 ]]"):
        assert text_of(await complete(prompt))


@pytest.mark.parametrize("fail", ["maybe", "200", "99999", "cut-1", "503,oops", "@gpt-4o"])
async def test_a_configuration_that_is_not_understood_stops_the_start(fail: str):
    with pytest.raises(ConfigError, match=r"simulated\.fail"):
        SimulatedProvider(fail=fail)


async def test_failures_read_with_model_rate_and_colons_in_names():
    assert read_failures("503@llama3:8b, cut5@a:0.5 ,refuse:0.1") == (
        Failure("status", 503, "llama3:8b"),
        Failure("cut", 5, "a", 0.5),
        Failure("refuse", rate=0.1),
    )


async def test_the_last_directive_counts():
    assert directed(Script(), "[[sim tokens=1]] [[sim tokens=2]]").tokens == 2
