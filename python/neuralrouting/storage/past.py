"""Requests of the past as routing saw them, page by page: what a change of rules is tried on."""

from collections.abc import AsyncIterator

import msgspec

from neuralrouting.exchange import Mode
from neuralrouting.storage.audit import EXAMINED_ROWS, AuditQuery
from neuralrouting.storage.database import Database

PAGE_ROWS = 500
BODY_PAGE_ROWS = 50
"""Rows that are read at once with their bodies, each of which may be megabytes."""


class Asked(msgspec.Struct, frozen=True):
    """What a request had in it. `json_mode` is `none`, `object` or `schema`, `messages` are counted."""

    tools: bool
    images: bool
    json_mode: str
    prompt_tokens: int
    messages: int


class Routed(msgspec.Struct, frozen=True):
    """How a request was routed: `source` says who chose the mode, `rule` is the account's that held, if any."""

    source: str
    rule: dict[str, str | int] | None = None


class Decided(msgspec.Struct, frozen=True):
    """What the JSON of a decision tells that its row does not; what else is in it is passed over.

    `route` None: no model was to be asked. `asked` None: it was not kept.
    """

    route: Routed | None = None
    asked: Asked | None = None


class PastRequest(msgspec.Struct, frozen=True, array_like=True):
    """One request, in the order of its columns. `candidates` is the JSON list of those that could have served it."""

    request_id: str
    created_ms: int
    key_id: str
    stream: bool
    end_user: str | None
    feature: str | None
    team: str | None
    requested_model: str | None
    routing_mode: Mode | None
    route_rule: str | None
    deployment: str | None
    simulated: bool
    cache: str
    status: int
    candidates: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    cost_nanousd: int | None
    task: str | None
    complexity_tenths: int | None
    risk_domain: str | None
    decision: str | None
    request_body: bytes | None


_COLUMNS = ", ".join(PastRequest.__struct_fields__)
_BODILESS = _COLUMNS.replace("request_body", "NULL AS request_body")
_RANGE = "account_id = $1 AND created_ms >= $2 AND created_ms < $3"
_NEWEST_FIRST = "ORDER BY created_ms DESC, request_id DESC"
_decode = msgspec.json.Decoder(Decided).decode


class PastRows:
    """Reads the newest requests of an account, up to `most`."""

    def __init__(self, database: Database, most: int = EXAMINED_ROWS) -> None:
        self._database = database
        self._most = most

    async def more(self, query: AuditQuery) -> bool:
        """Whether the range holds more requests than are read."""
        sql = f"SELECT COUNT(*) FROM (SELECT 1 FROM requests WHERE {_RANGE} LIMIT $4) AS newest"  # noqa: S608
        rows = await self._database.fetch(sql, query.account_id, query.from_ms, query.to_ms, self._most + 1)
        return rows[0][0] > self._most

    async def pages(self, query: AuditQuery, *, bodies: bool) -> AsyncIterator[list[PastRequest]]:
        """Go through the requests of a range, newest first, with their stored bodies where those are needed."""
        size, left = BODY_PAGE_ROWS if bodies else PAGE_ROWS, self._most
        columns = _COLUMNS if bodies else _BODILESS
        values, behind = [query.account_id, query.from_ms, query.to_ms], ""
        while left > 0:
            sql = f"SELECT {columns} FROM requests WHERE {_RANGE}{behind} {_NEWEST_FIRST} LIMIT {min(size, left)}"  # noqa: S608
            rows = await self._database.fetch(sql, *values)
            if not rows:
                return
            page = [msgspec.convert(row, PastRequest, strict=False) for row in rows]
            yield page
            left -= len(page)
            # The first condition is for the index, which knows nothing of request ids.
            behind = " AND created_ms <= $4 AND (created_ms, request_id) < ($4, $5)"
            values = [*values[:3], page[-1].created_ms, page[-1].request_id]


def decided(past: PastRequest) -> Decided | None:
    """Return what is stored of a decision; None of requests from before it was, or where it cannot be read."""
    if past.decision is None:
        return None
    try:
        return _decode(past.decision)
    except msgspec.DecodeError:
        return None
