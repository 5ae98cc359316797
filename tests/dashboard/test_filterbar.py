"""The filter bar: any query string is read or refused, and what is read can be said again."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.dashboard.filterbar import PERIODS, read_bar
from neuralrouting.errors import InvalidField
from neuralrouting.storage.usage import DAY_MS, HOUR_MS

NOON_MS = 1_795_867_200_000
"""2026-11-28, 12:00 UTC."""


@pytest.mark.parametrize(
    ("period", "days", "before"),
    [("24h", 1, 1), ("7d", 7, 7), ("30d", 30, 30), ("90d", 90, 90), ("month", 30, 31), ("last-month", 31, 30)],
)
def test_a_period_and_the_one_before_are_as_long_as_they_say(period: str, days: int, before: int):
    bar = read_bar({"period": period}, NOON_MS)
    assert bar.to_ms - bar.from_ms == days * DAY_MS
    assert bar.from_ms - bar.before_ms == before * DAY_MS
    assert bar.from_ms <= NOON_MS < bar.to_ms or period == "last-month"


@given(
    st.sampled_from([*PERIODS, ""]),
    st.dictionaries(st.sampled_from(["user", "feature", "model", "key", "endpoint", "team"]), st.text(max_size=40)),
    st.sampled_from(["real", "simulated"]),
    st.integers(NOON_MS // 2, 2 * NOON_MS),
)
def test_what_was_read_is_said_again_the_same(period: str, wanted: dict[str, str], money: str, now_ms: int):
    told = wanted | {"money": money} | ({"period": period} if period else {})
    try:
        bar = read_bar(told, now_ms)
    except InvalidField:
        assert any("\0" in value for value in wanted.values())
        return
    again = dict(parse_qsl(bar.query().removeprefix("?"), keep_blank_values=True))
    assert read_bar(again, now_ms) == bar


@given(st.integers(0, 2 * NOON_MS), st.integers(1, 300 * DAY_MS))
def test_a_range_of_ones_own_is_on_full_hours_and_covers_what_was_asked(begin: int, length: int):
    bar = read_bar({"from": str(begin), "to": str(begin + length)}, NOON_MS)
    assert bar.from_ms <= begin < begin + length <= bar.to_ms
    assert bar.from_ms % HOUR_MS == bar.to_ms % HOUR_MS == 0
    assert bar.by_day or bar.to_ms - bar.from_ms <= 31 * DAY_MS
    assert 0 <= bar.before_ms <= bar.from_ms


@pytest.mark.parametrize(
    "told", [{"period": "x"}, {"money": "x"}, {"from": "x"}, {"period": "7d", "from": "2026-01-01"}]
)
def test_what_cannot_be_read_is_told(told: dict[str, str]):
    with pytest.raises(InvalidField):
        read_bar(told, NOON_MS)
