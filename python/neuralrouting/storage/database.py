"""The one port to rows: four verbs over SQLite or PostgreSQL, and the choice between the two."""

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from neuralrouting.errors import ConfigError
from neuralrouting.storage.migrate import packaged

Dialect = Literal["sqlite", "postgres"]
Row = tuple[Any, ...]
"""One row at the rim; the repositories turn it into a type at once."""
Batch = tuple[str, Sequence[Row]]
"""One statement and the rows it is run for."""

FILE_NAME = "neuralrouting.db"
_Result = TypeVar("_Result")


class Statement(NamedTuple):
    """One step of a `Script`: a statement and the rows it is run for. `many` false: for one, whose rows come back."""

    sql: str
    rows: Sequence[Row]
    many: bool


Script = Generator[Statement, list[Row], _Result]
"""A transaction as a generator: it yields statements, is sent what each returned, and returns its result.

Scripts await nothing, so one text serves a database behind a thread and one behind a socket.
"""


def ask(sql: str, *args: Any) -> Statement:  # noqa: ANN401  what a column can hold
    """Run one statement; what it returns (by SELECT or RETURNING) is sent back."""
    return Statement(sql, (args,), many=False)


def run(sql: str, rows: Sequence[Row]) -> Statement:
    """Run one statement for each of these rows; an empty list is sent back."""
    return Statement(sql, rows, many=True)


class RowError(ValueError):
    """The database refuses a row for what it holds: a broken constraint, a value of a wrong type or size.

    Trying again does not help. The message never holds a value of the row.
    """


class Database(Protocol):
    """One open database. Statements use `$1` placeholders in both dialects.

    Every method raises `errors.Unavailable` when the database cannot be reached, is locked, full or shutting
    down (trying again may help) and `RowError` when it refuses what a row holds.
    """

    @property
    def dialect(self) -> Dialect:
        """Which of the two it is."""
        ...

    async def execute(self, sql: str, *args: Any) -> int:  # noqa: ANN401  what a column can hold
        """Run one statement in a transaction of its own; return how many rows it changed."""
        ...

    async def fetch(self, sql: str, *args: Any) -> list[Row]:  # noqa: ANN401
        """Run one query and return its rows. Queries only read: they may run beside a write."""
        ...

    async def write(self, batches: Sequence[Batch]) -> None:
        """Run every statement for each of its rows, in order, all in one transaction."""
        ...

    async def transact(self, script: Callable[[], Script[_Result]], *, durable: bool = False) -> _Result:
        """Run a script as one transaction and return its result; what it raises rolls everything back.

        `durable`: what it wrote is on disk when this returns. Without, PostgreSQL keeps that promise as well, SQLite
        loses the last moments when the machine (not the process) dies.

        `Unavailable` may come after the commit went through: a script that must not count twice has to notice.
        """
        ...

    async def snapshot(self, script: Callable[[], Script[_Result]]) -> _Result:
        """Run a script that only reads, all of it on one state of the database, beside writers and without a lock.

        While it runs SQLite cannot cut its write-ahead log back, nor PostgreSQL remove dead rows.
        """
        ...

    async def close(self) -> None:
        """Finish what is running and let go of connections and threads."""
        ...


async def open_database(url: str | None, data_dir: Path) -> Database:
    """Open the database and bring its tables up to date; safe when many workers start at once.

    `url` None means SQLite in `data_dir`, made with mode 0700 where it is missing. Raises ConfigError for an
    address we cannot use or a database that is newer than this program, Unavailable when it cannot be opened.
    """
    if url is None:
        from neuralrouting.storage.sqlite import open_sqlite  # noqa: PLC0415  only what is used is loaded

        return await open_sqlite(data_dir / FILE_NAME, packaged("sqlite"))
    scheme = url.partition("://")[0]
    if scheme in ("postgresql", "postgres"):
        from neuralrouting.storage.postgres import open_postgres  # noqa: PLC0415  asyncpg loads slowly

        return await open_postgres(url, packaged("postgres"))
    raise ConfigError(
        "database_url must look like postgresql://user:password@host:5432/name; "
        "leave it out to use SQLite in the data directory",
        param="database_url",
    )
