"""Who looks at requests as they are written: one question to the database for all who ask the same, however many."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from neuralrouting.background import Background, Complaints
from neuralrouting.errors import NeuralRoutingError, Unavailable
from neuralrouting.storage.audit import AuditQuery
from neuralrouting.storage.database import Database
from neuralrouting.storage.requests import RequestRow
from neuralrouting.storage.tail import RequestTail, Written

POLL_S: Final = 0.5
"""How often the database is asked, while anybody looks; a request is told within two of these and the query."""
BEAT_S: Final = 5.0
"""How often a tail says that it lives, and how soon it ends after its session."""
MOST_TAILS: Final = 20
"""Tails that a worker serves at once."""
MOST_BEHIND: Final = 20_000
"""Places that a tail may be behind and still miss nothing; further back it is told that it has missed some."""
KEPT: Final = 1_000
"""Requests that are kept for tails that are slower than others, and written at once."""

Write = Callable[[RequestRow], bytes]
"""Makes the data of an event: one line of JSON."""
May = Callable[[], Awaitable[bool]]
_Ends = tuple[asyncio.Future[Any], ...]
_log = logging.getLogger("neuralrouting.dashboard")


class Wanted(msgspec.Struct, frozen=True):
    """What a tail is to tell: requests that fit, behind a place, or from now on where none is told.

    Tails with one question and one `form` are written once; `write` makes the data of an event.
    """

    query: AuditQuery
    form: str
    write: Write
    after: int | None = None


class Client(Protocol):
    """Who looks."""

    async def gone(self) -> None:
        """Return when the client has left."""
        ...

    async def may(self) -> bool:
        """Say whether the client still may look."""
        ...


class Channel:
    """What all tails with one question see: the newest events, and up to which place they are all there."""

    def __init__(self, query: AuditQuery, write: Write, at: int) -> None:
        self.query: Final = query
        self.tails = 0
        self.since = self.reached = at
        self.moved = asyncio.Event()
        self._write = write
        self._events: deque[tuple[int, bytes]] = deque()

    def add(self, written: Sequence[Written], reached: int) -> None:
        """Take what comes next, and wake who waits."""
        for one in written:
            self._events.append((one.seq, self.event(one)))
            if len(self._events) > KEPT:
                self.since = self._events.popleft()[0]
        self.reached = max(self.reached, reached)
        if written:
            self.moved.set()
            self.moved = asyncio.Event()

    def event(self, one: Written) -> bytes:
        """Write one event."""
        return b"id: %d\nevent: request\ndata: %b\n\n" % (one.seq, self._write(one.row))

    def behind(self, at: int) -> list[bytes]:
        """Return the events behind a place, oldest first; all of them, where that is not before `since`."""
        found: list[bytes] = []
        for seq, event in reversed(self._events):
            if seq <= at:
                break
            found.append(event)
        found.reverse()
        return found


class Live:
    """The tails of one worker. While there are none, nothing is asked."""

    def __init__(self, database: Database, *, poll_s: float = POLL_S, beat_s: float = BEAT_S) -> None:
        self._tail = RequestTail(database)
        self._poll_s = poll_s
        self._beat_s = beat_s
        self._channels: dict[tuple[AuditQuery, str], Channel] = {}
        self._tails = 0
        self._background: Background | None = None
        self._closed = asyncio.Event()
        self._complaints = Complaints(_log)

    async def now(self) -> int:
        """Return the place behind which whatever comes from now on will be."""
        return await self._tail.now()

    def end(self) -> None:
        """Have every tail end, soon."""
        self._closed.set()

    async def close(self) -> None:
        """End every tail, and ask no more."""
        self.end()
        if self._background is not None:
            background, self._background = self._background, None
            await background.close()

    def check(self) -> None:
        """Raise Unavailable where this worker has no place for another tail."""
        if self._closed.is_set():
            raise Unavailable("this worker is about to stop; try again", code="overloaded", retry_after_s=1)
        if self._tails >= MOST_TAILS:
            raise Unavailable(
                f"this worker serves {MOST_TAILS} live tails already; close one, or try again in a moment",
                code="overloaded", retry_after_s=10,
            )  # fmt: skip

    async def follow(self, wanted: Wanted, client: Client) -> AsyncGenerator[bytes, None]:
        """Yield server-sent events of what is wanted, as it is written, until the client, its right or we are gone."""
        self._tails += 1
        gone = asyncio.ensure_future(client.gone())
        over = asyncio.ensure_future(self._closed.wait())
        channel: Channel | None = None
        try:
            now = await self._tail.now()
            start, missed = _start(wanted.after, now)
            yield b"retry: 2000\n: requests as they are written\n\n"
            if missed:
                yield b"event: missed\ndata: {}\n\n"
            channel = self._join(wanted, now)
            async for events in self._events(channel, start, client.may, (gone, over)):
                yield events
        except NeuralRoutingError as error:  # the client tries again by itself
            _log.info("a live tail ends: %s", error.message)
        finally:
            gone.cancel()
            over.cancel()
            self._leave(channel)

    async def _events(self, channel: Channel, at: int, may: May, ends: _Ends) -> AsyncGenerator[bytes, None]:
        clock = asyncio.get_running_loop().time
        beat_s = clock() + self._beat_s
        while not any(end.done() for end in ends):
            moved = channel.moved
            if at < channel.since:
                onward = await self._tail.onward(channel.query, at, channel.since, KEPT)
                events, at = [channel.event(one) for one in onward.written], onward.reached
            else:
                events, at = channel.behind(at), max(at, channel.reached)
            if events:
                yield b"".join(events)
            if clock() >= beat_s:
                if not await may():
                    return
                # A place without an event: who comes again has not missed what did not fit.
                yield b": still here\nid: %d\n\n" % at
                beat_s = clock() + self._beat_s
            if at >= channel.reached:
                await _until(moved, ends, beat_s - clock())

    def _join(self, wanted: Wanted, now: int) -> Channel:
        key = (wanted.query, wanted.form)
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = Channel(wanted.query, wanted.write, now)
        channel.tails += 1
        if self._background is None:
            self._background = Background()
            self._background.start(tails=self._poll())
        return channel

    def _leave(self, channel: Channel | None) -> None:
        self._tails -= 1
        if channel is None:
            return
        channel.tails -= 1
        if not channel.tails:
            self._channels = {key: one for key, one in self._channels.items() if one is not channel}

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self._look()
            except Unavailable as error:
                self._complaints.say("database", f"live tails wait: {error.message}")
            else:
                self._complaints.settle("database")
            if not self._channels:
                self._background = None
                return

    async def _look(self) -> None:
        settled = await self._tail.settled()
        for channel in list(self._channels.values()):
            while channel.reached < settled and channel.tails:
                onward = await self._tail.onward(channel.query, channel.reached, settled, KEPT)
                channel.add(onward.written, onward.reached)


def _start(after: int | None, now: int) -> tuple[int, bool]:
    """Return where a tail goes on that was at a place, and whether it has missed something there."""
    if after is None:
        return now, False
    if after > now:  # of another database, or of one that was put back
        return now, True
    return max(after, now - MOST_BEHIND), now - after > MOST_BEHIND


async def _until(moved: asyncio.Event, ends: _Ends, most_s: float) -> None:
    """Wait until something has moved or ended, or for so long."""
    waiter = asyncio.ensure_future(moved.wait())
    try:
        await asyncio.wait((waiter, *ends), timeout=max(0.0, most_s), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
