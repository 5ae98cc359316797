"""The writer loses no row and keeps their order, whatever the database does; intake waits, it never drops."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralrouting.errors import Unavailable
from neuralrouting.storage.database import Batch, Database, Row, open_database
from neuralrouting.storage.writer import Writer
from postgres_server import PostgresServer

pytestmark = pytest.mark.anyio
LEFT = "INSERT INTO sides (side, number) VALUES ('left', $1) ON CONFLICT DO NOTHING"
RIGHT = "INSERT INTO sides (side, number) VALUES ('right', $1) ON CONFLICT DO NOTHING"
_CREATE = {
    "sqlite": "CREATE TABLE sides (seq INTEGER PRIMARY KEY, side TEXT, number BIGINT, UNIQUE (side, number))",
    "postgres": "CREATE TABLE sides (seq BIGSERIAL PRIMARY KEY, side TEXT, number BIGINT, UNIQUE (side, number))",
}


class FlakyDatabase:
    """A real database whose writes fail as scripted: before they begin, or after they are committed."""

    def __init__(self, database: Database, script: Iterator[str]) -> None:
        self.dialect = database.dialect
        self.writes = 0
        self._database = database
        self._script = script

    async def execute(self, sql: str, *args: object) -> int:
        return await self._database.execute(sql, *args)

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        return await self._database.fetch(sql, *args)

    async def write(self, batches: Sequence[Batch]) -> None:
        self.writes += 1
        outcome = next(self._script, "ok")
        if outcome == "before":
            raise Unavailable("the database is away")
        await self._database.write(batches)
        if outcome == "after":
            raise ConnectionResetError("secret row content")

    async def close(self) -> None:
        await self._database.close()


class GatedDatabase(FlakyDatabase):
    """A real database whose writes wait until they are let through."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, iter(()))
        self.gate = asyncio.Event()

    async def write(self, batches: Sequence[Batch]) -> None:
        await self.gate.wait()
        await super().write(batches)


@pytest.fixture
async def sides(database: Database) -> Database:
    await database.execute(_CREATE[database.dialect])
    return database


@pytest.fixture
async def gated(sides: Database) -> AsyncIterator[GatedDatabase]:
    database = GatedDatabase(sides)
    yield database
    database.gate.set()


async def _numbers(database: Database, side: str) -> list[int]:
    rows = await database.fetch("SELECT number FROM sides WHERE side = $1 ORDER BY seq", side)
    return [row[0] for row in rows]


async def _until_written(writer: Writer) -> None:
    with anyio.fail_after(5):
        while writer.lag_s > 0:  # noqa: ASYNC110  without flush, which would hurry the writer
            await asyncio.sleep(0.005)


async def test_rows_are_written_soon_without_being_asked_for(sides: Database):
    writer = Writer(sides, flush_s=0.01)
    writer.start()
    writer.put(LEFT, (1,))
    await _until_written(writer)
    assert await _numbers(sides, "left") == [1]
    await writer.close()


async def test_a_full_batch_does_not_wait_for_the_clock(sides: Database):
    writer = Writer(sides, flush_s=60, batch=10)
    writer.start()
    for number in range(10):
        writer.put(LEFT, (number,))
    await _until_written(writer)
    assert await _numbers(sides, "left") == list(range(10))
    await writer.close()


async def test_flush_returns_when_everything_before_it_is_written(sides: Database):
    writer = Writer(sides, flush_s=60, batch=7)
    writer.start()
    for number in range(40):
        writer.put(LEFT, (number,))
    await writer.flush()
    assert await _numbers(sides, "left") == list(range(40))
    await writer.flush()
    await writer.close()


async def test_close_writes_what_waits(sides: Database):
    writer = Writer(sides, flush_s=60, batch=16)
    writer.start()
    for number in range(100):
        writer.put(LEFT if number % 2 else RIGHT, (number,))
    await writer.close()
    assert await _numbers(sides, "left") == list(range(1, 100, 2))
    assert await _numbers(sides, "right") == list(range(0, 100, 2))
    await writer.close()


async def test_an_idle_writer_does_nothing(sides: Database):
    database = FlakyDatabase(sides, iter(()))
    writer = Writer(database, flush_s=0.001)
    writer.start()
    await asyncio.sleep(0.1)
    assert database.writes == 0
    assert writer.lag_s == 0.0
    await writer.close()
    assert database.writes == 0


