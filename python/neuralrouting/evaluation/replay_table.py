"""Rows whose outcomes are known for several models, as a table: what traffic can be replayed against."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from neuralrouting.engine import classify
from neuralrouting.errors import ConfigError

Floats = npt.NDArray[np.float64]


class Outcome(msgspec.Struct, frozen=True):
    """What one model made of one prompt."""

    q: float
    """Quality, 0 to 1."""
    in_tok: float = 0.0
    out_tok: float = 0.0
    usd: float | None = None


class OutcomeRow(msgspec.Struct, frozen=True):
    """One prompt with the outcomes of several models; other fields of the file are passed over."""

    prompt: str
    models: dict[str, Outcome]
    task: str | None = None
    subject: str | None = None


class ReplayTable(NamedTuple):
    """Rows by models: what each prompt would bring and cost with each model."""

    models: tuple[str, ...]
    """The candidates, cheapest first, and the reference last."""
    prompts: tuple[str, ...]
    quality: Floats
    """(rows, models)."""
    usd: Floats
    """(rows, models)."""
    tokens: Floats
    """Tokens of prompt and answer with the reference, (rows,)."""
    cell: npt.NDArray[np.int64]
    """Index into `cells`, (rows,)."""
    cells: tuple[str, ...]
    celled_by: str
    """Where the cells come from: subject, task, or classifier."""
    left_out: tuple[str, ...]
    """Models that do not take part, because they have no price or no outcome in some row."""
    others: dict[str, Floats]
    """Quality of the models that do not take part but have an outcome in every row, each (rows,)."""


def replay_table(
    rows: Sequence[OutcomeRow],
    models: Sequence[str] = (),
    reference: str | None = None,
    celled_by: str | None = None,
    prices: Mapping[str, tuple[float, float]] | None = None,
) -> ReplayTable:
    """Make the table; raises ConfigError where the models that were asked for are not in every row, with a price.

    Without `models` all that are complete take part; without `reference` it is the one of the best mean quality.
    `prices` are USD per million tokens in and out, for models whose rows hold none. `celled_by` names the field that
    makes the cells; without it the first of subject and task that every row has, else what the classifier says.
    """
    priced = prices or {}
    named = sorted({name for row in rows for name in row.models})
    complete = [name for name in named if all(_usd(row, name, priced) is not None for row in rows)]
    wanted = [*models, *([reference] if reference else [])]
    for name in wanted:
        if name not in complete:
            why = "no price in every row" if name in named else f"no outcomes; there are {', '.join(named)}"
            raise ConfigError(f"{name}: {why}")
    taking_part = sorted(set(wanted)) if models else complete
    if len(taking_part) < 2:
        raise ConfigError("a replay needs two models with outcome and price in every row")
    quality = {name: np.array([row.models[name].q for row in rows]) for name in taking_part}
    usd = {name: np.array([_usd(row, name, priced) for row in rows], np.float64) for name in taking_part}
    best = reference or max(taking_part, key=lambda name: float(quality[name].mean()))
    ordered = (*sorted(set(taking_part) - {best}, key=lambda name: float(usd[name].mean())), best)
    source, labels = _cells(rows, celled_by)
    cells = tuple(sorted(set(labels)))
    return ReplayTable(
        models=ordered,
        prompts=tuple(row.prompt for row in rows),
        quality=np.stack([quality[name] for name in ordered], axis=1),
        usd=np.stack([usd[name] for name in ordered], axis=1),
        tokens=np.array([row.models[best].in_tok + row.models[best].out_tok for row in rows]),
        cell=np.array([cells.index(label) for label in labels], np.int64),
        cells=cells,
        celled_by=source,
        left_out=tuple(name for name in named if name not in complete),
        others={
            name: np.array([row.models[name].q for row in rows])
            for name in named
            if name not in ordered and all(name in row.models for row in rows)
        },
    )


def _usd(row: OutcomeRow, name: str, prices: Mapping[str, tuple[float, float]]) -> float | None:
    """What the row cost with a model, None where neither the row nor a price tells."""
    outcome = row.models.get(name)
    if outcome is None:
        return None
    if name in prices:
        into, out = prices[name]
        return (outcome.in_tok * into + outcome.out_tok * out) / 1e6
    return outcome.usd


def _cells(rows: Sequence[OutcomeRow], celled_by: str | None) -> tuple[str, list[str]]:
    """Return where the cells come from, and the cell of each row."""
    for source in [celled_by] if celled_by else ["subject", "task"]:
        labels = [getattr(row, source, None) for row in rows]
        known = [label for label in labels if isinstance(label, str)]
        if len(known) == len(rows):
            return source, known
        if celled_by in ("subject", "task"):
            raise ConfigError(f"not every row has a {celled_by}")
    return "classifier", [classify(row.prompt).task for row in rows]
