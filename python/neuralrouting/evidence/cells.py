"""The arithmetic of cells: how much better or worse a candidate is in each, given all of its cells."""

import math
from typing import NamedTuple

import numpy as np

from neuralrouting.evidence.audits import Floats, Ints, added

SPREAD_PRIOR = 0.25
"""Variance of a difference before anything is seen: a standard deviation of 0.5, amid the 0.45 to 0.65 measured on
paired outcomes (MMLU-Pro, ZeroEval)."""
SPREAD_WEIGHT = 10.0
"""How many audits that prior counts for, so that twenty equal verdicts do not look like certainty."""
TAU_PRIOR = 0.1
"""Standard deviation between the tasks of one model before anything is seen."""
TAU_WEIGHT = 2.0
"""How many tasks that prior counts for."""


class Sums(NamedTuple):
    """Weighted sums of each cell, all of shape (cells,)."""

    weight: Floats
    mean: Floats
    variance: Floats


class Beliefs(NamedTuple):
    """What is believed of the mean difference of each cell, (cells,), and of a task that nobody has seen."""

    mean: Floats
    deviation: Floats
    elsewhere: float
    elsewhere_deviation: float


def sums(cell: Ints, difference: Floats, weight: Floats, cells: int) -> Sums:
    """Add up audits (n,) by the index of their cell; a cell without any has mean 0 and the prior's variance."""
    total = added(cell, weight, cells)
    mean = np.divide(added(cell, weight * difference, cells), total, out=np.zeros(cells), where=total > 0)
    square = added(cell, weight * (difference - mean[cell]) ** 2, cells)
    common = (square.sum() + SPREAD_WEIGHT * SPREAD_PRIOR) / (total.sum() + SPREAD_WEIGHT)
    return Sums(total, mean, (square + SPREAD_WEIGHT * common) / (total + SPREAD_WEIGHT))


def believe(seen: Sums) -> Beliefs:
    """Shrink the means of one candidate's cells towards their common mean, as far as they look alike.

    A normal model on two levels: the mean of a cell varies about the candidate's by tau, what is measured varies about
    the mean of its cell by its standard error. tau is fitted (DerSimonian and Laird 1986, held near `TAU_PRIOR` where
    cells are few), and the doubt about the common mean is carried along.
    """
    error = np.divide(seen.variance, seen.weight, out=np.full(len(seen.weight), np.inf), where=seen.weight > 0)
    tau_square = _between(seen.mean, error)
    precision = 1 / (error + tau_square)
    if precision.sum() <= 0:
        return Beliefs(seen.mean * 0, np.full(len(error), math.sqrt(tau_square + 1)), 0.0, math.sqrt(tau_square + 1))
    common = float((precision * seen.mean).sum() / precision.sum())
    common_error = 1 / float(precision.sum())
    pull = 1 - tau_square * precision
    mean = (1 - pull) * seen.mean + pull * common
    variance = pull * tau_square + pull**2 * common_error
    return Beliefs(mean, np.sqrt(variance), common, math.sqrt(tau_square + common_error))


def _between(mean: Floats, error: Floats) -> float:
    """Variance between the cells of one candidate."""
    known = np.isfinite(error)
    precision, own = 1 / error[known], mean[known]
    cells = len(own)
    if cells < 2:
        return TAU_PRIOR**2
    middle = (precision * own).sum() / precision.sum()
    excess = (precision * (own - middle) ** 2).sum() - (cells - 1)
    scale = precision.sum() - (precision**2).sum() / precision.sum()
    fitted = max(0.0, float(excess / scale))
    return ((cells - 1) * fitted + TAU_WEIGHT * TAU_PRIOR**2) / (cells - 1 + TAU_WEIGHT)
