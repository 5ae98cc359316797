"""What stands around a drawing: its title, a key, the same in words, and the same rows as a table. Pure."""

from collections.abc import Sequence

import msgspec
from markupsafe import Markup, escape

from neuralrouting.api.figures import decimal_usd
from neuralrouting.dashboard.axes import Point, Series, said, summary
from neuralrouting.dashboard.page import Kind


class Story(msgspec.Struct, frozen=True):
    """What a chart tells; each point stands for `span` rows."""

    title: str
    series: Sequence[Series]
    points: Sequence[Point]
    kind: Kind
    span: int


class Drawing(msgspec.Struct, frozen=True):
    """How it tells it: parts of an SVG, `height` pixels in all. `name` is an id of its own on the page."""

    name: str
    parts: Sequence[Markup]
    height: int
    look: str = ""


_FRAME = Markup("""<figure class="plot" id="{name}">
<figcaption><h2>{title}</h2>{keys}</figcaption>
<div class="walk">
<svg class="chart {look}" role="img" width="100%" height="{height}" aria-labelledby="{name}-title" \
aria-describedby="{name}-words"><title id="{name}-title">{title}</title><desc id="{name}-words">{words}</desc>
{parts}</svg>
</div>
<p class="point small soft">{note}</p>
<details class="small"><summary>The same in words and as a table</summary>
<p>{words}</p>
{table}
</details>
</figure>""")
_TABLE = Markup("""<div class="scroll" tabindex="0" role="group" aria-label="{title}, as a table">
<table><thead><tr><th scope="col">{first}</th>{heads}</tr></thead><tbody>
{rows}
</tbody></table></div>""")
_HEAD = Markup('<th scope="col" class="number">{}</th>')
_EMPTY = Markup('<figure class="plot"><figcaption><h2>{}</h2></figcaption><p class="empty">{}</p></figure>')


def framed(story: Story, drawing: Drawing, keys: Sequence[Markup]) -> Markup:
    """Return the whole chart; of no points only that there are none. `keys` are the series' marks, in their order."""
    if not story.points:
        return _EMPTY.format(story.title, "Nothing in this period.")
    return _FRAME.format(
        name=drawing.name,
        title=story.title,
        look=drawing.look,
        height=drawing.height,
        parts=Markup("\n").join(drawing.parts),
        keys=_keys(story.series, keys),
        words=summary(story.series, story.points, story.kind),
        note=_note(story),
        table=_table(story),
    )


def _keys(series: Sequence[Series], keys: Sequence[Markup]) -> Markup:
    if not keys:
        return Markup("")
    items = (Markup("<li>{}{}</li>").format(key, one.label) for key, one in zip(keys, series, strict=True))
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


def _note(story: Story) -> str:
    return f"Each point stands for up to {story.span} of the rows, so that all have room." if story.span > 1 else ""


def _table(story: Story) -> Markup:
    # Written by hand, as the places under the pointer are.
    rows = "\n".join(
        f'<tr><th scope="row">{escape(point.label)}</th>{"".join(_cell(v, story.kind) for v in point.values)}</tr>'
        for point in story.points
    )
    heads = Markup("").join(_HEAD.format(one.label) for one in story.series)
    return _TABLE.format(title=story.title, first="Of", heads=heads, rows=Markup(rows))  # noqa: S704  escaped above


def _cell(value: float | None, kind: Kind) -> str:
    if value is None:
        return '<td class="number"><span class="none">unknown</span></td>'
    exact = decimal_usd(round(value)) if kind == "usd" else value
    return f'<td class="number"><data value="{exact}">{escape(said(value, kind))}</data></td>'
