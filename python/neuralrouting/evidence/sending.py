"""How far beyond its proven cells a candidate may be sent prompts: as far as the account stays within its budget.

Prompts of other cells are put in the order of their expected difference, which is the mean of the cell, moved by what
a predictor sees in the prompt. They are sent from the top down to a threshold: the lowest one, never below -worst, at
which quality per request of the account changes by no less than -budget at a one-sided confidence bound. Everything
that the candidate serves is in that sum, proven cells with their gains and losses too.
Invariant: the bound is computed from other audits than those that put the prompts in order (cross-fitting); otherwise
what was lucky would be chosen, and be counted as good.
"""

from typing import NamedTuple

import msgspec
import numpy as np

from neuralrouting.evidence.audits import Columns, Flags, Floats, added
from neuralrouting.evidence.cells import believe, sums
from neuralrouting.evidence.judging import Judge, judge_error

FOLDS = 5
"""Parts of the audits, of which each is put in order by what the others teach."""
SLOPE_DOUBT = 1.0
"""Standard errors by which the slope of differences over predictions is lowered: a predictor that tells nothing moves
nothing."""


class Reach(msgspec.Struct, frozen=True):
    """How far one candidate may be sent prompts beyond its proven cells."""

    threshold: float | None = None
    """Least expected difference that is sent; None where nothing is."""
    slope: float = 0.0
    """How much of a prediction, as against the mean prediction of its cell, is believed: 0 to 1."""
    low: float = 0.0
    """One-sided lower bound of how quality changes, per request of the account, by all that the candidate serves."""
    share: float = 0.0
    """Share of the account's requests that is sent so, proven cells not counted."""
    served: float = 0.0
    """The same with proven cells: of all that this candidate could be sent, were no other cheaper."""


class Sending(NamedTuple):
    """How far one candidate is sent prompts, with what belongs to its cells, each (cells,)."""

    reach: Reach
    centre: Floats
    """Mean prediction in the cell, 0 where none was made."""
    sent: Floats
    """Share of the cell's prompts that the candidate serves; 1 where it is proven."""


class Bounds(NamedTuple):
    """What bounds the sending."""

    worst: float
    budget: float
    z: float
    """Standard errors of the one-sided bound."""
    least: float
    """Fewest audits of a cell of which anything is sent."""
    judge: Judge
    """What the audits were judged with; its own error is in the bound."""


def sending(audits: Columns, proven: Flags, bounds: Bounds) -> Sending:
    """Return how far prompts are sent; `audits` are those that count, `proven` (cells,) the cells served whole."""
    cells = len(proven)
    slope, centre = _slope(audits, cells)
    counted = added(audits.task, audits.weight, cells)
    weight = _shares(audits, counted)
    expected = _expected(audits, cells)
    whole = proven[audits.task]
    candidates = np.flatnonzero(~whole & (expected >= -bounds.worst) & (counted >= bounds.least)[audits.task])
    ordered = candidates[np.argsort(-expected[candidates], kind="stable")]
    change = weight * audits.difference
    total = change[whole].sum() + np.concatenate(([0.0], np.cumsum(change[ordered])))
    square = (change[whole] ** 2).sum() + np.concatenate(([0.0], np.cumsum(change[ordered] ** 2)))
    share = weight[whole].sum() + np.concatenate(([0.0], np.cumsum(weight[ordered])))
    low = total - bounds.z * np.hypot(
        np.sqrt(square), share * judge_error(total / np.maximum(share, 1e-9), bounds.judge)
    )
    within = np.flatnonzero(low >= -bounds.budget)
    last = int(within[-1]) if len(within) else 0
    chosen = ordered[:last]
    share = added(audits.task[chosen], audits.weight[chosen], cells) / np.maximum(counted, 1e-9)
    sent = np.where(proven, 1.0, share)
    reach = Reach(
        threshold=float(expected[chosen[-1]]) if last else None,
        slope=slope,
        low=float(low[last]),
        share=float(weight[chosen].sum()),
        served=float(weight[chosen].sum() + weight[whole].sum()),
    )
    return Sending(reach, centre, sent)


def _shares(audits: Columns, counted: Floats) -> Floats:
    """Share of the account's requests that each audit stands for, (n,).

    A cell's share of the traffic is estimated from the propensities of its audits; within a cell every prompt was
    equally likely to be drawn at any one time, so that its audits count alike.
    """
    drawn = added(audits.task, audits.weight / audits.propensity, len(counted))
    share = drawn / max(float(drawn.sum()), 1e-9)
    return audits.weight * (share / np.maximum(counted, 1e-9))[audits.task]


def _slope(audits: Columns, cells: int) -> tuple[float, Floats]:
    """Slope of differences over predictions within cells, lowered by its doubt; and the mean prediction by cell."""
    known = ~np.isnan(audits.predicted)
    task, weight = audits.task[known], audits.weight[known]
    predicted, difference = audits.predicted[known], audits.difference[known]
    centre = sums(task, predicted, weight, cells).mean
    off = predicted - centre[task]
    spread = float((weight * off**2).sum())
    if spread <= 1e-9:
        return 0.0, centre
    apart = difference - sums(task, difference, weight, cells).mean[task]
    slope = float((weight * off * apart).sum()) / spread
    doubt = float(np.sqrt((weight**2 * off**2 * (apart - slope * off) ** 2).sum())) / spread
    return min(1.0, max(0.0, slope - SLOPE_DOUBT * doubt)), centre


def _expected(audits: Columns, cells: int) -> Floats:
    """Expected difference of each audited prompt, (n,), from the audits of other folds."""
    fold = np.arange(len(audits.task)) % FOLDS
    expected = np.zeros(len(audits.task))
    for number in range(FOLDS):
        held = fold == number
        others = audits.only(~held)
        beliefs = believe(sums(others.task, others.difference, others.weight, cells))
        slope, centre = _slope(others, cells)
        task, predicted = audits.task[held], audits.predicted[held]
        moved = np.where(np.isnan(predicted), 0.0, slope * (predicted - centre[task]))
        expected[held] = beliefs.mean[task] + moved
    return expected
