"""`GET /v1/usage` and what hangs on it: an account's figures, from sums that are kept up to date."""

import asyncio
from collections.abc import Sequence
from typing import get_args

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from neuralrouting.api import filters
from neuralrouting.api.access import AccountBook, account_of
from neuralrouting.api.answers import json_response
from neuralrouting.api.figures import biggest_body, csv_blocks, session_body, usage_body
from neuralrouting.api.premium import Premium
from neuralrouting.clock import unix_ms
from neuralrouting.errors import InvalidField, NotFound
from neuralrouting.exchange import Caller
from neuralrouting.storage.audit import AuditQuery
from neuralrouting.storage.usage import Attributed, UsageQuery, UsageRow, UsageRows

MAX_JSON_ROWS = 10_000
MAX_CSV_ROWS = 100_000
SORTED = 100
MAX_SORTED = 200
"""Groups that are told by size, unless told otherwise and at most."""
_SUMS = ("account", *filters.RANGE, *filters.ATTRIBUTION, "group_by", "sort", "limit", "format")
_SESSION = ("account", "session")
_CSV_HEADERS = {
    "content-disposition": 'attachment; filename="usage.csv"',
    "x-content-type-options": "nosniff",
}


class Usage:
    """Answers questions about figures."""

    def __init__(self, rows: UsageRows, accounts: AccountBook, premium: Premium) -> None:
        self._rows = rows
        self._accounts = accounts
        self._premium = premium

    async def sums(self, request: Request, caller: Caller) -> Response:
        """Tell the sums of a range, apart by what is asked for, as JSON or CSV; or those of one session."""
        told = filters.parameters(request.query_params.multi_items())
        if "session" in told:
            return await self._session(told, caller)
        filters.refuse_unknown(told, (*_SUMS, "session"))
        account_id = await account_of(caller, told.get("account"), self._accounts)
        query = filters.usage_query(told, account_id, unix_ms())
        wanted = filters.answer_format(told, request.headers.get("accept", ""))
        if "sort" in told:
            if wanted != "json":
                raise InvalidField("`sort` is for JSON; as CSV all groups are told", param="sort")
            return await self._biggest(told, query)
        if "limit" in told:
            raise InvalidField("`limit` goes with `sort`: it tells how many of the biggest are wanted", param="limit")
        if wanted == "json":
            rows = await self._groups(query, MAX_JSON_ROWS)
            return await asyncio.to_thread(lambda: json_response(usage_body(query, rows)))
        blocks = csv_blocks(query.groups, await self._groups(query, MAX_CSV_ROWS))
        # Starlette takes what is not asynchronous from a thread, block by block.
        return StreamingResponse(blocks, media_type="text/csv", headers=_CSV_HEADERS)

    async def _biggest(self, told: filters.Told, query: UsageQuery) -> Response:
        """Tell the biggest groups only: of thousands all sums of all take longer than anybody looks at them."""
        measure, limit = filters.measure(told), filters.integer(told, "limit", 1, MAX_SORTED) or SORTED
        attributed: dict[str, Attributed] = {name: name for name in get_args(Attributed)}
        group = attributed.get(query.groups[0]) if len(query.groups) == 1 else None
        if group is None:
            raise InvalidField(f"`sort` needs `group_by` to be one of {', '.join(attributed)}", param="group_by")
        real = await self._rows.top(query, group, measure, limit)
        simulated = await self._rows.top(query, group, measure, limit, simulated=True)
        return await asyncio.to_thread(lambda: json_response(biggest_body(query, real, simulated)))

    async def premium_not_needed(self, request: Request, caller: Caller) -> Response:
        """Tell which premium answers cheaper models could have given, and what that would have saved."""
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, ("account", *filters.RANGE))
        account_id = await account_of(caller, told.get("account"), self._accounts)
        return json_response(await self._premium.body(AuditQuery(account_id, *filters.time_range(told, unix_ms()))))

    async def _session(self, told: filters.Told, caller: Caller) -> Response:
        if odd := [name for name in told if name not in _SESSION]:
            raise InvalidField(
                f"`{odd[0]}` cannot be asked for with `session`, whose figures are of the whole session", param=odd[0]
            )
        session_id = filters.text(told, "session") or ""
        account_id = await account_of(caller, told.get("account"), self._accounts)
        rows = await self._rows.session(account_id, session_id)
        if not rows:
            raise NotFound(f"no session {session_id[:64]!r}", param="session")
        return json_response(session_body(account_id, session_id, rows))

    async def _groups(self, query: UsageQuery, most: int) -> Sequence[UsageRow]:
        rows = await self._rows.sums(query, most + 1)
        if len(rows) > most:
            raise InvalidField(
                f"more than {most} rows; group by less, take a shorter range, or filter", param="group_by"
            )
        return rows
