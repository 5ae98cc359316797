"""Charts: what they say in words, pictures and tables is the same, whoever's names and however many rows there are."""

import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.dashboard import axes, charts

EVIL = "<script>alert(1)</script>{{ 7*7 }}{0}%s\"'"
SPENT, BASELINE = ("cost", "Spent", "spend"), ("baseline", "Baseline", "baseline")
DOLLAR = 1_000_000_000


def days(count: int, cost: int = DOLLAR, baseline: int = 2 * DOLLAR) -> list[dict[str, object]]:
    first = date(2026, 1, 1)
    return [
        {"day": (first + timedelta(place)).isoformat(), "cost": cost, "baseline": baseline} for place in range(count)
    ]


def drawn(text: str) -> list[float]:
    """Every height at which the lines of a chart have a point."""
    found = re.findall(r'<polyline[^>]* points="([^"]*)"', text)
    return [float(pair.partition(",")[2]) for points in found for pair in points.split()]


def test_a_chart_tells_total_highest_lowest_and_trend_in_words():
    rows = [*days(3), *days(6)[3:]]
    rows[1]["cost"], rows[5]["cost"] = 3 * DOLLAR, 5 * DOLLAR
    text = charts.lines("Money", rows, "day", [SPENT, BASELINE], band=True)
    assert "Spent: $12.00 in all, highest $5.00 (2026-01-06), lowest $1.00 (2026-01-01), rising." in text
    assert "Baseline: $12.00 in all, highest $2.00 (2026-01-01), lowest $2.00 (2026-01-01), steady." in text


def test_every_point_is_in_the_table_behind_the_chart_and_under_the_pointer():
    text = charts.lines("Money", days(3), "day", [SPENT, BASELINE])
    assert text.count('<th scope="row">2026-01-0') == 3
    assert text.count('value="1.000000000"') == 3
    assert text.count('class="hit"') == 3
    assert "<title>2026-01-02: Spent $1.00, Baseline $2.00</title>" in text


def test_a_chart_needs_no_inline_style_and_has_its_words_for_screen_readers():
    for text in (
        charts.lines("Money", days(3), "day", [SPENT, BASELINE], band=True),
        charts.stacked("Money", days(3), "day", [SPENT, BASELINE]),
        charts.bars("Money", days(3), "day", SPENT),
    ):
        assert 'style="' not in text
        assert "<script" not in text
        assert 'role="img"' in text
        assert '<title id="chart-money-title">Money</title>' in text
        assert '<desc id="chart-money-words">' in text


def test_names_of_others_are_text_and_nothing_else():
    rows = [{"model": EVIL, "saved": DOLLAR}, {"model": None, "saved": None}]
    text = charts.bars(EVIL, rows, "model", ("saved", EVIL, "saved"))
    text += charts.sparkline(EVIL, [1, 2]) + charts.gauge(0.5, EVIL)
    assert "<script" not in text
    assert "{{ 7*7 }}{0}%s" in text
    assert ">unknown</text>" in text


def test_no_rows_are_told_instead_of_drawn():
    for text in (charts.lines("Money", [], "day", [SPENT]), charts.stacked("Money", [], "day", [SPENT])):
        assert "Nothing in this period." in text
        assert "<svg" not in text
    assert "none" in charts.sparkline("Requests", [None])


def test_one_row_is_a_point_and_no_line():
    text = charts.lines("Money", days(1), "day", [SPENT, BASELINE], band=True)
    assert drawn(text) == []
    assert text.count('class="mark"') == 2
    assert "highest" not in text


def test_three_years_become_fewer_points_that_come_to_the_same_sum():
    text = charts.lines("Money", days(1_096), "day", [SPENT])
    assert "Each point stands for up to 14 of the rows" in text
    assert text.count('class="hit"') == 79
    assert "Spent: $1,096.00 in all" in text
    assert "2026-01-01 to 2026-01-04: Spent $4.00" in text


def test_of_shares_the_highest_stays_when_points_become_fewer():
    rows = [{"day": f"{place}", "share": 0.9 if place == 700 else 0.1} for place in range(1_000)]
    found, span = axes.points(rows, "day", ["share"], "percent")
    assert (span, len(found)) == (14, 72)
    assert {point.values[0] for point in found} == {0.1, 0.9}


def test_what_is_below_zero_hangs_below_the_zero_line():
    text = charts.stacked("Savings", days(2, cost=-DOLLAR, baseline=2 * DOLLAR), "day", [SPENT, BASELINE])
    zero = float(re.findall(r'<line class="zero"[^>]* y1="([0-9.]+)"', text)[0])
    bars = re.findall(r'<rect fill="url\(#chart-savings-(\d)\)"[^>]* y="([0-9.]+)" height="([0-9.]+)"', text)
    heights = {series: (float(y), float(y) + float(height)) for series, y, height in bars}
    # The plane begins sixteen pixels below the top.
    assert heights["0"][0] == pytest.approx(zero, abs=0.2)
    assert heights["1"][1] == pytest.approx(zero, abs=0.2)


def test_what_was_lost_is_filled_apart_from_what_was_saved():
    text = charts.lines("Money", days(3), "day", [SPENT, BASELINE], band=True)
    assert 'class="band gain"' in text
    assert 'class="band loss"' in text
    assert "band" not in charts.lines("Money", days(3), "day", [SPENT, BASELINE])


def test_a_value_that_is_unknown_breaks_the_line():
    rows = days(5)
    rows[2]["cost"] = None
    text = charts.lines("Money", rows, "day", [SPENT])
    assert text.count('<polyline class="line') == 2
    assert "2026-01-03: Spent unknown" in text


@given(values=st.lists(st.integers(-(10**18), 10**18), min_size=1, max_size=30), whole=st.booleans())
def test_figures_along_an_axis_are_few_and_hold_every_value(values: list[int], *, whole: bool):
    scale = axes.axis(values, whole=whole)
    assert scale.low <= min(0, *values, 0) <= max(0, *values, 0) <= scale.high
    assert 2 <= len(scale.ticks) <= 8
    assert 0 in scale.ticks
    assert all(0 <= scale.height(value, 100) <= 100 for value in values)


@pytest.mark.parametrize(
    ("value", "kind", "told"),
    [
        (1_500 * DOLLAR, "usd", "$1.5k"),
        (-DOLLAR // 2, "usd", "-$0.5"),
        (20_000, "usd", "$0.00002"),
        (0, "usd", "$0"),
        (2_000_000, "count", "2M"),
        (0.25, "percent", "25 %"),
    ],
)
def test_figures_along_an_axis_are_short(value: float, kind: axes.Kind, told: str):
    assert axes.tick(value, kind) == told


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("2026-11-03", "3 Nov"),
        ("2026-11-03T13:00:00Z", "13:00"),
        ("2026-11-03 to 2026-11-17", "Nov 2026"),
        ("else", "else"),
    ],
)
def test_days_and_hours_under_a_chart_are_short(label: str, told: str):
    assert axes.short_label(label) == told
