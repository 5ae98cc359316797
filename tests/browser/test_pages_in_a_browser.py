"""Every page in a real browser: nothing refused by the policy, nothing axe finds, light, dark and narrow; and fast."""

import json
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from sights import Sight

from live_gateway import LiveGateway

PAGES = (
    "/", "/attribution", "/requests", "/security", "/routing", "/cache", "/providers", "/playground", "/keys",
    "/reports", "/settings",
)  # fmt: skip
MOST_BYTES = 60_000


def test_the_navigation_has_ten_pages_at_most_and_these(sight: Sight):
    sight.page.goto("/")
    links = sight.page.get_by_role("navigation", name="Pages").get_by_role("link").all()
    addresses = [(link.get_attribute("href") or "").partition("?")[0] for link in links]
    assert set(addresses) == set(PAGES) - {"/settings"}
    assert len(addresses) <= 10


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_within_reach_of_everybody(sight: Sight, path: str):
    page = sight.page
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == 200
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page)
        assert found.violations_count == 0, f"{scheme}: {found.generate_report()}"
    page.set_viewport_size({"width": 390, "height": 800})
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"{wide} px too wide for a telephone"
    assert sight.faults() == []


@pytest.mark.parametrize("path", [path for path in PAGES if path != "/playground"])
def test_a_page_reads_without_scripts(chromium: Browser, house: LiveGateway, signed_in: Path, path: str):
    context = chromium.new_context(base_url=house.url, storage_state=signed_in, java_script_enabled=False)
    page = context.new_page()
    page.goto(path)
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("button").first.is_visible()
    context.close()


def test_scripts_and_styles_together_are_small(sight: Sight):
    loaded: dict[str, int] = {}
    sight.page.on(
        "response",
        lambda answer: (
            loaded.update({answer.url: len(answer.body())}) if answer.url.endswith((".js", ".css")) else None
        ),
    )
    for path in PAGES:
        sight.page.goto(path, wait_until="networkidle" if path != "/requests" else "load")
    assert len(loaded) >= 2
    assert sum(loaded.values()) < MOST_BYTES, json.dumps(loaded, indent=1)
