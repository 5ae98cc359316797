"""One at a time: whoever deletes cached answers, or writes down that they are to go, holds one lock on PostgreSQL.

Numbers that are drawn under the lock become visible in their order: who follows them by number misses none. And two
that delete the same rows never wait for each other in a circle. SQLite lets in one writer at a time by itself.
"""

from functools import partial
from typing import Final

from neuralrouting.storage.database import Database, Dialect, Row, Script, ask, run

_LOCK: Final = 0x6E725F70757267
"""Key of the advisory lock: the letters `nr_purg`. PostgreSQL lets go of it once the transaction can be seen."""


def pass_through(dialect: Dialect) -> Script[None]:
    """Wait until no other transaction is in; the first step of a script, and none before has read anything."""
    if dialect == "postgres":
        yield ask("SELECT pg_advisory_xact_lock($1)", _LOCK)


def slip_through(dialect: Dialect) -> Script[bool]:
    """Go in where no other transaction is in or waits, and say whether that is so; for work that can wait."""
    if dialect == "postgres":
        return (yield ask("SELECT pg_try_advisory_xact_lock($1)", _LOCK))[0][0]
    return True


async def deleting(database: Database, sql: str, *args: object) -> int:
    """Run a `DELETE ... RETURNING` as a transaction of its own; return how many rows went."""
    return len(await database.transact(partial(_delete, database.dialect, sql, args)))


async def delete_entries(database: Database, seqs: list[int]) -> None:
    """Delete these rows of the cache as one transaction."""
    await database.transact(partial(_delete_entries, database.dialect, [(seq,) for seq in sorted(seqs)]))


def _delete(dialect: Dialect, sql: str, args: Row) -> Script[list[Row]]:
    yield from pass_through(dialect)
    return (yield ask(sql, *args))


def _delete_entries(dialect: Dialect, rows: list[Row]) -> Script[None]:
    yield from pass_through(dialect)
    yield run("DELETE FROM cache_entries WHERE seq = $1", rows)