async def test_room_waits_while_the_queue_is_full(gated: GatedDatabase):
    writer = Writer(gated, capacity=5, flush_s=0.001, batch=5)
    writer.start()
    await asyncio.wait_for(writer.room(), 1)
    for number in range(5):
        writer.put(LEFT, (number,))
    assert writer.full
    writer.put(LEFT, (5,))
    waiting = [asyncio.create_task(writer.room()) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in waiting)
    assert writer.lag_s >= 0.05
    gated.gate.set()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    await writer.flush()
    assert not writer.full
    assert await _numbers(gated, "left") == list(range(6))
    await writer.close()


async def test_rows_that_come_during_a_write_are_written_next(gated: GatedDatabase):
    writer = Writer(gated, flush_s=0.01)
    writer.start()
    writer.put(LEFT, (0,))
    await asyncio.sleep(0.05)
    writer.put(LEFT, (1,))
    gated.gate.set()
    await _until_written(writer)
    assert await _numbers(gated, "left") == [0, 1]
    await writer.close()


async def test_a_row_that_can_never_be_written_does_not_hold_up_the_others(
    sides: Database, caplog: pytest.LogCaptureFixture
):
    await sides.execute("CREATE UNIQUE INDEX once ON sides (number)")
    strict = "INSERT INTO sides (side, number) VALUES ($1, $2)"
    writer = Writer(sides)
    writer.start()
    for number in (1, 2, 1, 3):
        writer.put(strict, ("secret-left", number))
    await writer.flush()
    await writer.close()
    assert await _numbers(sides, "secret-left") == [1, 2, 3]
    assert writer.refused == 1
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "secret" not in caplog.text


async def test_failures_are_logged_without_row_content(sides: Database, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "neuralrouting.storage")
    writer = Writer(FlakyDatabase(sides, iter(["before", "after"])))
    writer.start()
    writer.put(LEFT, (1,))
    await writer.flush()
    await writer.close()
    assert await _numbers(sides, "left") == [1]
    assert "1 rows wait, trying again in 0.05 s: the database is away" in caplog.text
    assert "1 rows wait, trying again in 0.10 s: ConnectionResetError" in caplog.text
    assert "secret" not in caplog.text


async def test_closing_while_the_database_stays_away_ends_in_time_and_says_what_is_lost(
    sides: Database, caplog: pytest.LogCaptureFixture
):
    writer = Writer(FlakyDatabase(sides, iter(["before"] * 1_000)))
    writer.start()
    writer.put(LEFT, (1,))
    with anyio.fail_after(5):
        await writer.close(timeout_s=0.2)
    assert "stopped with 1 rows that the database did not take" in caplog.text


async def test_rows_outlive_a_crash_of_postgresql(postgres_server: PostgresServer, postgres_url: str, tmp_path: Path):
    database = await open_database(postgres_url, tmp_path)
    await database.execute(_CREATE["postgres"])
    writer = Writer(database, flush_s=0.005, batch=20)
    writer.start()
    try:
        for number in range(300):
            writer.put(LEFT, (number,))
            await asyncio.sleep(0.001)
            if number == 100:
                postgres_server.stop(immediate=True)
            if number == 200:
                postgres_server.start()
        with anyio.fail_after(5):
            await writer.flush()
        assert await _numbers(database, "left") == list(range(300))
    finally:
        await writer.close(timeout_s=1)
        await database.close()


_script = st.lists(st.sampled_from(["ok", "before", "after"]), max_size=4)
_sides = st.lists(st.booleans(), min_size=1, max_size=60)


@settings(max_examples=20, deadline=None)
@given(script=_script, order=_sides, batch=st.integers(1, 20), pause_every=st.integers(1, 60))
def test_over_a_flaky_database_nothing_is_lost_and_order_is_kept(
    script: list[str], order: list[bool], batch: int, pause_every: int
):
    async def run() -> tuple[list[int], list[int]]:
        with tempfile.TemporaryDirectory() as folder:
            database = await open_database(None, Path(folder))
            await database.execute(_CREATE["sqlite"])
            writer = Writer(FlakyDatabase(database, iter(script)), capacity=30, flush_s=0.001, batch=batch)
            writer.start()
            for number, left in enumerate(order):
                if writer.full:
                    await writer.room()
                writer.put(LEFT if left else RIGHT, (number,))
                if number % pause_every == 0:
                    await asyncio.sleep(0.002)
            await writer.close()
            written = await _numbers(database, "left"), await _numbers(database, "right")
            await database.close()
            return written

    left, right = asyncio.run(run())
    assert left == [number for number, is_left in enumerate(order) if is_left]
    assert right == [number for number, is_left in enumerate(order) if not is_left]
