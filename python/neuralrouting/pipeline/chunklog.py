"""What a streamed answer has said so far, for those who asked the same while it came."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Self

import orjson

from neuralrouting.catalog import Deployment
from neuralrouting.errors import UpstreamInterrupted
from neuralrouting.exchange import Batches, Chunk, PlainChunk, Usage
from neuralrouting.providers.tally import Tally

LOG_BYTES = 1_048_576
"""A log that is longer takes no new followers. A chunk of one token has about 250 bytes: this is some 4,000 tokens,
more than most answers have. 256 requests in flight (`server.max_in_flight`) keep 256 MiB at the very most."""


class ChunkLog:
    """The batches of one stream, from its first on: one writes, many follow, each at its own pace.

    Batches are a chain of which everyone holds the link it has read up to. The log holds the first as long as somebody
    may still begin there, so that beyond `LOG_BYTES` only what a present follower has not read yet is in memory.
    `parted` is called whenever a follower has left, or needs the writer no more.
    """

    __slots__ = (
        "_bytes", "_head", "_more", "_parted", "_tail", "_tally", "_usage", "deployment", "followers", "over", "whole",
    )  # fmt: skip

    def __init__(self, deployment: Deployment, tally: Tally, parted: Callable[[], None]) -> None:
        self.deployment = deployment
        self.followers = 0
        self.over = False
        self.whole = False
        """Whether it came to the provider's own end; set before it is `over`."""
        self._tally = tally
        self._usage: Usage | None = None
        self._parted = parted
        self._bytes = 0
        self._tail = _Link(())
        self._head: _Link | None = self._tail
        self._more: list[asyncio.Future[None]] = []

    @property
    def usage(self) -> Usage:
        """What the answer has used: as it was billed, before that as far as it has come."""
        return self._usage or self._tally.usage()

    @property
    def body(self) -> bytes:
        """The whole answer as JSON, as far as it has come."""
        return self._tally.completion_bytes()

    def add(self, batch: Sequence[Chunk]) -> None:
        """Append what came. Nobody may change these chunks any more."""
        link = _Link(batch)
        self._tail.next = self._tail = link
        if self._head is not None:
            for chunk in batch:
                self._bytes += len(chunk.body) if isinstance(chunk, PlainChunk) else len(orjson.dumps(chunk))
            if self._bytes > LOG_BYTES:
                self._head = None
        if self._more:
            self._wake()

    def bill(self, usage: Usage) -> None:
        """Say that the provider came to its end, and what was used."""
        self._usage, self.whole = usage, True

    def end(self, *, torn: bool = False) -> None:
        """Say that nothing more is added. `torn`: the writer was stopped, which may have cost the last batch."""
        if self.over:
            return
        if torn and not self._tally.plain:  # only a stream that we cut off still has a batch to come after its bill
            self.whole = False
        self.over, self._head = True, None
        self._wake()
        self._parted()
        self._parted = _nobody_asks

    def follow(self) -> "Follower | None":
        """Read from the first batch on; None where that is not kept any more. Ends with `aclose` or `leave`."""
        return None if self._head is None else Follower(self, self._head)

    async def more(self) -> None:
        """Wait until something was added or the log is over."""
        future = asyncio.get_running_loop().create_future()
        self._more.append(future)
        await future

    def leave(self) -> None:
        """Count one follower less."""
        self.followers -= 1
        self._parted()

    def _wake(self) -> None:
        waiting, self._more = self._more, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


class Logged:
    """A stream on its way to the client that asked for it, every batch of which goes into a log; its end ends the log.

    `began` is called once the first batch is in it.
    """

    __slots__ = ("_batches", "_began", "_log")

    def __init__(self, batches: Batches, log: ChunkLog, began: Callable[[], None]) -> None:
        self._batches = batches
        self._log = log
        self._began: Callable[[], None] | None = began

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[Chunk]:
        """Return the next batch; raises what the stream raises."""
        try:
            batch = await anext(self._batches)
        except BaseException as error:
            self._log.end(torn=not isinstance(error, StopAsyncIteration))
            raise
        self._log.add(batch)
        if self._began is not None:
            began, self._began = self._began, None
            began()
        return batch

    async def aclose(self) -> None:
        """End the stream where it stands, and the log."""
        try:
            await self._batches.aclose()
        finally:
            self._log.end(torn=True)


class Follower:
    """Another request's stream, read along from its first batch on.

    `ended` is called once: with None after the end, else with what ended it. `stall_s` bounds the wait for a batch.
    """

    __slots__ = ("_at", "_left", "ended", "log", "stall_s")

    def __init__(self, log: ChunkLog, head: "_Link") -> None:
        log.followers += 1
        self.log = log
        self.ended: Callable[[BaseException | None], None] | None = None
        self.stall_s: float | None = None
        self._at = head
        self._left = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[Chunk]:
        """Return everything that has come since; raises UpstreamInterrupted where the other request's stream broke."""
        if self._left:
            raise StopAsyncIteration
        if self._at.next is None and not self.log.over:
            await self._news()
        if self._at.next is not None:
            return self._read()
        if not self.log.whole:
            raise self._broken("broke off")
        self._end(None)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Leave where it stands; does nothing after the end."""
        self._end(asyncio.CancelledError())

    def leave(self) -> None:
        """Leave without a word: nothing was read."""
        if not self._left:
            self._left = True
            self.log.leave()

    async def _news(self) -> None:
        try:
            async with asyncio.timeout(self.stall_s):
                while self._at.next is None and not self.log.over:
                    await self.log.more()
        except TimeoutError:
            raise self._broken("stands still") from None
        except BaseException as error:
            self._end(error)
            raise

    def _read(self) -> Sequence[Chunk]:
        batches: list[Chunk] = []
        while self._at.next is not None:
            self._at = self._at.next
            batches += self._at.batch
        return batches

    def _broken(self, how: str) -> UpstreamInterrupted:
        error = UpstreamInterrupted(f"the stream {how}; it was shared with an equal request; send this one again")
        self._end(error)
        return error

    def _end(self, failure: BaseException | None) -> None:
        if self._left:
            return
        self.leave()
        if self.ended is not None:
            self.ended(failure)


def _nobody_asks() -> None:
    """What is written down needs no writer any more, whoever reads it."""


class _Link:
    """One batch and the one after it."""

    __slots__ = ("batch", "next")

    def __init__(self, batch: Sequence[Chunk]) -> None:
        self.batch = batch
        self.next: _Link | None = None
