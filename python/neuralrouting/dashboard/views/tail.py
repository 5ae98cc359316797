"""`GET /requests/tail`: requests as they are written, as server-sent events."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from neuralrouting.api import filters
from neuralrouting.api.figures import short_usd
from neuralrouting.api.records import request_fields
from neuralrouting.clock import unix_ms
from neuralrouting.dashboard.filterbar import PARAMETERS, read_bar
from neuralrouting.dashboard.live import Live, Wanted, Write
from neuralrouting.dashboard.page import Column, Kind, Service
from neuralrouting.dashboard.render import microseconds
from neuralrouting.dashboard.viewer import Gate, Viewer
from neuralrouting.dashboard.views.requests import COLUMNS, OWN, columns_of, query_of
from neuralrouting.errors import InvalidField
from neuralrouting.storage.requests import RequestRow

PATH = "/requests/tail"
_TOLD = (*PARAMETERS, *OWN, "columns", "limit", "cursor", "open", "cells", "after")
_LAST = 2**63 - 1
_HEADERS = {
    "cache-control": "no-store",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
}


class Tail:
    """Serves the tail. The period of the filters does not count: what is told is new."""

    def __init__(self, live: Live, gate: Gate) -> None:
        self._live = live
        self._gate = gate

    def service(self) -> Service:
        """Return the address."""
        return Service(PATH, "see_requests", self.answer)

    async def answer(self, request: Request, viewer: Viewer) -> Response:
        """Tell every request that fits, from now on, or behind the place where the client was."""
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, _TOLD)
        bar = read_bar(told, unix_ms())
        # Without a period, so that all who ask the same share one question.
        query = msgspec.structs.replace(query_of(viewer.account_id, told, bar), from_ms=0, to_ms=0)
        form, write = "json", _as_json
        if filters.yes(told, "cells"):
            shown = columns_of(told)
            columns = [COLUMNS[name] for name in COLUMNS if name in shown]
            form, write = ",".join(column.key for column in columns), _as_cells(columns)
        self._live.check()
        wanted = Wanted(query, form, write, _after(request, told))
        events = self._live.follow(wanted, _Looking(request, self._gate, viewer))
        return StreamingResponse(events, media_type="text/event-stream", headers=_HEADERS)


class _Looking:
    """Somebody who has a tail open."""

    def __init__(self, request: Request, gate: Gate, viewer: Viewer) -> None:
        self._request = request
        self._gate = gate
        self._viewer = viewer

    async def gone(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass

    async def may(self) -> bool:
        now = await self._gate.viewer(self._request, keys=True)
        return now is not None and now.account_id == self._viewer.account_id and now.may("see_requests")


def _after(request: Request, told: filters.Told) -> int | None:
    """Return the place behind which the client wants to go on: where it was last, or what the page says."""
    last = request.headers.get("last-event-id")
    if last is None:
        return filters.integer(told, "after", 0, _LAST)
    try:
        return filters.integer({"last-event-id": last}, "last-event-id", 0, _LAST)
    except InvalidField:
        return 0  # of something else: it is told that it has missed some


def _as_json(row: RequestRow) -> bytes:
    return orjson.dumps(request_fields(row))


def _as_cells(columns: Sequence[Column]) -> Write:
    """Return what writes rows for the page's own script: the id and, for each column, what stands there."""

    def write(row: RequestRow) -> bytes:
        fields = request_fields(row)
        cells = [text_of(fields[column.key], column.kind) for column in columns]
        return orjson.dumps({"id": row.request_id, "cells": cells})

    return write


def text_of(value: Any, kind: Kind) -> str | None:  # noqa: ANN401  any scalar of JSON
    """Return a cell as plain text, as the page shows it; None where there is nothing."""
    if value is None:
        return "unpriced" if kind == "usd" else None
    return _TEXTS.get(kind, str)(value)


_TEXTS: Mapping[Kind, Callable[[Any], str]] = {
    "usd": short_usd,
    "count": lambda value: f"{value:,}",
    "us": microseconds,
    "time": lambda value: value[:19].replace("T", " "),
    "yes": lambda value: "yes" if value else "no",
}
