"""`GET /v1/usage` and what hangs on it: an account's figures, from sums that are kept up to date."""

import asyncio
import time
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from neuralrouting.api import filters
from neuralrouting.api.access import AccountBook, account_of
from neuralrouting.api.answers import json_response
from neuralrouting.api.figures import csv_blocks, session_body, usage_body
from neuralrouting.api.premium import Proofs, needless, needless_body
from neuralrouting.catalog import Catalog
from neuralrouting.errors import InvalidField, NotFound
from neuralrouting.exchange import Caller
from neuralrouting.storage.audit import EXAMINED_ROWS, AuditQuery, AuditRows
from neuralrouting.storage.usage import UsageQuery, UsageRow, UsageRows

MAX_JSON_ROWS = 10_000
MAX_CSV_ROWS = 100_000
_SUMS = ("account", *filters.RANGE, *filters.ATTRIBUTION, "group_by", "format")
_SESSION = ("account", "session")
_CSV_HEADERS = {
    "content-disposition": 'attachment; filename="usage.csv"',
    "x-content-type-options": "nosniff",
}


class Usage:
    """Answers questions about figures."""

    def __init__(
        self,
        rows: UsageRows,
        audit: AuditRows,
        accounts: AccountBook,
        catalog: Catalog,
        proofs: Proofs,
    ) -> None:
        self._rows = rows
        self._audit = audit
        self._accounts = accounts
        self._catalog = catalog
        self._proofs = proofs

    async def sums(self, request: Request, caller: Caller) -> Response:
        """Tell the sums of a range, apart by what is asked for, as JSON or CSV; or those of one session."""
        told = filters.parameters(request.query_params.multi_items())
        if "session" in told:
            return await self._session(told, caller)
        filters.refuse_unknown(told, (*_SUMS, "session"))
        account_id = await account_of(caller, told.get("account"), self._accounts)
        query = filters.usage_query(told, account_id, _now_ms())
        if filters.answer_format(told, request.headers.get("accept", "")) == "json":
            rows = await self._groups(query, MAX_JSON_ROWS)
            return await asyncio.to_thread(lambda: json_response(usage_body(query, rows)))
        blocks = csv_blocks(query.groups, await self._groups(query, MAX_CSV_ROWS))
        # Starlette takes what is not asynchronous from a thread, block by block.
        return StreamingResponse(blocks, media_type="text/csv", headers=_CSV_HEADERS)

    async def premium_not_needed(self, request: Request, caller: Caller) -> Response:
        """Tell which premium answers cheaper models could have given, and what that would have saved."""
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, ("account", *filters.RANGE))
        account_id = await account_of(caller, told.get("account"), self._accounts)
        query = AuditQuery(account_id, *filters.time_range(told, _now_ms()))
        calls, more = await self._audit.unforced_calls(query)
        rows = await asyncio.to_thread(needless, calls, self._catalog, self._proofs, account_id)
        return json_response(needless_body(rows, bounded=EXAMINED_ROWS if more else None))

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


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
