"""The parts that charts are drawn of: grid, lines, markers, bars, and the places that tell their figures. Pure."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup, escape

from neuralrouting.dashboard.axes import Axis, Point, Series, labelled, said, short_label, tick
from neuralrouting.dashboard.page import Kind

TOP, HEIGHT, FOOT = 16, 180, 22
"""Pixels above the plane, of the plane, and below it, where the labels stand."""
WHOLE = TOP + HEIGHT + FOOT
WIDE = 1000
"""Units across the plane, which is stretched to its place."""
LEFT = 5
"""Percent in front of the first point, for the figures of the grid."""
ROW = 34
"""Pixels of one bar with its name."""
MARKED = 40
"""Up to so many points each has a marker."""
LONGEST_NAME = 36
"""Characters of a bar's name that fit on a telephone."""
_DASHES = ("", "7 4", "2 3", "10 3 2 3")
_MARKERS = ("M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z", "M-3-3h6v6h-6z", "M0-4l4 7h-8z", "M0-4l4 4-4 4-4-4z")
_HATCHES = ("", "M-1 7L7-1M-1 1L1-1M5 7L7 5", "M3 1v4M1 3h4", "M0 3h6", "M3 0v6", "M0 0l6 6M0 6l6-6")
_EDGE = 8
"""Percent from an edge within which a label begins or ends at its point instead of standing around it."""

_THICKEST = 8
"""Percent that a bar is wide at most."""


def across(at: int, count: int) -> float:
    """Return where the middle of a point's place is, in percent."""
    return LEFT + (100 - LEFT) * (at + 0.5) / count


def grid(scale: Axis) -> Markup:
    """Draw a line for each round figure."""
    line = Markup('<line class="{}" x1="0" x2="100%" y1="{:.1f}" y2="{:.1f}"/>')
    return Markup("").join(
        line.format("grid" if value else "zero", *[TOP + scale.height(value, HEIGHT)] * 2) for value in scale.ticks
    )


def figures(scale: Axis, kind: Kind) -> Markup:
    """Write the round figures on their lines; they go over what is drawn."""
    return Markup("").join(
        Markup('<text x="0" y="{:.1f}">{}</text>').format(TOP + scale.height(value, HEIGHT) - 3, tick(value, kind))
        for value in scale.ticks
    )


def zero(scale: Axis) -> Markup:
    """Draw the zero line again, over bars."""
    y = TOP + scale.height(0, HEIGHT)
    return Markup('<line class="zero" x1="0" x2="100%" y1="{:.1f}" y2="{:.1f}"/>').format(y, y)


def foot(found: Sequence[Point]) -> Iterator[Markup]:
    """Write a few of the points' labels under the plane."""
    for at in labelled(len(found)):
        x = across(at, len(found))
        anchor = "start" if x < _EDGE else "end" if x > 100 - _EDGE else "middle"
        place = Markup('<text x="{:.2f}%" y="{}" text-anchor="{}">{}</text>')
        yield place.format(x, WHOLE - 5, anchor, short_label(found[at].label))


def plane(parts: Sequence[Markup]) -> Markup:
    """Return what is stretched to the width of its place."""
    return Markup(
        '<svg y="{}" width="100%" height="{}" viewBox="0 0 {} {}" preserveAspectRatio="none">{}</svg>'
    ).format(TOP, HEIGHT, WIDE, HEIGHT, Markup("").join(parts))


def path(found: Sequence[Point], at: int, tone: str, scale: Axis) -> list[Markup]:
    """Draw the line of one series; it is broken where nothing is known."""
    runs: list[list[str]] = [[]]
    for place, point in enumerate(found):
        value = point.values[at]
        if value is None:
            runs.append([])
        else:
            runs[-1].append(_place(place, len(found), scale.height(value, HEIGHT)))
    line = Markup('<polyline class="line tone-{}" stroke-dasharray="{}" points="{}"/>')
    return [line.format(tone, _DASHES[at % len(_DASHES)], " ".join(run)) for run in runs if len(run) > 1]


def band(name: str, found: Sequence[Point], scale: Axis) -> list[Markup]:
    """Fill what is between the first line and the second: apart where the second is above and where it is below."""
    if len(found) < 2 or any(None in point.values[:2] for point in found):
        return []
    first, second = (
        " ".join(
            _place(place, len(found), scale.height(point.values[at] or 0, HEIGHT)) for place, point in enumerate(found)
        )
        for at in (0, 1)
    )
    left, right = WIDE * across(0, len(found)) / 100, WIDE * across(len(found) - 1, len(found)) / 100
    above, below = f" {right:.1f},0 {left:.1f},0", f" {right:.1f},{HEIGHT} {left:.1f},{HEIGHT}"
    area = Markup(
        '<clipPath id="{0}-{1}"><polygon points="{2}"/></clipPath><polygon class="band {1}" '
        'clip-path="url(#{0}-{1})" points="{3}"/>'
    )
    return [
        area.format(name, "gain", second + below, first + above),
        area.format(name, "loss", first + below, second + above),
    ]


