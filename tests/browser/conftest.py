"""A real gateway with some history, and a real Chromium that is signed in to it.

Playwright's loop runs as long as a browser is open, so whatever needs a loop of its own is made before.
"""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from sights import EMAIL, PASSWORD, Sight, looked_at

from history import fill
from live_gateway import LiveGateway, running_gateway

CONFIG = 'local: {enabled: "off"}\nsimulated: {enabled: "on", latency_ms: 1, token_ms: 0}'


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway whose account has a fortnight of requests, real and simulated, and an owner who can sign in."""
    with running_gateway(
        tmp_path_factory.mktemp("house"),
        config=CONFIG,
        NEURALROUTING_ADMIN_EMAIL=EMAIL,
        NEURALROUTING_ADMIN_PASSWORD=PASSWORD,
    ) as running:
        asyncio.run(fill(running))
        yield running


@pytest.fixture(scope="module")
def chromium(house: LiveGateway) -> Iterator[Browser]:
    """Debian's Chromium."""
    place = shutil.which("chromium")
    assert house.url, "the gateway is there first: its loop cannot run beside the browser's"
    if place is None:
        pytest.fail("Chromium is missing: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=place, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def signed_in(chromium: Browser, house: LiveGateway, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cookies of an owner who has signed in with a password."""
    kept = tmp_path_factory.mktemp("cookies") / "state.json"
    context = chromium.new_context(base_url=house.url)
    page = context.new_page()
    page.goto("/login")
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{house.url}/")
    context.storage_state(path=kept)
    context.close()
    return kept


@pytest.fixture
def sight(chromium: Browser, house: LiveGateway, signed_in: Path) -> Iterator[Sight]:
    """A tab of the owner."""
    context = chromium.new_context(base_url=house.url, storage_state=signed_in, viewport={"width": 1300, "height": 900})
    yield looked_at(context)
    context.close()
