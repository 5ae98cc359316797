"""Holds and settlements of one worker: admission is arithmetic on leases, one task does all transactions."""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Container
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from neuralrouting.accounts.purse import REFRESH_S, Part, Purses, promise
from neuralrouting.errors import Unavailable
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import RowError
from neuralrouting.storage.journal import Journal, Started
from neuralrouting.storage.turns import Settlement, Turn, credits_purse

FLUSH_S = 0.05
BATCH = 500
CAPACITY = 20_000
FRESH_S = 10.0
"""Leases are not spent for longer than this after the database answered last; they run out 30 s after."""
FIRST_RETRY_S = 0.05
LAST_RETRY_S = 1.0
WAIT_S = 5.0
"""How long a request waits for leases: a database that is silent, not gone, is given up on much later."""

_log = logging.getLogger("neuralrouting.accounts")


class Hold:
    """What a request may spend; it ends once, in `Bank.settle`."""

    __slots__ = ("is_open", "parts")

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self.parts = parts
        self.is_open = True


class _Waiter:
    """A request that waits for leases; `hold` is there once they cover it."""

    __slots__ = ("future", "hold", "parts")

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self.parts = parts
        self.hold: Hold | None = None
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class _Done(NamedTuple):
    """A settlement that is not in the tables yet: `spent` of leases, the end of its record in the journal."""

    settlement: Settlement
    spent: tuple[Part, ...]
    end: int
    came_s: float


