"""SQLite: modes of its files, two processes at one file, reading beside a write, errors that say what to do."""

import asyncio
import os
import sqlite3
import stat
import sys
import threading
import time
from pathlib import Path

import pytest

from neuralrouting.errors import Unavailable
from neuralrouting.storage.database import FILE_NAME, Script, ask, open_database

pytestmark = pytest.mark.anyio
WRITE = """
import asyncio, sys
from pathlib import Path
from neuralrouting.storage.database import open_database

async def main():
    database = await open_database(None, Path(sys.argv[1]))
    for number in range(100):
        sql = "INSERT INTO accounts (id, name, created_ms) VALUES ($1, $2, $3)"
        await database.write([(sql, [(f"{sys.argv[2]}-{number}-{row}", "n", number) for row in range(10)])])
    await database.close()

asyncio.run(main())
"""


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_files_are_closed_to_other_users(tmp_path: Path):
    before = os.umask(0)
    try:
        database = await open_database(None, tmp_path / "deep" / "data")
    finally:
        os.umask(before)
    folder = tmp_path / "deep" / "data"
    try:
        await database.execute("INSERT INTO accounts (id, name, created_ms) VALUES ('a', 'a', 1)")
        assert _mode(folder) == 0o700
        assert {path.name: _mode(path) for path in folder.iterdir()} == {
            FILE_NAME: 0o600,
            f"{FILE_NAME}-wal": 0o600,
            f"{FILE_NAME}-shm": 0o600,
        }
    finally:
        await database.close()
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]


async def test_two_processes_write_one_file_and_lose_nothing(tmp_path: Path):
    database = await open_database(None, tmp_path)
    try:
        command = [sys.executable, "-c", WRITE, str(tmp_path)]
        processes = [await asyncio.create_subprocess_exec(*command, name) for name in ("one", "two")]
        codes = [await process.wait() for process in processes]
        assert codes == [0, 0]
        assert await database.fetch("SELECT COUNT(*) FROM accounts") == [(2_000,)]
    finally:
        await database.close()


async def test_a_long_write_delays_no_query(tmp_path: Path):
    database = await open_database(None, tmp_path)
    try:
        await database.execute("CREATE TABLE numbers (n INTEGER)")
        counted = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000000) SELECT n FROM c"
        writing = asyncio.create_task(database.execute(f"INSERT INTO numbers {counted}"))
        await asyncio.sleep(0.05)
        assert await database.fetch("SELECT COUNT(*) FROM numbers") == [(0,)]
        assert not writing.done()
        assert await writing == 2_000_000
    finally:
        await database.close()


async def test_a_query_cannot_write(tmp_path: Path):
    database = await open_database(None, tmp_path)
    try:
        with pytest.raises(Unavailable, match="readonly"):
            await database.fetch("DELETE FROM accounts RETURNING id")
    finally:
        await database.close()


async def test_a_write_waits_for_another_process_to_finish(tmp_path: Path):
    database = await open_database(None, tmp_path)
    other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None, check_same_thread=False)
    try:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.3, other.execute, ["COMMIT"])
        timer.start()
        started_s = time.monotonic()
        await database.execute("INSERT INTO accounts (id, name, created_ms) VALUES ('a', 'a', 1)")
        assert time.monotonic() - started_s > 0.2
        timer.join()
    finally:
        other.close()
        await database.close()


async def test_opening_waits_for_another_worker_that_is_making_the_file(tmp_path: Path):
    other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE first (number INTEGER)")
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.2, other.execute, ["COMMIT"])
    timer.start()
    try:
        database = await open_database(None, tmp_path)
        assert await database.fetch("PRAGMA journal_mode") == [("wal",)]
        await database.close()
    finally:
        timer.join()
        other.close()


async def test_a_file_that_is_no_database_is_told(tmp_path: Path):
    (tmp_path / FILE_NAME).write_bytes(b"this is a text file, and quite a long one, " * 50)
    with pytest.raises(Unavailable, match=r"not a database\. Move it away"):
        await open_database(None, tmp_path)


async def test_a_data_directory_that_cannot_be_made_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match="Check that the data directory"):
        await open_database(None, tmp_path / "file" / "data")


async def test_no_thread_is_left_behind(tmp_path: Path):
    database = await open_database(None, tmp_path)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("sqlite-")] != []
    await database.close()
    deadline_s = time.monotonic() + 2
    while any(thread.name.startswith("sqlite-") for thread in threading.enumerate()):
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)


async def test_only_what_must_last_waits_for_the_disk(tmp_path: Path):
    def level(*, fail: bool) -> Script[int]:
        [(synchronous,)] = yield ask("PRAGMA synchronous")
        if fail:
            raise KeyError(synchronous)
        return synchronous

    database = await open_database(None, tmp_path)
    try:
        assert await database.transact(lambda: level(fail=False), durable=True) == 2, "FULL"
        assert await database.transact(lambda: level(fail=False)) == 1, "NORMAL"
        with pytest.raises(KeyError, match="2"):
            await database.transact(lambda: level(fail=True), durable=True)
        assert await database.transact(lambda: level(fail=False)) == 1
    finally:
        await database.close()
