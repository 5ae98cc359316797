"""Made-up audits for the tests of the matrix."""

import random
from collections.abc import Sequence

from neuralrouting.evidence.audits import Audit


def audits_of(
    differences: Sequence[float], *, task: str = "qa", candidate: str = "small", start: int = 0, version: str = "1"
) -> list[Audit]:
    """One audit a millisecond, with these differences."""
    return [
        Audit(candidate=candidate, task=task, difference=difference, judged_ms=start + place, version=version)
        for place, difference in enumerate(differences)
    ]


def verdicts(n: int, mean: float, seed: int = 1) -> list[float]:
    """Wins, losses and ties of a candidate with this mean difference: as noisy as audits are, and shuffled."""
    random_ = random.Random(seed)
    losses, wins = round(n * (0.15 - mean / 2)), round(n * (0.15 + mean / 2))
    drawn = [-1.0] * losses + [1.0] * wins + [0.0] * (n - losses - wins)
    random_.shuffle(drawn)
    return drawn
