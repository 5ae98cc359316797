"""Vectors of stored answers in PostgreSQL, by the extension pgvector: made from probes, behind the request path.

They are written by a task and not with their entry: whoever stores an answer must not wait for an index, nor fail where
the extension is gone. Only the vectors of crowded scopes are in the HNSW index, which costs milliseconds a row; those
of all others are read one by one.
"""

import logging
from functools import partial
from typing import Final

from neuralrouting.errors import Unavailable
from neuralrouting.storage.database import Database, Row, RowError, Script, ask
from neuralrouting.storage.entries import EMBEDDING_AT, EMBEDDING_BYTES
from neuralrouting.storage.turnstile import pass_through, slip_through

CROWD: Final = 5_000
"""A scope with more vectors than this is crowded."""
INDEX_ROWS: Final = 200
"""Vectors a transaction; 2 ms each where their scope is crowded, and purges wait for it."""
LOOK_BACK: Final = 2_000
"""So many rows before the newest vector are looked at again, for entries that were committed late."""
LEAST_VERSION: Final = (0, 8)
"""pgvector 0.8 is the first that goes on searching where others' rows were near."""

_log = logging.getLogger("neuralrouting.storage")
Scope = tuple[str, bytes, str]
"""Account, scope, embedder."""

_VERSION = "SELECT installed_version, default_version FROM pg_available_extensions WHERE name = 'vector'"
# Signed bytes are whole in 16-bit floats, and half the size of pgvector's usual numbers.
_TABLES = (
    f"""
    CREATE TABLE IF NOT EXISTS cache_vectors (
        seq BIGINT NOT NULL PRIMARY KEY REFERENCES cache_entries (seq) ON DELETE CASCADE,
        account_id TEXT NOT NULL,
        scope BYTEA NOT NULL,
        embedder TEXT NOT NULL,
        expires_ms BIGINT NOT NULL,
        crowded BOOLEAN NOT NULL,
        embedding HALFVEC({EMBEDDING_BYTES}) NOT NULL
    )
    """,
    "CREATE INDEX IF NOT EXISTS cache_vectors_scope ON cache_vectors (account_id, scope, embedder)",
    """
    CREATE INDEX IF NOT EXISTS cache_vectors_near ON cache_vectors
    USING hnsw (embedding halfvec_cosine_ops) WITH (m = 16, ef_construction = 64) WHERE crowded
    """,
    """
    CREATE TABLE IF NOT EXISTS cache_crowds (
        account_id TEXT NOT NULL, scope BYTEA NOT NULL, embedder TEXT NOT NULL, indexed BOOLEAN NOT NULL,
        PRIMARY KEY (account_id, scope, embedder)
    )
    """,
)
_INDEXED_TO = f"SELECT GREATEST(0, COALESCE(MAX(seq), 0) - {LOOK_BACK}) FROM cache_vectors"  # noqa: S608
_MISSING = f"""
SELECT seq FROM cache_entries AS entry
WHERE seq > $1 AND scope IS NOT NULL AND embedder IS NOT NULL
    AND LENGTH(probe) >= {EMBEDDING_AT + EMBEDDING_BYTES}
    AND SUBSTR(probe, {EMBEDDING_AT + 1}, {EMBEDDING_BYTES}) <> $2
    AND NOT EXISTS (SELECT 1 FROM cache_vectors AS vector WHERE vector.seq = entry.seq)
ORDER BY seq LIMIT {INDEX_ROWS}
"""  # noqa: S608
_INDEX = f"""
INSERT INTO cache_vectors (seq, account_id, scope, embedder, expires_ms, crowded, embedding)
SELECT seq, account_id, scope, embedder, expires_ms,
    EXISTS (
        SELECT 1 FROM cache_crowds AS crowd WHERE crowd.account_id = entry.account_id
        AND crowd.scope = entry.scope AND crowd.embedder = entry.embedder
    ),
    CAST(ARRAY(
        SELECT ((get_byte(probe, place) + 128) & 255) - 128
        FROM generate_series({EMBEDDING_AT}, {EMBEDDING_AT + EMBEDDING_BYTES - 1}) AS place ORDER BY place
    ) AS HALFVEC)
FROM cache_entries AS entry WHERE seq = ANY($1::BIGINT[]) ORDER BY seq
"""  # noqa: S608
_CROWDS = "SELECT account_id, scope, embedder FROM cache_crowds WHERE indexed"
_NEW_CROWDS = f"""
INSERT INTO cache_crowds (account_id, scope, embedder, indexed)
SELECT account_id, scope, embedder, FALSE FROM cache_vectors
GROUP BY account_id, scope, embedder HAVING COUNT(*) > {CROWD} ON CONFLICT DO NOTHING
RETURNING scope
"""  # noqa: S608
_LEFT_OUT = f"""
SELECT vector.seq FROM cache_vectors AS vector JOIN cache_crowds AS crowd USING (account_id, scope, embedder)
WHERE NOT vector.crowded ORDER BY vector.seq LIMIT {INDEX_ROWS}
"""  # noqa: S608
_JOIN_CROWD = "UPDATE cache_vectors SET crowded = TRUE WHERE seq = ANY($1::BIGINT[])"
_DISPERSED = """
DELETE FROM cache_crowds AS crowd WHERE NOT EXISTS (
    SELECT 1 FROM cache_vectors AS vector WHERE vector.account_id = crowd.account_id
    AND vector.scope = crowd.scope AND vector.embedder = crowd.embedder
) RETURNING scope
"""


