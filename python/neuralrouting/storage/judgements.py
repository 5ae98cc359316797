"""Judgements: whether an answer from the cache was right. One that was not is retired, here and on every worker."""

from functools import partial
from typing import Final, Literal

import msgspec

from neuralrouting.errors import NotFound
from neuralrouting.storage.database import Database, Dialect, Script, ask
from neuralrouting.storage.purges import SKEW_MS, record
from neuralrouting.storage.trail import Actor, Change
from neuralrouting.storage.trail import record as record_change
from neuralrouting.storage.turnstile import pass_through

HitKind = Literal["exact", "canonical", "semantic"]
TAUGHT_MS: Final = 90 * 86_400_000
"""A wrong answer tightens its scope for so long."""

_STORED = "SELECT scope, stored_ms FROM cache_entries WHERE account_id = $1 AND key = $2 ORDER BY seq"
_RECORD = """
INSERT INTO cache_judgements (account_id, scope, key, kind, similarity, agreed, source, judged_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_AGAINST = """
SELECT seq, account_id, scope, key, kind, similarity FROM cache_judgements
WHERE agreed = 0 AND seq > $1 AND judged_ms > $2 ORDER BY seq LIMIT $3
"""
_COUNTS = """
SELECT kind, COUNT(*), SUM(1 - agreed) FROM cache_judgements WHERE account_id = $1 GROUP BY kind ORDER BY kind
"""


class Judgement(msgspec.Struct, frozen=True):
    """Somebody says whether a hit was right: the shadow layer, a user, an operator (`source`).

    `key` is that of the entry which answered, `similarity` that of the hit, from 0 to 1.
    """

    account_id: str
    key: bytes
    kind: HitKind
    similarity: float
    agreed: bool
    source: str


class Retirement(msgspec.Struct, frozen=True):
    """An entry that was proven wrong. `seq` grows, in the order in which they can be seen."""

    seq: int
    account_id: str
    scope: bytes | None
    key: bytes
    kind: HitKind
    similarity: float


class Verdicts(msgspec.Struct, frozen=True):
    """How many hits of one kind were judged, and how many of them were wrong."""

    judged: int
    disagreed: int

    @property
    def agreed(self) -> int:
        """How many were right."""
        return self.judged - self.disagreed


class Judgements:
    """Writes judgements down and tells what they taught. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def judge(self, judgement: Judgement, now_ms: int, *, actor: Actor | None) -> None:
        """Write a judgement down; one against an entry retires it in the same transaction.

        `actor` is the person who judges, for the trail; None: the shadow layer does, as it always does.
        Raises NotFound when nothing is stored for this account under this key (any more).
        """
        script = partial(_judge, self._database.dialect, judgement, now_ms, actor)
        await self._database.transact(script, durable=not judgement.agreed)

    async def against(self, seq: int, now_ms: int, limit: int = 1_000) -> list[Retirement]:
        """Return up to `limit` retirements after `seq`; with the largest seen, none is ever passed over."""
        return [Retirement(*row) for row in await self._database.fetch(_AGAINST, seq, now_ms - TAUGHT_MS, limit)]

    async def counts(self, account_id: str) -> dict[str, Verdicts]:
        """Return how the hits of an account were judged, by kind; kinds that nobody has judged are left out."""
        return {
            kind: Verdicts(judged, wrong) for kind, judged, wrong in await self._database.fetch(_COUNTS, account_id)
        }


def _judge(dialect: Dialect, judgement: Judgement, now_ms: int, actor: Actor | None) -> Script[None]:
    yield from pass_through(dialect)
    account_id, key = judgement.account_id, judgement.key
    stored = yield ask(_STORED, account_id, key)
    if not stored:
        raise NotFound("no such answer is stored: it has expired, was purged, or is not yours", param="entry")
    scope = stored[-1][0]
    values = (account_id, scope, key, judgement.kind, judgement.similarity, int(judgement.agreed))
    yield ask(_RECORD, *values, judgement.source, now_ms)
    if not judgement.agreed:
        newest_ms: int = max(stored_ms for _, stored_ms in stored)
        purged_ms = max(now_ms, min(newest_ms, now_ms + SKEW_MS))
        yield from record((account_id, None, key, None, purged_ms))
        yield ask("DELETE FROM cache_entries WHERE account_id = $1 AND key = $2", account_id, key)
    if actor is not None:
        told = {"kind": judgement.kind, "agreed": judgement.agreed}
        yield from record_change(dialect, Change(account_id, actor, "cache.judge", key.hex(), None, told))
