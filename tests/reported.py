"""A month of the account `acme` for tests of reports: real and simulated money, another account, the month before."""

import io
import re
import time
from functools import cache
from pathlib import Path

from pypdf import PdfReader

from neuralrouting.catalog import Catalog, build_catalog
from neuralrouting.config import Config
from neuralrouting.exchange import Budget
from neuralrouting.layers.confidence import matrix_settings
from neuralrouting.reports.calendar import Month, month_of
from neuralrouting.reports.press import Press
from neuralrouting.reports.reading import Reports
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.requests import RequestRow
from neuralrouting.storage.shadow_audits import ShadowAudits
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.turns import Settlement
from settling import new_account, new_worker, request_row
from shadow_rows import audit_row

NOVEMBER = Month(2026, 11)
DECEMBER_MS = NOVEMBER.to_ms + 86_400_000
DAY_MS = 86_400_000
MINI, BIG = "openai/gpt-4o-mini", "openai/gpt-4o"
NAMES = ("anna", "bert", "")


@cache
def catalog() -> Catalog:
    """What a gateway with a key of OpenAI knows."""
    return build_catalog(Config(), {"openai"}, None)


def reports(database: Database) -> Reports:
    return Reports(database, catalog(), matrix_settings(Config()))


def press(database: Database, data_dir: Path) -> Press:
    return Press(database, catalog(), matrix_settings(Config()), data_dir)


def month_rows() -> list[RequestRow]:
    """Requests of November with odd sums, at its very edges too, and some that must not be in it."""
    rows = [
        request_row(
            f"n{n}", created_ms=NOVEMBER.from_ms + n * DAY_MS, end_user=NAMES[n % 3] or None,
            feature="search" if n % 2 else "mail", deployment=BIG if n % 4 == 0 else MINI, model="m",
            cost_nanousd=1_000_000_007 * n + 13, baseline_nanousd=7_000_000_001 * n + 99,
            provider_cache_nanousd=3 * n, house_nanousd=5_000 * (n % 7), price_version="table of November",
            candidates=f'["{BIG}","{MINI}"]', task="qa", prompt_tokens=1_000, completion_tokens=100,
        )
        for n in range(30)
    ]  # fmt: skip
    started, ended = NOVEMBER.from_ms, NOVEMBER.to_ms
    edges = {"end_user": "edge", "cost_nanousd": 1, "baseline_nanousd": 2}
    hit = {"cost_nanousd": 0, "baseline_nanousd": 123_456_789, "deployment": MINI}
    unanswered = {"deployment": None, "cost_nanousd": 0, "baseline_nanousd": 0}
    return [
        *rows,
        request_row("first", created_ms=started, **edges),
        request_row("last", created_ms=ended - 1, **edges),
        request_row("before", created_ms=started - 1, end_user="october", cost_nanousd=70, baseline_nanousd=90),
        request_row("after", created_ms=ended, end_user="december", cost_nanousd=10**12),
        request_row("exact", created_ms=started + 5, cache="exact", **hit),
        request_row("other", created_ms=started + 6, cache="semantic", **hit),
        request_row("unpriced", created_ms=started + 7, cost_nanousd=None),
        request_row("made-up", created_ms=started + 8, simulated=True, deployment="simulated/gpt-4o",
                    cost_nanousd=5_500_000_000, end_user="robot"),
        request_row("blocked", created_ms=started + 9, status=403, error_code="shield_blocked", **unanswered),
        request_row("failed", created_ms=started + 10, status=502, error_code="upstream_error", house_nanousd=777,
                    **unanswered),
    ]  # fmt: skip


def of_last_month() -> tuple[Month, list[RequestRow]]:
    """Three requests of the month before this one, for what asks the real clock."""
    month = month_of(time.time_ns() // 1_000_000).on(-1)
    costs = {"anna": 1_500_000_000, "bert": 2_345_678_901, "#import $x$": 300_000_000}
    rows = [
        request_row(f"l{user}", created_ms=month.from_ms + DAY_MS, end_user=user, cost_nanousd=cost,
                    baseline_nanousd=10_000_000_000)
        for user, cost in costs.items()
    ]  # fmt: skip
    return month, rows


async def settle(database: Database, *rows: RequestRow, account_id: str = "acme") -> None:
    worker = await new_worker(await new_account(database, account_id))
    await worker.turn(*(Settlement(row, metered=False) for row in rows))


async def november(database: Database) -> None:
    """Write the month, a budget that anna has used up twice, five audits, and a request of another account."""
    await settle(database, *month_rows())
    await settle(
        database,
        request_row("theirs", account_id="globex", created_ms=NOVEMBER.from_ms, end_user="spy", cost_nanousd=999),
        account_id="globex",
    )
    budget = Budget("bdg_1", "acme", "A month of each", "user", "*", "month", 50_000_000_000, "warn")
    await BudgetRows(database).put(budget, 1, actor=GATEWAY)
    await database.execute(
        "INSERT INTO budget_windows (purse, budget_id, epoch_ms, subject, spent_nanousd) VALUES "
        "('p1', 'bdg_1', $1, 'anna', 100000000000), ('p2', 'bdg_1', $2, 'anna', 7)",
        NOVEMBER.from_ms,
        NOVEMBER.to_ms,
    )
    audits = ShadowAudits(database)
    verdicts = ("win", "tie", "tie", "lose", None)
    for place, verdict in enumerate(verdicts):
        at_ms = NOVEMBER.from_ms + place
        await audits.write(audit_row(candidate=MINI, reference=BIG, verdict=verdict, judged_ms=at_ms), None)
    await audits.write(audit_row(candidate=MINI, verdict="lose", judged_ms=NOVEMBER.from_ms - 1), None)
    await audits.write(audit_row(candidate=MINI, verdict="lose", judged_ms=NOVEMBER.from_ms, simulated=True), None)


def text_of(pdf: bytes) -> str:
    """The text of all pages, white space as single blanks."""
    pages = PdfReader(io.BytesIO(pdf)).pages
    return re.sub(r"\s+", " ", " ".join(page.extract_text() for page in pages))
