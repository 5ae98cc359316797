"""Months of the calendar, in UTC."""

import calendar
import re
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from neuralrouting.errors import InvalidField

DAY_MS: Final = 86_400_000
_WRITTEN = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_EPOCH = datetime.fromtimestamp(0, UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Month(msgspec.Struct, frozen=True, order=True):
    """One month: `month` counts from 1. Both bounds are Unix ms, the second is exclusive."""

    year: int
    month: int

    @property
    def from_ms(self) -> int:
        """When it begins."""
        return (datetime(self.year, self.month, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND

    @property
    def to_ms(self) -> int:
        """When the month after it begins."""
        return self.from_ms + self.days * DAY_MS

    @property
    def days(self) -> int:
        """How many days it has."""
        return calendar.monthrange(self.year, self.month)[1]

    @property
    def title(self) -> str:
        """The month in words: `November 2026`."""
        return f"{_NAMES[self.month - 1]} {self.year}"

    def on(self, months: int) -> "Month":
        """Return the month so many later, or earlier where that is below zero."""
        count = 12 * self.year + self.month - 1 + months
        return Month(count // 12, count % 12 + 1)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


def month_of(unix_ms: int) -> Month:
    """Return the month in which a moment (Unix ms) lies."""
    moment = datetime.fromtimestamp(unix_ms // 1000, UTC)
    return Month(moment.year, moment.month)


def read_month(text: str, now_ms: int) -> Month:
    """Read `2026-11`. Raises InvalidField for anything else, and for a month that has not begun at `now_ms`."""
    found = _WRITTEN.fullmatch(text)
    # Before 1971 there is no month to compare with.
    if found is None or int(found[1]) < 1971:
        raise InvalidField("`month` must be a month, such as 2026-11", param="month")
    month = Month(int(found[1]), int(found[2]))
    if month > month_of(now_ms):
        raise InvalidField(f"{month.title} has not begun (months are in UTC)", param="month")
    return month


# Not of the locale: a report reads the same on every machine.
_NAMES = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
