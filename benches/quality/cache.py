"""What the semantic cache does with labelled pairs of questions."""

import asyncio
from pathlib import Path
from typing import Any

from neuralrouting.config import SemanticCacheConfig
from neuralrouting.evaluation.cache import CacheRow, CacheTrial, report
from neuralrouting.evaluation.rows import read_rows
from neuralrouting.providers.deciders import open_decider
from neuralrouting.providers.http import HttpClient

FILES = ("fow_cache", "adversarial", "checklist_qqp", "qqp")
SURFACE, TYPOS = ("pos_case_punct", "pos_politeness", "pos_contraction", "pos_whitespace"), ("pos_typo",)
"""Categories of `adversarial` in which the wording changes and the question does not."""
PATIENCE_MS = 10_000.0
"""How well a model decides is measured here; a busy machine must not make misses of it."""


def measure(folder: Path, model: Path | None) -> dict[str, Any]:
    """Return the reports of every file with the built-in embedder, and where a model is given with that deciding."""
    files = {name: read_rows(folder / f"{name}.jsonl", CacheRow) for name in FILES}
    measured = {"builtin": asyncio.run(_judged(files, SemanticCacheConfig()))}
    if model is not None:
        deciding = SemanticCacheConfig(embedder="onnx", model_path=str(model), timeout_ms=PATIENCE_MS)
        measured["onnx"] = asyncio.run(_judged(files, deciding))
    return measured


async def _judged(files: dict[str, list[CacheRow]], settings: SemanticCacheConfig) -> dict[str, Any]:
    reports: dict[str, Any] = {}
    async with open_decider(settings, HttpClient()) as decider:
        for name, rows in files.items():
            trial = CacheTrial(decider=decider)
            reports[name] = report([await trial.judge(row) for row in rows], trial)
    return reports
