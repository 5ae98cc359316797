"""Single flight: equal requests that are under way at once ask a model once.

The first of them leads: it runs as if it were alone. Who comes while it runs waits for its answer, or follows its
stream; holds no credits, calls nobody, and is answered as from the cache. Equal means the same exact key, which has the
tenant in it, in the same worker.

- The leader fails: its error is its own. The oldest waiter leads then, the others wait for that one.
- Its answer may not be stored: it is nobody else's. Who waits goes on alone at once, beside the others.
- Its client leaves: it goes on as long as somebody waits or follows (`unshared`), without anybody only it ends.
"""

import asyncio

from neuralrouting.catalog import Deployment
from neuralrouting.exchange import Batches, CacheEntry, Usage
from neuralrouting.pipeline.chunklog import ChunkLog, Follower, Logged
from neuralrouting.providers.tally import Tally

SHARERS = 256
"""Requests that may share one answer; who comes after them goes alone. As many as may be in flight in a worker unless
`server.max_in_flight` says otherwise. All are woken at once, at 4 us each; each then costs what a cache hit costs."""
HANDOVERS = 2
"""Failed leaders after the first that a request sits through: three failures of equal requests say more about the
request or the provider than about luck, and a queue would make the last one wait for all the time-outs before it."""


class Flights:
    """Who leads and who waits, by key: one per worker.

    `patience_s` bounds the time that one request waits for others in all, and for each batch of a stream it follows.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._flights: dict[bytes, _Flight] = {}

    def __len__(self) -> int:
        """Number of keys under way."""
        return len(self._flights)

    def lead(self, key: bytes, request_id: str) -> "Seat | None":
        """Take the seat of who asks a model, to be ended with `land` or `fail`; None where somebody has it."""
        if key in self._flights:
            return None
        flight = self._flights[key] = _Flight(key, request_id)
        return Seat(self._flights, flight)

    async def join(self, key: bytes, request_id: str, *, stream: bool) -> "CacheEntry | Follower | Seat | None":
        """Return what the request under way comes to: its answer, or its stream where `stream` may follow one.

        Else a seat, where this request is to ask a model on behalf of who waits, or None, where it is on its own. For
        a key that nobody is under way with, None. A Follower and a Seat must be ended.
        """
        flight = self._flights.get(key)
        if flight is None or flight.apart or flight.sharers >= SHARERS:
            return None
        if stream and flight.log is not None:
            return self._patient(flight.log.follow())
        waiter = _Waiter(request_id, stream=stream)
        flight.waiting[waiter] = None
        try:
            await asyncio.wait([waiter.told], timeout=self._patience_s)
        except BaseException:  # its client left
            flight.drop(waiter)
            raise
        if not waiter.told.done():
            flight.drop(waiter)
            return None
        found = waiter.told.result()
        return self._patient(found) if isinstance(found, Follower) else found

    async def unshared(self, key: bytes, request_id: str) -> None:
        """Wait until nobody needs what this request leads, and let nobody join it from then on: it is to be stopped.

        Returns at once where it leads nothing.
        """
        flight = self._flights.get(key)
        while flight is not None and flight.leader == request_id and flight.sharers:
            await flight.fewer()
        if flight is not None and flight.leader == request_id and not flight.apart:
            flight.forget(self._flights)

    def _patient(self, follower: Follower | None) -> Follower | None:
        if follower is not None:
            follower.stall_s = self._patience_s
        return follower


class Seat:
    """The place of a request that asks a model and whose answer may be shared. It ends once, with `land` or `fail`.

    `apart`: an answer for this key was not to be shared; while any of those that waited for it runs, nobody waits.
    """

    __slots__ = ("_flight", "_flights", "_over", "apart", "log")

    def __init__(self, flights: "dict[bytes, _Flight]", flight: "_Flight", *, apart: bool = False) -> None:
        self._flights = flights
        self._flight = flight
        self._over = False
        self.apart = apart
        self.log: ChunkLog | None = None

    def logged(self, batches: Batches, served: Deployment, tally: Tally) -> Batches:
        """Return the stream for the leader's client; others may follow from its first batch on."""
        if self.apart:
            return batches
        self.log = ChunkLog(served, tally, self._flight.changed)
        return Logged(batches, self.log, self._began)

    def bill(self, usage: Usage) -> None:
        """Tell those who follow a stream that it came to its end, and what it has used."""
        if self.log is not None:
            self.log.bill(usage)

    def land(self, entry: CacheEntry | None) -> None:
        """Answer everybody who waits; None: the answer is not to be shared."""
        if self._over or self.apart:
            self.fail()
            return
        self._over = True
        flight = self._flight
        waiting = [*flight.waiting]
        flight.apart = len(waiting) if entry is None else 0
        for waiter in waiting:
            flight.tell(waiter, Seat(self._flights, flight, apart=True) if entry is None else entry)
        if not flight.apart:
            self._forget()

    def fail(self) -> None:
        """Give the seat to who has waited longest; who sat through `HANDOVERS` before goes on alone."""
        if self._over:
            return
        self._over = True
        flight = self._flight
        if self.apart:
            flight.apart -= 1
            if not flight.apart:
                self._forget()
            return
        flight.log = None
        if not flight.waiting:
            self._forget()
            return
        heir, *others = flight.waiting
        flight.leader = heir.request_id
        flight.tell(heir, Seat(self._flights, flight))
        for waiter in others:
            waiter.handovers += 1
            if waiter.handovers > HANDOVERS:
                flight.tell(waiter, None)

    def _began(self) -> None:
        """Let others follow: not before the first batch, so that nobody who does is left without one."""
        flight, log = self._flight, self.log
        if self._over or log is None:
            return
        flight.log = log
        for waiter in [waiter for waiter in flight.waiting if waiter.stream]:
            flight.tell(waiter, log.follow())

    def _forget(self) -> None:
        self._flight.forget(self._flights)
        self._flight.changed()


