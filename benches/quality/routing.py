"""How well prompts are routed: learned routers on rows kept from them, the matrix on replayed traffic."""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np

from neuralrouting.evaluation.replay import Drift, ReplaySettings
from neuralrouting.evaluation.replay_report import report
from neuralrouting.evaluation.replay_table import OutcomeRow, replay_table
from neuralrouting.evaluation.routing import Ask, evaluate
from neuralrouting.evaluation.rows import read_rows
from neuralrouting.evidence.matrix import MatrixSettings

SEEDS = 8
"""Splits of each file, and replays of each kind."""
REQUESTS = 60_000
MATRIX = MatrixSettings(audit=0.1, margin=0.05)
"""As the bars ask."""
DRIFT_AT = 30_000
FLIPS = 0.1
_ZEROEVAL, _MMLU, _GSM8K, _MMLUPRO, _BFCL = (
    f"b_{name}.jsonl" for name in ("zeroeval_gateway_tiers", "routellm_mmlu", "routellm_gsm8k", "mmlupro", "bfcl")
)


class Case(msgspec.Struct, frozen=True):
    """One field of models on one file, or on the rows of one source of it; `labels` None: 70 % of the rows."""

    file: str
    models: tuple[str, ...]
    reference: str
    labels: int | None = None
    source: str | None = None


class Scenario(msgspec.Struct, frozen=True):
    """One replay of MMLU-Pro, by default with three candidates."""

    models: tuple[str, ...] = ("llama-3.1-8b", "llama-3.1-70b", "gemini-1.5-flash-002")
    reference: str = "gemini-1.5-pro-002"
    flips: float = 0.0
    checked: int = 100
    drift: Drift | None = None


PAIRS = {
    "MMLU, Mixtral-8x7B to GPT-4-1106, 1,500 labels": Case(_MMLU, ("mixtral-8x7b",), "gpt-4-1106", labels=1_500),
    "GSM8K, Mixtral-8x7B to GPT-4-1106": Case(_GSM8K, ("mixtral-8x7b",), "gpt-4-1106"),
    "ZeroEval, Llama-3.1-8B to GPT-4o": Case(_ZEROEVAL, ("llama-3.1-8b",), "gpt-4o"),
    "ZeroEval, Llama-3.1-70B to GPT-4o": Case(_ZEROEVAL, ("llama-3.1-70b",), "gpt-4o"),
}
"""The four pairs that have a bar."""
TIERS = Case(_ZEROEVAL, ("llama-3.1-8b", "llama-3.1-70b", "gpt-4o-mini", "claude-3.5-sonnet-1022"), "gpt-4o")
HARD = {
    "GSM8K": Case(_ZEROEVAL, ("gpt-4o-mini",), "gpt-4o", source="ZeroEval/gsm"),
    "MMLU": PAIRS["MMLU, Mixtral-8x7B to GPT-4-1106, 1,500 labels"],
    "CRUX": Case(_ZEROEVAL, ("gpt-4o-mini",), "gpt-4o", source="ZeroEval/crux"),
    "BFCL": Case(_BFCL, ("gpt-4o-mini",), "claude-3.5-sonnet"),
    "MATH level 5": Case(_ZEROEVAL, ("gpt-4o-mini",), "gpt-4o", source="ZeroEval/math-l5"),
    "MMLU-Pro": Case(_MMLUPRO, ("llama-3.1-8b",), "llama-3.1-70b", labels=1_500),
}
"""Sets of hard questions, each alone, with the best economy model that the file has."""
SCENARIOS = {
    "as it comes": Scenario(),
    "one verdict in ten flipped, 100 audits of each candidate checked by people": Scenario(flips=FLIPS),
    "one verdict in ten flipped, nothing checked": Scenario(flips=FLIPS, checked=0),
    "Flash silently becomes Mixtral at 30,000": Scenario(drift=Drift("gemini-1.5-flash-002", "mixtral-8x7b", DRIFT_AT)),
    "Llama-3.1-8B against 70B, no artefacts": Scenario(models=("llama-3.1-8b",), reference="llama-3.1-70b"),
}


