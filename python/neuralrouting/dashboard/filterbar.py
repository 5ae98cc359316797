"""The one filter bar: a query string read into a value, and written back into the links of a page."""

from typing import Literal, get_args
from urllib.parse import urlencode

import msgspec

from neuralrouting.api import filters
from neuralrouting.api.filters import Told
from neuralrouting.errors import InvalidField
from neuralrouting.storage.attribution import Attribution
from neuralrouting.storage.usage import DAY_MS, HOUR_MS, UsageQuery

Period = Literal["24h", "7d", "30d", "90d", "month", "last-month", "custom"]
PERIODS: dict[Period, str] = {
    "24h": "24 hours",
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
    "month": "This month",
    "last-month": "Last month",
}
"""What can be chosen by name; `custom` is a range by `from` and `to`."""
DEFAULT_PERIOD: Period = "30d"
Money = Literal["real", "simulated"]
PARAMETERS = ("period", *filters.RANGE, *filters.ATTRIBUTION, "money")
_DAYS: dict[Period, int] = {"7d": 7, "30d": 30, "90d": 90}


class Bar(msgspec.Struct, frozen=True):
    """What a page is narrowed to: times in Unix ms on full hours, `to_ms` exclusive.

    The previous period is as long as this one and ends where it begins; before a month it is the month before.
    `money`: real requests, or those of simulated models, which are never added to real ones.
    """

    period: Period
    from_ms: int
    to_ms: int
    before_ms: int
    wanted: Attribution
    money: Money = "real"

    @property
    def simulated(self) -> bool:
        """Whether simulated requests are looked at."""
        return self.money == "simulated"

    @property
    def by_day(self) -> bool:
        """Whether the range is on days (UTC), so that daily sums serve it."""
        return self.from_ms % DAY_MS == 0 and self.to_ms % DAY_MS == 0

    def usage(self, account_id: str, *groups: filters.Group) -> UsageQuery:
        """Return the question for the sums of this range."""
        return UsageQuery(account_id, self.from_ms, self.to_ms, self.wanted, groups)

    def usage_before(self, account_id: str, *groups: filters.Group) -> UsageQuery:
        """Return the same question about the previous period."""
        return UsageQuery(account_id, self.before_ms, self.from_ms, self.wanted, groups)

    def told(self) -> dict[str, str]:
        """Return the parameters that say this again, the default ones left out."""
        told: dict[str, str] = {}
        if self.period == "custom":
            told |= {"from": str(self.from_ms), "to": str(self.to_ms)}
        elif self.period != DEFAULT_PERIOD:
            told["period"] = self.period
        for name in filters.ATTRIBUTION:
            value: str | None = getattr(self.wanted, name)
            if value is not None:
                told[name] = value
        if self.simulated:
            told["money"] = self.money
        return told

    def query(self, **changes: str | None) -> str:
        """Return `?...` with some parameters changed (None: left out); '' where there is nothing to say."""
        told = self.told()
        if "period" in changes:
            told.pop("from", None)
            told.pop("to", None)
        for name, value in changes.items():
            if value is None:
                told.pop(name, None)
            else:
                told[name] = value
        return f"?{urlencode(told)}" if told else ""


def read_bar(told: Told, now_ms: int) -> Bar:
    """Read the parameters of the bar, others are not looked at. Raises InvalidField."""
    wanted = filters.attribution(told)
    money = told.get("money", "real")
    if money not in get_args(Money):
        raise InvalidField("`money` must be real or simulated", param="money")
    kind: Money = "simulated" if money == "simulated" else "real"
    if "from" in told or "to" in told:
        if "period" in told and told["period"] != "custom":
            raise InvalidField("tell either `period` or `from` and `to`", param="period")
        from_ms, to_ms = filters.time_range(told, now_ms)
        # Hours are read for a month at most: a longer range is widened to whole days, as the sums of days serve it.
        step = HOUR_MS if to_ms - from_ms <= filters.MAX_HOURLY_MS - 2 * HOUR_MS else DAY_MS
        from_ms, to_ms = from_ms - from_ms % step, to_ms + -to_ms % step
        return Bar("custom", from_ms, to_ms, max(0, 2 * from_ms - to_ms), wanted, kind)
    for period in PERIODS:
        if told.get("period", DEFAULT_PERIOD) == period:
            return Bar(period, *_range(period, now_ms), wanted, kind)
    raise InvalidField(f"`period` must be one of {', '.join(PERIODS)}", param="period")


def _range(period: Period, now_ms: int) -> tuple[int, int, int]:
    """Return begin, end and the begin of the previous period."""
    if period == "24h":
        end = now_ms - now_ms % HOUR_MS + HOUR_MS
        return end - DAY_MS, end, end - 2 * DAY_MS
    if period in _DAYS:
        end, length = now_ms - now_ms % DAY_MS + DAY_MS, _DAYS[period] * DAY_MS
        return end - length, end, end - 2 * length
    month_ms = filters.month_ms(now_ms, 0)
    last_ms = filters.month_ms(now_ms, -1)
    if period == "month":
        return month_ms, filters.month_ms(now_ms, 1), last_ms
    return last_ms, month_ms, filters.month_ms(now_ms, -2)
