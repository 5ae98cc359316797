"""Notices that a model is no longer the one that was measured: a scan for one change in a sequence of differences.

Invariant: of what is counted as evidence, no part differs from the rest by more than chance explains.
"""

from typing import NamedTuple

import numpy as np

from neuralrouting.evidence.audits import Floats

SEGMENT = 12
"""Least differences on either side of a change; fewer say nothing about a mean."""


class Change(NamedTuple):
    """The likeliest change in a sequence of differences."""

    at: int
    """Index of the first difference after it."""
    score: float
    """How far the means before and after it lie apart, in standard errors; 0 where there is too little to tell."""


def likeliest_change(residuals: Floats) -> Change:
    """Return where the mean may have changed.

    `residuals` (n,) are differences in the order in which they were judged, each less the mean of its cell and in
    units of its standard deviation. Every split is tried; the one that sets the two means furthest apart is returned.
    """
    n = len(residuals)
    if n < 2 * SEGMENT:
        return Change(0, 0.0)
    before = np.arange(SEGMENT, n - SEGMENT + 1)
    total = np.cumsum(residuals)
    apart = np.abs(total[before - 1] - total[-1] * before / n)
    score = apart / np.sqrt(before * (n - before) / n)
    best = int(np.argmax(score))
    return Change(int(before[best]), float(score[best]))
