"""Ridge regression on the rows of the native core: one solver for shipped heads, for accounts and for evaluation.

A row is what `engine.route_features` makes of a prompt. Its blocks (n-grams, marks, ...) differ in how much they say
and in scale, so each is brought to mean variance one and then weighed by a *mix*; a model is the mean over a few mixes.
Published and measured alternatives (nearest neighbours, trees, kernels, variance components by REML) were no better on
the development data; see docs/routing-prediction.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuralrouting.engine import ROUTE_BLOCKS, ROUTE_DIMENSIONS, ROUTE_VERSION, route_features

Array = NDArray[np.float64]
NAMED, NGRAMS, EMBEDDING, MARKS, MATERIAL, MARKS_BY_MATERIAL, PRIORS = range(7)
"""The blocks of a row."""
MIXES: tuple[dict[int, float], ...] = (
    {NGRAMS: 1.0},
    {MATERIAL: 3.0, MARKS: 1.0},
    {MATERIAL: 1.0, NGRAMS: 1.0, NAMED: 0.3, MARKS: 0.3, MARKS_BY_MATERIAL: 0.3},
)
"""Share of variance of each block; chosen on the development data over ten random splits."""
PENALTY = 20.0
"""Of a row whose blocks have variance one; 10 to 100 are ties on the development data."""
HEAD_PENALTY = 200.0
"""The same for an account's head, in audits: after that many, the prior and the audits have about equal say."""
TOLERANCE = 1e-4
"""Relative residual at which conjugate gradients stop."""
MOST_STEPS = 120
HEAD_STRETCH: dict[int, float] = {NAMED: 0.066, NGRAMS: 0.85, MARKS: 0.26, MATERIAL: 1.41, MARKS_BY_MATERIAL: 0.087}
"""What features of an account's head are stretched by: the mixes over the variances of 3,500 public prompts, since a
few audits know no variances."""
MAGIC = b"NRH1"
"""Opens the weights of a head; rust/src/predict/head.rs reads them."""
SMALL, MID = 0, 1
"""The shipped heads, by their place in the last block."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A sparse matrix of n rows: row starts (n + 1), feature of each value, values."""

    starts: NDArray[np.int64]
    features: NDArray[np.int64]
    values: Array

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.starts) - 1

    @classmethod
    def of(cls, prompts: Sequence[str]) -> "Rows":
        """Read prompts; about 30 us each for 1 KB, without the interpreter's lock."""
        starts, features, values = route_features(prompts)
        return cls(
            np.frombuffer(starts, np.int64),
            np.frombuffer(features, np.uint32).astype(np.int64),
            np.frombuffer(values, np.float32).astype(np.float64),
        )

    def take(self, places: NDArray[np.intp]) -> "Rows":
        """Return some of the rows, in the order given."""
        lengths = self.starts[places + 1] - self.starts[places]
        starts = np.concatenate(([0], np.cumsum(lengths)))
        at = np.arange(starts[-1]) - np.repeat(starts[:-1] - self.starts[places], lengths)
        return Rows(starts, self.features[at], self.values[at])

    def times(self, weights: Array) -> Array:
        """Multiply each row by weights (dimensions, targets): (rows, targets)."""
        sums = np.zeros((len(self), weights.shape[1]))
        filled = self.starts[:-1] < self.starts[1:]
        for target in range(weights.shape[1]):
            products = self.values * weights[self.features, target]
            sums[filled, target] = np.add.reduceat(products, self.starts[:-1][filled])
        return sums

    def transposed_times(self, of_rows: Array) -> Array:
        """Sum the rows, each times its factor (rows, targets): (dimensions, targets)."""
        row_of = np.repeat(np.arange(len(self)), np.diff(self.starts))
        sums = np.zeros((ROUTE_DIMENSIONS, of_rows.shape[1]))
        for target in range(of_rows.shape[1]):
            sums[:, target] = np.bincount(self.features, self.values * of_rows[row_of, target], ROUTE_DIMENSIONS)
        return sums


@dataclass(frozen=True, slots=True)
class Linear:
    """Weights (dimensions, targets) and bias (targets)."""

    weights: Array
    bias: Array

    def predict(self, rows: Rows) -> Array:
        """Predict (rows, targets)."""
        return rows.times(self.weights) + self.bias


def fit(rows: Rows, targets: Array, *, mixes: Sequence[dict[int, float]] = MIXES, penalty: float = PENALTY) -> Linear:
    """Fit targets (rows, targets), as the mean over the mixes. Deterministic."""
    models = [_fit(rows, targets, _scales(rows, mix), penalty) for mix in mixes]
    weights = np.mean([model.weights for model in models], axis=0)
    return Linear(weights, np.mean([model.bias for model in models], axis=0))


def _means(rows: Rows) -> Array:
    return rows.transposed_times(np.full((len(rows), 1), 1 / len(rows)))[:, 0]


