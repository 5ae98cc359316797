"""A chart in a real Chromium: arrow keys walk over its points, words follow, and nothing is wider than a telephone."""

import shutil
from collections.abc import Iterator
from importlib.resources import files

import pytest
from playwright.sync_api import Page, sync_playwright

from neuralrouting.dashboard import charts

STATIC = files("neuralrouting.dashboard") / "static"
ROWS = [{"day": f"2026-11-0{day}", "cost": day * 10**9, "baseline": 9 * 10**9} for day in range(1, 8)]


@pytest.fixture(scope="module")
def chart() -> Iterator[Page]:
    """A page of 390 pixels with one chart and its script."""
    place = shutil.which("chromium")
    if place is None:
        pytest.fail("Chromium is missing: apt install chromium")
    drawn = charts.lines(
        "Spent", ROWS, "day", [("cost", "Spent", "spend"), ("baseline", "Baseline", "baseline")], band=True
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=place, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = browser.new_page(viewport={"width": 390, "height": 700})
        page.set_content(f'<main class="panel">{drawn}</main>')
        page.add_style_tag(content=(STATIC / "app.css").read_text())
        page.add_script_tag(content=(STATIC / "charts.js").read_text(), type="module")
        yield page
        browser.close()


def test_arrow_keys_walk_over_the_points_and_say_each(chart: Page):
    slider = chart.get_by_role("slider", name="Spent, point by point")
    slider.focus()
    assert slider.get_attribute("aria-valuetext") == "2026-11-07: Spent $7.00, Baseline $9.00"
    for key, day in (("ArrowLeft", 6), ("ArrowLeft", 5), ("ArrowRight", 6), ("Home", 1), ("ArrowLeft", 1), ("End", 7)):
        slider.press(key)
        told = f"2026-11-0{day}: Spent ${day}.00, Baseline $9.00"
        assert slider.get_attribute("aria-valuetext") == told
        assert chart.locator(".point").text_content() == told
        assert slider.get_attribute("aria-valuenow") == str(day)


def test_a_pointer_over_a_point_says_it_too(chart: Page):
    chart.locator(".hit").nth(2).hover()
    assert chart.locator(".point").text_content() == "2026-11-03: Spent $3.00, Baseline $9.00"
    assert chart.locator(".hit.on").count() == 1


def test_a_chart_is_as_wide_as_its_place_and_its_words_keep_their_size(chart: Page):
    assert chart.evaluate("document.documentElement.scrollWidth") == 390
    assert chart.evaluate("getComputedStyle(document.querySelector('.chart text')).fontSize") == "11px"
    wide = chart.locator("svg.chart").bounding_box()
    assert wide is not None
    assert 300 < wide["width"] < 390
