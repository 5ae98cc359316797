"""What stands along a chart: round figures, short words for them, and fewer points where there are too many. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from neuralrouting.api.figures import short_usd
from neuralrouting.dashboard.page import Kind
from neuralrouting.dashboard.render import microseconds, milliseconds
from neuralrouting.exchange import JsonObject

MOST_POINTS = 124
"""Points that can be told apart at the width of a page; four months of days."""
MOST_LABELS = 5
_STEPS = (1, 2, 5, 10)
_SPANS = (2, 7, 14, 28, 91, 182, 365)
"""How many points become one where there are too many: of days these are weeks, months, quarters, years."""
_STEADY = 0.05
_NANO = 1_000_000_000
AMOUNTS: tuple[Kind, ...] = ("usd", "count")
"""Kinds that add up."""


class Series(NamedTuple):
    """One line of figures in rows: the rows' key, its name, and the colour class that says what it means."""

    key: str
    label: str
    tone: str


class Point(NamedTuple):
    """One place along the axis: what stands there, and a value for each series; None is unknown."""

    label: str
    values: tuple[float | None, ...]


class Axis(NamedTuple):
    """From the lowest to the highest round figure, zero among them."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def height(self, value: float, over: float) -> float:
        """Return how far below the top of `over` a value lies."""
        return over * (self.high - value) / (self.high - self.low)


def axis(values: Sequence[float], *, whole: bool) -> Axis:
    """Return round figures around values; `whole`: none between two whole numbers."""
    low, high = min((0, *values)), max((0, *values))
    rough = (high - low) / 4 or 0.25
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * part for part in _STEPS if size * part >= rough * (1 - 1e-9))
    if whole:
        step = max(1, round(step))
    first, last = math.floor(low / step), max(math.ceil(high / step), 1 if high == low else 0)
    return Axis(first * step, last * step, tuple(at * step for at in range(first, last + 1)))


def points(rows: Sequence[JsonObject], x: str, keys: Sequence[str], kind: Kind) -> tuple[list[Point], int]:
    """Return the points of rows, and how many rows each stands for.

    Too many become fewer: amounts are added up, of anything else the highest stays.
    """
    found = [Point(str(row[x]), tuple(row[key] for key in keys)) for row in rows]
    if len(found) <= MOST_POINTS:
        return found, 1
    span = next((span for span in _SPANS if len(found) <= span * MOST_POINTS), math.ceil(len(found) / MOST_POINTS))
    # What does not fill a group is the oldest: at the newest end it would look like a fall.
    first = len(found) % span
    groups = [found[:first], *(found[at : at + span] for at in range(first, len(found), span))]
    return [_merged(group, sum if kind in AMOUNTS else max) for group in groups if group], span


def known(found: Sequence[Point]) -> list[float]:
    """Return every value there is."""
    return [value for point in found for value in point.values if value is not None]


def _merged(group: Sequence[Point], join: Callable[[list[float]], float]) -> Point:
    told = [[value for value in values if value is not None] for values in zip(*(p.values for p in group), strict=True)]
    last = group[-1].label
    label = group[0].label if len(group) == 1 else f"{group[0].label} to {last}"
    return Point(label, tuple(join(values) if values else None for values in told))


_SAID: Mapping[Kind, Callable[[float], str]] = {
    "usd": lambda value: short_usd(round(value)),
    "count": lambda value: f"{round(value):,}",
    "percent": lambda value: f"{100 * value:.1f} %",
    "ms": milliseconds,
    "us": microseconds,
}


def said(value: float | None, kind: Kind) -> str:
    """Return a value in words for reading."""
    return "unknown" if value is None else _SAID[kind](value)


def tick(value: float, kind: Kind) -> str:
    """Return a round figure as short as it can be."""
    if kind == "percent":
        return f"{100 * value:.3g} %"
    if kind in ("ms", "us"):
        return said(value, kind)
    sign, size = "-" if value < 0 else "", abs(value) / (_NANO if kind == "usd" else 1)
    for unit, letter in ((1e9, "bn"), (1e6, "M"), (1e3, "k")):
        if size >= unit:
            size, end = size / unit, letter
            break
    else:
        end = ""
    digits = f"{size:.9f}".rstrip("0").rstrip(".") if size else "0"
    return f"{sign}{'$' if kind == 'usd' else ''}{digits}{end}"


def short_label(label: str) -> str:
    """Return a day or an hour of the API (`2026-11-03`, `2026-11-03T13:00:00Z`) shorter; other words as they are."""
    begin, to, _ = label.partition(" to ")
    try:
        moment = datetime.fromisoformat(begin)
    except ValueError:
        return label
    return moment.strftime("%b %Y" if to else "%H:%M" if "T" in begin else "%-d %b")


def labelled(count: int) -> list[int]:
    """Return which of so many points have their label under the axis: few, evenly apart."""
    step = max(1, math.ceil(count / MOST_LABELS))
    return list(range(step // 2 if count > MOST_LABELS else 0, count, step))


def summary(series: Sequence[Series], found: Sequence[Point], kind: Kind) -> str:
    """Say in words what a chart shows: total, highest, lowest and the trend of each series."""
    told = [_told(one.label, [(p.label, p.values[at]) for p in found], kind) for at, one in enumerate(series)]
    return " ".join(told)


def _told(name: str, pairs: Sequence[tuple[str, float | None]], kind: Kind) -> str:
    known = [(label, value) for label, value in pairs if value is not None]
    if not known:
        return f"{name}: nothing."
    highest, lowest = max(known, key=lambda pair: pair[1]), min(known, key=lambda pair: pair[1])
    values = [value for _, value in known]
    parts = [f"{said(sum(values), kind)} in all"] if kind in AMOUNTS else [f"last {said(values[-1], kind)}"]
    if len(known) > 1:
        parts.append(f"highest {said(highest[1], kind)} ({highest[0]})")
        parts.append(f"lowest {said(lowest[1], kind)} ({lowest[0]})")
    return f"{name}: {', '.join([*parts, *_trend(values)])}."


def _trend(values: Sequence[float]) -> list[str]:
    """Compare the last third with the first; of fewer than six values nothing is said."""
    third = len(values) // 3
    if third < 2:
        return []
    before, after = sum(values[:third]) / third, sum(values[-third:]) / third
    if abs(after - before) <= _STEADY * max(abs(before), abs(after)):
        return ["steady"]
    return ["rising" if after > before else "falling"]
