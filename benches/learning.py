"""What it takes to build the confidence matrix of an account, and to ask it: `python -m benches.learning`.

The account has 50,000 made-up comparisons of three candidates at eleven tasks, the most that a matrix is built from,
in a database of its own (SQLite); the newest 2,000 of each candidate have features, so that heads are learned too.
While it is read and built a task that wants to wake every millisecond watches how long requests of the same worker
would have been held up.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from neuralrouting.catalog import build_catalog
from neuralrouting.config import Config
from neuralrouting.evidence.rows import keep_row
from neuralrouting.exchange import Task
from neuralrouting.layers.confidence import Confidence, Snapshot, matrix_settings
from neuralrouting.pipeline.building import Builder, read_learned
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.trail import GATEWAY

COMPARISONS, WITH_FEATURES, SEED, ROUNDS, ASKED = 50_000, 6_500, 6, 3, 5_000
ODDS_BAR_US = 60.0
"""Odds of all models of a catalog with a dozen that can be reached."""
BUILD_BAR_S, HELD_UP_BAR_MS = 5.0, 150.0
NOW_MS = 1_795_867_200_000
TASKS = (
    "qa", "coding", "reasoning", "chat", "creative", "extraction", "classification", "summarization", "translation",
    "rewriting", "other",
)  # fmt: skip
REFERENCE = "openai/gpt-4o"
CANDIDATES = ("openai/gpt-4o-mini", "openai/gpt-6-luna", "openai/gpt-6.1-terra")
_COLUMNS = (
    "id", "account_id", "request_id", "kind", "task", "served", "candidate", "reference", "propensity", "predicted",
    "verdict", "difference", "method", "judge", "reason", "cost_nanousd", "judged_ms", "features",
)  # fmt: skip
_INSERT = f"""
INSERT INTO shadow_audits ({", ".join(_COLUMNS)}) VALUES ({", ".join(f"${n}" for n in range(1, len(_COLUMNS) + 1))})
"""
_Result = TypeVar("_Result")


def main() -> None:
    """Measure, print, and fail where a bar is missed."""
    missed = asyncio.run(_measure())
    if missed:
        raise SystemExit(f"missed: {', '.join(missed)}")


async def _measure() -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        database = await open_database(None, Path(folder))
        try:
            await _fill(database)
            builder = Builder(database, matrix_settings(Config()), lambda _: "mid")
            rounds = [await _watched(builder.build_now("acme", REFERENCE)) for _ in range(ROUNDS)]
            row = rounds[-1][2]
            assert row is not None
            odds_us = _odds_us(row.matrix)
        finally:
            await database.close()
    took_s, held_up_ms = [took for took, _, _ in rounds], [held for _, held, _ in rounds]
    print(f"build of {COMPARISONS} comparisons: {min(took_s):.2f} to {max(took_s):.2f} s in {ROUNDS} rounds")
    print(f"requests held up meanwhile: {min(held_up_ms):.0f} to {max(held_up_ms):.0f} ms at worst")
    print(f"odds of one request: {odds_us:.1f} us")
    bars = {
        "build": min(took_s) <= BUILD_BAR_S,
        "held up": min(held_up_ms) <= HELD_UP_BAR_MS,
        "odds": odds_us <= ODDS_BAR_US,
    }
    return [name for name, met in bars.items() if not met]


async def _fill(database: Database) -> None:
    await AccountRows(database).ensure("acme", "acme", 1, actor=GATEWAY)
    draw = random.Random(SEED)
    rows: list[tuple[object, ...]] = []
    for place in range(COMPARISONS):
        verdict, difference = draw.choices([("win", 1.0), ("tie", 0.0), ("lose", -1.0)], [0.2, 0.55, 0.25])[0]
        task, candidate = draw.choice(TASKS), draw.choice(CANDIDATES)
        rows.append(
            (f"audit_{place}", "acme", "req", "answer", task, candidate, candidate, REFERENCE, 0.1,
             draw.uniform(-0.5, 0.1), verdict, difference, "judge", "a/judge", "judged", 1, NOW_MS + place,
             keep_row(_prompt(draw)) if place >= COMPARISONS - WITH_FEATURES else None)
        )  # fmt: skip
    for first in range(0, COMPARISONS, 5_000):
        await database.write([(_INSERT, rows[first : first + 5_000])])


def _prompt(draw: random.Random) -> str:
    """About 600 characters of made-up words."""
    return " ".join("".join(draw.choices("abcdefghij", k=draw.randint(2, 4))) for _ in range(150))


async def _watched(work: Awaitable[_Result]) -> tuple[float, float, _Result]:
    """Await something; return seconds, the longest delay of another task meanwhile in milliseconds, and the result."""
    worst_s = 0.0

    async def watch() -> None:
        nonlocal worst_s
        while True:
            began_s = time.perf_counter()
            await asyncio.sleep(0.001)
            worst_s = max(worst_s, time.perf_counter() - began_s - 0.001)

    watching = asyncio.ensure_future(watch())
    began_s = time.perf_counter()
    result = await work
    took_s = time.perf_counter() - began_s
    watching.cancel()
    return took_s, worst_s * 1_000, result


def _odds_us(matrix: str) -> float:
    catalog = build_catalog(Config(), ["openai", "anthropic", "groq", "together"], None)
    confidence = Confidence(catalog, matrix_settings(Config()))
    confidence.take("acme", Snapshot(read_learned(matrix), NOW_MS))
    task = Task("qa", 0.9, abstained=False, complexity=2.0, high_risk=False, risk_domain=None)
    predicted = {"small": -0.1, "mid": -0.05}
    began_s = time.perf_counter()
    for _ in range(ASKED):
        confidence.odds("acme", task, predicted, catalog.servable)
    return (time.perf_counter() - began_s) / ASKED * 1_000_000


if __name__ == "__main__":
    main()