def markers(found: Sequence[Point], at: int, tone: str, scale: Axis) -> Iterator[Markup]:
    """Mark the points of one series, of many only the last; its shape tells which series it is."""
    count = len(found)
    for place, point in enumerate(found):
        value = point.values[at]
        if value is None or (count > MARKED and place < count - 1):
            continue
        # A drawing of its own, because only such a one can be put at a percentage.
        yield Markup('<svg class="mark" x="{:.2f}%" y="{:.1f}"><path class="tone-{}" d="{}"/></svg>').format(
            across(place, count), TOP + scale.height(value, HEIGHT), tone, _MARKERS[at % len(_MARKERS)]
        )


def hatching(name: str, series: Sequence[Series]) -> Markup:
    """Define what the bars of each series are filled with."""
    return Markup("").join(
        Markup(
            '<pattern id="{}-{}" width="6" height="6" patternUnits="userSpaceOnUse"><g class="tone-{}">'
            '<rect class="{}" width="6" height="6"/><path class="hatch" d="{}"/></g></pattern>'
        ).format(name, at, one.tone, "pale" if at else "full", _HATCHES[at % len(_HATCHES)])
        for at, one in enumerate(series)
    )


def stack(name: str, found: Sequence[Point], at: int, scale: Axis) -> Iterator[Markup]:
    """Draw one bar, what is above zero upward and what is below it downward."""
    width = min(_THICKEST, 0.76 * (100 - LEFT) / len(found))
    x, ends = across(at, len(found)) - width / 2, [0.0, 0.0]
    for place, value in enumerate(found[at].values):
        if not value:
            continue
        side = int(value < 0)
        begin = ends[side]
        ends[side] += value
        top, low = (scale.height(end, HEIGHT) for end in (max(begin, ends[side]), min(begin, ends[side])))
        yield Markup('<rect fill="url(#{}-{})" x="{:.2f}%" width="{:.2f}%" y="{:.1f}" height="{:.1f}"/>').format(
            name, place, x, width, TOP + top, max(0.5, low - top)
        )


def bar_row(at: int, point: Point, one: Series, kind: Kind, reach: tuple[float, float]) -> Markup:
    """Draw one bar that lies; `reach` is the lowest value and how far the highest is above it."""
    value, (low, over) = point.values[0], reach
    begin, end = sorted((100 * -low / over, 100 * ((value or 0) - low) / over))
    short = point.label if len(point.label) <= LONGEST_NAME else f"{point.label[: LONGEST_NAME - 1]}…"
    y, told, tone = ROW * at, said(value, kind), "bad" if value and value < 0 else one.tone
    return Markup(
        '<g class="hit tone-{}"><title>{}: {}</title><text y="{}">{}</text>'
        '<text class="value" x="100%" y="{}" text-anchor="end">{}</text><rect class="track" y="{}" width="100%" '
        'height="8" rx="3"/><rect x="{:.2f}%" y="{}" width="{:.2f}%" height="8" rx="3"/></g>'
    ).format(tone, point.label, told, y + 13, short, y + 13, told, y + 19, begin, y + 19, end - begin)


def hits(found: Sequence[Point], series: Sequence[Series], kind: Kind) -> Markup:
    """Lay a place over each point that tells its figures to a pointer, and to the script that walks over them."""
    width = (100 - LEFT) / max(1, len(found))
    # Written by hand: of a hundred points, Markup.format would take longer than the query behind them.
    return Markup(  # noqa: S704  labels are escaped, all else is numbers of ours
        "".join(
            f'<rect class="hit" x="{LEFT + at * width:.2f}%" width="{width:.2f}%" height="{TOP + HEIGHT}">'
            f"<title>{escape(f'{point.label}: {_figures(point, series, kind)}')}</title></rect>"
            for at, point in enumerate(found)
        )
    )


def line_key(at: int, tone: str) -> Markup:
    """Draw a piece of a series' line, for the key."""
    return Markup(
        '<svg class="key" width="28" height="10" aria-hidden="true"><line class="line tone-{}" stroke-dasharray="{}" '
        'x2="28" y1="5" y2="5"/><path class="tone-{}" transform="translate(14 5)" d="{}"/></svg>'
    ).format(tone, _DASHES[at % len(_DASHES)], tone, _MARKERS[at % len(_MARKERS)])


def bar_key(name: str, at: int) -> Markup:
    """Draw a piece of a series' bars, for the key."""
    return Markup(
        '<svg class="key" width="14" height="12" aria-hidden="true"><rect fill="url(#{}-{})" width="14" height="12"/>'
        "</svg>"
    ).format(name, at)


def _figures(point: Point, series: Sequence[Series], kind: Kind) -> str:
    told = zip(series, point.values, strict=True)
    return ", ".join(f"{one.label} {said(value, kind)}" for one, value in told)


def _place(at: int, count: int, y: float) -> str:
    return f"{WIDE * across(at, count) / 100:.1f},{y:.1f}"
