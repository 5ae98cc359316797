"""Figures hour by hour or day by day, the empty ones among them: what the charts of a period are drawn of. Pure."""

from collections.abc import Iterable
from typing import Literal

from neuralrouting.api.figures import group_fields, moment, money, sums_fields
from neuralrouting.dashboard.filterbar import Bar
from neuralrouting.exchange import JsonObject
from neuralrouting.storage.usage import DAY_MS, HOUR_MS, UsageRow, UsageSums

MOST_BY_HOUR_MS = 2 * DAY_MS
"""Longer periods are told by day."""


def grain_of(bar: Bar) -> Literal["hour", "day"]:
    """Return whether a period is told by hour or by day."""
    return "hour" if bar.to_ms - bar.from_ms <= MOST_BY_HOUR_MS else "day"


def over_time(rows: Iterable[UsageRow], bar: Bar, now_ms: int) -> list[JsonObject]:
    """Return the sums of every hour or day of a period up to now, `at` its beginning; `rows` are grouped by that."""
    grain = grain_of(bar)
    step = HOUR_MS if grain == "hour" else DAY_MS
    found = {row.group[0]: row for row in rows if row.simulated == bar.simulated}
    first = bar.from_ms - bar.from_ms % step
    told: list[JsonObject] = []
    for start_ms in range(first, min(bar.to_ms, now_ms + 1), step):
        row = found.get(start_ms) or UsageRow((start_ms,), bar.simulated, UsageSums())
        told.append({"at": group_fields((grain,), row)[grain], **sums_fields(row.sums), **_own_cost(row.sums)})
    return told


def _own_cost(sums: UsageSums) -> JsonObject:
    """Return what the gateway spent of its own as what it takes off the savings."""
    return money("less_house", -sums.house_nanousd)


def period_body(bar: Bar) -> JsonObject:
    """Return which period a page is about, and which it is compared with."""
    return {"from": moment(bar.from_ms), "to": moment(bar.to_ms), "compared_from": moment(bar.before_ms)}
