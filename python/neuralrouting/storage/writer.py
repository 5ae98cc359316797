"""Writes rows behind the request path: bounded, in batches, in order, losing none."""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable
from itertools import islice

from neuralrouting.errors import Unavailable
from neuralrouting.storage.database import Batch, Database, Row, RowError

FIRST_RETRY_S = 0.05
LAST_RETRY_S = 1.0
"""A database that is down is asked about once a second."""

_log = logging.getLogger("neuralrouting.storage")
_Queued = tuple[str, Row, float]
"""Statement, row, and when it came (monotonic seconds)."""


class Writer:
    """A queue of rows and the one task that empties it into the database.

    `put` never blocks and never drops: when the queue holds `capacity` rows, `full` turns true and whoever
    lets work in waits for `room`. Rows are written `flush_s` after the first of them came, or as soon as
    `batch` of them wait; each batch is one transaction. Rows of one statement are written in the order of
    `put`; rows of different statements in one batch are not ordered among each other.

    A batch that failed is written again until it succeeds, also where its commit may have gone through
    unanswered: statements must bear being run twice. Only a row that the database refuses for
    what it holds is left out, counted in `refused` and logged, since it would hold up all others for ever.
    """

    def __init__(
        self, database: Database, *, capacity: int = 20_000, flush_s: float = 0.05, batch: int = 1_000
    ) -> None:
        self.refused = 0
        self._database = database
        self._capacity = capacity
        self._flush_s = flush_s
        self._batch = batch
        self._rows: deque[_Queued] = deque()
        self._accepted = 0
        self._due = 0
        self._wake = asyncio.Event()
        self._moved = asyncio.Condition()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write; needs a running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="storage-writer")

    @property
    def full(self) -> bool:
        """Whether intake should wait for `room` before it lets more work in."""
        return len(self._rows) >= self._capacity

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return len(self._rows)

    @property
    def lag_s(self) -> float:
        """Age of the oldest row that is not written yet, in seconds; 0.0 when there is none."""
        return time.monotonic() - self._rows[0][2] if self._rows else 0.0

    def put(self, sql: str, row: Row) -> None:
        """Take one row, on the event loop's thread; it is written soon."""
        self._rows.append((sql, row, time.monotonic()))
        self._accepted += 1
        waiting = len(self._rows)
        if waiting >= self._batch:
            self._wake.set()
        elif waiting == 1:
            asyncio.get_running_loop().call_later(self._flush_s, self._wake.set)

    async def room(self) -> None:
        """Wait until the queue is not full."""
        await self._until(lambda: not self.full)

    async def flush(self) -> None:
        """Wait until every row that was put before this call is written."""
        self._due = target = self._accepted
        self._wake.set()
        await self._until(lambda: self._written >= target)

    async def close(self, *, timeout_s: float = 20.0) -> None:
        """Write what waits, then stop. What the database does not take in `timeout_s` is logged as lost."""
        if self._task is None:
            return
        self._closing = True
        self._wake.set()
        await asyncio.wait([self._task], timeout=timeout_s)
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
            _log.error("stopped with %d rows that the database did not take in %.0f s", len(self._rows), timeout_s)
        self._task = None

    @property
    def _written(self) -> int:
        return self._accepted - len(self._rows)

    async def _until(self, reached: Callable[[], bool]) -> None:
        if reached():
            return
        async with self._moved:
            await self._moved.wait_for(reached)

    async def _run(self) -> None:
        while not (self._closing and not self._rows):
            await self._wake.wait()
            self._wake.clear()
            while self._rows:
                await self._write_batch()
                if not self._closing and self._written >= self._due and len(self._rows) < self._batch:
                    break
            if self._rows:
                asyncio.get_running_loop().call_later(self._flush_s, self._wake.set)

    async def _write_batch(self) -> None:
        taken = list(islice(self._rows, self._batch))
        await self._persist(taken)
        for _ in taken:
            self._rows.popleft()
        async with self._moved:
            self._moved.notify_all()

    async def _persist(self, taken: list[_Queued]) -> None:
        delay_s = FIRST_RETRY_S
        while True:
            try:
                await self._write(taken)
            except Exception as error:  # noqa: BLE001  a row outlives whatever went wrong below
                # The class alone: a driver's message may quote the row. Ours does not.
                reason = error.message if isinstance(error, Unavailable) else type(error).__name__
                _log.warning("%d rows wait, trying again in %.2f s: %s", len(self._rows), delay_s, reason)
                await asyncio.sleep(delay_s * random.uniform(0.75, 1.0))  # noqa: S311  jitter
                delay_s = min(LAST_RETRY_S, 2 * delay_s)
            else:
                return

    async def _write(self, taken: list[_Queued]) -> None:
        try:
            await self._database.write(_by_statement(taken))
        except RowError as error:
            if len(taken) > 1:
                for queued in taken:
                    await self._write([queued])
                return
            self.refused += 1
            _log.error("left out a row that can never be written: %s", error)


def _by_statement(taken: list[_Queued]) -> list[Batch]:
    """Group rows by statement: few long batches cost the database far less than many short ones."""
    groups: dict[str, list[Row]] = {}
    for sql, row, _ in taken:
        groups.setdefault(sql, []).append(row)
    return list(groups.items())
