"""PostgreSQL through asyncpg: a small pool per worker, every wait bounded."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Literal, Protocol, TypeVar, cast
from urllib.parse import parse_qs, urlsplit

import asyncpg

from neuralrouting.errors import ConfigError, Unavailable
from neuralrouting.storage.database import Batch, Row, RowError, Script, Statement
from neuralrouting.storage.migrate import APPEND_LOG, CREATE_LOG, READ_LOG, Migration, pending

MAX_CONNECTIONS = 4
"""Per worker: one writes, the rest read; PostgreSQL allows 100 by default."""
CONNECT_TIMEOUT_S = 5.0
STATEMENT_TIMEOUT_MS = 5_000
IDLE_TIMEOUT_MS = 5_000
"""A process that stands still in the middle of a transaction loses it: others wait for what it has locked."""
ANSWER_TIMEOUT_S = 10.0
"""Ends a wait for a server that does not answer at all; longer than the server's own limit."""
MIGRATION_TIMEOUT_S = 600.0
MIGRATION_LOCK = 0x6E725F6D6967
"""Key of the advisory lock held while migrating: the letters `nr_mig`."""

_REFUSED_CLASSES = ("22", "23")
"""SQLSTATE classes of a row that cannot be stored: data exception, integrity constraint."""
_UNAVAILABLE_CLASSES = ("08", "25", "28", "3D", "3F", "40", "42501", "53", "55", "57", "58", "XX")
"""SQLSTATE classes of a server that does not serve us now: connection, read-only standby, login, no such
database or schema, deadlock, missing privilege, out of resources, lock, shutdown, system or internal error."""
_CHECK = "Check that the server runs and that database_url has the right host, port, name, user and password."

_PAGES_BY_INDEX = "SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off"
"""For a snapshot, read in pages: where a table grew faster than it was analysed, the planner takes what is left
of it for a handful of rows, and would fetch and sort all of them for each page."""

