"""A real database that fails and waits as told: before a transaction begins, after it was committed, or for good."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from neuralrouting.errors import Unavailable
from neuralrouting.storage.database import Batch, Database, Row, Script

T = TypeVar("T")
BEFORE, AFTER = "before", "after"
"""When a transaction fails: nothing of it was done, or all of it was and nobody was told."""


class UnsteadyDatabase:
    """What comes next is taken from `failures`; while `away` nothing answers; while `gate` is closed all wait."""

    def __init__(self, database: Database) -> None:
        self.dialect = database.dialect
        self.failures: deque[str] = deque()
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        """Set when one begins, also where it waits at the gate."""
        self.transactions = 0
        """How many have begun."""
        self._database = database

    async def execute(self, sql: str, *args: object) -> int:
        return await self._database.execute(sql, *args)

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        return await self._database.fetch(sql, *args)

    async def write(self, batches: Sequence[Batch]) -> None:
        await self._database.write(batches)

    async def snapshot(self, script: Callable[[], Script[T]]) -> T:
        return await self._database.snapshot(script)

    async def transact(self, script: Callable[[], Script[T]], *, durable: bool = False) -> T:
        self.transactions += 1
        self.begun.set()
        await self.gate.wait()
        when = self.failures.popleft() if self.failures else None
        if self.away or when == BEFORE:
            raise Unavailable("the database is away")
        result = await self._database.transact(script, durable=durable)
        if when == AFTER:
            raise Unavailable("the database went away before it answered")
        return result

    async def close(self) -> None:
        await self._database.close()
