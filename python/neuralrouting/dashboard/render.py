"""Templates to pages: what every template knows, and the headers that every page has."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from neuralrouting.api.figures import decimal_usd, short_usd
from neuralrouting.dashboard.assets import Assets
from neuralrouting.dashboard.filterbar import PERIODS
from neuralrouting.dashboard.page import Kind, Page, link
from neuralrouting.dashboard.viewer import Viewer

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
}
"""No page of ours runs, loads or sends anything that is not ours, and none is kept by a browser or framed."""


class Renderer:
    """Makes pages. `notice` is a line on top of each, such as that the data is made up.

    Templates that are not among ours are looked for in `loaders`.
    """

    def __init__(self, assets: Assets, notice: str = "", loaders: Sequence[BaseLoader] = ()) -> None:
        self._env = Environment(
            loader=ChoiceLoader([PackageLoader("neuralrouting.dashboard"), *loaders]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._env.filters.update(_FILTERS)
        self.add(asset=assets.address, notice=notice, periods=PERIODS, link=link, nav=())

    def navigation(self, pages: Sequence[Page]) -> None:
        """Say which pages there are."""
        self.add(nav=tuple(page for page in pages if page.nav))

    def add(self, **names: Any) -> None:  # noqa: ANN401  functions and values for templates
        """Make something known to every template, such as a chart."""
        self._env.globals.update(names)  # pyright: ignore[reportCallIssue, reportArgumentType]

    def page(
        self, template: str, title: str, viewer: Viewer | None, context: Mapping[str, Any], status: int = 200
    ) -> HTMLResponse:
        """Render one page."""
        text = self._env.get_template(template).render({**context, "title": title, "viewer": viewer})
        return HTMLResponse(text, status, headers=HEADERS)


def usd(nanousd: int | None) -> Markup:
    """Show nano-dollars as dollars for reading, with the exact figure behind it; None is unknown."""
    if nanousd is None:
        return Markup('<span class="none" title="no price is known">unpriced</span>')
    exact = decimal_usd(nanousd)
    shown = short_usd(nanousd)
    return Markup('<data class="usd" value="{}" title="${} exactly">{}</data>').format(exact, exact, shown)


def count(number: int | None) -> Markup:
    """Show a whole number with thousands apart."""
    if number is None:
        return Markup('<span class="none">none</span>')
    return Markup('<data value="{}">{}</data>').format(number, f"{number:,}")


def percent(share: float | None) -> Markup:
    """Show a share (0 to 1) as a percentage with one decimal; None where there is nothing to take a share of."""
    if share is None:
        return Markup('<span class="none">none</span>')
    return Markup('<data value="{}">{}</data>').format(share, f"{100 * share:.1f} %")


def score(difference: float | None) -> Markup:
    """Show a difference in quality (-1 to 1) with its sign."""
    if difference is None:
        return Markup('<span class="none">none</span>')
    return Markup('<data value="{}">{}</data>').format(difference, f"{difference:+.3f}")


def milliseconds(ms: float | None) -> str:
    """Show a duration given in milliseconds."""
    if ms is None:
        return "none"
    return f"{ms / 1000:,.2f} s" if ms >= 1000 else f"{ms:,.0f} ms" if ms >= 10 else f"{ms:.2f} ms"


def microseconds(us: float | None) -> str:
    """Show a duration given in microseconds."""
    if us is None:
        return "none"
    return milliseconds(us / 1000) if us >= 1000 else f"{us:.0f} µs" if us >= 10 else f"{us:.1f} µs"


def when(at: int | str | None) -> Markup:
    """Show a moment (Unix ms, or ISO 8601 as the API writes it) in UTC, to the second."""
    if at is None:
        return Markup('<span class="none">never</span>')
    moment = datetime.fromtimestamp(at / 1000, UTC) if isinstance(at, int) else datetime.fromisoformat(at)
    iso = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return Markup('<time datetime="{}">{}</time>').format(iso, moment.strftime("%Y-%m-%d %H:%M:%S"))


def change(now: int, before: int) -> Markup:
    """Show how far a figure is from that of the previous period."""
    if before == 0:
        said = "nothing in the period before" if now else "as in the period before"
    else:
        ratio = (now - before) / abs(before)
        said = f"{100 * ratio:+,.1f} % on the period before"
    return Markup('<span class="change">{}</span>').format(said)


def _code(value: object) -> Markup:
    return Markup('<code title="{}">{}</code>').format(value, value)


def _json(value: object) -> Markup:
    return _code(orjson.dumps(value).decode())


_CELLS: Mapping[str, Callable[[Any], Markup | str]] = {
    "text": str,
    "usd": usd,
    "count": count,
    "percent": percent,
    "score": score,
    "ms": milliseconds,
    "us": microseconds,
    "time": when,
    "yes": lambda value: "yes" if value else "no",
    "code": _code,
    "json": _json,
}


def cell(value: Any, kind: Kind) -> Markup | str:  # noqa: ANN401  any scalar of JSON
    """Show one cell of a table by its kind."""
    if value is None and kind not in ("usd", "time"):
        return Markup('<span class="none">none</span>')
    return _CELLS[kind](value)


_FILTERS: Mapping[str, Callable[..., Any]] = {
    "usd": usd,
    "count": count,
    "percent": percent,
    "score": score,
    "ms": milliseconds,
    "us": microseconds,
    "when": when,
    "cell": cell,
    "change": change,
}
