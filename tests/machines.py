"""Machines that share one PostgreSQL, all in this process: each with a folder of limits and workers of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from neuralrouting.accounts.rates import Entry, Rates
from neuralrouting.accounts.sharing import Sharing
from neuralrouting.engine import Limits
from neuralrouting.errors import RateLimited
from neuralrouting.exchange import Caller, Plan
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import Batch, Database, Row, Script, open_database
from neuralrouting.storage.rates import RateRows

BEAT_S = 0.05
_Result = TypeVar("_Result")


class CountedDatabase:
    """A database that counts what it is asked."""

    def __init__(self, inner: Database) -> None:
        self.calls = 0
        self.after: Callable[[], object] | None = None
        """Called once, when the next transaction is answered."""
        self._inner = inner
        self.dialect = inner.dialect

    async def execute(self, sql: str, *args: object) -> int:
        self.calls += 1
        return await self._inner.execute(sql, *args)

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        self.calls += 1
        return await self._inner.fetch(sql, *args)

    async def write(self, batches: Sequence[Batch]) -> None:
        self.calls += 1
        await self._inner.write(batches)

    async def transact(self, script: Callable[[], Script[_Result]], *, durable: bool = False) -> _Result:
        self.calls += 1
        result = await self._inner.transact(script, durable=durable)
        after, self.after = self.after, None
        if after is not None:
            after()
        return result

    async def snapshot(self, script: Callable[[], Script[_Result]]) -> _Result:
        self.calls += 1
        return await self._inner.snapshot(script)

    async def close(self) -> None:
        await self._inner.close()


@dataclass
class Worker:
    """One worker of a machine."""

    id: str
    machine: str
    database: CountedDatabase
    sharing: Sharing
    rates: Rates
    entries: list[Entry] = field(default_factory=list)

    async def start(self) -> None:
        await Books(self.database).register(self.id, self.machine)
        await self.sharing.start()

    async def stop(self) -> None:
        """As a worker ends in order."""
        await self.sharing.close()
        await Books(self.database).retire(self.id)

    async def die(self) -> None:
        """As by `kill -9`: it says nothing more."""
        await self.database.close()
        with contextlib.suppress(Exception):
            await self.sharing.close()

    async def admits(self, requests: int, plan: Plan, caller: Caller) -> int:
        """So many requests at the same time: how many were let in."""
        return sum(await asyncio.gather(*(self.admitted(plan, caller) for _ in range(requests))))

    async def admitted(self, plan: Plan, caller: Caller) -> bool:
        try:
            self.entries.append(await self.rates.enter(caller, plan))
        except RateLimited:
            return False
        return True


class Floor:
    """Where the machines stand."""

    def __init__(self, url: str, root: Path) -> None:
        self.url = url
        self.root = root
        self.workers: list[Worker] = []

    async def worker(self, machine: str, *, beat_s: float = BEAT_S, started: bool = True) -> Worker:
        """A new worker of this machine."""
        database = CountedDatabase(await open_database(self.url, self.root))
        worker_id = f"w{len(self.workers)}"
        limits = Limits(str(self.root / machine))
        sharing = Sharing(RateRows(database, worker_id, machine), limits, machine, beat_s=beat_s)
        worker = Worker(worker_id, machine, database, sharing, Rates(limits, sharing))
        self.workers.append(worker)
        if started:
            await worker.start()
        return worker

    async def together(self, *machines: str) -> list[Worker]:
        """A worker of each of these machines, all of which know of each other."""
        workers = [await self.worker(machine) for machine in machines]
        await until(lambda: all(set(worker.sharing.machines) == set(machines) for worker in workers))
        return workers

    async def age(self, ms: int) -> None:
        """Let time go by for what was granted and who was seen."""
        database = self.workers[-1].database
        await database.execute("UPDATE rate_slices SET granted_ms = granted_ms - $1", ms)
        await database.execute("UPDATE workers SET seen_ms = seen_ms - $1", ms)

    async def units(self) -> int:
        """All units that are written down."""
        database = self.workers[-1].database
        [(units,)] = await database.fetch("SELECT CAST(COALESCE(SUM(units), 0) AS BIGINT) FROM rate_slices")
        return units


@contextlib.asynccontextmanager
async def opened_floor(url: str, root: Path) -> AsyncIterator[Floor]:
    floor = Floor(url, root)
    try:
        yield floor
    finally:
        for worker in floor.workers:
            await worker.die()


def limited(requests: int | None, *, parallel: int | None = None, tokens: int | None = None) -> Plan:
    """A plan with these limits."""
    return Plan("p", "P", 0, None, requests, tokens, parallel, ("auto",), force_model=False)


def caller(account: str = "acme", **limits: int) -> Caller:
    """A key of an account, with limits of its own."""
    return Caller(account, f"key-of-{account}", live=True, **limits)


async def until(reached: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for something that soon is so."""
    async with asyncio.timeout(seconds):
        while not reached():  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.01)
