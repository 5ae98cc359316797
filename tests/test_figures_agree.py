"""One question, five answers: page, API, CSV, PDF and ledger tell the same figures, to the last nano-dollar."""

import asyncio
import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pypdf
import pytest

from history import fill
from live_gateway import LiveGateway, running_gateway

OWNER = {"email": "owner@example.com", "password": "correct horse battery"}
IN_PDF = {
    "cost": "Spent",
    "baseline": "Baseline",
    "saved_routing": "Saved by routing",
    "saved_exact_cache": "Saved by the exact cache",
    "saved_semantic_cache": "Saved by the semantic cache",
    "house": "Gateway's own cost",
    "saved": "Saved",
}
"""Every sum of money, and what the report calls it."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    with running_gateway(
        tmp_path_factory.mktemp("agree"),
        config='local: {enabled: "off"}',
        NEURALROUTING_ADMIN_EMAIL=OWNER["email"],
        NEURALROUTING_ADMIN_PASSWORD=OWNER["password"],
    ) as running:
        asyncio.run(fill(running))
        yield running


async def _raw(gateway: LiveGateway, from_ms: int, to_ms: int, user: str | None) -> dict[str, int]:
    """The figures from the rows that the ledger's turns wrote, one by one, without any sum that is kept."""
    sql = (
        "SELECT cost_nanousd, baseline_nanousd, cache, house_nanousd FROM requests WHERE account_id = 'default' "
        "AND created_ms >= $1 AND created_ms < $2 AND simulated = 0"
    )
    asked = (from_ms, to_ms)
    async with gateway.opened() as database:
        rows = await database.fetch(f"{sql} AND end_user = $3" if user else sql, *asked, *((user,) if user else ()))
    saved = {"exact": 0, "miss": 0}
    for cost, baseline, cache, _ in rows:
        saved[cache] += baseline - cost
    house = sum(row[3] for row in rows)
    return {
        "requests": len(rows),
        "cost": sum(row[0] for row in rows),
        "baseline": sum(row[1] for row in rows),
        "saved_routing": saved["miss"],
        "saved_exact_cache": saved["exact"],
        "saved_semantic_cache": 0,
        "house": house,
        "saved": saved["miss"] + saved["exact"] - house,
    }


def usd(nanousd: int) -> str:
    return f"{'-' if nanousd < 0 else ''}{abs(nanousd) // 10**9}.{abs(nanousd) % 10**9:09d}"


def exact_figures(pdf: bytes) -> str:
    """The table of the report that leaves no digit out, as text."""
    text = " ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages)
    return " ".join(text[text.index("Exact figures") :].split())


@pytest.mark.parametrize("user", [None, "anna", "<b>eve</b>"])
def test_page_api_csv_pdf_and_ledger_agree_to_the_last_digit(filled: LiveGateway, user: str | None):
    month = f"{datetime.now(UTC):%Y-%m}"
    narrowed = {"user": user} if user else {}
    with filled.client() as client:
        told = client.get("/control-center.json", params={"period": "month", **narrowed}).json()
        api = client.get("/v1/usage", params=narrowed).json()
        lines = client.get("/v1/usage", params={**narrowed, "format": "csv", "group_by": "day"}).text
        pdf = client.get(f"/reports/{month}.pdf", params=narrowed).content
        page = client.get("/cache.json", params={"period": "month", **narrowed}).json()
    start, end = (int(datetime.fromisoformat(api[name]).timestamp() * 1000) for name in ("from", "to"))
    raw = asyncio.run(_raw(filled, start, end, user))
    assert raw["requests"] > 5
    days = [row for row in csv.DictReader(io.StringIO(lines)) if row["simulated"] == "false"]
    in_pdf = exact_figures(pdf)
    for name, label in IN_PDF.items():
        exact = usd(raw[name])
        assert told["now"][f"{name}_usd"] == exact, name
        assert api["totals"]["real"][f"{name}_nanousd"] == raw[name], name
        assert sum(int(row[f"{name}_nanousd"]) for row in days) == raw[name], name
        assert f" {label} {exact}" in in_pdf, name
    assert told["now"]["requests"] == api["totals"]["real"]["requests"] == raw["requests"]
    assert page["now"]["saved_exact_cache_nanousd"] == raw["saved_exact_cache"]


def test_the_page_itself_shows_the_figures_of_its_json(filled: LiveGateway):
    with httpx.Client(base_url=filled.url, timeout=30, trust_env=False, follow_redirects=True) as browser:
        browser.post("/login", data=OWNER, headers={"sec-fetch-site": "same-origin"})
        told = browser.get("/control-center.json").json()
        page = browser.get("/").text
    for name in ("cost", "saved"):
        assert f'<data class="usd" value="{told["now"][f"{name}_usd"]}"' in page
    shown = set(re.findall(r'<data class="usd" value="(-?\d+\.\d{9})"', page))
    assert {row["cost_usd"] for row in told["by_user"]["data"]} <= shown