def vector_text(embedding: bytes) -> str:
    """Write an embedding of signed bytes as pgvector reads it."""
    return str(memoryview(embedding).cast("b").tolist())


async def set_up_vectors(database: Database) -> bool:
    """Make the tables of vectors; False, told in the log with what to do, where the server has no pgvector for us.

    May be called by many at once, and again. Raises Unavailable when the database is away.
    """
    lacking = await _lacking(database)
    if lacking is None:
        try:
            await database.transact(_make_tables)
        except (Unavailable, RowError) as error:
            await database.fetch("SELECT 1")  # raises where it is away, and nothing is lacking
            lacking = f"the tables of vectors cannot be made ({error})"
    if lacking is not None:
        _log.warning(
            "answers to alike questions are not shared between replicas, only repeated ones: %s. Have a superuser run "
            "`CREATE EXTENSION vector` (pgvector %s or later) in this database, then restart",
            lacking,
            ".".join(map(str, LEAST_VERSION)),
        )
    return lacking is None


class Vectors:
    """Keeps the vectors up to date; of many workers that do, one works at a time, and never before a purge.

    Its methods return how many rows they have dealt with, 0 when none are left, None when somebody else is at work.
    They raise Unavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seq: int | None = None

    async def index_new(self) -> int | None:
        """Make vectors of the oldest entries without one that have come."""
        seq: int = self._seq if self._seq is not None else (await self._database.fetch(_INDEXED_TO))[0][0]
        done = await self._database.transact(partial(_index, seq))
        if done is None:
            return None
        made, self._seq = done
        return made

    async def sort_crowds(self) -> int | None:
        """Move vectors of scopes that have become crowded into the HNSW index."""
        return await self._database.transact(_sort_crowds)

    async def find_crowds(self) -> int | None:
        """Look which scopes have become crowded, or empty, and count those; reads the index of all vectors."""
        return await self._database.transact(_find_crowds)

    async def crowds(self) -> frozenset[Scope]:
        """Return the scopes whose vectors are all in the HNSW index."""
        return frozenset((row[0], row[1], row[2]) for row in await self._database.fetch(_CROWDS))


async def _lacking(database: Database) -> str | None:
    rows = await database.fetch(_VERSION)
    if not rows:
        return "pgvector is not installed on the server"
    installed, available = rows[0]
    version = installed or available
    if tuple(int(part) for part in version.split(".")[:2]) < LEAST_VERSION:
        return f"pgvector {version} is too old"
    return None


def _make_tables() -> Script[None]:
    yield from pass_through("postgres")
    yield ask("CREATE EXTENSION IF NOT EXISTS vector")
    if (yield ask("SELECT to_regtype('halfvec') IS NULL"))[0][0]:
        raise RowError("pgvector stands in a schema that is not on the search_path")
    if (yield ask("SELECT to_regclass('cache_crowds') IS NULL"))[0][0]:
        for sql in _TABLES:
            yield ask(sql)


def _index(seq: int) -> Script[tuple[int, int] | None]:
    if not (yield from slip_through("postgres")):
        return None
    newest: int = (yield ask("SELECT COALESCE(MAX(seq), 0) FROM cache_entries"))[0][0]
    missing: list[int] = [row[0] for row in (yield ask(_MISSING, seq, bytes(EMBEDDING_BYTES)))]
    if missing:
        yield ask(_INDEX, missing)
    looked_to = missing[-1] if len(missing) == INDEX_ROWS else newest
    return len(missing), max(seq, looked_to - LOOK_BACK)


def _find_crowds() -> Script[int | None]:
    if not (yield from slip_through("postgres")):
        return None
    empty = yield ask(_DISPERSED)
    new = yield ask(_NEW_CROWDS)
    return len(empty) + len(new)


def _sort_crowds() -> Script[int | None]:
    if not (yield from slip_through("postgres")):
        return None
    left_out: list[Row] = yield ask(_LEFT_OUT)
    if left_out:
        yield ask(_JOIN_CROWD, [row[0] for row in left_out])
    else:
        yield ask("UPDATE cache_crowds SET indexed = TRUE WHERE NOT indexed")
    return len(left_out)
