"""SQLite in WAL mode behind two threads: one writes, one reads, so that a long write delays no read."""

import asyncio
import os
import re
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from neuralrouting.errors import Unavailable
from neuralrouting.storage.database import Batch, Row, RowError, Script, Statement
from neuralrouting.storage.migrate import APPEND_LOG, CREATE_LOG, READ_LOG, Migration, pending, statements

BUSY_TIMEOUT_MS = 5_000
"""How long a statement waits for another process's write; ours last milliseconds."""
WAL_LIMIT_BYTES = 64 * 1024 * 1024
"""The write-ahead log is cut back to this after a checkpoint."""

ROWS_A_STATEMENT = 16

_VALUES = re.compile(r"VALUES \((?:\$\d+(?:, )?)+\)")
_PLACEHOLDER = re.compile(r"\$(\d+)")
_Result = TypeVar("_Result")
_REFUSED = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, OverflowError, UnicodeError)


@lru_cache(maxsize=256)
def _numbered(sql: str) -> str:
    """Write `$1` the way SQLite does: `?1`."""
    return _PLACEHOLDER.sub(r"?\1", sql)


@lru_cache(maxsize=64)
def _many_rows(sql: str) -> str | None:
    """Write an `INSERT ... VALUES ($1, ... $n)` for many rows; None for any other statement."""
    found = _VALUES.search(sql)
    if found is None or not sql.startswith("INSERT") or len(_PLACEHOLDER.findall(sql)) != found[0].count("$"):
        return None
    one = f"({', '.join('?' * found[0].count('$'))})"
    return sql.replace(found[0], f"VALUES {', '.join([one] * ROWS_A_STATEMENT)}")


