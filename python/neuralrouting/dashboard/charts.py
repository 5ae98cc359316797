"""Charts as SVG that needs no script: lines, stacked bars, bars, sparklines and gauges. Pure; everything is escaped.

They are as wide as their place: what lies along it is told in percent, so that words keep their size on a telephone.
Colours come from the style sheet by class; a dash, a marker or a hatching tells the same.
Two charts of one page need two titles: ids are made of them. Load `charts.js` on the page for keys and pointers.
"""

import re
from collections.abc import Sequence

from markupsafe import Markup

from neuralrouting.dashboard import axes, chart_frame, chart_parts
from neuralrouting.dashboard.axes import Point, Series
from neuralrouting.dashboard.chart_frame import Drawing, Story
from neuralrouting.dashboard.page import Kind
from neuralrouting.exchange import JsonObject

__all__ = ["Series", "bars", "gauge", "lines", "sparkline", "stacked"]

_NOT_PLAIN = re.compile(r"[^a-z0-9]+")


def lines(
    title: str,
    rows: Sequence[JsonObject],
    x: str,
    series: Sequence[Sequence[str]],
    kind: Kind = "usd",
    *,
    band: bool = False,
) -> Markup:
    """Draw figures of rows over time, a line for each series (key, label, colour class).

    `x` is the rows' key of a day or an hour. `band`: what lies between the first line and the second, where that is
    above, was saved; where it is below, it was lost.
    """
    shown = [Series(*one) for one in series]
    found, span = axes.points(rows, x, [one.key for one in shown], kind)
    scale = axes.axis(axes.known(found), whole=kind == "count")
    name = _name(title)
    plane = chart_parts.band(name, found, scale) if band and len(shown) > 1 else []
    for at in range(len(shown)):
        plane += chart_parts.path(found, at, shown[at].tone, scale)
    parts = [chart_parts.grid(scale), *chart_parts.foot(found), chart_parts.plane(plane)]
    for at in range(len(shown)):
        parts += chart_parts.markers(found, at, shown[at].tone, scale)
    parts += [chart_parts.figures(scale, kind), chart_parts.hits(found, shown, kind)]
    keys = [chart_parts.line_key(at, one.tone) for at, one in enumerate(shown)]
    drawing = Drawing(name, parts, chart_parts.WHOLE)
    return chart_frame.framed(Story(title, shown, found, kind, span), drawing, keys)


def stacked(
    title: str, rows: Sequence[JsonObject], x: str, series: Sequence[Sequence[str]], kind: Kind = "usd"
) -> Markup:
    """Draw a bar for each row, its series on top of each other; what is below zero hangs below the zero line."""
    shown = [Series(*one) for one in series]
    found, span = axes.points(rows, x, [one.key for one in shown], kind)
    ends = [sum(v for v in p.values if v and v * side > 0) for p in found for side in (1, -1)]
    scale = axes.axis(ends, whole=kind == "count")
    name = _name(title)
    parts = [chart_parts.hatching(name, shown), chart_parts.grid(scale), *chart_parts.foot(found)]
    for at in range(len(found)):
        parts += chart_parts.stack(name, found, at, scale)
    parts += [chart_parts.zero(scale), chart_parts.figures(scale, kind), chart_parts.hits(found, shown, kind)]
    keys = [chart_parts.bar_key(name, at) for at in range(len(shown))]
    drawing = Drawing(name, parts, chart_parts.WHOLE)
    return chart_frame.framed(Story(title, shown, found, kind, span), drawing, keys)


def bars(title: str, rows: Sequence[JsonObject], name_key: str, series: Sequence[str], kind: Kind = "usd") -> Markup:
    """Draw one bar for each row under its name and value; `series` is one key, label and colour class.

    Give it the ten biggest: every row takes 34 pixels.
    """
    one = Series(*series)
    found = [Point("none" if row[name_key] is None else str(row[name_key]), (row[one.key],)) for row in rows]
    values = (0, *axes.known(found))
    reach = (min(values), (max(values) - min(values)) or 1)
    parts = [chart_parts.bar_row(at, point, one, kind, reach) for at, point in enumerate(found)]
    drawing = Drawing(_name(title), parts, chart_parts.ROW * len(found), "bars")
    return chart_frame.framed(Story(title, [one], found, kind, 1), drawing, [])


def sparkline(title: str, values: Sequence[float | None], kind: Kind = "count", tone: str = "spend") -> Markup:
    """Draw a small line for a table or a headline; its words are its title."""
    known = [(at, value) for at, value in enumerate(values) if value is not None]
    if not known:
        return Markup('<span class="none">none</span>')
    figures = [value for _, value in known]
    told = (("first", figures[0]), ("highest", max(figures)), ("lowest", min(figures)), ("last", figures[-1]))
    said = f"{title}: {', '.join(f'{word} {axes.said(value, kind)}' for word, value in told)}"
    low, high = min((0, *figures)), max((0, *figures))
    step, reach = 92 / max(1, len(values) - 1), high - low or 1
    places = [(4 + at * step, 21 - 18 * (value - low) / reach) for at, value in known]
    return Markup(
        '<svg class="spark tone-{}" role="img" viewBox="0 0 100 24" width="100" height="24"><title>{}</title>'
        '<polyline points="{}"/><circle cx="{:.1f}" cy="{:.1f}" r="2.5"/></svg>'
    ).format(tone, said, " ".join(f"{x:.1f},{y:.1f}" for x, y in places), *places[-1])


def gauge(share: float, said: str, tone: str = "spend") -> Markup:
    """Draw how much of something is used, from 0 to 1; more than all of it fills it. `said` tells it in words."""
    full = 100 * min(1.0, max(0.0, share))
    return Markup(
        '<svg class="gauge tone-{}" role="img" width="100%" height="8"><title>{}</title>'
        '<rect class="track" width="100%" height="8" rx="4"/><rect width="{:.1f}%" height="8" rx="4"/></svg>'
    ).format(tone, said, full)


def _name(title: str) -> str:
    return f"chart-{_NOT_PLAIN.sub('-', title.lower()).strip('-')}"
