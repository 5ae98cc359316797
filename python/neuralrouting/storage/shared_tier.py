"""The cache that replicas share on PostgreSQL: what one has answered, another finds before it asks a model."""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final, Self

import msgspec

from neuralrouting.errors import Unavailable
from neuralrouting.exchange import CacheEntry
from neuralrouting.storage.database import Database, Row, RowError, Script, ask
from neuralrouting.storage.entries import COLUMNS, EMBEDDING_BYTES, embedding_of, entry_of
from neuralrouting.storage.vectors import CROWD, Scope, Vectors, set_up_vectors, vector_text

NOMINATED: Final = 0.75
"""The cosine from which on the core has its second embedder decide (`NOMINATED` in rust/src/engine.rs)."""
REST_S: Final = 1.0
"""Who gave no answer in time is not asked again for so long."""
NEIGHBOURS: Final = 4
"""Entries that a lookup gives; the core verifies so many."""
NOMINEES: Final = 16
"""Rows looked at for them: one entry may have been written several times."""
EF_SEARCH: Final = 100
"""Width of the search in the HNSW index of crowded scopes; see benches/pgvector.py for what it finds and takes."""
POLL_S: Final = 1.0
CROWDS_S: Final = 60.0
COMPLAINT_S: Final = 60.0

_log = logging.getLogger("neuralrouting.cache")
_ENTRY = ", ".join(f"entry.{column}" for column in COLUMNS.split(", "))
EXACT: Final = f"""
SELECT {COLUMNS} FROM cache_entries WHERE account_id = $1 AND key = $2 AND expires_ms > $3 ORDER BY seq DESC LIMIT 1
"""  # noqa: S608
# As a query of its own the text is read once, not for every row.
_DISTANCE = "embedding <=> (SELECT CAST(CAST($5 AS TEXT) AS HALFVEC))"
_OF_SCOPE = "account_id = $1 AND scope = $2 AND embedder = $4 AND expires_ms > $3"
# Whose rows these are is decided first, then each is compared; of a scope that is not indexed yet, a part.
_NOMINEES_OF_SCOPE = f"""
compared AS MATERIALIZED (
    SELECT seq, {_DISTANCE} AS distance FROM cache_vectors WHERE {_OF_SCOPE} LIMIT {2 * CROWD}
),
nominee AS MATERIALIZED (SELECT seq, distance FROM compared ORDER BY distance LIMIT {NOMINEES})
"""  # noqa: S608
_NOMINEES_OF_CROWD = f"""
nominee AS MATERIALIZED (
    SELECT seq, {_DISTANCE} AS distance FROM cache_vectors WHERE crowded AND {_OF_SCOPE}
    ORDER BY {_DISTANCE} LIMIT {NOMINEES}
)
"""  # noqa: S608
_NEAREST = f"""
SELECT {_ENTRY} FROM nominee JOIN cache_entries AS entry USING (seq)
WHERE entry.account_id = $1 AND entry.scope = $2 AND entry.expires_ms > $3 AND nominee.distance <= $6
    AND NOT EXISTS (
        SELECT 1 FROM cache_entries AS newer
        WHERE newer.account_id = $1 AND newer.key = entry.key AND newer.seq > entry.seq
    )
ORDER BY nominee.distance, seq LIMIT {NEIGHBOURS}
"""  # noqa: S608
NEAREST_OF_SCOPE: Final = f"WITH {_NOMINEES_OF_SCOPE.strip()} {_NEAREST.strip()}"
"""Takes account, scope, Unix ms, embedder, embedding as text, largest cosine distance."""
NEAREST_OF_CROWD: Final = f"WITH {_NOMINEES_OF_CROWD.strip()} {_NEAREST.strip()}"
"""The same through the HNSW index, in a transaction that said `SEARCH_INDEX`."""
SEARCH_INDEX: Final = (
    "SELECT set_config('hnsw.iterative_scan', 'strict_order', true), set_config('enable_sort', 'off', true), "
    f"set_config('hnsw.ef_search', '{EF_SEARCH}', true)"
)


class Reach(msgspec.Struct, frozen=True):
    """How far lookups go: to questions alike or not, not below the cosine `floor`, not for longer than `budget_s`."""

    alike: bool = True
    floor: float = 0.92
    budget_s: float = 0.05