class _Waiter:
    """A request that waits for another one's answer."""

    __slots__ = ("handovers", "request_id", "stream", "told")

    def __init__(self, request_id: str, *, stream: bool) -> None:
        self.request_id = request_id
        self.stream = stream
        self.handovers = 0
        self.told: asyncio.Future[CacheEntry | Follower | Seat | None] = asyncio.get_running_loop().create_future()


class _Flight:
    """One key under way: `leader` asks, `waiting` are those that have no answer yet, the oldest first."""

    __slots__ = ("_watching", "apart", "key", "leader", "log", "waiting")

    def __init__(self, key: bytes, leader: str) -> None:
        self.key = key
        self.leader = leader
        self.waiting: dict[_Waiter, None] = {}
        self.log: ChunkLog | None = None
        self.apart = 0
        self._watching: tuple[asyncio.Future[None], ...] = ()

    @property
    def sharers(self) -> int:
        """Who would be left without an answer if the leader went."""
        log = self.log
        return len(self.waiting) + (log.followers if log is not None and not log.over else 0)

    def tell(self, waiter: _Waiter, found: "CacheEntry | Follower | Seat | None") -> None:
        """End a wait."""
        del self.waiting[waiter]
        waiter.told.set_result(found)

    def drop(self, waiter: _Waiter) -> None:
        """Take back what a request was told that does not live to hear it."""
        if waiter in self.waiting:
            del self.waiting[waiter]
            self.changed()
            return
        found = waiter.told.result()
        if isinstance(found, Seat):
            found.fail()
        elif isinstance(found, Follower):
            found.leave()

    def forget(self, flights: "dict[bytes, _Flight]") -> None:
        """Let the next request of this key lead; does nothing where one does already."""
        if flights.get(self.key) is self:
            del flights[self.key]

    async def fewer(self) -> None:
        """Wait until it may be that fewer share this flight."""
        future = asyncio.get_running_loop().create_future()
        self._watching = (*self._watching, future)
        await future

    def changed(self) -> None:
        """Wake who waits for fewer to share this flight."""
        watching, self._watching = self._watching, ()
        for future in watching:
            if not future.done():
                future.set_result(None)
