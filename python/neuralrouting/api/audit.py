"""`GET /v1/audit`: every request of an account, and of each all that was decided, tried, counted and booked."""

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from neuralrouting.api import filters
from neuralrouting.api.access import AccountBook, account_of, admit
from neuralrouting.api.answers import json_response
from neuralrouting.api.exports import CSV_HEADERS, request_blocks
from neuralrouting.api.feedback import feedback_fields
from neuralrouting.api.records import decision_of, entry_fields, request_fields
from neuralrouting.clock import unix_ms
from neuralrouting.errors import NotFound
from neuralrouting.exchange import Caller
from neuralrouting.storage.audit import AuditRows
from neuralrouting.storage.books import Books
from neuralrouting.storage.feedback import FeedbackRows

_PAGE = ("account", *filters.RANGE, *filters.ATTRIBUTION, "session", "status")
_LISTED = (*_PAGE, "cursor", "limit", "format")
_EXPORTED = (*_PAGE, "format")
_CSV_NAME = {"content-disposition": 'attachment; filename="requests.csv"'}


class Audit:
    """Answers questions about single requests. None of it is the text of a prompt or an answer, unless asked for."""

    def __init__(self, rows: AuditRows, books: Books, feedback: FeedbackRows, accounts: AccountBook) -> None:
        self._rows = rows
        self._books = books
        self._feedback = feedback
        self._accounts = accounts

    async def page(self, request: Request, caller: Caller) -> Response:
        """List requests, newest first; `next` is the cursor of the page behind, null at the end. All of them as CSV."""
        told = filters.parameters(request.query_params.multi_items())
        wanted = filters.answer_format(told, request.headers.get("accept", ""))
        filters.refuse_unknown(told, _LISTED if wanted == "json" else _EXPORTED)
        account_id = await account_of(caller, told.get("account"), self._accounts)
        query = filters.audit_query(told, account_id, unix_ms())
        if wanted == "csv":
            blocks = request_blocks(self._rows, query)
            return StreamingResponse(blocks, media_type="text/csv", headers=CSV_HEADERS | _CSV_NAME)
        after = filters.place_at(told.get("cursor"))
        page = await self._rows.page(query, filters.page_size(told), after)
        data = [request_fields(row) for row in page.rows]
        behind = filters.cursor_of(page.behind) if page.behind is not None else None
        return json_response({"object": "list", "account": account_id, "data": data, "next": behind})

    async def one(self, request: Request, caller: Caller) -> Response:
        """Tell all about one request; its bodies only to an owner, and only where they were stored."""
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, ("account", "bodies"))
        bodies = filters.yes(told, "bodies")
        if bodies:
            admit(caller, "owner")
        account_id = await account_of(caller, told.get("account"), self._accounts)
        request_id: str = request.path_params["request_id"]
        row = await self._rows.find(request_id, account_id, bodies=bodies) if "\0" not in request_id else None
        if row is None:
            raise NotFound(f"no request {request_id[:64]!r}")
        entries = await self._books.entries_of(request_id, account_id)
        body = request_fields(row) | {"object": "audit.request", "account": account_id}
        body["decision"] = decision_of(row)
        body["ledger"] = [entry_fields(entry, caller.role) for entry in entries]
        body["feedback"] = [feedback_fields(said) for said in await self._feedback.of(account_id, request_id)]
        if bodies:
            body |= {"request_body": _text(row.request_body), "response_body": _text(row.response_body)}
        return json_response(body)


def _text(body: bytes | None) -> str | None:
    return None if body is None else body.decode(errors="replace")