def _scales(rows: Rows, mix: dict[int, float]) -> Array:
    """How much each feature is to be stretched so that every block has the mix's share of the variance."""
    means = _means(rows)
    squares = np.bincount(rows.features, rows.values**2, ROUTE_DIMENSIONS) / len(rows)
    scales = np.zeros(ROUTE_DIMENSIONS)
    for block, share in mix.items():
        part = slice(ROUTE_BLOCKS[block], ROUTE_BLOCKS[block + 1])
        variance = float(np.sum(squares[part]) - np.sum(means[part] ** 2))
        if variance > np.finfo(np.float64).eps:
            scales[part] = np.sqrt(share / variance)
    return scales


def _fit(rows: Rows, targets: Array, scales: Array, penalty: float) -> Linear:
    """Solve (Z Z' + penalty) a = y by conjugate gradients, Z the centred and stretched rows; weights are Z' a."""
    means = _means(rows)
    level: Array = targets.mean(axis=0)
    squared: Array = np.square(scales)[:, None]

    def back(of_rows: Array) -> Array:
        centred: Array = rows.transposed_times(of_rows) - means[:, None] * of_rows.sum(axis=0)
        return centred * squared

    def step(of_rows: Array) -> Array:
        weights = back(of_rows)
        return rows.times(weights) - means @ weights + penalty * of_rows

    weights = back(_solve(step, targets - level))
    bias: Array = level - means @ weights
    return Linear(weights, bias)


def _solve(apply: Callable[[Array], Array], wanted: Array) -> Array:
    """Conjugate gradients, all targets side by side, each with steps of its own."""
    solution = np.zeros_like(wanted)
    rest = wanted.copy()
    way = rest.copy()
    size = np.sum(rest**2, axis=0)
    enough = TOLERANCE**2 * size
    for _ in range(MOST_STEPS):
        if np.all(size <= enough):
            break
        moved = apply(way)
        stride = np.where(size > enough, size / np.maximum(np.sum(way * moved, axis=0), 1e-300), 0.0)
        solution += stride * way
        rest -= stride * moved
        before, size = size, np.sum(rest**2, axis=0)
        way = rest + np.where(before > 0, size / np.maximum(before, 1e-300), 0.0) * way
    return solution


def fit_head(rows: Rows, differences: Array, weights: Array | None = None, *, prior: int = MID) -> bytes:
    """Learn an account's head from its audits: a ridge around the shipped head, so that few audits change little.

    `differences` (rows) are quality of the candidate minus the reference's; `weights` (rows) are how much each audit
    counts, such as one over the probability with which it was drawn, and default to one. `prior` is SMALL or MID. The
    result is for `engine.Predictor`; an audit in the prior's favour and none at all both leave the shipped head.
    """
    share = np.ones(len(rows)) if weights is None else np.asarray(weights, np.float64)
    center = np.zeros(ROUTE_DIMENSIONS)
    center[ROUTE_BLOCKS[PRIORS] + prior] = 1.0
    if len(rows) == 0 or not share.sum():
        return head_bytes(center, 0.0)
    rest = np.asarray(differences, np.float64) - rows.times(center[:, None])[:, 0]
    # Audits that count more are rows that are longer; a constant feature stands for the bias, which is shrunk too.
    root = np.sqrt(share * len(rows) / share.sum())
    scales = np.zeros(ROUTE_DIMENSIONS)
    for block, stretch in HEAD_STRETCH.items():
        scales[ROUTE_BLOCKS[block] : ROUTE_BLOCKS[block + 1]] = stretch

    def back(of_rows: Array) -> Array:
        return rows.transposed_times(of_rows * root[:, None]) * scales[:, None] ** 2

    def step(of_rows: Array) -> Array:
        level = root[:, None] * (root @ of_rows)
        return rows.times(back(of_rows)) * root[:, None] + level + HEAD_PENALTY * of_rows

    found = _solve(step, (rest * root)[:, None])
    return head_bytes(center + back(found)[:, 0], float(root @ found[:, 0]))


def head_bytes(weights: Array, bias: float) -> bytes:
    """Write weights (dimensions) as rust/src/predict/head.rs reads them: magic, version, bias, scales, a byte each."""
    return MAGIC + ROUTE_VERSION + packed(weights, bias, len(ROUTE_BLOCKS) - 1)


def packed(weights: Array, bias: float, blocks: int) -> bytes:
    """Write bias and a scale for each block as float32, then one signed byte for each weight of these blocks."""
    scales = np.zeros(blocks, np.float32)
    rounded = np.zeros(ROUTE_BLOCKS[blocks], np.int8)
    for block in range(blocks):
        part = slice(ROUTE_BLOCKS[block], ROUTE_BLOCKS[block + 1])
        largest = float(np.abs(weights[part]).max())
        if largest > 0:
            scales[block] = largest / 127
            rounded[part] = np.round(weights[part] / largest * 127).astype(np.int8)
    return np.float32(bias).astype("<f4").tobytes() + scales.astype("<f4").tobytes() + rounded.tobytes()
