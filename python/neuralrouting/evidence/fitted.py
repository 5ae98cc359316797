"""A router learned from outcomes: what each candidate loses and saves on a prompt, and how much may be offloaded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuralrouting.evidence.ridge import Linear, Rows, fit
from neuralrouting.evidence.thresholds import OperatingPoint, operating_point

Array = NDArray[np.float64]
FOLDS = 5
PEER = 0.03
"""A model whose mean quality is at most this far below the reference's counts as its peer."""
PEERS_NEEDED = 4
"""Models below which nothing is gained by pooling them."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What training rows know: quality by model (rows), and relative savings of each candidate (rows, candidates)."""

    quality: dict[str, Array]
    savings: Array
    reference: str
    candidates: tuple[str, ...]

    @property
    def differences(self) -> Array:
        """Quality of each candidate minus the reference's (rows, candidates)."""
        base = self.quality[self.reference]
        return np.stack([self.quality[name] - base for name in self.candidates], axis=1)

    def targets(self) -> Array:
        """What is regressed: differences, the contrast of weak and strong models, savings (rows, 2 candidates + 1)."""
        return np.concatenate((self.differences, self._contrast()[:, None], self.savings), axis=1)

    def _contrast(self) -> Array:
        """Mean quality of the weak models minus that of the strong ones; zero where too few models are known.

        One model's failure on one prompt is mostly luck; that weak models fail where strong ones do not is less so.
        """
        floor = self.quality[self.reference].mean() - PEER
        strong = [quality for quality in self.quality.values() if quality.mean() >= floor]
        weak = [quality for quality in self.quality.values() if quality.mean() < floor]
        if len(strong) + len(weak) < PEERS_NEEDED or not weak:
            return np.zeros(len(self.savings))
        return np.mean(weak, axis=0) - np.mean(strong, axis=0)


@dataclass(frozen=True, slots=True)
class Router:
    """Weights, how their outputs are blended to differences, and the operating point frozen in training."""

    model: Linear
    blend: Array
    point: OperatingPoint
    candidates: tuple[str, ...]

    def predict(self, rows: Rows) -> tuple[Array, Array]:
        """Predict differences and savings, each (rows, candidates)."""
        return blended(self.model.predict(rows), self.blend)


def train(
    rows: Rows,
    labels: Labels,
    folds: NDArray[np.intp],
    budget: float,
    tell: Callable[[str], None] = lambda _: None,
) -> Router:
    """Learn from all rows; the operating point comes from predictions for rows that the model had not seen.

    `folds` says in which part (0 to FOLDS - 1) each row is left out.
    """
    targets = labels.targets()
    unseen = np.empty_like(targets)
    for fold in range(FOLDS):
        tell(f"training, part {fold + 1} of {FOLDS + 1}")
        left_out, used = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if len(left_out):
            unseen[left_out] = fit(rows.take(used), targets[used]).predict(rows.take(left_out))
    tell(f"training, part {FOLDS + 1} of {FOLDS + 1}")
    blend = blend_of(unseen, labels.differences)
    quality = float(labels.quality[labels.reference].mean())
    realised = labels.differences, labels.savings
    point = operating_point(blended(unseen, blend), realised, quality, budget)
    return Router(fit(rows, targets), blend, point, labels.candidates)


def blend_of(unseen: Array, differences: Array) -> Array:
    """Least squares of each difference on its own cross-fitted prediction and on that of the contrast.

    Returns (candidates, 3): constant, own, contrast; neither weight is let below zero. A peer of the reference keeps
    its own prediction: the contrast says nothing about it, and shrinking it alone would favour the others.
    """
    count = differences.shape[1]
    blend = np.tile([0.0, 1.0, 0.0], (count, 1))
    for nth in np.flatnonzero(differences.mean(axis=0) < -PEER):
        centred = unseen[:, [nth, count]] - unseen[:, [nth, count]].mean(axis=0)
        ridge = 1e-9 * np.eye(2)
        weights = np.linalg.solve(centred.T @ centred + ridge, centred.T @ differences[:, nth])
        if weights.min() < 0:
            alone = (centred * differences[:, [nth]]).sum(axis=0) / ((centred**2).sum(axis=0) + 1e-9)
            weights = np.where(weights >= 0, np.maximum(alone, 0.0), 0.0)
        level = differences[:, nth].mean() - unseen[:, [nth, count]].mean(axis=0) @ weights
        blend[nth] = level, *weights
    return blend


def blended(outputs: Array, blend: Array) -> tuple[Array, Array]:
    """Turn outputs of a model into differences and savings, each (rows, candidates)."""
    count = len(blend)
    own, contrast, savings = outputs[:, :count], outputs[:, [count]], outputs[:, count + 1 :]
    return blend[:, 0] + own * blend[:, 1] + contrast * blend[:, 2], savings


def folds_of(places: Sequence[float]) -> NDArray[np.intp]:
    """Turn places between 0 and 1 into folds: equal prompts stay together."""
    return np.asarray([int(place * 1_000_003) % FOLDS for place in places], np.intp)
