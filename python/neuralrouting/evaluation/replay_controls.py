"""What simple policies would have done with the same stream; without these the figures of a replay say little."""

from typing import Any

import numpy as np

from neuralrouting.engine import classify
from neuralrouting.evaluation.replay import Ints, ReplaySettings, Traffic
from neuralrouting.evaluation.replay_figures import relative_loss, saved
from neuralrouting.evaluation.replay_table import Floats, ReplayTable
from neuralrouting.evidence.matrix import MatrixSettings

NAIVE_LEAST = 20
"""Audits after which the naive policy believes a mean."""
THOMPSON_PRICE = 0.05
"""How much quality Thompson sampling gives for the whole price of the reference."""


def controls(
    table: ReplayTable, stream: Traffic, served: Ints, settings: ReplaySettings, matrix: MatrixSettings
) -> dict[str, Any]:
    """Return loss and saving of each control; `served` is what the matrix did, whose offload the threshold copies."""
    requests, reference = len(stream.rows), len(table.models) - 1
    naive, naive_usd, wrong = _naive(stream, settings, matrix)
    thompson, thompson_usd = _thompson(stream, settings, matrix)
    return {
        "always_cheapest": _told(stream, np.zeros(requests, np.int64)),
        "always_premium": _told(stream, np.full(requests, reference, np.int64)),
        "static_threshold": _static(table, stream, served),
        "naive_mean": {**_told(stream, naive, naive_usd), "wrong_cells": wrong},
        "thompson": _told(stream, thompson, thompson_usd),
    }


def _told(stream: Traffic, served: Ints, audit_usd: float = 0.0) -> dict[str, float]:
    return {
        "loss": relative_loss(stream, served),
        "net_saved": saved(stream, served, audit_usd),
        "offload": float((served != stream.quality.shape[1] - 1).mean()),
    }


def _static(table: ReplayTable, stream: Traffic, served: Ints) -> dict[str, float]:
    """The prompts that the classifier calls simplest go to the candidate that the matrix used most, as many as it had.

    That is a threshold on complexity such as many gateways ship; it learns nothing and is charged for no audits.
    """
    reference = len(table.models) - 1
    counts = np.bincount(served, minlength=reference + 1)[:reference]
    complexity = np.array([classify(prompt).complexity for prompt in table.prompts])[stream.rows]
    simplest = np.argsort(complexity, kind="stable")[: int(counts.sum())]
    chosen = np.full(len(served), reference, np.int64)
    chosen[simplest] = int(np.argmax(counts))
    return _told(stream, chosen)


def _naive(stream: Traffic, settings: ReplaySettings, matrix: MatrixSettings) -> tuple[Ints, float, float]:
    """The cheapest candidate whose mean difference in the cell is within the margin after twenty audits.

    Audits are drawn at the same share; of an answer of the reference, one candidate at random is shown the prompt.
    Returns whom it served, what its audits cost, and the share of the pairs that stand wrongly promoted.
    """
    random = np.random.default_rng((settings.seed, 3))
    candidates, cells = stream.truth.shape
    total, count = np.zeros((candidates, cells)), np.zeros((candidates, cells))
    served, usd = np.full(len(stream.rows), candidates, np.int64), 0.0
    for start in range(0, len(served), settings.every):
        part = np.arange(start, min(start + settings.every, len(served)))
        best = _cheapest(_promoted(total, count, matrix.margin))
        served[part] = best[stream.cell[part]]
        for request in part[random.random(len(part)) < matrix.audit]:
            own = int(served[request])
            shown = int(random.integers(candidates)) if own == candidates else own
            total[shown, stream.cell[request]] += _read(stream, int(request), shown, settings.flips, random)
            count[shown, stream.cell[request]] += 1
            usd += float(stream.usd[request, shown if own == candidates else candidates])
    wrong = _promoted(total, count, matrix.margin) & (stream.truth < -matrix.margin)
    return served, usd, float(wrong.mean())


def _promoted(total: Floats, count: Floats, margin: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return (count >= NAIVE_LEAST) & (total >= -margin * count)


def _cheapest(enough: np.ndarray[Any, np.dtype[np.bool_]]) -> Ints:
    """By cell, the first candidate that is good enough, else the reference."""
    return np.argmax(np.vstack([enough, np.ones((1, enough.shape[1]), np.bool_)]), axis=0).astype(np.int64)


def _read(stream: Traffic, request: int, candidate: int, flips: float, random: np.random.Generator) -> float:
    """What the judge says of a candidate's answer against the reference's."""
    truth = float(stream.quality[request, candidate] - stream.quality[request, -1])
    if random.random() >= flips:
        return truth
    return -truth if truth else float(random.choice((-1.0, 1.0)))


def _thompson(stream: Traffic, settings: ReplaySettings, matrix: MatrixSettings) -> tuple[Ints, float]:
    """Beta-Thompson sampling per cell over all models: it explores by serving, so the users pay for what it learns.

    Reward is the quality of what was served less its price; it is seen for the audited share, and such an audit of a
    candidate's answer costs the reference's.
    """
    random = np.random.default_rng((settings.seed, 4))
    models, cells = stream.quality.shape[1], stream.truth.shape[1]
    won, lost = np.ones((cells, models)), np.ones((cells, models))
    price = THOMPSON_PRICE * stream.usd.mean(axis=0) / max(float(stream.usd[:, -1].mean()), 1e-12)
    served, usd = np.zeros(len(stream.rows), np.int64), 0.0
    audited = random.random(len(served)) < matrix.audit
    for request, cell in enumerate(stream.cell):
        own = int(np.argmax(random.beta(won[cell], lost[cell]) - price))
        served[request] = own
        if audited[request]:
            quality = float(stream.quality[request, own])
            if random.random() < settings.flips:
                quality = 1 - quality
            won[cell, own] += quality
            lost[cell, own] += 1 - quality
            usd += float(stream.usd[request, -1]) if own != models - 1 else 0.0
    return served, usd
