"""What the classifier that ships does with labelled prompts."""

from pathlib import Path
from typing import Any

import orjson

from neuralrouting.engine import classify
from neuralrouting.evaluation.classify import evaluate

CHEAP, PREMIUM = "llama-3.1-8b", "gpt-4o"
OUTCOMES = "b_zeroeval_gateway_tiers"
RIGHT = 0.5
"""An answer counts as right from here."""


def measure(folder: Path) -> dict[str, Any]:
    """Return the rates of task type and high risk, and how complexity ranks failures."""
    tasks = _rows(folder / "a_task_types.jsonl")
    return {
        "human": evaluate(row for row in tasks if row["label_kind"] == "human")["task"],
        "task": evaluate(tasks)["task"],
        "risk": evaluate(_rows(folder / "c_high_risk.jsonl"))["risk"],
        "complexity": _complexity(_rows(folder / f"{OUTCOMES}.jsonl")),
    }


def _rows(file: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]


def _complexity(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rank prompts that the cheap model got wrong and the premium one right among all others."""
    scored = [
        (classify(row["prompt"]).complexity, models[CHEAP]["q"] < RIGHT <= models[PREMIUM]["q"])
        for row in rows
        if CHEAP in (models := row["models"]) and PREMIUM in models
    ]
    bins = [[fails for value, fails in scored if min(4, int(value / 2)) == nth] for nth in range(5)]
    return {
        "auroc": _auroc(scored),
        "n": len(scored),
        "failures": sum(fails for _, fails in scored),
        "bins": [{"n": len(fails), "failures": sum(fails)} for fails in bins],
    }


def _auroc(scored: list[tuple[float, bool]]) -> float:
    """Return the chance that a failure ranks above a success; a tie is half a win."""
    failures = [value for value, fails in scored if fails]
    others = [value for value, fails in scored if not fails]
    wins = sum((bad > good) + 0.5 * (bad == good) for bad in failures for good in others)
    return round(wins / max(1, len(failures) * len(others)), 4)
