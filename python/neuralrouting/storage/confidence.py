"""Rows of the confidence matrix: one account, what its audits have proven, the same for every worker."""

from functools import partial
from typing import Final

import msgspec

from neuralrouting.storage.database import Database, Dialect, Script, ask

CLAIM_MS: Final = 120_000
"""A build that has not ended after this is given up for dead, and another worker may begin. One of 50,000 audits takes
seconds."""
OVERLAP_MS: Final = 10_000
"""Evidence this much older than the last build counts as new: its row may have been committed after it was read."""
STALE_MS: Final = 86_400_000
"""Without any new evidence a matrix is built once a day, so that what is too old leaves it."""
DUE: Final = 100
"""Accounts told at once."""
_LOCK: Final = 0x6E725F636F6E66
"""Key of the advisory lock: the letters `nr_conf`. Under it numbers become visible in their order."""

_COLUMNS = "account_id, seq, built_ms, matrix, heads"
_FIND = f"SELECT {_COLUMNS} FROM confidence WHERE account_id = $1 AND seq > 0"  # noqa: S608  our own SQL
_SINCE = f"SELECT {_COLUMNS} FROM confidence WHERE seq > $1 ORDER BY seq LIMIT $2"  # noqa: S608
_PLACE = """
INSERT INTO confidence (account_id, seq, built_ms, matrix) VALUES ($1, 0, 0, '') ON CONFLICT (account_id) DO NOTHING
"""
_CLAIM = "UPDATE confidence SET claimed_ms = $3 WHERE account_id = $1 AND seq = $2 AND claimed_ms <= $4"
_PUT = """
UPDATE confidence SET seq = (SELECT MAX(seq) + 1 FROM confidence), built_ms = $3, matrix = $4, heads = $5,
claimed_ms = 0 WHERE account_id = $1 AND seq = $2 RETURNING seq
"""
_DUE = """
SELECT a.id, COALESCE(c.seq, 0) FROM accounts AS a LEFT JOIN confidence AS c ON c.account_id = a.id
WHERE COALESCE(c.built_ms, 0) <= $1 AND COALESCE(c.claimed_ms, 0) <= $2 AND (
    EXISTS (SELECT 1 FROM shadow_audits WHERE account_id = a.id AND judged_ms >= COALESCE(c.built_ms, 0) - $3)
    OR EXISTS (SELECT 1 FROM shadow_audits WHERE account_id = a.id AND human_ms >= COALESCE(c.built_ms, 0) - $3)
    OR EXISTS (SELECT 1 FROM feedback WHERE account_id = a.id AND created_ms >= COALESCE(c.built_ms, 0) - $3)
    OR (c.seq > 0 AND c.built_ms <= $4)
)
ORDER BY COALESCE(c.built_ms, 0), a.id LIMIT $5
"""


class ConfidenceRow(msgspec.Struct, frozen=True, array_like=True):
    """The matrix of one account, in the order of its columns.

    `seq` grows with every build in the table. `built_ms` (Unix time) is when its evidence was read, `matrix` JSON,
    `heads` what was learned of single prompts.
    """

    account_id: str
    seq: int
    built_ms: int
    matrix: str
    heads: bytes | None


class ConfidenceRows:
    """Reads and writes matrices. Nothing here looks into them. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, account_id: str) -> ConfidenceRow | None:
        """Return the matrix of an account, None where none was built."""
        rows = await self._database.fetch(_FIND, account_id)
        return ConfidenceRow(*rows[0]) if rows else None

    async def since(self, seq: int, limit: int = 20) -> list[ConfidenceRow]:
        """Return up to `limit` matrices that were built after `seq`; with the largest seen, none is passed over."""
        return [ConfidenceRow(*row) for row in await self._database.fetch(_SINCE, seq, limit)]

    async def due(self, now_ms: int, period_ms: int) -> list[tuple[str, int]]:
        """Return accounts whose matrix is older than a period and has new evidence, or is a day old.

        Each with the number of that matrix, 0 where there is none. Those that somebody is building are left out.
        """
        bounds = (now_ms - period_ms, now_ms - CLAIM_MS, OVERLAP_MS, now_ms - STALE_MS)
        return [(row[0], row[1]) for row in await self._database.fetch(_DUE, *bounds, DUE)]

    async def claim(self, account_id: str, seq: int, now_ms: int) -> bool:
        """Claim the build that follows number `seq` of an account; False where somebody else has, or has done it."""
        await self._database.execute(_PLACE, account_id)
        return await self._database.execute(_CLAIM, account_id, seq, now_ms, now_ms - CLAIM_MS) == 1

    async def put(self, row: ConfidenceRow) -> int | None:
        """Replace the matrix whose number is `row.seq` (0: there is none) and return the new one's.

        None, and nothing is written, where somebody has replaced it before. The claim is over with it.
        """
        return await self._database.transact(partial(_put, self._database.dialect, row))


def _put(dialect: Dialect, row: ConfidenceRow) -> Script[int | None]:
    if dialect == "postgres":
        yield ask("SELECT pg_advisory_xact_lock($1)", _LOCK)
    yield ask(_PLACE, row.account_id)
    written = yield ask(_PUT, row.account_id, row.seq, row.built_ms, row.matrix, row.heads)
    return written[0][0] if written else None
