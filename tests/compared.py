"""Comparisons that were judged, as rows of the database: what tests of the confidence matrix are made of."""

import itertools
from collections.abc import Iterable
from typing import Any

from neuralrouting.storage.database import Database

NOW_MS = 1_795_867_200_000
"""2026-11-28, 12:00 UTC."""
REFERENCE, CHEAP, MIDDLE = "openai/gpt-4o", "openai/gpt-4o-mini", "openai/gpt-6.1-terra"
_DIFFERENCES = {"win": 1.0, "tie": 0.0, "lose": -1.0}
_numbers = itertools.count(1)
_ROW: dict[str, Any] = {
    "account_id": "acme",
    "request_id": "req_1",
    "kind": "answer",
    "task": "qa",
    "served": CHEAP,
    "candidate": CHEAP,
    "reference": REFERENCE,
    "propensity": 0.1,
    "verdict": "tie",
    "method": "judge",
    "judge": "anthropic/claude-sonnet-5-5",
    "reason": "judged",
    "cost_nanousd": 1_000,
    "judged_ms": NOW_MS,
}


def compared(verdict: str | None = "tie", **columns: object) -> dict[str, Any]:
    """One comparison of the account `acme` with this verdict of a judge; columns as told."""
    row = _ROW | {"id": f"audit_{next(_numbers)}", "verdict": verdict} | columns
    difference = _DIFFERENCES[verdict] if verdict is not None else None
    return {"difference": difference} | row


def series(verdicts: str, **columns: object) -> list[dict[str, Any]]:
    """A comparison for each letter (w, t or l), a second apart, the last one at `NOW_MS`."""
    names, first = {"w": "win", "t": "tie", "l": "lose"}, NOW_MS - 1_000 * (len(verdicts) - 1)
    return [
        compared(names[letter], **{"judged_ms": first + 1_000 * place, **columns})
        for place, letter in enumerate(verdicts)
    ]


async def write(database: Database, rows: Iterable[dict[str, Any]]) -> None:
    """Write comparisons down."""
    for row in rows:
        names = ", ".join(row)
        places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
        await database.execute(f"INSERT INTO shadow_audits ({names}) VALUES ({places})", *row.values())
