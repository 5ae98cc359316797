"""`POST /v1/feedback`: what somebody says of an answer. It moves the cells of the confidence matrix, gently."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api import filters
from neuralrouting.api.access import AccountBook, account_of
from neuralrouting.api.answers import json_response
from neuralrouting.api.bodies import FeedbackBody, body_of
from neuralrouting.api.figures import moment
from neuralrouting.clock import unix_ms
from neuralrouting.errors import InvalidField, NotFound
from neuralrouting.exchange import Caller, JsonObject
from neuralrouting.storage.audit import AuditRows
from neuralrouting.storage.feedback import COMMENT_CHARS, Feedback, FeedbackRows
from neuralrouting.storage.requests import RequestRow

THUMBS: Final = {"up": 1.0, "down": -1.0}
WAITS_S: Final = (0.0, 0.1, 0.2, 0.4)
"""Pauses before each look for the request: its row is written just behind the answer, so feedback may be quicker."""


class FeedbackDesk:
    """Takes feedback on the answers of the caller's own account."""

    def __init__(self, rows: FeedbackRows, requests: AuditRows, accounts: AccountBook) -> None:
        self._rows = rows
        self._requests = requests
        self._accounts = accounts

    async def give(self, request: Request, caller: Caller) -> Response:
        """Write down what was said; said again of the same answer it replaces what was said before."""
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, ("account",))
        account_id = await account_of(caller, told.get("account"), self._accounts)
        body = await body_of(request, FeedbackBody)
        score, comment = _score(body), _comment(body.comment)
        row = await self._answered(body.request_id, account_id)
        # An answer of the cache has no task, and a simulated one says nothing of a model: neither moves a cell.
        moves = row.task is not None and not row.simulated
        said = Feedback(
            account_id,
            row.request_id,
            "user",
            score,
            comment,
            row.task if moves else None,
            row.deployment,
            unix_ms(),
        )
        await self._rows.put(said)
        body_told: JsonObject = {"object": "feedback", "account": account_id, **feedback_fields(said), "counts": moves}
        return json_response(body_told, 201)

    async def _answered(self, request_id: str, account_id: str) -> RequestRow:
        for wait_s in WAITS_S if "\0" not in request_id else ():
            await asyncio.sleep(wait_s)
            row = await self._requests.find(request_id, account_id)
            if row is not None and row.status == 200 and row.deployment is not None:
                return row
            if row is not None:
                break
        raise NotFound(f"no answered request {request_id[:64]!r}", param="request_id")


def feedback_fields(said: Feedback) -> JsonObject:
    """Return what was said of one answer, as it is shown."""
    return {
        "request_id": said.request_id,
        "source": said.source,
        "score": said.score,
        "comment": said.comment,
        "task": said.task,
        "deployment": said.deployment,
        "created": moment(said.created_ms),
    }


def _score(body: FeedbackBody) -> float:
    if (body.score is None) == (body.thumbs is None):
        raise InvalidField("give either `score` (-1 to 1) or `thumbs` (up or down)", param="score")
    return body.score if body.score is not None else THUMBS[body.thumbs or ""]


def _comment(text: str | None) -> str | None:
    if text is not None and (len(text) > COMMENT_CHARS or "\0" in text):
        raise InvalidField(f"`comment` must be up to {COMMENT_CHARS} characters, without NUL", param="comment")
    return text or None
