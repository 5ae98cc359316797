"""Rows of the cache: what a restarted worker warms up from, what workers learn from each other, what there is."""

import msgspec

from neuralrouting.exchange import CacheEntry, JsonObject
from neuralrouting.storage.database import Database, Row
from neuralrouting.storage.turnstile import delete_entries, deleting

EXAMINED_ROWS = 10_000
"""How many rows are looked at for an account's newest: there is no index for that, since it would slow every write."""
PURGE_ROWS = 1_000
"""Rows deleted per transaction, so that a long purge holds up no writer."""

_FIELDS = CacheEntry.__struct_fields__
COLUMNS = ", ".join(_FIELDS)
"""What `entry_of` takes, in its order."""
INSERT_ENTRY = (
    f"INSERT INTO cache_entries ({COLUMNS}) "  # noqa: S608  names of our own columns
    f"VALUES ({', '.join(f'${place}' for place in range(1, len(_FIELDS) + 1))})"
)
"""Takes `entry_values(entry)`. Of entries with one key the newest counts, so that writing one twice does no harm."""
EMBEDDING_AT, EMBEDDING_BYTES = 33, 256
"""Where the embedding begins in a probe, behind version and canonical hash, and its signed bytes; all zero is none."""

_BEFORE_NEWEST = """
WITH sized AS (
    SELECT seq, SUM(LENGTH(body)) OVER (ORDER BY seq DESC) AS bytes FROM cache_entries
)
SELECT COALESCE((SELECT MIN(seq) - 1 FROM sized WHERE bytes <= $1), (SELECT MAX(seq) FROM cache_entries), 0)
"""
_SINCE = f"SELECT seq, {COLUMNS} FROM cache_entries WHERE seq > $1 ORDER BY seq LIMIT $2"  # noqa: S608
_EXPIRED = """
DELETE FROM cache_entries WHERE seq IN (
    SELECT seq FROM cache_entries WHERE expires_ms <= $1 ORDER BY seq LIMIT $2
) RETURNING seq
"""
_COUNTED = """
FROM cache_entries AS entry WHERE account_id = $1 AND expires_ms > $2 AND NOT EXISTS (
    SELECT 1 FROM cache_entries AS newer
    WHERE newer.account_id = entry.account_id AND newer.key = entry.key AND newer.seq > entry.seq
)
"""
# All of an account's entries are read once, for what there is of each deployment and for the scopes of all.
_STATISTICS = f"""
WITH standing AS (
    SELECT deployment, scope, LENGTH(body) AS size, stored_ms,
        CASE WHEN scope IS NOT NULL AND SUBSTR(probe, {EMBEDDING_AT + 1}, {EMBEDDING_BYTES}) <> $3 THEN 1 ELSE 0 END
        AS semantic
    {_COUNTED}
)
SELECT deployment, COUNT(*), CAST(SUM(size) AS BIGINT), SUM(semantic), MIN(stored_ms), MAX(stored_ms)
FROM standing GROUP BY deployment
UNION ALL SELECT NULL, COUNT(DISTINCT scope), 0, 0, 0, 0 FROM standing
"""  # noqa: S608  our own words
_NEWEST = """
SELECT key, deployment, simulated, scope, LENGTH(body), stored_ms, expires_ms
FROM (SELECT * FROM cache_entries ORDER BY seq DESC LIMIT $3) AS newest
WHERE account_id = $1 AND expires_ms > $2 LIMIT $4
"""


def entry_values(entry: CacheEntry) -> Row:
    """Return what `INSERT_ENTRY` takes."""
    return msgspec.structs.astuple(entry)


def entry_of(row: Row) -> CacheEntry:
    """Read one row of `COLUMNS`."""
    key, account_id, body, deployment, simulated, *rest = row
    return CacheEntry(key, account_id, body, deployment, bool(simulated), *rest)


def embedding_of(probe: bytes) -> bytes:
    """Return the embedding in a probe: 256 signed bytes, or fewer where it is none of ours."""
    return probe[EMBEDDING_AT : EMBEDDING_AT + EMBEDDING_BYTES]


class StoredEntry(msgspec.Struct, frozen=True):
    """What is told of one stored answer: nothing of its text. Keys are in hex, sizes in bytes, times in Unix ms."""

    key: str
    deployment: str
    simulated: bool
    scope: str | None
    size: int
    stored_ms: int
    expires_ms: int


class EntryRows:
    """Reads and deletes cache entries; they are written through the `Writer` with `INSERT_ENTRY`.

    Entries come with their `seq`, which grows with every write. Raises Unavailable when the database is away.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def before_newest(self, limit_bytes: int) -> int:
        """Return the `seq` after which those entries come, the newest, whose bodies fit into `limit_bytes` together."""
        return (await self._database.fetch(_BEFORE_NEWEST, limit_bytes))[0][0]

    async def since(self, seq: int, limit: int) -> list[tuple[int, CacheEntry]]:
        """Return up to `limit` entries written after `seq`, oldest first; a key may come twice.

        Where several processes write to one PostgreSQL, an entry that is committed late can be passed over:
        that is a cache miss, never a wrong answer.
        """
        return [(row[0], entry_of(row[1:])) for row in await self._database.fetch(_SINCE, seq, limit)]

    async def purge_expired(self, now_ms: int) -> int:
        """Delete what has expired by `now_ms` (Unix time); return how many rows that were."""
        purged = 0
        while deleted := await deleting(self._database, _EXPIRED, now_ms, PURGE_ROWS):
            purged += deleted
        return purged

    async def drop(self, seqs: list[int]) -> None:
        """Delete these rows."""
        await delete_entries(self._database, seqs)

    async def newest(self, account_id: str, now_ms: int, limit: int) -> list[StoredEntry]:
        """Return up to `limit` of an account's entries, newest first, of the newest `EXAMINED_ROWS` of all accounts."""
        rows = await self._database.fetch(_NEWEST, account_id, now_ms, EXAMINED_ROWS, limit)
        return [
            StoredEntry(row[0].hex(), row[1], bool(row[2]), row[3].hex() if row[3] is not None else None, *row[4:])
            for row in rows
        ]

    async def statistics(self, account_id: str, now_ms: int) -> JsonObject:
        """Sum up what is stored for an account and has not expired by `now_ms`. Reads all its rows.

        `bytes` is the size of the answers; `semantic_entries` can be found by a text that is alike, in `scopes` scopes;
        `oldest_ms` and `newest_ms` are Unix times, None where there is nothing.
        """
        found = await self._database.fetch(_STATISTICS, account_id, now_ms, bytes(EMBEDDING_BYTES))
        rows = sorted(row for row in found if row[0] is not None)
        scopes = next(row[1] for row in found if row[0] is None)
        return {
            "entries": sum(row[1] for row in rows),
            "bytes": sum(row[2] for row in rows),
            "semantic_entries": sum(row[3] for row in rows),
            "scopes": scopes,
            "oldest_ms": min((row[4] for row in rows), default=None),
            "newest_ms": max((row[5] for row in rows), default=None),
            "deployments": [{"deployment": row[0], "entries": row[1], "bytes": row[2]} for row in rows],
        }