_SETTINGS = {
    "application_name": "neuralrouting",
    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
    "idle_in_transaction_session_timeout": str(IDLE_TIMEOUT_MS),
    # Beside busy workers, starting helpers and compiling took longer than they saved: for a month of 1,000 cells that
    # was 190 ms with both, 110 without helpers, 65 without either.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}

_Result = TypeVar("_Result")


class _Connection(Protocol):
    """What we use of an asyncpg connection, which has no types of its own."""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str: ...  # noqa: ANN401, ASYNC109
    async def fetch(self, query: str, *args: Any) -> list[Sequence[Any]]: ...  # noqa: ANN401
    async def executemany(self, command: str, args: Sequence[Row]) -> None: ...
    def transaction(
        self, *, isolation: str | None = None, readonly: bool = False
    ) -> AbstractAsyncContextManager[object]: ...


class PostgresDatabase:
    """The `Database` port over one PostgreSQL; see `open_postgres`."""

    dialect: Literal["postgres"] = "postgres"

    def __init__(self, pool: Any, place: str) -> None:  # noqa: ANN401  asyncpg has no types
        self._pool = pool
        self._place = place

    async def execute(self, sql: str, *args: Any) -> int:  # noqa: ANN401  what a column can hold
        """Run one statement in a transaction of its own; return how many rows it changed."""
        async with self._connection() as connection:
            tag = await connection.execute(sql, *args)
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def fetch(self, sql: str, *args: Any) -> list[Row]:  # noqa: ANN401
        """Run one query."""
        async with self._connection() as connection:
            return [tuple(record) for record in await connection.fetch(sql, *args)]

    async def write(self, batches: Sequence[Batch]) -> None:
        """Run every statement for each of its rows, in order, all in one transaction."""
        try:
            await self._write(batches)
        except RowError:
            # NUL is the one character that JSON and SQLite have and PostgreSQL has not.
            cleaned = [(sql, [_without_nul(row) for row in rows]) for sql, rows in batches]
            if all(list(old) == new for (_, old), (_, new) in zip(batches, cleaned, strict=True)):
                raise
            await self._write(cleaned)

    async def transact(
        self,
        script: Callable[[], Script[_Result]],
        *,
        durable: bool = False,  # noqa: ARG002  a commit is, where the server has `synchronous_commit` on
    ) -> _Result:
        """Run a script as one transaction. NUL, which PostgreSQL has not, is replaced where a value has one."""
        async with self._connection() as connection, connection.transaction():
            return await _play(connection, script())

    async def snapshot(self, script: Callable[[], Script[_Result]]) -> _Result:
        """Run a script that only reads, on the state at its first statement."""
        async with self._connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(_PAGES_BY_INDEX)
            # It locks nothing, and may reckon for long between two statements.
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            return await _play(connection, script())

    async def migrate(self, migrations: Sequence[Migration]) -> None:
        """Run what is pending, in one transaction, one worker at a time."""
        async with self._connection() as connection, connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 0")
            lock = f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"
            await connection.execute(lock, timeout=MIGRATION_TIMEOUT_S)
            await connection.execute(CREATE_LOG)
            applied = [(row[0], row[1], row[2]) for row in await connection.fetch(READ_LOG)]
            for migration in pending(applied, migrations):
                await connection.execute(migration.sql, timeout=MIGRATION_TIMEOUT_S)
                await connection.execute(APPEND_LOG, migration.number, migration.name, migration.sha256)

    async def close(self) -> None:
        """Finish what is running and close every connection; one that does not answer is cut off."""
        try:
            await asyncio.wait_for(self._pool.close(), ANSWER_TIMEOUT_S)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._pool.terminate()

    async def _write(self, batches: Sequence[Batch]) -> None:
        async with self._connection() as connection, connection.transaction():
            for sql, rows in batches:
                await connection.executemany(sql, rows)

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[_Connection]:
        with _told(self._place):
            async with self._pool.acquire(timeout=ANSWER_TIMEOUT_S) as connection:
                yield connection


async def _play(connection: _Connection, script: Script[_Result]) -> _Result:
    answer: list[Row] | None = None
    while True:
        try:
            statement: Statement = next(script) if answer is None else script.send(answer)
        except StopIteration as end:
            return end.value
        if statement.many:
            if statement.rows:
                await connection.executemany(statement.sql, [_without_nul(row) for row in statement.rows])
            answer = []
        else:
            found = await connection.fetch(statement.sql, *_without_nul(statement.rows[0]))
            answer = [tuple(record) for record in found]


async def open_postgres(url: str, migrations: Sequence[Migration]) -> PostgresDatabase:
    """Connect and bring the tables up to date.

    Raises ConfigError for an address that cannot be read, Unavailable when the server does not serve us.
    """
    place = _place(url)
    pool = cast("Any", asyncpg).create_pool(
        url,
        min_size=0,  # asyncpg keeps no reconnection loop of its own beside those of our callers
        init_size=1,
        max_size=MAX_CONNECTIONS,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=ANSWER_TIMEOUT_S,
        server_settings=_SETTINGS,
        reset=_keep_session,
    )
    try:
        with _told(place):
            await pool
    except ValueError:
        raise ConfigError(_unreadable(), param="database_url") from None  # the cause may quote the password
    database = PostgresDatabase(pool, place)
    try:
        await database.migrate(migrations)
    except BaseException:
        await database.close()
        raise
    return database


async def _keep_session(connection: object) -> None:
    """Skip the round trip that resets a session on release: we leave nothing behind in one."""


def _place(url: str) -> str:
    """Say where the database is, without user and password: `host:5432/name`."""
    parts = urlsplit(url)
    if "@" in parts.path + parts.query + parts.fragment:
        raise ConfigError(_unreadable(), param="database_url")
    server = parts.netloc.rpartition("@")[2] or parse_qs(parts.query).get("host", ["the local socket"])[0]
    return server + parts.path


def _unreadable() -> str:
    return (
        "database_url cannot be read; it looks like postgresql://user:password@host:5432/name, "
        "and characters such as / # ? @ in the password are written as %2F %23 %3F %40"
    )


@contextmanager
def _told(place: str) -> Generator[None]:
    """Turn what asyncpg raises into errors that say what to do and quote neither rows nor password."""
    try:
        yield
    except asyncpg.PostgresError as error:
        state = str(getattr(error, "sqlstate", None) or "")
        if state.startswith(_REFUSED_CLASSES):
            raise RowError(f"PostgreSQL refused a row: {type(error).__name__} ({state})") from None
        if state.startswith(_UNAVAILABLE_CLASSES):
            raise Unavailable(f"PostgreSQL at {place}: {error.args[0]}. {_CHECK}") from error
        raise  # a mistake in our own SQL
    except asyncpg.InterfaceError as error:
        if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
            raise
        if isinstance(error, ValueError):
            raise RowError("PostgreSQL refused a row: a value does not fit its column") from None
        raise Unavailable(f"PostgreSQL at {place}: {error}. {_CHECK}") from error
    except asyncpg.InternalClientError as error:  # a connection that the server cut while it was being taken
        raise Unavailable(f"PostgreSQL at {place}: {error}. {_CHECK}") from error
    except OSError as error:
        reason = error.strerror or str(error) or "no answer in time"
        raise Unavailable(f"PostgreSQL at {place}: {reason}. {_CHECK}") from error


def _without_nul(row: Row) -> Row:
    return tuple(value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value for value in row)
