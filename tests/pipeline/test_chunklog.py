"""The log of a stream: everybody who follows gets all of it, and it never keeps more than it must."""

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, Sequence

import pytest
from conducted import piece

from neuralrouting.exchange import Chunk, PlainChunk, Usage
from neuralrouting.pipeline import chunklog
from neuralrouting.pipeline.chunklog import ChunkLog, Follower, Logged
from neuralrouting.providers.tally import Tally

pytestmark = pytest.mark.anyio
SERVED = None  # which model it is makes no difference to a log


def log() -> ChunkLog:
    return ChunkLog(SERVED, Tally(1), lambda: None)  # pyright: ignore[reportArgumentType]


def text_of(batch: Sequence[Chunk]) -> str:
    return "".join(chunk.text for chunk in batch if isinstance(chunk, PlainChunk))


async def rest_of(follower: Follower) -> str:
    return "".join([text_of(batch) async for batch in follower])


async def test_beyond_its_bound_nobody_new_may_follow_and_who_does_gets_all_of_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chunklog, "LOG_BYTES", 1_000)
    filling = log()
    filling.add([piece("0 ")])
    present = filling.follow()
    assert present is not None
    for number in range(1, 100):
        filling.add([piece(f"{number} ")])
    assert filling.follow() is None
    filling.bill(Usage(1, 100))
    filling.end()
    assert await rest_of(present) == "".join(f"{number} " for number in range(100))


async def test_chunks_that_are_not_text_count_by_their_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chunklog, "LOG_BYTES", 1_000)
    filling = log()
    filling.add([{"choices": [{"index": 0, "delta": {"audio": {"data": "x" * 2_000}}}]}])
    assert filling.follow() is None


async def test_what_all_have_read_is_not_kept_beyond_the_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chunklog, "LOG_BYTES", 1_000)

    class Batch(list[Chunk]):
        """A list that can be watched."""

    filling = log()
    first = Batch([piece("first")])
    watched = weakref.ref(first)
    filling.add(first)
    del first
    present = filling.follow()
    assert present is not None
    for _ in range(20):
        filling.add([piece("x" * 100)])
    assert watched() is not None
    await anext(present)
    gc.collect()
    assert watched() is None


async def test_a_chain_of_any_length_is_let_go_of():
    filling = log()
    for _ in range(300_000):
        filling.add(())
    present = filling.follow()
    filling.end()
    del filling, present  # as a recursion this would overflow the stack


async def test_a_stream_that_was_stopped_is_not_whole_for_who_follows():
    async def endless() -> AsyncGenerator[Sequence[Chunk], None]:
        while True:
            yield [piece("more ")]

    filling = log()
    stream = Logged(endless(), filling, lambda: None)
    await anext(stream)
    present = filling.follow()
    assert present is not None
    await stream.aclose()
    ends: list[BaseException | None] = []
    present.ended = ends.append
    with pytest.raises(chunklog.UpstreamInterrupted):
        await rest_of(present)
    await present.aclose()
    [end] = ends
    assert isinstance(end, chunklog.UpstreamInterrupted)


async def test_followers_leave_once_and_are_counted():
    told: list[int] = []
    filling = ChunkLog(SERVED, Tally(1), lambda: told.append(filling.followers))  # pyright: ignore[reportArgumentType]
    one, other = filling.follow(), filling.follow()
    assert one is not None
    assert other is not None
    reading = asyncio.create_task(anext(one))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await one.aclose()
    other.leave()
    other.leave()
    assert told == [1, 0]
