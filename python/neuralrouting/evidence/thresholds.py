"""The operating point: how much to offload so that the loss stays within a budget, by a bound and not by hope.

The bound is one-sided at 80 %, the level at which the matrix promotes: of five points frozen like this, about one
may lose more than it promised.

A policy gives every prompt the model with the greatest predicted worth: predicted difference to the reference plus a
price times the share of cost that is saved. One number, the price of quality, moves it from "always the reference" to
"always the cheapest".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEVEL = 0.8
"""Confidence of the bound. The matrix promotes at the same probability, so that one level holds everywhere."""
Z80 = 0.8416212335729143
"""One-sided quantile of the normal distribution at that level."""
PRICES = np.concatenate(([0.0], np.geomspace(1e-3, 3.0, 160)))
"""Prices that are tried: what a whole saved call is worth, in units of quality."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A price of quality with what it promises on the rows it was chosen on; all relative to the reference.

    `loss` is the mean loss of quality, `loss_upper` its one-sided 80 % bound, `saved` the share of cost saved.
    """

    price: float
    loss: float
    loss_upper: float
    saved: float


def choose(differences: Array, savings: Array, price: float) -> NDArray[np.intp]:
    """Return the column of each row's model, -1 for the reference.

    `differences` and `savings` are (rows, candidates): predicted quality minus the reference's, and predicted share of
    the mean reference call that is saved. Equal worth goes to the candidate that saves more; none below zero is taken.
    """
    worth = differences + price * savings
    best = np.argmax(worth + 1e-12 * savings, axis=1)
    taken = worth[np.arange(len(worth)), best] > 0
    return np.where(taken, best, -1)


def gained(of_candidates: Array, chosen: NDArray[np.intp]) -> Array:
    """Return what each row's choice brings, given what each candidate would; the reference brings zero."""
    at = of_candidates[np.arange(len(chosen)), np.maximum(chosen, 0)]
    return np.where(chosen >= 0, at, 0.0)


def upper_loss(differences: Array, quality: float) -> tuple[float, float]:
    """Return mean relative loss and its one-sided 80 % bound, of realised differences of all rows.

    `quality` is the reference's mean. The variance gets half a pseudo-row of the worst case, so that a handful of rows
    without a failure prove nothing.
    """
    count = len(differences)
    mean = float(differences.mean())
    variance = (float(np.sum((differences - mean) ** 2)) + 0.5) / count
    return 0.0 - mean / quality, (-mean + Z80 * float(np.sqrt(variance / count))) / quality


def operating_point(
    predicted: tuple[Array, Array], realised: tuple[Array, Array], quality: float, budget: float
) -> OperatingPoint:
    """Pick the price that saves most among those whose bound of the loss is within the budget.

    `predicted` must be cross-fitted: each row's by a model that has not seen it. `realised` are the true differences
    and savings. The prices are walked from zero and the walk ends at the first that breaks the budget for good, that is
    whose bound exceeds twice the budget: a lucky price far out is not trusted.
    """
    best = OperatingPoint(0.0, 0.0, 0.0, 0.0)
    for price in PRICES:
        chosen = choose(*predicted, float(price))
        loss, upper = upper_loss(gained(realised[0], chosen), quality)
        saved = float(gained(realised[1], chosen).mean())
        if upper > 2 * budget and price > 0:
            break
        if upper <= budget and saved > best.saved:
            best = OperatingPoint(float(price), loss, upper, saved)
    return best
