"""Equal requests that come, hear, end, fail and leave in any order: each gets the words of one leader, or its own."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from neuralrouting.errors import UpstreamError, UpstreamInterrupted
from neuralrouting.exchange import CacheEntry, Chunk, PlainChunk, Usage
from neuralrouting.pipeline.chunklog import Follower
from neuralrouting.pipeline.flight import Flights, Seat
from neuralrouting.providers.tally import Tally

KEY = b"k" * 32
Act = Literal["ask", "ask streaming", "speak", "end", "end unfit", "fail", "leave"]
ACTS: tuple[Act, ...] = (
    "ask",
    "ask streaming",
    "ask",
    "ask streaming",
    "speak",
    "speak",
    "end",
    "end unfit",
    "fail",
    "leave",
)
SCHEDULES = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 7), st.booleans()), max_size=40)


@dataclass
class Request:
    """One request: what it was told, whom it asks through, and how it ended."""

    name: str
    stream: bool
    task: "asyncio.Task[None] | None" = None
    asks: bool = False
    leads: bool = False
    spoken: list[str] = field(default_factory=list)
    """What the model said to it."""
    heard: list[str] = field(default_factory=list)
    cues: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)
    outcome: str = ""

    @property
    def over(self) -> bool:
        return self.task is not None and self.task.done()


class Crowd:
    """Requests of one key, each run as the pipeline runs them."""

    def __init__(self) -> None:
        self.flights = Flights(1_000)
        self.requests: list[Request] = []

    def ask(self, *, stream: bool) -> None:
        request = Request(f"r{len(self.requests)}", stream)
        self.requests.append(request)
        request.task = asyncio.create_task(self._run(request))

    async def _run(self, request: Request) -> None:
        seat: Seat | None = None
        try:
            found = self.flights.lead(KEY, request.name) or await self.flights.join(
                KEY, request.name, stream=request.stream
            )
            if isinstance(found, CacheEntry):
                request.heard, request.outcome = [found.body.decode()], "replayed"
            elif isinstance(found, Follower):
                await _follow(request, found)
            else:
                seat = found
                await self._lead(request, seat)
        except asyncio.CancelledError:
            request.outcome = "left"
            raise
        except UpstreamError as error:
            request.outcome = "broken" if isinstance(error, UpstreamInterrupted) else "failed"
        finally:
            request.asks = request.leads = False
            if seat is not None:
                seat.fail()

    async def _lead(self, request: Request, seat: Seat | None) -> None:
        request.asks, request.leads = True, seat is not None and not seat.apart
        tally = Tally(1)
        batches = _model(request, seat)
        stream = seat.logged(batches, None, tally) if seat is not None and request.stream else batches  # pyright: ignore[reportArgumentType]
        try:
            async for batch in stream:
                request.heard += [chunk.text for chunk in batch if isinstance(chunk, PlainChunk)]
        finally:
            await stream.aclose()
        request.outcome = "answered"


async def _model(request: Request, seat: Seat | None) -> AsyncGenerator[Sequence[Chunk], None]:
    while (cue := await request.cues.get()) not in ("end", "end unfit"):
        if cue == "fail":
            if seat is not None:
                seat.fail()
            raise UpstreamError("down")
        request.spoken.append(f"{request.name}:{len(request.spoken)} ")
        yield [PlainChunk(b"{}", request.spoken[-1])]
    if seat is not None:
        seat.bill(Usage(1, len(request.spoken)))
        seat.land(_entry(request) if cue == "end" else None)


def _entry(request: Request) -> CacheEntry:
    return CacheEntry(KEY, "acme", "".join(request.spoken).encode(), "a/m", False, 1, 1, 0, 1)  # noqa: FBT003


async def _follow(request: Request, found: Follower) -> None:
    try:
        async for batch in found:
            request.heard += [chunk.text for chunk in batch if isinstance(chunk, PlainChunk)]
        request.outcome = "followed"
    finally:
        await found.aclose()


async def turns() -> None:
    for _ in range(12):
        await asyncio.sleep(0)


async def play(schedule: list[tuple[Act, int, bool]]) -> None:
    crowd = Crowd()
    for act, number, at_once in schedule:
        asking = [request for request in crowd.requests if request.asks and not request.over]
        living = [request for request in crowd.requests if not request.over]
        if act.startswith("ask"):
            crowd.ask(stream=act == "ask streaming")
        elif act == "leave" and living:
            leaving = living[number % len(living)].task
            assert leaving is not None
            leaving.cancel()
        elif act != "leave" and asking:
            asking[number % len(asking)].cues.put_nowait(act)
        if not at_once:
            await turns()
            check(crowd)
    while living := [request for request in crowd.requests if not request.over]:
        await turns()
        check(crowd)
        asking = [request for request in living if request.asks]
        assert asking or any(request.over for request in living), "somebody waits and nobody asks"
        for request in asking:
            request.cues.put_nowait("end")
    assert len(crowd.flights) == 0
    check(crowd)


def check(crowd: Crowd) -> None:
    """At most one leads, and nobody was told anything but the words of one request, from the first on."""
    assert sum(request.leads for request in crowd.requests) <= 1
    waiting = [request for request in crowd.requests if not (request.over or request.asks or request.heard)]
    assert not waiting or len(crowd.flights) == 1
    spoken = {request.name: request.spoken for request in crowd.requests}
    for request in crowd.requests:
        if request.outcome == "replayed":
            assert request.heard in [["".join(words)] for words in spoken.values()]
        elif request.heard:
            words = spoken[request.heard[0].partition(":")[0]]
            assert request.heard == words[: len(request.heard)]
            if request.outcome in ("followed", "answered"):
                assert request.heard == words, "whole to the last word"
        if request.outcome == "broken":
            assert request.heard


@settings(max_examples=400, deadline=None)
@given(SCHEDULES)
def test_any_order_of_events_leaves_everybody_answered_by_one_and_nothing_behind(
    schedule: list[tuple[Act, int, bool]],
):
    asyncio.run(play(schedule))
