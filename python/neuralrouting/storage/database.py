"""The one port to rows: four verbs over SQLite or PostgreSQL, and the choice between the two."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from neuralrouting.errors import ConfigError
from neuralrouting.storage.migrate import packaged

Dialect = Literal["sqlite", "postgres"]
Row = tuple[Any, ...]
"""One row at the rim; the repositories turn it into a type at once."""
Batch = tuple[str, Sequence[Row]]
"""One statement and the rows it is run for."""

FILE_NAME = "neuralrouting.db"


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