class Bank:
    """One worker's leases, and the queue of what it has to settle.

    Everything but `hold` is done when it returns: no cancellation can come between a request's end and its record.
    A turn that failed is sent again as it was, since it may have been committed unanswered.
    """

    def __init__(
        self,
        books: Books,
        journal: Journal,
        *,
        flush_s: float = FLUSH_S,
        capacity: int = CAPACITY,
        wait_s: float = WAIT_S,
        fresh_s: float = FRESH_S,
    ) -> None:
        self.refused = 0
        self._books = books
        self._journal = journal
        self._flush_s = flush_s
        self._capacity = capacity
        self._wait_s = wait_s
        self._spend_for_s = fresh_s
        self._purses = Purses()
        self._waiting: list[_Waiter] = []
        self._awaited: set[str] = set()
        self._done: deque[_Done] = deque()
        self._accepted = 0
        self._pending: Turn | None = None
        self._number = self._applied = 0
        self._fresh_s = 0.0
        self._wake = asyncio.Event()
        self._moved = asyncio.Condition()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def start(self, machine: str) -> None:
        """Register and begin to settle. Raises Unavailable when the database is away."""
        self._fresh_s = time.monotonic()
        try:
            await self._books.register(self._journal.worker_id, machine)
        except BaseException:
            self._journal.close(remove=True)  # nothing is in it, and whoever tries again begins another
            raise
        self._task = asyncio.get_running_loop().create_task(self._run(), name="bank")

    async def close(self, *, timeout_s: float = 20.0) -> None:
        """Settle what waits and give all leases back; what the database does not take stays in the journal."""
        if self._task is None:
            return
        self._closing = True
        self._wake.set()
        await asyncio.wait([self._task], timeout=timeout_s)
        settled = self._task.done() and not self._done
        self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None
        self._refuse_all("this worker is about to end")
        try:
            if settled:
                await self._books.retire(self._journal.worker_id)
        except Unavailable:
            settled = False
        if not settled:
            _log.error("%d settlements stay in the journal until a gateway starts here again", len(self._done))
        self._journal.close(remove=settled)

    @property
    def full(self) -> bool:
        """Whether intake should wait for `room` before it lets more work in."""
        return len(self._done) >= self._capacity

    @property
    def waiting(self) -> int:
        """Settlements that are not in the tables yet."""
        return len(self._done)

    @property
    def lag_s(self) -> float:
        """Age of the oldest settlement that is not in the tables, in seconds; 0.0 when there is none."""
        return time.monotonic() - self._done[0].came_s if self._done else 0.0

    async def room(self) -> None:
        """Wait until there is room for more settlements."""
        await self._until(lambda: not self.full)

    async def flush(self) -> None:
        """Wait until everything that was settled before this call is in the tables."""
        target = self._accepted
        self._wake.set()
        await self._until(lambda: self._accepted - len(self._done) >= target)

    async def hold(self, parts: tuple[Part, ...], started: Started) -> Hold:
        """Set aside what a request may cost at most: all parts, each of another purse, or none.

        Raises Short when a purse does not cover its part, Unavailable when nobody can tell or nothing can be noted.
        Waits for the database only where the leases at hand do not cover the request.
        """
        now_s = time.monotonic()
        if not parts:
            hold = Hold(parts)
        elif self._is_at_hand(parts, now_s):
            hold = self._take(parts, now_s)
        elif (short := self._purses.known_short(parts, now_s)) is not None:
            raise short
        else:
            hold = await self._wait(parts)
        try:
            self._journal.start(started)
        except BaseException:
            self._release(hold)
            raise
        return hold

    def settle(self, hold: Hold | None, settlement: Settlement) -> None:
        """End a request and its hold, if it has one: what it spent, free of charge included, is written down for good.

        What it spent of purses that it holds nothing of is charged too.
        """
        spends = dict(settlement.spends)
        if settlement.metered:
            spends[credits_purse(settlement.row.account_id)] = settlement.row.charged_mc
        spent: tuple[Part, ...] = ()
        if hold is not None:
            spent = tuple((purse, spends.get(purse, 0)) for purse, _ in hold.parts)
            self._release(hold, spent)
        try:
            self._journal.settle(settlement)
        except Unavailable as error:  # still here, and soon in the tables
            _log.error("%s", error.message)
        self._done.append(_Done(settlement, spent, self._journal.end, time.monotonic()))
        self._accepted += 1
        if len(self._done) >= BATCH:
            self._wake.set()
        elif len(self._done) == 1:
            asyncio.get_running_loop().call_later(self._flush_s, self._wake.set)

    def _is_at_hand(self, parts: tuple[Part, ...], now_s: float) -> bool:
        """Whether leases cover this, nobody came before for the same, and the leases still stand."""
        awaited = self._awaited
        if awaited and any(name in awaited for name, _ in parts):
            return False
        return self._purses.cover(parts) and now_s - self._fresh_s < self._spend_for_s

    def _take(self, parts: tuple[Part, ...], now_s: float) -> Hold:
        self._purses.hold(parts, now_s)
        return Hold(parts)

    def _release(self, hold: Hold, spent: tuple[Part, ...] = ()) -> None:
        assert hold.is_open, "a hold ends once"  # noqa: S101  the invariant of this class
        hold.is_open = False
        self._purses.resolve(hold.parts, dict(spent))

    async def _wait(self, parts: tuple[Part, ...]) -> Hold:
        if self._closing:
            raise _nobody_can_tell("this worker is about to end")
        waiter = _Waiter(parts)
        self._waiting.append(waiter)
        self._awaited.update(name for name, _ in parts)
        self._wake.set()
        try:
            async with asyncio.timeout(self._wait_s):
                await waiter.future
        except BaseException as error:
            if waiter.hold is not None:  # it came in the moment in which the request was cancelled
                self._release(waiter.hold)
            waiter.future.cancel()  # nothing is given to who has left
            if isinstance(error, TimeoutError):
                raise _nobody_can_tell("the database does not answer") from None
            raise
        assert waiter.hold is not None  # noqa: S101
        return waiter.hold

    async def _until(self, reached: Callable[[], bool]) -> None:
        if reached():
            return
        async with self._moved:
            await self._moved.wait_for(reached)

    async def _run(self) -> None:
        delay_s = FIRST_RETRY_S
        while not (self._closing and not self._done):
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._turn()
            except Exception as error:  # noqa: BLE001  a settlement outlives whatever went wrong below
                reason = error.message if isinstance(error, Unavailable) else type(error).__name__
                _log.warning("%d settlements wait, trying again in %.2f s: %s", len(self._done), delay_s, reason)
                self._refuse_all("the database does not answer")
                await asyncio.sleep(delay_s * random.uniform(0.75, 1.0))  # noqa: S311  jitter
                delay_s = min(LAST_RETRY_S, 2 * delay_s)
                self._wake.set()
            else:
                delay_s = FIRST_RETRY_S

    def _next(self) -> Turn | None:
        """Put the next turn together; None when there is nothing to do."""
        taken = list(islice(self._done, BATCH))
        self._waiting = [waiter for waiter in self._waiting if not waiter.future.done()]
        wants, returns = self._purses.plan([waiter.parts for waiter in self._waiting], time.monotonic())
        if not (taken or wants or returns):
            return None
        return Turn(
            worker_id=self._journal.worker_id,
            number=self._number + 1,
            journal_end=taken[-1].end if taken else self._applied,
            settlements=tuple(done.settlement for done in taken),
            returns=returns,
            wants=wants,
        )

    async def _turn(self) -> None:
        turn = self._pending = self._pending or self._next()
        if turn is None:
            return
        asked_s = time.monotonic()
        try:
            result = await self._books.turn(turn)
        except RowError:  # a settlement that can never be written must not hold up all others
            result, refused = await self._books.turn_apart(turn)
            self.refused += len(refused)
        self._pending = None
        self._number, self._applied, self._fresh_s = turn.number, turn.journal_end, asked_s
        if result.lost_mc:
            _log.error("%d millicredits could not be charged: a lease had run out", result.lost_mc)
        settled = [part for _ in turn.settlements for part in self._done.popleft().spent]
        self._purses.learn(turn, settled, result, time.monotonic())
        self._serve(result.purses)
        self._journal.applied(self._applied)
        if self._waiting or len(self._done) >= BATCH:
            self._wake.set()
        elif self._done:
            asyncio.get_running_loop().call_later(self._flush_s, self._wake.set)
        async with self._moved:
            self._moved.notify_all()

    def _serve(self, told: Container[str]) -> None:
        """Give the waiting what the leases cover now, in the order in which they came, and refuse what none can.

        Only by news of this very turn (`told`): who came while it was under way, or after one that was never answered,
        waits for the next.
        """
        now_s, promised, still = time.monotonic(), dict[str, int](), list[_Waiter]()
        for waiter in self._waiting:
            if waiter.future.done():
                continue
            if promised.keys().isdisjoint(dict(waiter.parts)) and self._purses.cover(waiter.parts):
                waiter.hold = self._take(waiter.parts, now_s)
                waiter.future.set_result(None)
            elif not all(name in told for name, _ in waiter.parts):
                promise(waiter.parts, promised)
                still.append(waiter)
            elif (short := self._purses.missing(waiter.parts, promised)) is not None:
                waiter.future.set_exception(short)
            else:
                still.append(waiter)
        self._waiting, self._awaited = still, set(promised)

    def _refuse_all(self, why: str) -> None:
        """Fail closed: what the leases at hand do not cover is not let in while the database is away."""
        for waiter in self._waiting:
            if not waiter.future.done():
                waiter.future.set_exception(_nobody_can_tell(why))
        self._waiting, self._awaited = [], set()


def _nobody_can_tell(why: str) -> Unavailable:
    return Unavailable(
        f"credits and budgets cannot be checked: {why}; try again", code="ledger_unavailable", retry_after_s=2
    )