def measure(folder: Path) -> dict[str, Any]:
    """Return the facts; `folder` holds the files of outcomes. A few minutes, on all processors."""
    context = get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        pairs = {name: pool.submit(learned, folder, case) for name, case in PAIRS.items()}
        tiers = pool.submit(learned, folder, TIERS)
        hard = {name: pool.submit(learned, folder, case) for name, case in HARD.items() if case not in PAIRS.values()}
        replays = {name: pool.submit(replayed, folder, scenario) for name, scenario in SCENARIOS.items()}
        alone = {name: found.result() for name, found in hard.items()}
        known = {case: pairs[name].result() for name, case in PAIRS.items()}
        return {
            "pairs": {name: found.result() for name, found in pairs.items()},
            "tiers": tiers.result(),
            "hard": {name: alone[name] if name in alone else known[case] for name, case in HARD.items()},
            "replays": {name: found.result() for name, found in replays.items()},
        }


def learned(folder: Path, case: Case) -> dict[str, Any]:
    """Return what the splits of a file have in common, and by split: APGR, cost saved, quality lost, offload."""
    with TemporaryDirectory() as scratch:
        file = folder / case.file if case.source is None else _of_source(folder, case, Path(scratch))
        reports = [evaluate(_ask(case, file, seed)) for seed in range(SEEDS)]
    points = [one["save_at_1pct"] for one in reports]
    first = reports[0]
    return {
        "rows": first["rows"],
        "labels": first["labels"],
        "apgr": [one["apgr"] for one in reports],
        **{name: [one[name] for one in points] for name in ("saved", "loss", "offload_requests", "offload_tokens")},
        "loss_upper": [one["loss_upper"] for one in points],
        "promised": _means([one["promised"] for one in points]),
        "by_model": _means([one["by_model"] for one in points]),
        "cpt": _means([one["cpt"] for one in reports]),
        "gap_closed": [one["oracle_gap_closed"] for one in reports],
        "controls": {name: _means([one["controls"][name] for one in reports]) for name in first["controls"]},
        "tokens": _tokens(folder, case),
    }


def _ask(case: Case, file: Path, seed: int) -> Ask:
    if len(case.models) == 1:
        return Ask(file, pair=(case.models[0], case.reference), labels=case.labels, seed=seed)
    models = (*case.models, case.reference)
    return Ask(file, models=models, reference=case.reference, labels=case.labels, seed=seed)


class _Source(msgspec.Struct):
    """Where a row comes from, and what its answers took."""

    source: str
    prompt: str
    models: dict[str, dict[str, int | float | None]]


def _is_of(case: Case) -> Callable[[_Source], bool]:
    return lambda row: case.source in (None, row.source)


def _of_source(folder: Path, case: Case, scratch: Path) -> Path:
    """Write the rows of one source into a file of their own."""
    rows = filter(_is_of(case), read_rows(folder / case.file, _Source))
    file = scratch / "rows.jsonl"
    file.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return file


def _tokens(folder: Path, case: Case) -> float:
    """Return the mean tokens of prompt and answer of a request that the reference serves."""
    found = [row.models[case.reference] for row in filter(_is_of(case), read_rows(folder / case.file, _Source))]
    return float(np.mean([(answer["in_tok"] or 0) + (answer["out_tok"] or 0) for answer in found]))


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def replayed(folder: Path, scenario: Scenario) -> dict[str, Any]:
    """Return the mean figures of the replays, each replay's own, and the controls."""
    rows = read_rows(folder / _MMLUPRO, OutcomeRow)
    table = replay_table(rows, scenario.models, scenario.reference)
    settings = [
        ReplaySettings(
            requests=REQUESTS, seed=seed, flips=scenario.flips, checked=scenario.checked, drift=scenario.drift
        )
        for seed in range(1, SEEDS + 1)
    ]
    told = report(table, settings, MATRIX)
    kept = ("loss", "late_loss", "net_saved", "offload", "offload_tokens", "audit_cost", "wrong_cells", "regret")
    return {
        **{name: told[name] for name in (*kept, "controls", "spread", "recovery_requests")},
        "recoveries": [run["recovery_requests"] for run in told["runs"]],
    }