class SharedTier:
    """Looks up what any replica has stored, for one account at a time; give `find`'s entries to the core, and ask it.

    `covered` says of an entry whether it was purged.
    """

    def __init__(self, database: Database, covered: Callable[[CacheEntry], bool], reach: Reach) -> None:
        self._database = database
        self._covered = covered
        self._reach = reach
        self._vectors = Vectors(database)
        self._crowds: frozenset[Scope] = frozenset()
        self._crowds_s = 0.0
        self._rests_until_s = 0.0
        self._complained_s = -COMPLAINT_S
        self._lookups: set[asyncio.Task[list[Row]]] = set()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, database: Database, covered: Callable[[CacheEntry], bool], reach: Reach) -> Self:
        """Set up what PostgreSQL needs and begin to keep it up. Raises Unavailable when it is away.

        Without pgvector only repeated requests are found; the log says so.
        """
        if reach.alike and not await set_up_vectors(database):
            reach = msgspec.structs.replace(reach, alike=False)
        tier = cls(database, covered, reach)
        if reach.alike:
            tier._task = asyncio.get_running_loop().create_task(tier._keep_up(), name="shared-tier")
        return tier

    async def close(self) -> None:
        """Stop."""
        tasks: list[asyncio.Task[object]] = [*self._lookups, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._task = None

    async def find(
        self, account_id: str, key: bytes, scope: bytes | None, probe: bytes | None, embedder: str, now_ms: int
    ) -> list[CacheEntry]:
        """Return the entry with this exact key; without one, up to 4 of the same scope that are nearest, nearest first.

        Scope or probe None: only the key counts. `now_ms` is Unix time. Never fails: what takes longer than its budget
        is a miss, and so is a database that is away.
        """
        if time.monotonic() < self._rests_until_s:
            return []
        near = (scope, embedder, embedding_of(probe)) if scope and probe and self._reach.alike else None
        lookup = asyncio.get_running_loop().create_task(self._find(account_id, key, near, now_ms))
        self._lookups.add(lookup)
        lookup.add_done_callback(self._finish)
        try:
            # Not `asyncio.timeout`: to cancel a query takes until the server has answered, which may be never.
            await asyncio.wait([lookup], timeout=self._reach.budget_s)
            if lookup.done():
                return [entry for row in lookup.result() if not self._covered(entry := entry_of(row))]
            self._rest(f"no answer in {1_000 * self._reach.budget_s:.0f} ms")
        except Unavailable as error:
            self._rest(error.message)
        except Exception as error:  # noqa: BLE001  a request must not fail by what it can do without
            self._rest(type(error).__name__)
        finally:
            lookup.cancel()
        return []

    async def _find(self, account_id: str, key: bytes, near: tuple[bytes, str, bytes] | None, now_ms: int) -> list[Row]:
        exact = await self._database.fetch(EXACT, account_id, key, now_ms)
        if exact or near is None:
            return exact
        scope, embedder, embedding = near
        if len(embedding) != EMBEDDING_BYTES or not any(embedding):
            return []
        values = (account_id, scope, now_ms, embedder, vector_text(embedding), 1.0 - self._reach.floor)
        if (account_id, scope, embedder) in self._crowds:
            return await self._database.transact(partial(_search_index, values))
        return await self._database.fetch(NEAREST_OF_SCOPE, *values)

    def _finish(self, lookup: asyncio.Task[list[Row]]) -> None:
        self._lookups.discard(lookup)
        if not lookup.cancelled():
            lookup.exception()  # one that nobody waits for any more need not be told

    def _rest(self, why: str) -> None:
        now_s = time.monotonic()
        self._rests_until_s = now_s + REST_S
        if now_s - self._complained_s >= COMPLAINT_S:
            self._complained_s = now_s
            _log.warning("lookups in the shared cache count as misses: %s", why)

    async def _keep_up(self) -> None:
        while True:
            busy = 0
            try:
                busy = (await self._vectors.index_new() or 0) + await self._sort_crowds()
            except (Unavailable, RowError) as error:
                _log.info("vectors of stored answers wait: %s", error)
            except Exception:  # noqa: BLE001  the next round may find things otherwise
                _log.exception("vectors of stored answers wait")
            await asyncio.sleep(0.0 if busy else POLL_S)

    async def _sort_crowds(self) -> int:
        if time.monotonic() < self._crowds_s:
            return 0
        await self._vectors.find_crowds()
        moved = await self._vectors.sort_crowds()
        if not moved:
            self._crowds = await self._vectors.crowds()
            self._crowds_s = time.monotonic() + CROWDS_S
        return moved or 0


def _search_index(values: Row) -> Script[list[Row]]:
    yield ask(SEARCH_INDEX)
    return (yield ask(NEAREST_OF_CROWD, *values))
