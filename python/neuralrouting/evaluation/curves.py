"""Curves of quality against premium calls, and what a router must be compared with."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
POINTS = 21
"""Points of a printed curve."""
SHUFFLES = 100
RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Curve:
    """The share of the quality gap that is closed (PGR) when the n prompts of highest score get the premium model.

    `closed` has n + 1 entries, for 0 to n premium calls. NaN throughout where both models are equally good.
    """

    closed: Array

    @classmethod
    def of(cls, gains: Array, scores: Array, rng: np.random.Generator) -> "Curve":
        """Order by score, ties at random; `gains` are what premium adds to each prompt."""
        order = np.lexsort((rng.random(len(gains)), -scores))
        total = float(gains.sum())
        summed = np.concatenate(([0.0], np.cumsum(gains[order])))
        return cls(summed / total if total else np.full(len(summed), np.nan))

    @property
    def apgr(self) -> float:
        """The area under the curve: 0.5 for a random order."""
        return float(np.mean((self.closed[1:] + self.closed[:-1]) / 2))

    def calls_for(self, percent: float) -> float:
        """The least share of premium calls, in percent, that closes that much of the gap (CPT)."""
        reached = np.flatnonzero(self.closed >= percent / 100 - 1e-12)
        return float(100 * reached[0] / (len(self.closed) - 1)) if len(reached) else float("nan")

    def points(self) -> list[dict[str, float]]:
        """Evenly spaced points: share of premium calls, PGR."""
        last = len(self.closed) - 1
        places = np.unique(np.round(np.linspace(0, last, POINTS)).astype(int))
        return [{"premium": round(int(at) / last, 4), "pgr": round(float(self.closed[at]), 4)} for at in places]


def shuffled_apgr(gains: Array, scores: Array, rng: np.random.Generator) -> float:
    """The APGR of the same scores dealt to the wrong prompts, mean over many shuffles."""
    return float(np.mean([Curve.of(gains, rng.permutation(scores), rng).apgr for _ in range(SHUFFLES)]))


def best_mix(losses: Array, savings: Array, most_loss: float) -> float:
    """The most that a fixed split between models saves at a loss; entry 0 is the reference (0, 0).

    The zero router: no look at the prompt, so every mix of two models is a point between them.
    """
    within = losses <= most_loss + 1e-12
    best = float(savings[within].max(initial=0.0))
    for low in np.flatnonzero(within):
        for high in np.flatnonzero(~within):
            part = (most_loss - losses[low]) / (losses[high] - losses[low])
            best = max(best, float(savings[low] + part * (savings[high] - savings[low])))
    return best


def least_loss(losses: Array, savings: Array, wanted: float) -> float:
    """The least loss of a fixed split that saves at least so much."""
    enough = savings >= wanted - 1e-12
    best = float(losses[enough].min(initial=np.inf))
    for low in np.flatnonzero(~enough):
        for high in np.flatnonzero(enough):
            part = (wanted - savings[low]) / (savings[high] - savings[low])
            best = min(best, float(losses[low] + part * (losses[high] - losses[low])))
    return best


def interval(differences: Array, savings: Array, quality: float, rng: np.random.Generator) -> dict[str, list[float]]:
    """Bootstrap intervals (95 %) of relative loss and share saved; a prompt's loss and saving are drawn together."""
    drawn = rng.integers(0, len(differences), (RESAMPLES, len(differences)))
    losses = -differences[drawn].mean(axis=1) / quality
    saved = savings[drawn].mean(axis=1)
    return {name: [round(float(at), 6) for at in np.quantile(values, (0.025, 0.975))]
            for name, values in (("loss", losses), ("saved", saved))}  # fmt: skip
