"""A stream on its way to the client: every batch is tallied, and its end is told exactly once, whatever it is."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Self

from neuralrouting.errors import UpstreamError, UpstreamInterrupted
from neuralrouting.exchange import Chunk
from neuralrouting.providers.dispatcher import OpenedStream
from neuralrouting.providers.tally import Tally

log = logging.getLogger("neuralrouting.providers")


class Watch:
    """Hands the batches of an opened stream on.

    `ended` is called once, before anything else is awaited: with None after the provider's own end, else with what
    ended it. A provider that goes on past what it was allowed is cut off, and the client is told that the answer is
    as long as it may be. An iterator, not a generator: closing it ends it also when nothing was read from it.
    """

    __slots__ = ("_ended", "_first", "_is_over", "_opened", "_tally")

    def __init__(self, opened: OpenedStream, tally: Tally, ended: Callable[[BaseException | None], None]) -> None:
        tally.see(opened.first)  # made, so paid, read or not
        self._opened = opened
        self._tally = tally
        self._ended = ended
        self._first: Sequence[Chunk] | None = opened.first
        self._is_over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[Chunk]:
        """Return the next batch; raises UpstreamInterrupted where the provider broke off."""
        if self._first is not None:
            batch, self._first = self._first, None
            return await self._cut(batch) if self._tally.overrun() else batch
        if self._is_over:
            raise StopAsyncIteration
        try:
            batch = await anext(self._opened.rest)
        except StopAsyncIteration:
            await self._close(None)
            raise
        except UpstreamError as error:
            await self._close(error)
            raise UpstreamInterrupted(f"the stream broke: {error.message}") from error
        except BaseException as error:
            await self._close(error)
            raise
        self._tally.see(batch)
        return await self._cut(batch) if self._tally.overrun() else batch

    async def _cut(self, batch: Sequence[Chunk]) -> Sequence[Chunk]:
        """End a stream that is too long: what came of it is passed on, nothing more is waited for."""
        log.warning("%s goes on past its max_tokens: its stream was cut off", self._opened.deployment.id)
        last = self._tally.cut()
        await self._close(None)
        return [*batch, last]

    async def aclose(self) -> None:
        """End the stream where it stands: its client is gone. Does nothing when it has ended."""
        await self._close(asyncio.CancelledError())

    async def _close(self, failure: BaseException | None) -> None:
        if self._is_over:
            return
        self._is_over, self._first = True, None
        try:
            self._ended(failure)
        finally:
            await self._opened.rest.aclose()
