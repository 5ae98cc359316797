"""Rows of the exact cache: what a restarted worker warms up from and what workers learn from each other."""

import msgspec

from neuralrouting.exchange import CacheEntry
from neuralrouting.storage.database import Database, Row

PURGE_ROWS = 1_000
"""Rows deleted per transaction, so that a long purge holds up no writer."""

_FIELDS = CacheEntry.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
INSERT_ENTRY = (
    f"INSERT INTO cache_entries ({_COLUMNS}) "  # noqa: S608  names of our own columns
    f"VALUES ({', '.join(f'${place}' for place in range(1, len(_FIELDS) + 1))})"
)
"""Takes `entry_values(entry)`. Of entries with one key the newest counts, so that writing one twice does no harm."""

_NEWEST = f"""
WITH sized AS (
    SELECT seq, SUM(LENGTH(body)) OVER (ORDER BY seq DESC) AS bytes FROM cache_entries
)
SELECT seq, {_COLUMNS} FROM cache_entries
WHERE seq IN (SELECT seq FROM sized WHERE bytes <= $1)
ORDER BY seq DESC
"""  # noqa: S608
_SINCE = f"SELECT seq, {_COLUMNS} FROM cache_entries WHERE seq > $1 ORDER BY seq LIMIT $2"  # noqa: S608
_PURGE = """
DELETE FROM cache_entries WHERE seq IN (
    SELECT seq FROM cache_entries WHERE expires_ms <= $1 ORDER BY seq LIMIT $2
)
"""


def entry_values(entry: CacheEntry) -> Row:
    """Return what `INSERT_ENTRY` takes."""
    return msgspec.structs.astuple(entry)


class EntryRows:
    """Reads and deletes cache entries; they are written through the `Writer` with `INSERT_ENTRY`.

    Entries come with their `seq`, which grows with every write.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, limit_bytes: int) -> list[tuple[int, CacheEntry]]:
        """Return the newest entries, newest first, whose bodies fit into `limit_bytes`; a key may come twice."""
        return [_entry(row) for row in await self._database.fetch(_NEWEST, limit_bytes)]

    async def since(self, seq: int, limit: int) -> list[tuple[int, CacheEntry]]:
        """Return up to `limit` entries written after `seq`, oldest first.

        Where several processes write to one PostgreSQL, an entry that is committed late can be passed over:
        that is a cache miss, never a wrong answer.
        """
        return [_entry(row) for row in await self._database.fetch(_SINCE, seq, limit)]

    async def purge_expired(self, now_ms: int) -> int:
        """Delete what has expired by `now_ms` (Unix time); return how many entries that were."""
        purged = 0
        while (deleted := await self._database.execute(_PURGE, now_ms, PURGE_ROWS)) > 0:
            purged += deleted
        return purged

    async def delete(self, key: bytes) -> bool:
        """Delete what is stored under a key; False when there is nothing. Reads the whole table."""
        return await self._database.execute("DELETE FROM cache_entries WHERE key = $1", key) > 0


def _entry(row: Row) -> tuple[int, CacheEntry]:
    seq, key, account_id, body, deployment, simulated, *numbers = row
    return seq, CacheEntry(key, account_id, body, deployment, bool(simulated), *numbers)
