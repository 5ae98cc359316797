"""What a page is: a JSON body and a template that shows nothing but that body; and what can be done on it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Literal
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api.filters import Told
from neuralrouting.dashboard.filterbar import Bar, read_bar
from neuralrouting.dashboard.rights import Right
from neuralrouting.dashboard.viewer import Viewer
from neuralrouting.exchange import JsonObject


class Ask(msgspec.Struct, frozen=True):
    """One question to a page. `told` is every query parameter, `path` the values in the page's path."""

    viewer: Viewer
    bar: Bar
    told: Told
    path: Mapping[str, str]
    now_ms: int


Kind = Literal["text", "count", "usd", "percent", "score", "ms", "us", "time", "yes", "code", "json"]
"""How a cell is shown; `usd` reads nano-dollars, `percent` a share from 0 to 1, `time` Unix ms or an ISO moment.

`score` is a difference in quality from -1 to 1.
"""


class Column(msgspec.Struct, frozen=True):
    """One column of a table: the row's key, its heading, and where a click on it leads.

    `narrows`: a parameter of the bar that the cell's value is put into.
    """

    key: str
    label: str
    kind: Kind = "text"
    narrows: str | None = None


class Table(msgspec.Struct, frozen=True):
    """One table of a page, on screen and as CSV: `rows` finds its rows (flat objects) in the page's body.

    `stream` is for what is too long for a page: it yields the whole CSV in blocks instead.
    """

    title: str
    columns: tuple[Column, ...] = ()
    rows: Callable[[JsonObject], list[JsonObject]] | None = None
    stream: Callable[[Ask], AsyncIterator[bytes]] | None = None


class Page(msgspec.Struct, frozen=True):
    """One page: `/{name}`, its JSON twin `/{name}.json`, its tables `/{name}.csv?table=...`.

    `path` is where the page itself is, where that is not `/{name}`; `{...}` in it are values that `Ask.path` holds.
    `parameters` are those that it takes beside the bar's. `nav`: it stands in the navigation.
    """

    name: str
    title: str
    right: Right
    body: Callable[[Ask], Awaitable[JsonObject]]
    tables: Mapping[str, Table] = {}
    parameters: tuple[str, ...] = ()
    path: str | None = None
    nav: bool = True
    filters: bool = True

    @property
    def address(self) -> str:
        """The page's path."""
        return self.path or f"/{self.name}"

    @property
    def template(self) -> str:
        """The file that shows it."""
        return f"{self.name.replace('-', '_')}.html"


Form = Mapping[str, str]
"""The fields of a form; one that is left empty is not there."""


class Shown(msgspec.Struct, frozen=True):
    """What is shown once, in answer to a form: a template and what it needs, under a status of HTTP."""

    template: str
    title: str
    context: Mapping[str, Any]
    status: int = 200


class Deed(msgspec.Struct, frozen=True):
    """What a form does (`POST path`). `said` is what the next page says of it.

    `do` returns a path of ours to go on to, None for back where the form was (its field `back`), or what is shown once.
    It raises RequestError for what cannot be done.
    """

    path: str
    right: Right
    do: Callable[[Viewer, Form], Awaitable[str | Shown | None]]
    said: str


def again(page: Page, viewer: Viewer, body: JsonObject, now_ms: int, status: int = 200) -> Shown:
    """Return a page as the answer to its form: with what was typed still there, and what came of it in its body."""
    ask = Ask(viewer, read_bar({}, now_ms), {}, {}, now_ms)
    told = {"page": page, "ask": ask, "bar": ask.bar, "body": body, "done": "", "here": page.address}
    return Shown(page.template, page.title, told, status)


class Service(msgspec.Struct, frozen=True):
    """An address that answers in its own way: a stream, a file. For scripts and downloads, not for reading."""

    path: str
    right: Right
    answer: Callable[[Request, Viewer], Awaitable[Response]]
    methods: tuple[str, ...] = ("GET",)


class Section(msgspec.Struct, frozen=True):
    """Pages that belong together, with what is done on them and what they load."""

    pages: tuple[Page, ...]
    deeds: tuple[Deed, ...] = ()
    services: tuple[Service, ...] = ()


def link(path: str, **told: str | None) -> str:
    """Return a path with parameters, those that are None left out."""
    query = urlencode({name: value for name, value in told.items() if value is not None})
    return f"{path}?{query}" if query else path