class _Connection:
    """One connection and the one thread that ever touches it."""

    def __init__(self, path: Path, role: Literal["write", "read"]) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"sqlite-{role}")
        self._path = path
        self._role = role
        self._connection: sqlite3.Connection

    async def run(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run `work` on the thread; sqlite3's errors become ours."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)

    async def open(self) -> None:
        """Open the file; the writer makes it, with mode 0600, where it is missing."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._connect)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise

    async def close(self) -> None:
        """Close the connection and end the thread."""
        try:
            await self.run(sqlite3.Connection.close)
        finally:
            self._thread.shutdown(wait=False)

    def _guarded(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        with _told(self._path):
            return work(self._connection)

    def _connect(self) -> None:
        with _told(self._path):
            if self._role == "write":
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                # SQLite would make the file readable for everyone; its log files take the mode of this one.
                os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)
            try:
                self._configure(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection

    def _configure(self, connection: sqlite3.Connection) -> None:
        if self._role == "read":
            connection.execute("PRAGMA query_only = ON")
            return
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL. SQLite does not wait for a lock here, and another worker may be doing the same."""
    deadline_s = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                raise
            time.sleep(0.01)
        else:
            return


class SqliteDatabase:
    """The `Database` port over one SQLite file; see `open_sqlite`."""

    dialect: Literal["sqlite"] = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = _Connection(path, "write")
        self._reader = _Connection(path, "read")

    @classmethod
    async def open(cls, path: Path, migrations: Sequence[Migration]) -> Self:
        """Open both connections and bring the tables up to date."""
        database = cls(path)
        await database._writer.open()
        try:
            await database._writer.run(lambda connection: _migrate(connection, migrations))
            await database._reader.open()
        except BaseException:
            await database._writer.close()
            raise
        return database

    async def execute(self, sql: str, *args: Any) -> int:  # noqa: ANN401  what a column can hold
        """Run one statement in a transaction of its own; return how many rows it changed."""

        def work(connection: sqlite3.Connection) -> int:
            with _transaction(connection):
                return max(0, connection.execute(_numbered(sql), args).rowcount)

        return await self._writer.run(work)

    async def fetch(self, sql: str, *args: Any) -> list[Row]:  # noqa: ANN401
        """Run one query on the reading connection."""
        return await self._reader.run(lambda connection: connection.execute(_numbered(sql), args).fetchall())

    async def write(self, batches: Sequence[Batch]) -> None:
        """Run every statement for each of its rows, in order, all in one transaction."""

        def work(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                for sql, rows in batches:
                    _run_for_all(connection, sql, rows)

        await self._writer.run(work)

    async def transact(self, script: Callable[[], Script[_Result]], *, durable: bool = False) -> _Result:
        """Run a script as one transaction."""

        def work(connection: sqlite3.Connection) -> _Result:
            with _synced(connection) if durable else nullcontext(), _transaction(connection):
                return _play(connection, script())

        return await self._writer.run(work)

    async def snapshot(self, script: Callable[[], Script[_Result]]) -> _Result:
        """Run a script on one state, on a connection of its own: it may take minutes, and queries must not wait."""

        def work(connection: sqlite3.Connection) -> _Result:
            connection.execute("BEGIN")
            try:
                return _play(connection, script())
            finally:
                connection.execute("ROLLBACK")

        reader = _Connection(self._path, "read")
        await reader.open()
        try:
            return await reader.run(work)
        finally:
            await reader.close()

    async def close(self) -> None:
        """Finish what is running, then close both connections and end their threads."""
        await self._reader.close()
        await self._writer.close()


def _run_for_all(connection: sqlite3.Connection, sql: str, rows: Sequence[Row]) -> None:
    """Run an INSERT for many rows a statement, and whatever is left, or is no INSERT, row by row.

    sqlite3 lets go of the interpreter at every step of a statement and must win it back after: beside a busy event
    loop, row by row, that took 53 us of CPU and 1.6 ms of waiting a row, and 21 us and 0.07 ms this way.
    """
    many = _many_rows(sql)
    whole = len(rows) - len(rows) % ROWS_A_STATEMENT if many is not None else 0
    for first in range(0, whole, ROWS_A_STATEMENT):
        together = [value for row in rows[first : first + ROWS_A_STATEMENT] for value in row]
        connection.execute(many or "", together)
    connection.executemany(_numbered(sql), rows[whole:])


def _play(connection: sqlite3.Connection, script: Script[_Result]) -> _Result:
    answer: list[Row] | None = None
    while True:
        try:
            # Sending None starts a generator; its type knows lists only.
            statement: Statement = next(script) if answer is None else script.send(answer)
        except StopIteration as end:
            return end.value
        if statement.many:
            _run_for_all(connection, statement.sql, statement.rows)
            answer = []
        else:
            answer = connection.execute(_numbered(statement.sql), statement.rows[0]).fetchall()


async def open_sqlite(path: Path, migrations: Sequence[Migration]) -> SqliteDatabase:
    """Open a database file, making it where it is missing. Raises Unavailable when it cannot be used."""
    return await SqliteDatabase.open(path, migrations)


@contextmanager
def _transaction(connection: sqlite3.Connection):  # noqa: ANN202
    """Take the write lock first: a transaction that starts by reading can fail when it comes to write."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk or an I/O error may have ended the transaction already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _synced(connection: sqlite3.Connection):  # noqa: ANN202
    """Have what is committed meanwhile written through to the disk, with all that was committed before."""
    connection.execute("PRAGMA synchronous = FULL")
    try:
        yield
    finally:
        connection.execute("PRAGMA synchronous = NORMAL")


def _migrate(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    with _transaction(connection):
        connection.execute(CREATE_LOG)
        for migration in pending(connection.execute(READ_LOG).fetchall(), migrations):
            for statement in statements(migration.sql):
                connection.execute(statement)
            connection.execute(_numbered(APPEND_LOG), (migration.number, migration.name, migration.sha256))


@contextmanager
def _told(path: Path):  # noqa: ANN202
    """Turn what sqlite3 and the file system raise into errors that say what to do."""
    try:
        yield
    except _REFUSED as error:
        raise RowError(f"SQLite refused a row: {_reason(error)}") from None
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
            raise  # a mistake in our own SQL
        raise Unavailable(f"{path}: {error}. {_ADVICE.get(error.sqlite_errorcode & 0xFF, _CHECK)}") from error
    except sqlite3.DatabaseError as error:
        raise Unavailable(f"{path}: {error}. Move it away to start afresh, or restore a backup.") from error
    except OSError as error:
        raise Unavailable(f"{error.filename or path}: {error.strerror}. {_CHECK}") from error


_CHECK = "Check that the data directory exists, is on a local disk and can be written by this user."
_ADVICE = {
    sqlite3.SQLITE_FULL: "Free some disk space.",
    sqlite3.SQLITE_BUSY: "Another process holds the write lock; stop it if it should not.",
}


def _reason(error: Exception) -> str:
    """SQLite names the column, never the value; encoders quote the value, so only their class is told."""
    return str(error) if isinstance(error, sqlite3.Error) else type(error).__name__
