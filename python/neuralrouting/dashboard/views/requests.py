"""Every request, newest first: filters, columns to choose, a drawer with all of one request, rows as they come."""

from collections.abc import AsyncIterator, Mapping
from typing import Final, get_args

import msgspec

from neuralrouting.api import filters
from neuralrouting.api.exports import request_blocks
from neuralrouting.api.figures import moment
from neuralrouting.api.records import request_fields
from neuralrouting.dashboard.filterbar import Bar
from neuralrouting.dashboard.live import Live
from neuralrouting.dashboard.page import Ask, Column, Page, Table
from neuralrouting.dashboard.views.request_card import RequestCards
from neuralrouting.errors import InvalidField
from neuralrouting.exchange import CacheOutcome, JsonObject
from neuralrouting.storage.audit import EXAMINED_ROWS, AuditPlace, AuditQuery, AuditRows
from neuralrouting.storage.requests import RequestRow

COLUMNS: Final[Mapping[str, Column]] = {
    "time": Column("created", "Time", "time"),
    "id": Column("request_id", "Request", "code"),
    "status": Column("status", "Status", "code"),
    "model": Column("deployment", "Model", narrows="model"),
    "provider": Column("provider", "Provider"),
    "cache": Column("cache", "Cache"),
    "cost": Column("cost_nanousd", "Cost", "usd"),
    "baseline": Column("baseline_nanousd", "Baseline", "usd"),
    "saved": Column("saved_nanousd", "Saved", "usd"),
    "user": Column("user", "User", narrows="user"),
    "feature": Column("feature", "Feature", narrows="feature"),
    "team": Column("team", "Team", narrows="team"),
    "session": Column("session", "Session"),
    "key": Column("key", "Key", "code", narrows="key"),
    "endpoint": Column("endpoint", "Endpoint", "code", narrows="endpoint"),
    "task": Column("task", "Task"),
    "complexity": Column("complexity", "Complexity"),
    "mode": Column("routing_mode", "Mode"),
    "rule": Column("route_rule", "Decided by"),
    "in": Column("prompt_tokens", "In", "count"),
    "out": Column("completion_tokens", "Out", "count"),
    "latency": Column("latency_us", "Latency", "us"),
    "ttft": Column("ttft_us", "First token", "us"),
    "overhead": Column("overhead_us", "Overhead", "us"),
    "simulated": Column("simulated", "Simulated", "yes"),
    "error": Column("error_code", "Error", "code"),
}
"""What can be shown of a request, by the name that it has in the address; the time is always there."""
SHOWN: Final = (
    "time", "status", "model", "cache", "cost", "saved", "user", "feature", "task", "complexity",
    "in", "out", "latency", "ttft", "overhead",
)  # fmt: skip
OWN: Final = ("q", "status", "session", "task", "cache")
"""Filters beside those of the bar."""
PARAMETERS: Final = (*OWN, "columns", "limit", "cursor", "open")
CACHE: Final = get_args(CacheOutcome)


class Requests:
    """Reads the audit log."""

    def __init__(self, rows: AuditRows, cards: RequestCards, live: Live) -> None:
        self._rows = rows
        self._cards = cards
        self._live = live

    def page(self) -> Page:
        """Return the page."""
        table = Table("Requests", tuple(COLUMNS.values()), lambda body: body["data"], self._csv)
        return Page("requests", "Requests", "see_requests", self.body, {"requests": table}, PARAMETERS)

    async def body(self, ask: Ask) -> JsonObject:
        """Return one page of requests, and all of one where it is asked for."""
        told, account_id = ask.told, ask.viewer.account_id
        columns, query = columns_of(told), query_of(account_id, told, ask.bar)
        limit, after = filters.page_size(told), filters.place_at(told.get("cursor"))
        # Before the rows are read: whoever follows from there misses nothing, and may see a row twice.
        live = await self._live.now() if after is None else None
        rows, behind = await self._found(query, limit, after)
        opened = told.get("open")
        card = await self._cards.find(ask.viewer, opened) if opened is not None else None
        return {
            "object": "page.requests",
            "account": account_id,
            "columns": [_column(name) for name in COLUMNS if name in columns],
            "choices": [_choice(name, columns) for name in COLUMNS if name != "time"],
            "caches": CACHE,
            "data": [request_fields(row) for row in rows],
            "next": filters.cursor_of(behind) if behind is not None else None,
            "reached": moment(behind.created_ms) if behind is not None else None,
            "examined": EXAMINED_ROWS,
            "narrowed": any(name in told for name in OWN) or bool(ask.bar.told()),
            "live": live,
            "open": card,
            "missing": opened if card is None else None,
        }

    async def _found(
        self, query: AuditQuery, limit: int, after: AuditPlace | None
    ) -> tuple[tuple[RequestRow, ...], AuditPlace | None]:
        if query.search is not None and after is None:
            whole = await self._rows.find(query.search, query.account_id)
            if whole is not None:  # its own index finds it, however old it is
                return (whole,), None
        page = await self._rows.page(query, limit, after)
        return page.rows, page.behind

    def _csv(self, ask: Ask) -> AsyncIterator[bytes]:
        """Yield every request of the filter, newest first."""
        return request_blocks(self._rows, query_of(ask.viewer.account_id, ask.told, ask.bar))


def query_of(account_id: str, told: filters.Told, bar: Bar) -> AuditQuery:
    """Return the question that the parameters ask. Raises InvalidField."""
    cache = told.get("cache")
    if cache is not None and cache not in CACHE:
        raise InvalidField(f"`cache` must be one of {', '.join(CACHE)}", param="cache")
    return AuditQuery(
        account_id, bar.from_ms, bar.to_ms, bar.wanted,
        session_id=filters.text(told, "session"),
        status=filters.integer(told, "status", 100, 599),
        task=filters.text(told, "task"),
        cache=cache,
        simulated=bar.simulated,
        search=filters.text(told, "q"),
    )  # fmt: skip


def columns_of(told: filters.Told) -> frozenset[str]:
    """Read which columns are wanted, the usual ones unless told. Raises InvalidField."""
    if "columns" not in told:
        return frozenset(SHOWN)
    names = [name for name in told["columns"].split(",") if name]
    for name in names:
        if name not in COLUMNS:
            raise InvalidField(f"`columns` must be of {', '.join(COLUMNS)}", param="columns")
    return frozenset((*names, "time"))


def _column(name: str) -> JsonObject:
    return {"name": name, **msgspec.structs.asdict(COLUMNS[name])}


def _choice(name: str, shown: frozenset[str]) -> JsonObject:
    """Return a column that can be shown or not, and the columns that there are once it is chosen or left out."""
    then = shown ^ {name}
    told = ",".join(one for one in COLUMNS if one in then)
    usual = then == frozenset(SHOWN)
    return {"name": name, "label": COLUMNS[name].label, "shown": name in shown, "then": None if usual else told}
