"""What the errors of a judge do to a mean difference, and how a set that people checked takes them out again.

The judge is an instrument: what it reads is offset + slope * truth + noise. Offset and slope come from pairs that both
the judge and people have looked at, held near "no error" while these are few; what is not known about them widens the
interval of everything that the judge measured. Invariant: a judge that always agreed changes nothing.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from neuralrouting.evidence.audits import Flags, Floats

OFFSET_DEVIATION = 0.02
"""How far a blind judge that is asked both ways round may lean to one side, as a standard deviation."""
SLOPE_DEVIATION = 0.15
"""How far the slope of a judge is likely to lie from 1, as a standard deviation."""
LEAST_SLOPE = 0.3
"""A judge below this is closer to a coin than to a judge: its readings are not stretched any further."""


class Judge(msgspec.Struct, frozen=True):
    """How a judge reads differences; the default is a judge without error."""

    offset: float = 0.0
    slope: float = 1.0
    offset_error: float = 0.0
    slope_error: float = 0.0
    pairs: int = 0


def calibrate(judged: Sequence[float], checked: Sequence[float]) -> Judge:
    """Return how a judge reads, from differences -1 to 1 that it judged and that people found on the same pairs.

    A judge without error is believed beforehand, as firmly as the deviations above say; few pairs change that little.
    """
    read, truth = np.asarray(judged, np.float64), np.asarray(checked, np.float64)
    noise = float(((read - truth) ** 2).mean()) if len(read) else 0.0
    if noise == 0.0:
        return Judge(pairs=len(read))
    square = float((truth**2).sum())
    slope_pairs, offset_pairs = noise / SLOPE_DEVIATION**2, noise / OFFSET_DEVIATION**2
    slope = max(LEAST_SLOPE, (float((truth * read).sum()) + slope_pairs) / (square + slope_pairs))
    return Judge(
        offset=float((read - slope * truth).sum()) / (len(read) + offset_pairs),
        slope=slope,
        offset_error=math.sqrt(noise / (len(read) + offset_pairs)),
        slope_error=math.sqrt(noise / (square + slope_pairs)),
        pairs=len(read),
    )


def stretched(differences: Floats, certain: Flags, judge: Judge) -> Floats:
    """Return the differences (n,) with the judge's offset and slope taken out, where they are not `certain`."""
    return np.where(certain, differences, (differences - judge.offset) / judge.slope)


def judge_error(truth: Floats, judge: Judge) -> Floats:
    """Return the standard error that the judge adds to corrected mean differences, of the same shape."""
    return np.sqrt(judge.offset_error**2 + (truth * judge.slope_error) ** 2) / judge.slope


def corrected(mean: float, error: float, judge: Judge) -> tuple[float, float]:
    """Return the true mean difference and its standard error, given the mean that a judge read and its own error."""
    truth = (mean - judge.offset) / judge.slope
    return truth, math.hypot(error / judge.slope, float(judge_error(np.array(truth), judge)))
