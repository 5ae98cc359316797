"""What the gateway itself took of an account's newest requests."""

from neuralrouting.storage.attribution import conditions
from neuralrouting.storage.audit import AuditQuery
from neuralrouting.storage.database import Database

NEWEST = 1_000
"""Requests that are looked at: the sums hold no times, and a page reads no more single rows than these."""
_OVERHEADS = """
SELECT overhead_us
FROM (
    SELECT overhead_us, simulated, end_user, feature, team, deployment, key_id, endpoint
    FROM requests WHERE account_id = $1 AND created_ms >= $2 AND created_ms < $3 ORDER BY created_ms DESC LIMIT $4
) AS newest
WHERE overhead_us IS NOT NULL AND simulated = $5
"""


class OverheadRows:
    """Reads overheads, each account its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, query: AuditQuery, *, simulated: bool) -> list[int]:
        """Return the microseconds of those that fit the filter among the newest `NEWEST` requests of a range."""
        texts, values = conditions(query.wanted, 6)
        sql = " AND ".join((_OVERHEADS, *texts))
        place = (query.account_id, query.from_ms, query.to_ms, NEWEST, int(simulated))
        rows = await self._database.fetch(sql, *place, *values)
        return [row[0] for row in rows]
