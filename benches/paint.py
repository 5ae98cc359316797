"""How soon a page is on the screen: first contentful paint of every page in a real Chromium, over loopback.

python -m benches.paint --data-dir /tmp/million    # a store that benches.million made
"""

import shutil
import statistics
import sys
from pathlib import Path
from typing import Final

import click
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from benches.screenshots import CONFIG, PAGES, PEOPLE, sign_in

from live_gateway import running_gateway

LIMIT_MS: Final = 300.0
_PAINT = """
() => new Promise((done) => {
  const seen = () => performance.getEntriesByName("first-contentful-paint")[0];
  if (seen()) return done(seen().startTime);
  new PerformanceObserver(() => seen() && done(seen().startTime)).observe({type: "paint", buffered: true});
})
"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), required=True, help="Of the gateway.")
@click.option("--url", help="The store's PostgreSQL address; without it SQLite in the data directory.")
@click.option("--times", default=10, show_default=True, help="How often each page is opened.")
@click.option("--limit-ms", default=LIMIT_MS, show_default=True, help="What the median may be.")
def main(data_dir: Path, url: str | None, times: int, limit_ms: float) -> None:
    """Open every page so many times. Exit code 1 when one paints later than it may."""
    place = shutil.which("chromium")
    if place is None:
        raise click.ClickException("Chromium is missing: apt install chromium")
    slow = False
    with (
        running_gateway(data_dir, config=CONFIG, database_url=url, **PEOPLE) as gateway,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=place, args=["--no-sandbox"])
        page = browser.new_context(base_url=gateway.url).new_page()
        sign_in(page)
        for name, path in PAGES.items():
            took = sorted(_paint(page, path) for _ in range(times))
            median = statistics.median(took)
            slow |= median > limit_ms
            click.echo(
                f"{name:16}{median:8.0f} ms median{took[-1]:8.0f} ms at worst{'  <-- slow' * (median > limit_ms)}"
            )
        browser.close()
    sys.exit(slow)


def _paint(page: Page, path: str) -> float:
    page.goto(path, wait_until="load")
    return float(page.evaluate(_PAINT))


if __name__ == "__main__":
    main()
