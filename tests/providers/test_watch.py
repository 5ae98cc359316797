"""A stream on its way to the client: its end is told once, and a provider that does not stop is stopped."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from openaiish import deployment

from neuralrouting.errors import UpstreamError, UpstreamInterrupted
from neuralrouting.exchange import Chunk, PlainChunk
from neuralrouting.providers.dispatcher import OpenedStream, Remainder
from neuralrouting.providers.tally import LEAST_CHARS, Tally
from neuralrouting.providers.watch import Watch

pytestmark = pytest.mark.anyio
HEAD = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def chunk(text: str, finish: str | None = None, index: int = 0) -> dict[str, Any]:
    delta = {"content": text} if text else {}
    return HEAD | {"choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}]}


def plain(text: str) -> PlainChunk:
    return PlainChunk(b"{}", text)


class Source:
    """What a provider sends: batches, or an error to raise; knows how far it was read and whether it was closed."""

    def __init__(self, *batches: Sequence[Chunk] | Exception) -> None:
        self.batches = batches
        self.read = 0
        self.closed = False

    async def __call__(self) -> AsyncGenerator[Sequence[Chunk], None]:
        try:
            for batch in self.batches:
                await asyncio.sleep(0)
                if isinstance(batch, Exception):
                    raise batch
                self.read += 1
                yield batch
        finally:
            self.closed = True


class Watched:
    """A watch over a source, and what it told of its end."""

    def __init__(self, first: Sequence[Chunk], *batches: Sequence[Chunk] | Exception, most: int | None = None) -> None:
        self.source = Source(*batches)
        self.tally = Tally(5, most)
        self.ends: list[BaseException | None] = []
        rest = Remainder(self.source(), 5.0, time.monotonic() + 5, lambda _: None)
        self.watch = Watch(OpenedStream(deployment("one"), first, rest, 0.0, 1), self.tally, self.ends.append)

    async def read(self) -> list[Chunk]:
        return [chunk async for batch in self.watch for chunk in batch]


async def test_a_good_end_is_told_once():
    watched = Watched([chunk("a")], [plain("b")], [chunk("", "stop")])
    assert len(await watched.read()) == 3
    await watched.watch.aclose()
    assert watched.ends == [None]
    assert watched.source.closed


async def test_a_break_is_told_as_such_and_the_client_hears_of_it():
    watched = Watched([chunk("a")], UpstreamError("gone"))
    with pytest.raises(UpstreamInterrupted, match="the stream broke: gone"):
        await watched.read()
    await watched.watch.aclose()
    [end] = watched.ends
    assert isinstance(end, UpstreamError)


@pytest.mark.parametrize("read", range(4))
async def test_a_client_that_leaves_ends_it_wherever_it_stands(read: int):
    watched = Watched([chunk("a")], [plain("b")], [plain("c")], [chunk("", "stop")])
    for _ in range(read):
        await anext(watched.watch)
    await watched.watch.aclose()
    await watched.watch.aclose()
    [end] = watched.ends
    assert isinstance(end, asyncio.CancelledError)
    assert watched.tally.usage().completion_tokens >= 1, "what was made is paid, read or not"
    with pytest.raises(StopAsyncIteration):
        await anext(watched.watch)


async def test_what_went_wrong_in_telling_the_end_does_not_leave_the_provider_open():
    source = Source([plain("b")])
    rest = Remainder(source(), 5.0, time.monotonic() + 5, lambda _: None)

    def ended(failure: BaseException | None) -> None:
        raise RuntimeError("a bug")

    watch = Watch(OpenedStream(deployment("one"), [chunk("a")], rest, 0.0, 1), Tally(5), ended)
    await anext(watch)
    await anext(watch)
    with pytest.raises(RuntimeError):
        await anext(watch)
    assert source.closed


# A provider that does not stop


def words(count: int) -> list[Chunk]:
    return [plain(" word") for _ in range(count)]


def finishes(chunks: list[Chunk]) -> list[str]:
    return [
        choice["finish_reason"]
        for chunk in chunks
        if not isinstance(chunk, PlainChunk)
        for choice in chunk["choices"]
        if choice["finish_reason"]
    ]


@pytest.mark.parametrize("most", [16, 100, 1_500])
async def test_a_provider_that_goes_on_is_cut_off_soon_after_its_limit(most: int):
    watched = Watched([chunk("a")], *([each] for each in words(3 * most + 1_000)), most=most)
    chunks = await watched.read()
    assert finishes(chunks) == ["length"]
    produced = len(chunks) - 2
    assert most <= produced <= most * 120 // 100 + 2 * LEAST_CHARS
    assert watched.source.read <= produced + 1
    assert watched.source.closed
    assert watched.ends == [None], "it is an answer, if a short one"
    assert not watched.tally.plain, "and it is not kept for others"


async def test_the_last_chunk_is_one_of_the_same_answer():
    watched = Watched([chunk("a")], words(900), most=100)
    last = (await watched.read())[-1]
    assert last == HEAD | {"choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}]}


async def test_a_first_batch_that_is_too_long_is_cut_too():
    watched = Watched([chunk("a"), *words(900)], words(10), most=100)
    assert finishes(await watched.read()) == ["length"]
    assert watched.source.read == 0


async def test_of_several_choices_those_that_are_open_are_ended():
    begin: list[Chunk] = [chunk("a", index=0), chunk("b", index=1), chunk("", "stop", index=1), chunk("c", index=2)]
    long: list[Chunk] = [chunk(" word", index=2) for _ in range(900)]
    watched = Watched(begin, long, most=100)
    assert finishes(await watched.read()) == ["stop", "length", "length"]


async def test_an_answer_that_has_ended_is_never_cut_and_its_usage_is_waited_for():
    usage = HEAD | {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 900}}
    watched = Watched([chunk("a")], [*words(900), chunk("", "stop")], [usage], most=100)
    assert finishes(await watched.read()) == ["stop"]
    assert watched.tally.usage().source == "provider"


@pytest.mark.parametrize("text", [" word", "\N{GRINNING FACE}", "中", "0123456789 ", '{"a": [1, 2]}\n'])
async def test_who_keeps_to_the_limit_as_we_count_is_never_cut_off(text: str):
    whole = Tally(5)
    pieces: list[Chunk] = [plain(text) for _ in range(400)]
    whole.see(pieces)
    watched = Watched([chunk("a")], *([piece] for piece in pieces), [chunk("", "stop")],
                      most=whole.usage().completion_tokens)  # fmt: skip
    assert finishes(await watched.read()) == ["stop"]


async def test_without_a_limit_nothing_is_counted_and_nothing_is_cut():
    watched = Watched([chunk("a")], *([each] for each in words(2_000)), [chunk("", "stop")])
    assert finishes(await watched.read()) == ["stop"]


async def test_thoughts_and_calls_count_as_output():
    thought = HEAD | {"choices": [{"index": 0, "delta": {"reasoning_content": " word" * 400}, "finish_reason": None}]}
    call = {"index": 0, "function": {"name": "f", "arguments": " word" * 400}}
    called = HEAD | {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]}
    for piece in (thought, called):
        watched = Watched([chunk("a")], [piece], [plain("never read")], most=100)
        assert finishes(await watched.read()) == ["length"]
        assert watched.tally.usage().completion_tokens >= 390
