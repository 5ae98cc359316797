"""Pages without a gateway around them: served in the process, to somebody whose role a test chooses."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx
from jinja2 import DictLoader
from playwright.sync_api import Page as BrowserPage
from playwright.sync_api import Route as BrowserRoute
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.testclient import TestClient

from neuralrouting.dashboard.assets import Assets
from neuralrouting.dashboard.page import Deed, Page, Service
from neuralrouting.dashboard.render import Renderer
from neuralrouting.dashboard.rights import UserRole
from neuralrouting.dashboard.routes import Pages
from neuralrouting.dashboard.viewer import Viewer

HERE = {"sec-fetch-site": "same-origin"}
SAMPLE = """{% extends "page.html" %}{% block content %}{{ show.table("by_model") }}{% endblock %}"""
"""The template of a page called `sample`, for tests of what all pages have in common."""


class Signed:
    """A gate behind which one person is signed in, or nobody."""

    def __init__(self, viewer: Viewer | None) -> None:
        self.seen = viewer

    async def viewer(self, request: Request, *, keys: bool = False) -> Viewer | None:  # noqa: ARG002
        return self.seen


def person(role: UserRole = "owner", account_id: str = "acme") -> Viewer:
    return Viewer(f"user_{role}", f"{role}@example.com", account_id, role, "session")


def application(
    pages: Sequence[Page],
    deeds: Sequence[Deed] = (),
    services: Sequence[Service] = (),
    *,
    viewer: Viewer | None = None,
    **names: object,
) -> Starlette:
    """These pages alone; `names` are what their templates need beside the frame's own."""
    assets = Assets()
    renderer = Renderer(assets, loaders=[DictLoader({"sample.html": SAMPLE})])
    renderer.add(**names)
    routes = Pages(Signed(viewer), renderer).routes(pages, deeds, services)
    return Starlette(routes=[Route("/static/{name:path}", assets.serve), *routes])


@contextmanager
def looking(
    pages: Sequence[Page],
    deeds: Sequence[Deed] = (),
    services: Sequence[Service] = (),
    *,
    viewer: Viewer | None = None,
    **names: object,
) -> Iterator[TestClient]:
    """A client for these pages, in a loop of its own."""
    app = application(pages, deeds, services, viewer=viewer, **names)
    with TestClient(app, "http://127.0.0.1", follow_redirects=False, headers=HERE) as client:
        yield client


def visiting(app: Starlette) -> httpx.AsyncClient:
    """A client for pages whose database is open in the test's own loop."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", headers=HERE)


def shown_in(browser_page: BrowserPage, client: TestClient) -> BrowserPage:
    """Let a browser's page ask `client` for whatever it loads from http://pages.test."""

    def fulfil(route: BrowserRoute) -> None:
        asked = route.request
        path = asked.url.removeprefix("http://pages.test")
        answer = client.request(asked.method, path, content=asked.post_data_buffer, headers=dict(asked.headers) | HERE)
        route.fulfill(status=answer.status_code, headers=dict(answer.headers), body=answer.content)

    browser_page.route("http://pages.test/**", fulfil)
    return browser_page
