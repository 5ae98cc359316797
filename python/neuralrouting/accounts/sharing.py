"""Limits that machines share over one PostgreSQL: who else is there, and units to let requests in by.

While a machine is alone it counts by itself, and no request comes here. Once another is there each request needs a
unit; one task fetches them for all who wait.
"""

import asyncio
import logging
import time
from itertools import islice
from typing import Final

from neuralrouting.accounts.shares import Apart, Shelf, Spent, Unit, part_of
from neuralrouting.background import Background
from neuralrouting.engine import Limits
from neuralrouting.errors import Unavailable
from neuralrouting.storage.rates import RateRows

BEAT_S: Final = 1.0
"""How often a worker is seen and looks who else is: a newcomer's first limited requests wait for it."""
PURGE_S: Final = 60.0
ANSWER_S: Final = 1.0
"""A grant that takes longer is none: this worker goes by its part until a beat succeeds."""
CLOSED_S: Final = 0.1
"""How soon to ask again while another machine still counts alone."""
PATIENCE_S: Final = 5.0
"""How long a request waits for that."""
SUBJECTS: Final = 100
"""At most so many subjects in one transaction."""
TRIES: Final = 3

_log = logging.getLogger("neuralrouting.accounts")


class Sharing:
    """One worker's units and its knowledge of the others. Every name is a subject as `Limits` knows it."""

    def __init__(self, rows: RateRows, limits: Limits, machine: str, *, beat_s: float = BEAT_S) -> None:
        self.alone = False
        """While true, this machine's own count is all there is to ask."""
        self.machines: tuple[str, ...] = (machine,)
        self._rows = rows
        self._limits = limits
        self._machine = machine
        self._beat_s = beat_s
        self._claimed = False
        self._apart = False
        self._shelves: dict[str, Shelf] = {}
        self._awaited: dict[str, Shelf] = {}
        self._owed: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._purge_s = 0.0
        self._background = Background()

    async def start(self) -> None:
        """See who else is there and begin to follow it. Raises Unavailable when the database is away."""
        await self._beat()
        self._background.start(beat=self._follow(), units=self._fetch())

    async def close(self) -> None:
        """Tell the others what was let in and give back what is at hand; nothing may enter after."""
        await self._background.close()
        self.alone = False
        self._turn_away()
        try:
            if self._claimed:
                await self._join()
            await self._settle(float("inf"))
        except Unavailable as error:
            _log.warning("other machines are not told what this one has let in: %s", error.message)

    async def bury(self, worker_id: str) -> None:
        """Tell the others what this machine let in while a worker of it, which is dead now, counted alone."""
        if await self._rows.is_alone(worker_id):
            await self._rows.join(await asyncio.to_thread(self._limits.tally), worker_id)

    async def take(self, asked: tuple[tuple[str, int], ...]) -> list[tuple[str, Unit]]:
        """Take a unit of each (name, limit), good at the moment of return; `put_back` those that let nobody in.

        Raises Spent, Unavailable while nobody can be let in, and Apart when it needs none (any more): look again.
        """
        for _ in range(TRIES):
            units: list[tuple[str, Unit]] = []
            try:
                for name, limit in asked:
                    units.append((name, await self._take(name, limit)))
            except BaseException:
                self.put_back(units)
                raise
            now_s = time.monotonic()
            if all(now_s < unit.until_s for _, unit in units):
                return units
            self.put_back(units)
        raise unknown()

    def put_back(self, units: list[tuple[str, Unit]]) -> None:
        """Bring back what let nobody in."""
        for name, unit in units:
            if (shelf := self._shelves.get(name)) is not None:
                shelf.put_back(unit)

    def owe(self, name: str) -> None:
        """Note a request that was let in without a unit: the others are told later."""
        key = self._shelf(name).key
        self._owed[key] = self._owed.get(key, 0) + 1

    @property
    def is_apart(self) -> bool:
        """Whether the database does not answer, so that each machine goes by its part."""
        return self._apart

    def part(self, limit: int) -> int:
        """Return this machine's part of a limit."""
        return part_of(limit, self._machine, self.machines)

    def room(self, name: str) -> tuple[int, float]:
        """Return what is left of a subject's limit for all machines, and for how long nothing is, in seconds."""
        return self._shelf(name).room(time.monotonic())

    def _shelf(self, name: str) -> Shelf:
        shelf = self._shelves.get(name)
        if shelf is None:
            shelf = self._shelves[name] = Shelf(name)
        return shelf

    async def _take(self, name: str, limit: int) -> Unit:
        if self._apart or self.alone:
            raise Apart
        shelf, now_s = self._shelf(name), time.monotonic()
        if not shelf.waiting:
            if (unit := shelf.take(now_s)) is not None:
                return unit
            if (retry_s := shelf.refused_s(now_s)) is not None:
                raise Spent(name, limit, retry_s)
        waiter: asyncio.Future[Unit] = asyncio.get_running_loop().create_future()
        shelf.wait(limit, waiter)
        self._awaited[name] = shelf
        self._wake.set()
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                shelf.put_back(waiter.result())  # it came in the moment in which the request was cancelled
            if isinstance(error, TimeoutError):
                raise unknown() from None
            raise

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            try:
                await self._beat()
            except Unavailable as error:
                self._go_apart(error.message)
            except Exception:  # noqa: BLE001  the next beat may find things otherwise
                _log.exception("the state of shared limits is unknown")
                self._go_apart("see above")

    async def _beat(self) -> None:
        now_s = time.monotonic()
        self.machines = await self._settle(now_s)
        if len(self.machines) > 1:
            # From here on nobody enters by this machine's count alone: what it has let in stands still to be told.
            self.alone = False
            if self._claimed:
                await self._join()
                _log.info("limits are shared with other machines now: %s", ", ".join(self.machines))
        elif not self.alone:
            self._claimed = True  # it may be, unanswered
            self._claimed = self.alone = await self._rows.claim()
            if self.alone:
                self._turn_away()
        if self._apart:
            _log.warning("the database answers again; limits are counted together with other machines")
            self._apart = False
        if now_s >= self._purge_s:
            self._purge_s = now_s + PURGE_S
            await self._rows.purge()

    async def _join(self) -> None:
        past = await asyncio.to_thread(self._limits.tally)
        await self._rows.join(past)
        self._claimed = False

    async def _settle(self, now_s: float) -> tuple[str, ...]:
        """Give back what is over, tell what is owed, forget what is bare; return the machines that are there.

        What was given back unanswered is not given back again. What was told unanswered is told again: rather twice.
        """
        unused = [one for shelf in self._shelves.values() if (one := shelf.surrender(now_s)) is not None]
        owed, self._owed = self._owed, {}
        try:
            machines = await self._rows.beat(unused, tuple(owed.items()))
        except BaseException:
            for key, count in owed.items():
                self._owed[key] = self._owed.get(key, 0) + count
            raise
        self._shelves = {name: shelf for name, shelf in self._shelves.items() if not shelf.is_bare(now_s)}
        return machines

    async def _fetch(self) -> None:
        """Fetch units for all who wait, in one transaction at a time."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while wanted := self._wanted():
                try:
                    async with asyncio.timeout(ANSWER_S):
                        is_open = await self._lease(wanted)
                except (Unavailable, TimeoutError) as error:
                    self._go_apart(error.message if isinstance(error, Unavailable) else "no answer in time")
                except Exception:  # noqa: BLE001  those who wait must hear of it
                    _log.exception("no units can be fetched")
                    self._go_apart("see above")
                else:
                    if not is_open:
                        await asyncio.sleep(CLOSED_S)

    def _wanted(self) -> list[Shelf]:
        """Return those that somebody waits for, longest first."""
        self._awaited = {name: shelf for name, shelf in self._awaited.items() if shelf.want() is not None}
        return list(islice(self._awaited.values(), SUBJECTS))

    async def _lease(self, shelves: list[Shelf]) -> bool:
        asked_s = time.monotonic()
        wants = [want for shelf in shelves if (want := shelf.want()) is not None]
        unused = [one for shelf in shelves if (one := shelf.surrender(asked_s)) is not None]
        grants = await self._rows.lease(wants, unused, len(self.machines))
        if grants is None:
            return False
        now_s = time.monotonic()
        for shelf in shelves:
            shelf.learn(grants[shelf.key], asked_s, now_s)
        return True

    def _go_apart(self, reason: str) -> None:
        if self.alone:
            return
        if not self._apart:
            _log.warning("this machine lets in its part of each limit, one of %d: %s", len(self.machines), reason)
        self._apart = True
        self._turn_away()

    def _turn_away(self) -> None:
        for shelf in self._shelves.values():
            shelf.turn_away()


def unknown() -> Unavailable:
    """What a request is told that nobody can judge just now."""
    return Unavailable(
        "limits cannot be checked: another machine has not told what it has let in, or the database does not answer",
        code="limits_unavailable",
        retry_after_s=2,
    )
