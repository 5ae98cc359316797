"""The report of `neuralrouting eval replay`: a few replays with different seeds, their means, and the controls."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from neuralrouting.evaluation.replay import Predictor, ReplaySettings, replay, traffic
from neuralrouting.evaluation.replay_controls import controls
from neuralrouting.evaluation.replay_figures import figures
from neuralrouting.evaluation.replay_table import ReplayTable
from neuralrouting.evidence.matrix import MatrixSettings


def report(
    table: ReplayTable,
    settings: list[ReplaySettings],
    matrix: MatrixSettings,
    predictor: Callable[[], Predictor | None] = lambda: None,
    watch: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Replay once for each of the settings, which differ in their seed, and return means, each run, and what was run.

    `watch` hears how many requests of all runs are done. `predictor` makes a new one for each run.
    """
    runs: list[dict[str, Any]] = []
    done = 0
    for own in settings:
        stream = traffic(table, own)
        course = replay(table, stream, own, matrix, predictor(), lambda at, before=done: watch(before + at))
        done += own.requests
        told = figures(table, stream, course, own, matrix)
        runs.append({"seed": own.seed, **told, "controls": controls(table, stream, course.served, own, matrix)})
    return {
        **_mean(runs),
        "timeline": runs[0]["timeline"],
        "spread": {name: float(np.std([run[name] for run in runs])) for name in ("loss", "net_saved", "wrong_cells")},
        "runs": [{name: value for name, value in run.items() if name != "timeline"} for run in runs],
        "reference": table.models[-1],
        "candidates": list(table.models[:-1]),
        "left_out": list(table.left_out),
        "cells": {"by": table.celled_by, "names": list(table.cells)},
        "rows": len(table.prompts),
        "requests": settings[0].requests,
        "seeds": [own.seed for own in settings],
    }


def _mean(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean of every figure over the runs; of those that some runs do not have, over the others, None where none has."""
    found: dict[str, Any] = {}
    for name, first in runs[0].items():
        values = [run[name] for run in runs]
        if name in ("seed", "timeline"):
            continue
        if isinstance(first, Mapping):
            found[name] = _mean(values)
        else:
            numbers = [value for value in values if value is not None]
            found[name] = float(np.mean(numbers)) if numbers else None
    return found
