"""Audits: prompts that two models answered and a judge compared. They are all that the matrix learns from."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def added(group: Ints, values: Floats, groups: int) -> Floats:
    """Add up values (n,) by the index of their group; returns (groups,)."""
    return np.bincount(group, values, groups).astype(np.float64)


class Audit(msgspec.Struct, frozen=True, gc=False):
    """One prompt, answered by a candidate and by the reference."""

    candidate: str
    task: str
    difference: float
    """Quality of the candidate's answer less that of the reference's, -1 to 1."""
    judged_ms: int
    """When it was judged, Unix milliseconds."""
    weight: float = 1.0
    """How much of an audit it counts for, above 0 up to 1; the feedback of users comes with less than 1."""
    propensity: float = 1.0
    """Probability with which the prompt was drawn, above 0 up to 1."""
    predicted: float | None = None
    """The difference that a predictor expected, one that has not learned from this prompt."""
    version: str = ""
    """Versions of both models; audits of any other than the newest do not count."""
    certain: bool = False
    """Whether a deterministic check or a person judged it, so that no judge's errors are to be corrected."""


class Columns(NamedTuple):
    """The audits of one candidate, each field an array (n,), in the order in which they were judged."""

    task: Ints
    """Index into the candidate's tasks, which are sorted by name."""
    difference: Floats
    judged_ms: Ints
    weight: Floats
    propensity: Floats
    predicted: Floats
    """NaN where nothing was predicted."""
    certain: Flags

    def only(self, kept: Flags | Ints) -> "Columns":
        """Return the rows of a mask (n,), or of indices in their order."""
        return Columns(
            task=self.task[kept],
            difference=self.difference[kept],
            judged_ms=self.judged_ms[kept],
            weight=self.weight[kept],
            propensity=self.propensity[kept],
            predicted=self.predicted[kept],
            certain=self.certain[kept],
        )


def newest(audits: Sequence[Audit]) -> str:
    """Return the version that was judged last."""
    return max((audit.judged_ms, audit.version) for audit in audits)[1]


def columns(audits: Sequence[Audit]) -> tuple[list[str], Columns]:
    """Return the tasks and the columns of one candidate's audits, of which there is at least one.

    Audits of the same millisecond are ordered by their content, so that the order in
    which they arrive is of no account.
    """
    tasks = sorted({audit.task for audit in audits})
    index = {task: place for place, task in enumerate(tasks)}
    nan = float("nan")
    task = np.array([index[audit.task] for audit in audits], np.int64)
    judged_ms = np.array([audit.judged_ms for audit in audits], np.int64)
    certain = np.array([audit.certain for audit in audits], np.bool_)
    difference = np.array([audit.difference for audit in audits], np.float64)
    weight = np.array([audit.weight for audit in audits], np.float64)
    propensity = np.array([audit.propensity for audit in audits], np.float64)
    predicted = np.array([nan if audit.predicted is None else audit.predicted for audit in audits], np.float64)
    order = np.lexsort((certain, predicted, propensity, weight, difference, task, judged_ms))
    return tasks, Columns(task, difference, judged_ms, weight, propensity, predicted, certain).only(order)
