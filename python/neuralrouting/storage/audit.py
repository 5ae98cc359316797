"""Requests as an account's own audit trail: page by page, newest first, and one by one."""

from collections.abc import Sequence
from typing import Any

import msgspec

from neuralrouting.storage.attribution import ANYTHING, Attribution, conditions
from neuralrouting.storage.database import Database
from neuralrouting.storage.lines import Column, line
from neuralrouting.storage.requests import RequestRow

EXAMINED_ROWS = 10_000
"""How many requests one question looks at, so that a filter that fits nothing does not read a year of them."""


class AuditQuery(msgspec.Struct, frozen=True):
    """Which requests are wanted: from `from_ms` on and before `to_ms` (Unix time); None is any.

    `search` is the beginning of a request's id, or a whole user, session or error code.
    """

    account_id: str
    from_ms: int
    to_ms: int
    wanted: Attribution = ANYTHING
    session_id: str | None = None
    status: int | None = None
    task: str | None = None
    cache: str | None = None
    simulated: bool | None = None
    search: str | None = None


class AuditPlace(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: the next one goes on behind this request."""

    created_ms: int
    request_id: str


class AuditPage(msgspec.Struct, frozen=True):
    """Requests without bodies and decisions, newest first; `behind` is where the next page begins, None at the end."""

    rows: tuple[RequestRow, ...]
    behind: AuditPlace | None


class AuditChunk(msgspec.Struct, frozen=True):
    """Requests as lines of CSV without their ends, newest first; `behind` is where to go on, None at the end."""

    lines: list[str]
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
ON_PAGE = ", ".join("NULL" if name in _LONG else name for name in _FIELDS)
"""The columns of a `RequestRow` without what is long: its bodies and its decision."""
_PRICED = ", ".join(PremiumCall.__struct_fields__)
_NEWEST_FIRST = "ORDER BY created_ms DESC, request_id DESC"
_RANGE = "account_id = $1 AND created_ms >= $2 AND created_ms < $3"
_BEHIND = "(created_ms, request_id) < ({at}, {id})"
_NOT_BEHIND = "(created_ms, request_id) >= ({at}, {id})"
_CALLS = f"""
SELECT {_PRICED} FROM requests
WHERE {_RANGE} AND {_NOT_BEHIND.format(at="$4", id="$5")}
AND status = 200 AND cost_nanousd IS NOT NULL AND task IS NOT NULL AND COALESCE(route_rule, '') <> 'forced'
AND deployment IN ({{places}})
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
        where, values = _behind(query, after)
        last = None
        # Without a filter the page itself is all that is looked at.
        if narrowed(query, 1)[0]:
            last, _ = await self._last_examined(where, values)
            where, values = _down_to(where, values, last)
        texts, told = narrowed(query, len(values) + 1)
        values += [*told, limit + 1]
        found = await self._database.fetch(
            f"SELECT {ON_PAGE} FROM requests WHERE {' AND '.join([where, *texts])} "  # noqa: S608  our own words
            f"{_NEWEST_FIRST} LIMIT ${len(values)}",
            *values,
        )
        rows = tuple(msgspec.convert(row, RequestRow, strict=False) for row in found[:limit])
        if len(found) > limit:
            return AuditPage(rows, AuditPlace(rows[-1].created_ms, rows[-1].request_id))
        return AuditPage(rows, last)

    async def chunk(
        self, query: AuditQuery, columns: Sequence[Column], examined: int, after: AuditPlace | None = None
    ) -> AuditChunk:
        """Return a line of what fits among the next `examined` requests, behind a place where one is given."""
        where, values = _behind(query, after)
        last, more = await self._last_examined(where, values, examined)
        where, values = _down_to(where, values, last)
        texts, told = narrowed(query, len(values) + 1)
        rows = await self._database.fetch(
            f"SELECT {line(columns, self._database.dialect)} FROM requests "  # noqa: S608  our own words
            f"WHERE {' AND '.join([where, *texts])} {_NEWEST_FIRST}",
            *values,
            *told,
        )
        return AuditChunk([text for (text,) in rows], last if more else None)

    async def unforced_calls(self, query: AuditQuery, deployments: Sequence[str]) -> tuple[list[PremiumCall], bool]:
        """Return priced answers of these deployments whose model the gateway chose, of the newest `EXAMINED_ROWS`.

        True: there are more requests than those.
        """
        values: list[Any] = [query.account_id, query.from_ms, query.to_ms]
        last, more = await self._last_examined(_RANGE, values)
        oldest = last or AuditPlace(query.from_ms, "")
        values[1] = oldest.created_ms
        if not deployments:
            return [], more
        places = ", ".join(f"${place}" for place in range(6, 6 + len(deployments)))
        sql = _CALLS.replace("{places}", places)
        rows = await self._database.fetch(sql, *values, oldest.created_ms, oldest.request_id, *deployments)
        return [msgspec.convert(row, PremiumCall, strict=False) for row in rows], more

    async def _last_examined(
        self, where: str, values: Sequence[Any], examined: int = EXAMINED_ROWS
    ) -> tuple[AuditPlace | None, bool]:
        """Return the last of the rows that are looked at, from the index alone, and whether there are more.

        None: there are not so many.
        """
        found = await self._database.fetch(
            f"SELECT created_ms, request_id FROM requests WHERE {where} "  # noqa: S608  our own words
            f"{_NEWEST_FIRST} LIMIT 2 OFFSET {examined - 1}",
            *values,
        )
        return AuditPlace(*found[0]) if found else None, len(found) == 2


def _behind(query: AuditQuery, after: AuditPlace | None) -> tuple[str, list[Any]]:
    """Return the conditions of a range, behind a place where one is given, and their values.

    The range itself is cut there: SQLite looks for one bound of each side in the index, and takes the first it is told.
    """
    if after is None:
        return _RANGE, [query.account_id, query.from_ms, query.to_ms]
    to_ms = min(query.to_ms, after.created_ms + 1)
    values = [query.account_id, query.from_ms, to_ms, after.created_ms, after.request_id]
    return f"{_RANGE} AND {_BEHIND.format(at='$4', id='$5')}", values


def _down_to(where: str, values: list[Any], last: AuditPlace | None) -> tuple[str, list[Any]]:
    """Narrow a range to what is not behind a place of it, where there is one."""
    if last is None:
        return where, values
    account_id, _, to_ms, *rest = values
    condition = _NOT_BEHIND.format(at=f"${len(values) + 1}", id=f"${len(values) + 2}")
    return f"{where} AND {condition}", [account_id, last.created_ms, to_ms, *rest, last.created_ms, last.request_id]


def narrowed(query: AuditQuery, first: int) -> tuple[list[str], list[Any]]:
    """Return the conditions of a question and their values, whose placeholders begin with number `first`.

    Account and time are not among them: how those are found is up to who asks.
    """
    texts, told = conditions(query.wanted, first)
    values: list[Any] = [*told]
    exact = {"session_id": query.session_id, "status": query.status, "task": query.task, "cache": query.cache}
    flag = None if query.simulated is None else int(query.simulated)
    for column, value in (exact | {"simulated": flag}).items():
        if value is not None:
            values.append(value)
            texts.append(f"{column} = ${first + len(values) - 1}")
    if query.search is not None:
        values.append(query.search)
        place = f"CAST(${first + len(values) - 1} AS TEXT)"
        # The beginning is compared, not searched for: LIKE would obey `%` and `_` in what somebody types.
        beginning = f"SUBSTR(request_id, 1, LENGTH({place})) = {place}"
        texts.append(f"({beginning} OR {place} IN (end_user, session_id, error_code))")
    return texts, values
