"""Layer 6: what people say of answers, as evidence beside that of comparisons. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from neuralrouting.catalog.catalog import SIMULATED
from neuralrouting.evidence.audits import Audit
from neuralrouting.exchange import Said

WEIGHT: Final = 0.25
"""What one word of feedback weighs beside a comparison: it is about one answer alone, given by who likes, and says
little about how the reference would have done. Our judgement."""

_Cell = tuple[str, str]


def difference_of(score: float) -> float:
    """Return the difference to the reference that a score from -1 to 1 stands for.

    A complaint says how much worse the answer was than a good one, which the reference's is taken for. Praise says
    that it was as good as that, never better.
    """
    return min(0.0, score)


def evidence_of(audits: Sequence[Audit], said: Sequence[Said]) -> list[Audit]:
    """Return comparisons and feedback together, as what a matrix is built from.

    In each cell praise weighs at most what comparisons and complaints do: it moves a cell, but never proves a model
    that nobody has compared. Feedback is taken to be about the versions that were compared last before it.
    """
    compared = Counter[_Cell]((audit.candidate, audit.task) for audit in audits)
    heard = [one for one in said if not one.deployment.startswith(f"{SIMULATED}/")]
    praise = Counter[_Cell]((one.deployment, one.task) for one in heard if difference_of(one.score) == 0)
    complaints = Counter[_Cell]((one.deployment, one.task) for one in heard if difference_of(one.score) < 0)
    versions = _Versions(audits)
    found = list(audits)
    for one in heard:
        cell, difference = (one.deployment, one.task), difference_of(one.score)
        weight = WEIGHT
        if difference == 0:
            weight = min(WEIGHT, (compared[cell] + WEIGHT * complaints[cell]) / praise[cell])
        if weight > 0:
            version = versions.at(one.deployment, one.created_ms)
            found.append(_audit(one, weight, version))
    return found


def _audit(one: Said, weight: float, version: str) -> Audit:
    difference = difference_of(one.score)
    return Audit(one.deployment, one.task, difference, one.created_ms, weight, version=version, certain=True)


class _Versions:
    """Which versions of each candidate and the reference were compared when."""

    def __init__(self, audits: Sequence[Audit]) -> None:
        self._known: dict[str, list[tuple[int, str]]] = {}
        for audit in sorted(audits, key=lambda audit: audit.judged_ms):
            known = self._known.setdefault(audit.candidate, [])
            if not known or known[-1][1] != audit.version:
                known.append((audit.judged_ms, audit.version))

    def at(self, candidate: str, at_ms: int) -> str:
        """Return the version that was compared last before this moment, else the first one."""
        known = self._known.get(candidate)
        if not known:
            return ""
        return next((version for since_ms, version in reversed(known) if since_ms <= at_ms), known[0][1])
