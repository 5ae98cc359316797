"""Months in UTC: their bounds, what comes before and after, and how they are read."""

from datetime import UTC, datetime

import pytest

from neuralrouting.errors import InvalidField
from neuralrouting.reports.calendar import Month, month_of, read_month

NOW_MS = int(datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp() * 1000)


def test_a_month_ends_where_the_next_begins():
    month = Month(2027, 12)
    for _ in range(50):
        assert month.to_ms == month.on(1).from_ms
        assert month_of(month.to_ms - 1) == month
        assert month_of(month.to_ms) == month.on(1)
        month = month.on(-1)
    assert str(month) == "2023-10"


def test_february_has_its_leap_day():
    assert [Month(year, 2).days for year in (2023, 2024, 2100)] == [28, 29, 28]
    assert Month(2024, 2).title == "February 2024"


@pytest.mark.parametrize("text", ["2026-11", "2026-01", "1971-01"])
def test_a_month_is_read_as_it_is_written(text: str):
    assert str(read_month(text, NOW_MS)) == text


@pytest.mark.parametrize(
    "text",
    ["", "2026", "2026-13", "2026-00", "2026-1", "26-11", "2026-11-01", " 2026-11", "\uff12026-11", "0001-01", "\0"],
)
def test_what_is_no_month_is_refused(text: str):
    with pytest.raises(InvalidField, match="such as 2026-11"):
        read_month(text, NOW_MS)


def test_a_month_that_has_not_begun_is_refused():
    with pytest.raises(InvalidField, match="December 2026 has not begun"):
        read_month("2026-12", NOW_MS)
