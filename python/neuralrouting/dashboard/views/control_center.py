"""The first page: what was spent, what that saved and by which cause, and of whom it came."""

from collections.abc import AsyncIterator, Callable

import msgspec

from neuralrouting.api.figures import money, sums_fields, total
from neuralrouting.api.filters import Group
from neuralrouting.dashboard.page import Ask, Column, Deed, Page, Table
from neuralrouting.dashboard.views.needless import TABLE, NeedlessList
from neuralrouting.dashboard.views.over_time import grain_of, over_time, period_body
from neuralrouting.dashboard.views.spenders import added, biggest, csv_of_every, rest_fields, spender_fields
from neuralrouting.exchange import JsonObject
from neuralrouting.intervals import percentile
from neuralrouting.storage.audit import AuditQuery
from neuralrouting.storage.overheads import NEWEST, OverheadRows
from neuralrouting.storage.usage import Attributed, UsageRows, UsageSums

TOP = 10
"""Rows of a table; what is behind them is summed up."""
MOST_TIMES = 2_400
"""Hours or days of the longest period, real and simulated apart."""
_BY: tuple[Attributed, ...] = ("model", "feature", "user", "key", "endpoint")
_CAUSES = (
    ("routing", "A cheaper model answered", "saved_routing_nanousd"),
    ("exact_cache", "The same question was asked before", "saved_exact_nanousd"),
    ("semantic_cache", "The same was asked in other words", "saved_semantic_nanousd"),
)
_CAUSE_COLUMNS = (
    Column("name", "Cause"),
    Column("saved_nanousd", "Saved", "usd"),
    Column("share", "Of all saved", "percent"),
)
_TIME_COLUMNS = (
    Column("at", "Time"),
    Column("requests", "Requests", "count"),
    Column("cost_nanousd", "Spent", "usd"),
    Column("baseline_nanousd", "Baseline", "usd"),
    Column("saved_nanousd", "Saved", "usd"),
)


class ControlRows(msgspec.Struct, frozen=True):
    """Where the page reads."""

    usage: UsageRows
    overheads: OverheadRows


class ControlCenter:
    """Reads the figures of the first page. `origin` is where this gateway is reached, for commands to copy."""

    def __init__(self, rows: ControlRows, needless: NeedlessList, origin: str) -> None:
        self._usage = rows.usage
        self._overheads = rows.overheads
        self._needless = needless
        self._origin = origin

    def page(self) -> Page:
        """Return the page."""
        tables = {
            "over_time": Table("Over time", _TIME_COLUMNS, lambda body: body["over_time"]),
            "causes": Table("Savings by cause", _CAUSE_COLUMNS, lambda body: body["causes"]),
            **{f"by_{name}": self._table(name) for name in _BY},
            "premium": TABLE,
        }
        return Page("control-center", "Control Center", "see_money", self.body, tables, path="/")

    def deeds(self) -> list[Deed]:
        """Return what can be done here."""
        return [self._needless.deed()]

    async def body(self, ask: Ask) -> JsonObject:
        """Return headline figures, those of the previous period, both over time, by cause and by each dimension."""
        account_id, bar = ask.viewer.account_id, ask.bar
        times = await self._usage.sums(bar.usage(account_id, grain_of(bar)), MOST_TIMES)
        before = total(await self._usage.sums(bar.usage_before(account_id), 2), simulated=bar.simulated)
        now = total(times, simulated=bar.simulated)
        body: JsonObject = {
            "object": "page.control-center",
            "period": period_body(bar),
            "now": headline(now),
            "before": headline(before),
            "overhead": await self._overhead(ask),
            "over_time": over_time(times, bar, ask.now_ms),
            "causes": causes(now),
            "simulated": sums_fields(total(times, simulated=True)),
            "premium": await self._needless.body(ask),
            "origin": self._origin,
        }
        for name in _BY:
            found = await biggest(self._usage, ask, name, "spent", TOP)
            data = [spender_fields(name, row) for row in found.rows]
            rest = found.total.minus(added(found.rows))
            body[f"by_{name}"] = {"data": data, "rest": rest_fields(found.groups - len(found.rows), rest)}
        return body

    def _table(self, group: Group) -> Table:
        columns = (
            Column(group, group.capitalize(), narrows=group),
            Column("requests", "Requests", "count"),
            Column("cost_nanousd", "Spent", "usd"),
            Column("saved_nanousd", "Saved", "usd"),
        )

        def stream(ask: Ask) -> AsyncIterator[bytes]:
            return csv_of_every(self._usage, ask, group)

        rows: Callable[[JsonObject], list[JsonObject]] = lambda body: body[f"by_{group}"]["data"]  # noqa: E731
        return Table(f"By {group}", columns, rows, stream)

    async def _overhead(self, ask: Ask) -> JsonObject:
        bar = ask.bar
        query = AuditQuery(ask.viewer.account_id, bar.from_ms, bar.to_ms, bar.wanted)
        found = [float(us) for us in await self._overheads.newest(query, simulated=bar.simulated)]
        told = {
            name: percentile(found, share) if found else None for name, share in (("p50_us", 0.5), ("p99_us", 0.99))
        }
        return {"measured": len(found), "of_newest": NEWEST, **told}


def headline(sums: UsageSums) -> JsonObject:
    """Return the sums with the shares that are made of them; a share of nothing is None."""
    hits = sums.exact_hits + sums.semantic_hits
    return {
        **sums_fields(sums),
        "cache_share": hits / sums.requests if sums.requests else None,
        "saved_share": sums.saved_nanousd / sums.baseline_nanousd if sums.baseline_nanousd else None,
    }


def causes(sums: UsageSums) -> list[JsonObject]:
    """Return what each cause has saved; the gateway's own cost takes off, so that all come to what was saved."""
    gross = sums.saved_nanousd + sums.house_nanousd
    told = [(cause, name, getattr(sums, field)) for cause, name, field in _CAUSES]
    told.append(("house", "Less what the gateway spent of its own", -sums.house_nanousd))
    return [
        {"cause": cause, "name": name, **money("saved", nanousd), "share": nanousd / gross if gross > 0 else None}
        for cause, name, nanousd in told
    ]
