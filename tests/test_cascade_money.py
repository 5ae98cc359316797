"""A cascade, whatever goes wrong in it at every place where it waits: one hold, one row, and a bill that adds up."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuralrouting.config import Config, ModelConfig, RoutingConfig
from neuralrouting.errors import UpstreamError
from neuralrouting.exchange import Arrival, Chunk
from neuralrouting.providers.base import Call, Completion
from till import THROWN, USAGE, Build, Speaking, Till, Warm, opened_tills

pytestmark = pytest.mark.anyio

CASCADE = Config(
    routing=RoutingConfig(max_attempts=3, cascade=True),
    models=(
        ModelConfig(
            "small", "first", context_tokens=8_000, max_output_tokens=400, tier="economy",
            input_usd_per_mtok="1", output_usd_per_mtok="2", credits_per_1k=10,
        ),
        ModelConfig(
            "grand", "second", context_tokens=8_000, max_output_tokens=400, tier="premium",
            input_usd_per_mtok="10", output_usd_per_mtok="20", credits_per_1k=100,
        ),
    ),
)  # fmt: skip
SMALL_MC, GRAND_MC = 10 * 18, 100 * 18
SMALL_NANO, GRAND_NANO = 11 * 1_000 + 7 * 2_000, 11 * 10_000 + 7 * 20_000


class Saying:
    """A provider that says this, after a while; None: it fails."""

    simulated = False

    def __init__(self, name: str, text: str | None, usage: dict[str, int] = USAGE) -> None:
        self.name, self.text, self.usage = name, text, usage

    async def complete(self, _call: Call) -> Completion:
        await asyncio.sleep(0)
        if self.text is None:
            raise UpstreamError("it always fails")
        message = {"role": "assistant", "content": self.text}
        data = {"id": "x", "object": "chat.completion", "created": 1, "model": "small", "usage": self.usage}
        data["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
        await asyncio.sleep(0)
        return Completion(msgspec.json.encode(data), data)

    async def stream(self, _call: Call) -> AsyncGenerator[Sequence[Chunk], None]:
        await asyncio.sleep(0)
        raise UpstreamError("it always fails")
        yield ()


class Breaking(Speaking):
    """A provider whose stream breaks after its first words."""

    async def stream(self, call: Call) -> AsyncGenerator[Sequence[Chunk], None]:
        came = 0
        async for batch in super().stream(call):
            yield batch
            came += 1
            if came == 2:
                raise UpstreamError("it broke")


REFUSING, PLAIN = "I'm sorry, but I can't help with that.", "one two three"


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Build]:
    async with opened_tills(tmp_path) as build:
        yield build


async def cascading(build: Build, text: str | None, second: object | None = None) -> Till:
    providers = {"first": Saying("first", text), "second": second or Speaking()}
    return await build(speeds=Warm(), config=CASCADE, providers=providers)


def auto_body(arrival: Arrival, *, stream: bool) -> bytes:
    messages = [{"role": "user", "content": f"Say hello, {arrival.request_id}"}]
    return msgspec.json.encode({"model": "auto", "stream": stream, "messages": messages})


async def run(till: Till, arrival: Arrival, *, stream: bool, batches: int | None = None) -> None:
    """Have a request answered, its stream read to its end or so many batches of it."""
    inspection = till.pipeline.inspect(auto_body(arrival, stream=stream), arrival)
    if not stream:
        await till.pipeline.complete(arrival, inspection)
        return
    opened, read = await till.pipeline.open(arrival, inspection), 0
    try:
        while read != batches:
            try:
                await anext(aiter(opened.batches))
            except StopAsyncIteration:
                break
            read += 1
    finally:
        await opened.batches.aclose()


async def row_adds_up(till: Till, arrival: Arrival) -> tuple[list[tuple[str, str]], int | None]:
    """Return the calls and the cost of a request, whose bill and house costs are the sum of all of its calls."""
    [row] = await till.database.fetch(
        "SELECT attempts, cost_nanousd, house_nanousd FROM requests WHERE request_id = $1", arrival.request_id
    )
    attempts = json.loads(row[0])
    assert sum(a["cost_nanousd"] or 0 for a in attempts) == (row[1] or 0) + row[2]
    return [(a["deployment"], a["outcome"]) for a in attempts], row[1]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_both_calls_of_an_escalated_answer_are_held_charged_and_billed(build: Build, *, stream: bool):
    till, arrival = await cascading(build, REFUSING), None
    arrival = till.arrival()
    await run(till, arrival, stream=stream)
    assert await till.check(arrival) == ("settled", SMALL_MC + GRAND_MC)
    asked, cost = await row_adds_up(till, arrival)
    assert asked == [("first/small", "doubtful"), ("second/grand", "ok")]
    assert cost == SMALL_NANO + GRAND_NANO


@pytest.mark.parametrize("error", THROWN)
@pytest.mark.parametrize("text", [REFUSING, PLAIN, None], ids=["doubtful", "kept", "first fails"])
async def test_whatever_is_raised_wherever_a_cascade_waits_its_hold_ends_once(
    build: Build, text: str | None, error: str
):
    till = await cascading(build, text)
    works: dict[str, Callable[[Arrival], Coroutine[Any, Any, object]]] = {
        "complete": lambda arrival: run(till, arrival, stream=False),
        "stream": lambda arrival: run(till, arrival, stream=True),
        "stream left early": lambda arrival: run(till, arrival, stream=True, batches=2),
    }
    for name, work in works.items():
        assert await till.throw_everywhere(name, work, THROWN[error]) >= 2
    for (request_id,) in await till.database.fetch("SELECT request_id FROM requests"):
        if request_id.startswith("req_"):
            await row_adds_up(till, msgspec.structs.replace(till.arrival(), request_id=request_id))


async def test_a_doubtful_answer_whose_client_left_before_a_better_one_came_is_the_houses(build: Build):
    till = await cascading(build, REFUSING)
    for places in range(12):
        arrival = till.arrival()
        work = asyncio.create_task(run(till, arrival, stream=False))
        for _ in range(places):
            await asyncio.sleep(0)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        rows = await _row_soon(till, arrival)
        if not rows or rows[0][0] != "voided":
            continue
        attempts = json.loads(rows[0][1])
        assert rows[0][2] == 0, "nothing is charged"
        if attempts and attempts[0]["outcome"] == "doubtful":
            assert attempts[0]["cost_nanousd"] == SMALL_NANO
            return
    raise AssertionError("no cancellation came between the two calls")


async def _row_soon(till: Till, arrival: Arrival) -> Sequence[Sequence[Any]]:
    await till.bank.flush()
    return await till.database.fetch(
        "SELECT hold_state, attempts, charged_mc FROM requests WHERE request_id = $1", arrival.request_id
    )


async def test_a_better_stream_that_breaks_is_charged_for_what_came_and_for_the_first_call(build: Build):
    till = await cascading(build, REFUSING, Breaking())
    arrival = till.arrival()
    with pytest.raises(UpstreamError):
        await run(till, arrival, stream=True)
    state, charged_mc = await till.check(arrival)
    assert state == "settled"
    assert charged_mc > SMALL_MC
    asked, _ = await row_adds_up(till, arrival)
    assert [model for model, _ in asked] == ["first/small", "second/grand"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_answer_that_nobody_bettered_costs_its_own_call_and_the_house_the_failed_ones(
    build: Build, *, stream: bool
):
    till = await cascading(build, REFUSING, Saying("second", None))
    arrival = till.arrival()
    await run(till, arrival, stream=stream)
    assert await till.check(arrival) == ("settled", SMALL_MC)
    asked, cost = await row_adds_up(till, arrival)
    assert asked[0] == ("first/small", "doubtful")
    assert cost == SMALL_NANO


counts = st.integers(0, 5_000)


@given(st.lists(st.tuples(counts, counts, counts, counts), min_size=1, max_size=6))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_charged_never_exceeds_what_is_held_whatever_the_providers_tell(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[int, int, int, int]]
):
    async def ask() -> None:
        async with opened_tills(tmp_path_factory.mktemp("told")) as build:
            for a, b, c, d in told:
                first = {"prompt_tokens": a, "completion_tokens": b}
                last = {"prompt_tokens": c, "completion_tokens": d}
                providers = {"first": Saying("first", REFUSING, first), "second": Saying("second", PLAIN, last)}
                till = await build(speeds=Warm(), config=CASCADE, providers=providers)
                arrival = till.arrival()
                await run(till, arrival, stream=False)
                state, charged_mc = await till.check(arrival)  # which compares with what was held
                assert (state, charged_mc > 0) == ("settled", any((a, b, c, d)))
                await row_adds_up(till, arrival)

    asyncio.run(ask())
