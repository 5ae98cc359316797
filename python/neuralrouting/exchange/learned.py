"""What the gateway learns from: comparisons that were judged, and what people said of answers."""

import msgspec

from neuralrouting.evidence.audits import Audit


class Judged(msgspec.Struct, frozen=True, gc=False):
    """One comparison, and what the judge said of it where a person has looked at it too.

    `checked`: the difference is a person's. `by_judge` is what the judge made of it, None where no judge was asked.
    """

    audit: Audit
    checked: bool
    by_judge: float | None


class Said(msgspec.Struct, frozen=True, gc=False):
    """What somebody said of one answer of a model: `score` from -1 to 1, `created_ms` Unix time."""

    deployment: str
    task: str
    score: float
    created_ms: int
