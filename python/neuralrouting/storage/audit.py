"""Requests as an account's own audit trail: page by page, newest first, and one by one."""

from typing import Any

import msgspec

from neuralrouting.storage.attribution import ANYTHING, Attribution, conditions
from neuralrouting.storage.database import Database
from neuralrouting.storage.requests import RequestRow

EXAMINED_ROWS = 10_000
"""How many requests one question looks at, so that a filter that fits nothing does not read a year of them."""


class AuditQuery(msgspec.Struct, frozen=True):
    """Which requests are wanted: from `from_ms` on and before `to_ms` (Unix time); None is any."""

    account_id: str
    from_ms: int
    to_ms: int
    wanted: Attribution = ANYTHING
    session_id: str | None = None
    status: int | None = None


class AuditPlace(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: the next one goes on behind this request."""

    created_ms: int
    request_id: str


class AuditPage(msgspec.Struct, frozen=True):
    """Requests without bodies and decisions, newest first; `behind` is where the next page begins, None at the end."""

    rows: tuple[RequestRow, ...]
    behind: AuditPlace | None


class PremiumCall(msgspec.Struct, frozen=True, array_like=True):
    """What is needed to price one answered request on another model, in the order of its columns.

    `candidates` is the JSON list of the deployments that could have served it.
    """

    task: str
    deployment: str
    candidates: str
    simulated: bool
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    cost_nanousd: int


_FIELDS = RequestRow.__struct_fields__
_WITH_BODIES = ", ".join(_FIELDS)
_WITHOUT_BODIES = ", ".join("NULL" if name.endswith("_body") else name for name in _FIELDS)
_LONG = ("request_body", "response_body", "decision")
_SHORT = ", ".join(name for name in _FIELDS if name not in _LONG)
_ON_PAGE = ", ".join("NULL" if name in _LONG else name for name in _FIELDS)
_PRICED = ", ".join(PremiumCall.__struct_fields__)
_NEWEST_FIRST = "ORDER BY created_ms DESC, request_id DESC"
_RANGE = "account_id = $1 AND created_ms >= $2 AND created_ms < $3"
_EXAMINED = f"""
SELECT COUNT(*) FROM (SELECT 1 FROM requests WHERE {_RANGE} LIMIT $4) AS newest
"""  # noqa: S608
_CALLS = f"""
SELECT {_PRICED}
FROM (
    SELECT {_PRICED}, status, route_rule FROM requests WHERE {_RANGE} ORDER BY created_ms DESC LIMIT $4
) AS newest
WHERE status = 200 AND cost_nanousd IS NOT NULL AND task IS NOT NULL AND deployment IS NOT NULL
AND COALESCE(route_rule, '') <> 'forced'
"""  # noqa: S608


class AuditRows:
    """Reads request rows, each account its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, request_id: str, account_id: str, *, bodies: bool = False) -> RequestRow | None:
        """Return one request of this account, with its bodies where asked; another account's is as unknown as none."""
        columns = _WITH_BODIES if bodies else _WITHOUT_BODIES
        sql = f"SELECT {columns} FROM requests WHERE request_id = $1 AND account_id = $2"  # noqa: S608
        rows = await self._database.fetch(sql, request_id, account_id)
        return msgspec.convert(rows[0], RequestRow, strict=False) if rows else None

    async def page(self, query: AuditQuery, limit: int, after: AuditPlace | None = None) -> AuditPage:
        """Return up to `limit` requests, those behind a place where one is given.

        Looks at `EXAMINED_ROWS` at most: a page can be short, or empty, and yet not be the last.
        """
        values: list[Any] = [query.account_id, query.from_ms, query.to_ms]
        where = _RANGE
        if after is not None:
            values += [after.created_ms, after.request_id]
            # The first condition is for the index, which knows nothing of request ids.
            where += " AND created_ms <= $4 AND (created_ms, request_id) < ($4, $5)"
        found = await self._database.fetch(*_page_sql(query, where, values, limit + 1))
        rows = tuple(msgspec.convert(row, RequestRow, strict=False) for row in found[:limit])
        if len(found) > limit:
            return AuditPage(rows, AuditPlace(rows[-1].created_ms, rows[-1].request_id))
        last = await self._database.fetch(
            f"SELECT created_ms, request_id FROM requests WHERE {where} {_NEWEST_FIRST} "  # noqa: S608
            f"LIMIT 1 OFFSET ${len(values) + 1}",
            *values,
            EXAMINED_ROWS - 1,
        )
        return AuditPage(rows, AuditPlace(*last[0]) if last else None)

    async def unforced_calls(self, query: AuditQuery) -> tuple[list[PremiumCall], bool]:
        """Return priced answers whose model the gateway chose, of the newest `EXAMINED_ROWS`; True: there are more."""
        place = (query.account_id, query.from_ms, query.to_ms)
        rows = await self._database.fetch(_CALLS, *place, EXAMINED_ROWS)
        examined = await self._database.fetch(_EXAMINED, *place, EXAMINED_ROWS + 1)
        calls = [msgspec.convert(row, PremiumCall, strict=False) for row in rows]
        return calls, examined[0][0] > EXAMINED_ROWS


def _page_sql(query: AuditQuery, where: str, values: list[Any], limit: int) -> tuple[Any, ...]:
    """Return the page's SQL and its values: the filters look at a bounded part of the range only."""
    texts, narrowed = conditions(query.wanted, len(values) + 1)
    all_values = [*values, *narrowed]
    for column, value in (("session_id", query.session_id), ("status", query.status)):
        if value is not None:
            all_values.append(value)
            texts.append(f"{column} = ${len(all_values)}")
    sql = (
        f"SELECT {_ON_PAGE} FROM (SELECT {_SHORT} FROM requests WHERE {where} {_NEWEST_FIRST} "  # noqa: S608
        f"LIMIT {EXAMINED_ROWS}) AS newest {'WHERE ' + ' AND '.join(texts) if texts else ''} "
        f"{_NEWEST_FIRST} LIMIT ${len(all_values) + 1}"
    )
    return (sql, *all_values, limit)
