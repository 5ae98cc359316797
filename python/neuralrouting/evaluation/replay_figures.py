"""The figures of a replay: what was lost and saved, when, and how far from what could be known."""

from typing import Any

import numpy as np

from neuralrouting.evaluation.replay import Course, Ints, ReplaySettings, Traffic
from neuralrouting.evaluation.replay_table import Floats, ReplayTable
from neuralrouting.evidence.matrix import MatrixSettings

TRAILING = 5_000
"""Requests over which the loss after a drift is looked at."""
RECOVERED = 0.01
"""Relative loss at which that counts as recovered."""
STEADY = 0.9
"""Share of the steady saving at which the matrix counts as having learned."""


def relative_loss(stream: Traffic, served: Ints, part: slice = slice(None)) -> float:
    """Quality lost against the reference, relative to the reference's; negative where the policy was better."""
    quality = stream.quality[part]
    own = quality[np.arange(len(quality)), served[part]]
    return 1 - float(own.sum()) / max(float(quality[:, -1].sum()), 1e-9)


def saved(stream: Traffic, served: Ints, extra_usd: float = 0.0, part: slice = slice(None)) -> float:
    """Share of the reference's bill that the policy did not spend, `extra_usd` being charged to it."""
    usd = stream.usd[part]
    spent = float(usd[np.arange(len(usd)), served[part]].sum()) + extra_usd
    return 1 - spent / max(float(usd[:, -1].sum()), 1e-12)


def figures(
    table: ReplayTable, stream: Traffic, course: Course, settings: ReplaySettings, matrix: MatrixSettings
) -> dict[str, Any]:
    """Return the figures of one replay; shares are of 1."""
    served, reference = course.served, len(table.models) - 1
    offloaded = served != reference
    tokens = table.tokens[stream.rows]
    audit_usd = float(course.audit_usd.sum())
    bill = max(float(stream.usd[:, -1].sum()), 1e-12)
    half = slice(len(served) // 2, None)
    timeline = _timeline(stream, course, settings.every)
    return {
        "loss": relative_loss(stream, served),
        "late_loss": relative_loss(stream, served, half),
        "net_saved": saved(stream, served, audit_usd),
        "gross_saved": saved(stream, served),
        "late_net_saved": saved(stream, served, float(course.audit_usd[half].sum()), half),
        "offload": float(offloaded.mean()),
        "offload_tokens": float(tokens[offloaded].sum() / max(float(tokens.sum()), 1e-9)),
        "audits": int(course.audited.sum()),
        "audit_share": float(course.audited.sum() / max(len(served), 1)),
        "audit_cost": audit_usd / bill,
        **_cells(table, stream, course, matrix),
        "regret": _regret(stream, served, audit_usd, matrix.margin),
        "time_to_90pct": _time_to_steady(timeline, settings.every),
        "recovery_requests": _recovery(stream, served, settings),
        "timeline": timeline,
    }


def _cells(table: ReplayTable, stream: Traffic, course: Course, settings: MatrixSettings) -> dict[str, Any]:
    """How many pairs of candidate and cell stand promoted, and how many of them wrongly."""
    promoted, wrong, sent, drifted = 0, 0, 0, 0
    for place, candidate in enumerate(table.models[:-1]):
        for number, task in enumerate(table.cells):
            cell = course.matrix.cell(candidate, task)
            promoted += cell.state == "proven"
            wrong += cell.state == "proven" and bool(stream.truth[place, number] < -settings.margin)
            sent += cell.state != "proven" and cell.sent > 0
            drifted += cell.drifted
    pairs = max((len(table.models) - 1) * len(table.cells), 1)
    return {
        "wrong_cells": wrong / pairs,
        "promoted_cells": promoted,
        "partly_sent_cells": sent,
        "reset_cells": drifted,
        "pairs": pairs,
    }


def cell_oracle(stream: Traffic, margin: float) -> Ints:
    """Whom a policy would serve that knows the true mean difference of every cell: the cheapest within the margin."""
    reference = stream.quality.shape[1] - 1
    fits = np.vstack([stream.truth >= -margin, np.ones((1, stream.truth.shape[1]), np.bool_)])
    best = np.argmax(fits, axis=0)
    return np.minimum(best, reference)[stream.cell].astype(np.int64)


def prompt_oracle(stream: Traffic) -> Ints:
    """Whom a policy would serve that knows each outcome: the cheapest that is as good as the reference there."""
    fits = stream.quality >= stream.quality[:, -1:]
    usd = np.where(fits, stream.usd, np.inf)
    return np.argmin(usd, axis=1).astype(np.int64)


def _regret(stream: Traffic, served: Ints, audit_usd: float, margin: float) -> dict[str, dict[str, float]]:
    """What the two oracles saved and lost, and how much less was saved here, audits charged."""
    own = saved(stream, served, audit_usd)
    oracles = {"per_cell": cell_oracle(stream, margin), "per_prompt": prompt_oracle(stream)}
    return {
        name: {
            "saved": saved(stream, oracle),
            "loss": relative_loss(stream, oracle),
            "regret": saved(stream, oracle) - own,
        }
        for name, oracle in oracles.items()
    }


def _timeline(stream: Traffic, course: Course, every: int) -> list[dict[str, float]]:
    """One entry for each period between rebuilds."""
    reference = stream.quality.shape[1] - 1
    entries: list[dict[str, float]] = []
    for start in range(0, len(course.served), every):
        part = slice(start, min(start + every, len(course.served)))
        entries.append(
            {
                "requests": part.stop,
                "loss": relative_loss(stream, course.served, part),
                "saved": saved(stream, course.served, float(course.audit_usd[part].sum()), part),
                "offload": float((course.served[part] != reference).mean()),
                "audits": int(course.audited[part].sum()),
            }
        )
    return entries


def _time_to_steady(timeline: list[dict[str, float]], every: int) -> int | None:
    """Requests until the mean of three periods reaches 90 % of the last quarter's; None where nothing is saved."""
    net = np.array([entry["saved"] for entry in timeline])
    steady = float(net[-max(1, len(net) // 4) :].mean())
    if steady <= 0:
        return None
    width = min(3, len(net))
    trailing = np.convolve(net, np.ones(width) / width, "valid")
    reached = np.flatnonzero(trailing >= STEADY * steady)
    return int((reached[0] + width) * every) if len(reached) else None


def _recovery(stream: Traffic, served: Ints, settings: ReplaySettings) -> int | None:
    """Requests after a drift until the loss of the last 5,000, all of them after it, is 1 % or less."""
    if settings.drift is None:
        return None
    lost, best = _running(stream, served, settings.drift.request)
    ends = np.arange(TRAILING, len(lost))
    loss = (lost[ends] - lost[ends - TRAILING]) / np.maximum(best[ends] - best[ends - TRAILING], 1e-9)
    recovered = np.flatnonzero(loss <= RECOVERED)
    return int(ends[recovered[0]]) if len(recovered) else None


def _running(stream: Traffic, served: Ints, start: int) -> tuple[Floats, Floats]:
    """Running sums of the quality lost, and of the reference's, from a request on; the first entry is 0."""
    quality = stream.quality[start:]
    own = quality[np.arange(len(quality)), served[start:]]
    zero = np.zeros(1)
    return (
        np.concatenate((zero, np.cumsum(quality[:, -1] - own))),
        np.concatenate((zero, np.cumsum(quality[:, -1]))),
    )
