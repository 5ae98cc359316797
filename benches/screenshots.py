"""Pictures of every page, on demo data that say so: `make screenshots`.

    python -m benches.screenshots                    # all pages, light and dark, into target/screenshots
    python -m benches.screenshots --docs docs/images # and those that the documentation shows

The data are `benches.million`'s, seeded: thirty days of made-up requests. A line on top of every page says so.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import click
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from neuralrouting.storage.database import open_database

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from benches.million import ACCOUNTS, seed

from live_gateway import LiveGateway, running_gateway

NOTICE = "Demo data: made up by a seeded generator. No real traffic, no real money."
EMAIL, PASSWORD = "owner@example.com", "a password for pictures"
PEOPLE = {"NEURALROUTING_ADMIN_EMAIL": EMAIL, "NEURALROUTING_ADMIN_PASSWORD": PASSWORD}
REQUESTS, DAYS, SEED = 20_000, 30, 7
CONFIG = 'local: {enabled: "off"}\nsimulated: {enabled: "on", latency_ms: 120, token_ms: 5}'
SIZE: ViewportSize = {"width": 1360, "height": 900}
PAGES = {
    "control-center": "/",
    "attribution": "/attribution",
    "requests": "/requests",
    "security": "/security",
    "routing": "/routing",
    "cache": "/cache",
    "providers": "/providers",
    "playground": "/playground",
    "keys": "/keys",
    "reports": "/reports",
    "settings": "/settings",
}
PROMPT = "Translate 'the invoice is overdue' into French, German and Spanish."
IN_DOCS = ("control-center-light", "control-center-dark", "requests-drawer-light", "routing-light", "playground-light")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("target/screenshots"))
@click.option("--docs", type=click.Path(file_okay=False, path_type=Path), help="Where the documentation's go.")
def main(out: Path, docs: Path | None) -> None:
    """Fill a store, start a gateway over it, sign in and take a picture of every page."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_fill(Path(folder)))
        with running_gateway(
            Path(folder),
            config=CONFIG,
            DASHBOARD_NOTICE=NOTICE,
            **PEOPLE,
        ) as gateway:
            _take(gateway, out)
    for name in IN_DOCS if docs is not None else ():
        assert docs is not None
        docs.mkdir(parents=True, exist_ok=True)
        shutil.copy(out / f"{name}.png", docs / f"{name}.png")
    click.echo(f"{len(list(out.glob('*.png')))} pictures in {out}")


def sign_in(page: Page) -> None:
    """Sign the owner in whom `PEOPLE` names."""
    page.goto("/login")
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


async def _fill(folder: Path) -> None:
    database = await open_database(None, folder)
    try:
        await seed(database, REQUESTS, DAYS, SEED, ACCOUNTS)
    finally:
        await database.close()


def _take(gateway: LiveGateway, out: Path) -> None:
    place = shutil.which("chromium")
    if place is None:
        raise click.ClickException("Chromium is missing: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=place, args=["--no-sandbox"])
        _take_all(browser, gateway, "light", out)
        _take_all(browser, gateway, "dark", out)
        browser.close()


def _take_all(browser: Browser, gateway: LiveGateway, scheme: Literal["light", "dark"], out: Path) -> None:
    context = browser.new_context(base_url=gateway.url, color_scheme=scheme, viewport=SIZE)
    page = context.new_page()
    page.goto("/login")
    page.screenshot(path=out / f"login-{scheme}.png")
    sign_in(page)
    for name, path in PAGES.items():
        page.goto(path)
        page.screenshot(path=out / f"{name}-{scheme}.png")
        page.screenshot(path=out / f"{name}-{scheme}-whole.png", full_page=True)
    row = page.context.request.get("/requests.json").json()["data"][0]
    page.goto(f"/requests?open={row['request_id']}")
    page.screenshot(path=out / f"requests-drawer-{scheme}.png")
    page.goto("/playground")
    page.get_by_label("Prompt", exact=False).first.fill(PROMPT)
    page.get_by_role("button", name="Run").click()
    time.sleep(3)
    page.screenshot(path=out / f"playground-{scheme}.png", full_page=True)
    context.close()


if __name__ == "__main__":
    main()
