"""The page of the monthly reports: months with their headline figures, and the PDF of each."""

import asyncio
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api import filters
from neuralrouting.api.answers import json_response
from neuralrouting.api.figures import moment
from neuralrouting.clock import unix_ms
from neuralrouting.dashboard.filterbar import PARAMETERS
from neuralrouting.dashboard.page import Ask, Column, Page, Service, Table
from neuralrouting.dashboard.viewer import Viewer
from neuralrouting.exchange import JsonObject
from neuralrouting.reports.calendar import Month, month_of, read_month
from neuralrouting.reports.facts import months_body, report_body
from neuralrouting.reports.press import Press
from neuralrouting.reports.typeset import MISSING, installed

_COLUMNS = (
    Column("month", "Month"),
    Column("state", "State"),
    Column("requests", "Requests", "count"),
    Column("cost_nanousd", "Spent", "usd"),
    Column("baseline_nanousd", "Baseline", "usd"),
    Column("saved_nanousd", "Saved", "usd"),
    Column("saved_share", "Saved, of baseline", "percent"),
    Column("cache_share", "From cache", "percent"),
    Column("scheduled", "Made by schedule", "time"),
)


class MonthlyReports:
    """What the page shows. `schedule` is whether reports are made by themselves."""

    def __init__(self, press: Press, schedule: Literal["monthly", "off"]) -> None:
        self._press = press
        self._schedule = schedule

    def page(self) -> Page:
        """Return the page."""
        tables = {"months": Table("Months", _COLUMNS, lambda body: body["months"])}
        return Page("reports", "Reports", "see_money", self.body, tables)

    def services(self) -> list[Service]:
        """Return the reports themselves, as PDF and as JSON."""
        return [
            Service("/reports/scheduled/{month}.pdf", "see_money", self.scheduled),
            Service("/reports/{month}.pdf", "see_money", self.pdf),
            Service("/reports/{month}.json", "see_money", self.facts),
        ]

    async def body(self, ask: Ask) -> JsonObject:
        """Return the months, newest first; the bar narrows them, but for its period."""
        account_id, bar = ask.viewer.account_id, ask.bar
        months = await self._press.reports.months(account_id, ask.now_ms, bar.wanted)
        kept = await asyncio.to_thread(self._press.archive.kept, account_id, ask.now_ms)
        made = {str(one.month): moment(one.made_ms) for one in kept}
        now = str(month_of(ask.now_ms))
        rows = [
            {**row, "state": "so far" if row["month"] == now else "ended", "scheduled": made.get(row["month"])}
            for row in months_body(months, simulated=bar.simulated)
        ]
        narrowed = {name: value for name in filters.ATTRIBUTION if (value := getattr(bar.wanted, name)) is not None}
        return {
            "object": "page.reports",
            "months": rows,
            "narrowed": narrowed,
            "schedule": self._schedule if installed() else "off",
            "missing": None if installed() else MISSING,
        }

    async def pdf(self, request: Request, viewer: Viewer) -> Response:
        """Make the report of a month as PDF, narrowed as the query string says."""
        month, told = _asked(request)
        pdf = await self._press.pdf(viewer.account_id, month, unix_ms(), filters.attribution(told))
        return _download(pdf, viewer.account_id, month)

    async def facts(self, request: Request, viewer: Viewer) -> Response:
        """Return all figures of the report of a month."""
        month, told = _asked(request)
        report = await self._press.reports.month(viewer.account_id, month, unix_ms(), filters.attribution(told))
        response = await asyncio.to_thread(lambda: json_response(report_body(report)))
        response.headers["cache-control"] = "no-store"
        return response

    async def scheduled(self, request: Request, viewer: Viewer) -> Response:
        """Return the report of a month as it was made by schedule."""
        month = read_month(request.path_params["month"], unix_ms())
        pdf = await asyncio.to_thread(self._press.archive.read, viewer.account_id, month)
        return _download(pdf, viewer.account_id, month)


def _asked(request: Request) -> tuple[Month, filters.Told]:
    told = filters.parameters(request.query_params.multi_items())
    filters.refuse_unknown(told, PARAMETERS)
    return read_month(request.path_params["month"], unix_ms()), told


def _download(pdf: bytes, account_id: str, month: Month) -> Response:
    # An id may have colons, which some systems do not take in a file name.
    name = f"neuralrouting-{account_id.replace(':', '-')}-{month}.pdf"
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
    return Response(pdf, media_type="application/pdf", headers=headers)
