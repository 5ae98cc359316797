"""What the confidence matrix is built from: judged comparisons and feedback of one account, newest first."""

from typing import Final

from neuralrouting.evidence.audits import Audit
from neuralrouting.exchange import Judged, Said
from neuralrouting.storage.database import Database, Row

NEWEST: Final = 50_000
"""Comparisons that a matrix is built from, at most."""
PAGE: Final = 500
"""Rows a query, so that decoding them never holds up requests for long."""

_JUDGED = """
account_id = $1 AND reference = $2 AND kind = 'answer' AND simulated = 0
AND (human IS NOT NULL OR difference IS NOT NULL)
"""
_DIFFERENCE = "CASE human WHEN 'win' THEN 1.0 WHEN 'tie' THEN 0.0 WHEN 'lose' THEN -1.0 ELSE difference END"
"""A person's verdict goes before the judge's."""
_AUDITS = f"""
SELECT judged_ms, seq, candidate, task, {_DIFFERENCE}, propensity, predicted, candidate_version, reference_version,
human IS NOT NULL, difference, judge FROM shadow_audits
WHERE {_JUDGED} AND judged_ms <= $3 AND (judged_ms, seq) < ($3, $4) ORDER BY judged_ms DESC, seq DESC LIMIT $5
"""  # noqa: S608  our own SQL
_ROWS = f"""
SELECT features, {_DIFFERENCE}, propensity FROM shadow_audits
WHERE {_JUDGED} AND candidate = $3 AND features IS NOT NULL ORDER BY judged_ms DESC, seq DESC LIMIT $4
"""  # noqa: S608
_POOR = "COALESCE(human, verdict) = 'lose' AND kind = 'answer' AND simulated = 0 AND embedding IS NOT NULL"
_WENT_WRONG = f"""
SELECT embedding FROM shadow_audits WHERE account_id = $1 AND judged_ms >= $2 AND {_POOR}
ORDER BY judged_ms DESC, seq DESC LIMIT $3
"""  # noqa: S608
_WRONG_SINCE = f"""
SELECT seq, account_id, embedding FROM shadow_audits WHERE seq > $1 AND {_POOR} ORDER BY seq LIMIT $2
"""  # noqa: S608
_FEEDBACK = """
SELECT deployment, task, score, created_ms FROM feedback
WHERE account_id = $1 AND source = 'user' AND task IS NOT NULL AND deployment IS NOT NULL AND deployment <> $2
ORDER BY created_ms DESC, seq DESC LIMIT $3
"""
_NEWEST_REFERENCE = """
SELECT reference FROM shadow_audits WHERE account_id = $1 AND kind = 'answer' AND simulated = 0
ORDER BY judged_ms DESC, seq DESC LIMIT 1
"""
_LAST_MS, _LAST_SEQ = 2**62, 2**62
KeptRow = tuple[bytes, float, float]


class EvidenceRows:
    """Reads evidence, each account its own. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def audits(self, account_id: str, reference: str, most: int = NEWEST) -> list[Judged]:
        """Return the newest comparisons with this reference, the newest first; simulated ones say nothing."""
        found: list[Judged] = []
        place = (_LAST_MS, _LAST_SEQ)
        while len(found) < most:
            limit = min(PAGE, most - len(found))
            rows = await self._database.fetch(_AUDITS, account_id, reference, *place, limit)
            found += map(_judged, rows)
            if len(rows) < limit:
                break
            place = rows[-1][0], rows[-1][1]
        return found

    async def rows(self, account_id: str, reference: str, candidate: str, most: int) -> list[KeptRow]:
        """Return (features, difference, propensity) of a candidate's newest comparisons that have features."""
        rows = await self._database.fetch(_ROWS, account_id, reference, candidate, most)
        return [(row[0], float(row[1]), row[2]) for row in rows]

    async def feedback(self, account_id: str, reference: str, most: int = NEWEST) -> list[Said]:
        """Return what was said on purpose of answers by other models than the reference, the newest first."""
        return [Said(*row) for row in await self._database.fetch(_FEEDBACK, account_id, reference, most)]

    async def went_wrong(self, account_id: str, since_ms: int, most: int) -> list[bytes]:
        """Return the embeddings of the newest prompts whose answer was the worse one, judged since then."""
        return [row[0] for row in await self._database.fetch(_WENT_WRONG, account_id, since_ms, most)]

    async def went_wrong_since(self, seq: int, limit: int = PAGE) -> list[tuple[int, str, bytes]]:
        """Return (seq, account, embedding) of such prompts of all accounts after `seq`, in its order.

        On PostgreSQL a row may become visible after one with a higher `seq`; whoever must not miss it looks back.
        """
        return [(row[0], row[1], row[2]) for row in await self._database.fetch(_WRONG_SINCE, seq, limit)]

    async def last_seq(self) -> int:
        """Return the number of the newest comparison, 0 where there is none."""
        return (await self._database.fetch("SELECT COALESCE(MAX(seq), 0) FROM shadow_audits"))[0][0]

    async def reference(self, account_id: str) -> str | None:
        """Return what the newest comparison was made with, None where there is none."""
        rows = await self._database.fetch(_NEWEST_REFERENCE, account_id)
        return rows[0][0] if rows else None


def _judged(row: Row) -> Judged:
    judged_ms, _, candidate, task, difference, propensity, predicted, of_candidate, of_reference = row[:9]
    version = f"{of_candidate} {of_reference}" if of_candidate or of_reference else ""
    checked, by_judge, judge = bool(row[9]), row[10], row[11]
    certain = checked or judge is None
    audit = Audit(candidate, task, float(difference), judged_ms, 1.0, propensity, predicted, version, certain)
    return Judged(audit, checked, by_judge if judge is not None else None)
