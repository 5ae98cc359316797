"""How providers have answered lately: the calls of an account's newest requests."""

import msgspec

from neuralrouting.storage.attribution import conditions
from neuralrouting.storage.audit import AuditQuery
from neuralrouting.storage.database import Database

EXAMINED_ROWS = 2_000
"""Requests that are looked at: percentiles need single calls, and a page has 100 ms."""

_NEWEST = """
SELECT created_ms, simulated, completion_tokens, attempts
FROM (
    SELECT created_ms, simulated, completion_tokens, attempts, end_user, feature, team, deployment, key_id, endpoint
    FROM requests WHERE account_id = $1 AND created_ms >= $2 AND created_ms < $3 ORDER BY created_ms DESC LIMIT $4
) AS newest
WHERE attempts <> '[]'
"""


class RequestCalls(msgspec.Struct, frozen=True, array_like=True):
    """The calls of one request: `attempts` is the JSON list of `exchange.Attempt`, time is Unix ms."""

    created_ms: int
    simulated: bool
    completion_tokens: int
    attempts: str


class CallRows:
    """Reads the calls that requests have led to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, query: AuditQuery) -> list[RequestCalls]:
        """Return the calls of the newest `EXAMINED_ROWS` requests of a range that fit the filter, newest first."""
        texts, values = conditions(query.wanted, 5)
        sql = " AND ".join((_NEWEST, *texts))
        place = (query.account_id, query.from_ms, query.to_ms, EXAMINED_ROWS)
        rows = await self._database.fetch(sql, *place, *values)
        return [msgspec.convert(row, RequestCalls, strict=False) for row in rows]
