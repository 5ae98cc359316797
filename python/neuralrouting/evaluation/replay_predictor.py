"""A predictor for replays: a ridge regression that learns from a replay's audits, never from a row that it predicts.

A replay draws rows again and again, so a head that has learned from an audit would know the answer to the same row.
The rows are therefore dealt into folds by their prompt, and what is expected of a fold comes from heads that were
trained on the audits of the others.
"""

import zlib

import numpy as np

from neuralrouting.engine import ROUTE_BLOCKS
from neuralrouting.evaluation.replay import Ints
from neuralrouting.evaluation.replay_table import Floats, ReplayTable
from neuralrouting.evidence.cells import believe, sums
from neuralrouting.evidence.ridge import EMBEDDING, MARKS, PRIORS, Rows

FOLDS = 4
GROWTH = 1.25
"""Factor by which audits must have grown before heads are trained again."""
LEAST = 100
"""Audits of a candidate below which it has no head."""
PENALTY = 100.0
"""Of features with variance one in all: after that many audits, they and the mean of the cell have equal say."""


class RidgePredictor:
    """Expects how far a prompt lies off the mean of its cell, from the dense blocks of its routing row."""

    def __init__(self, table: ReplayTable) -> None:
        self._table = table
        self._features = _dense(Rows.of(table.prompts))
        self._fold = np.array([zlib.crc32(prompt.encode()) % FOLDS for prompt in table.prompts])
        self._expected = np.zeros((len(table.prompts), len(table.models) - 1))
        self._learned_from = 0.0

    def learn(self, rows: Ints, candidates: Ints, differences: Floats) -> Floats:
        """Return expected differences less the mean of the cell, (rows of the file, candidates)."""
        if len(rows) < max(LEAST, GROWTH * self._learned_from):
            return self._expected
        self._learned_from = len(rows)
        self._expected = np.zeros_like(self._expected)
        for candidate in range(self._expected.shape[1]):
            for fold in range(FOLDS):
                taught = (candidates == candidate) & (self._fold[rows] != fold)
                if taught.sum() >= LEAST:
                    weights = self._head(rows[taught], differences[taught])
                    held = self._fold == fold
                    self._expected[held, candidate] = self._features[held] @ weights
        return self._expected

    def _head(self, rows: Ints, differences: Floats) -> Floats:
        cell = self._table.cell[rows]
        means = believe(sums(cell, differences, np.ones(len(rows)), len(self._table.cells))).mean
        features = self._features[rows]
        gram = features.T @ features + PENALTY * np.eye(features.shape[1])
        return np.linalg.solve(gram, features.T @ (differences - means[cell])).astype(np.float64)


def _dense(rows: Rows) -> Floats:
    """Standardise the blocks that are small enough to be dense, each to a variance of one in all: (rows, features)."""
    row_of = np.repeat(np.arange(len(rows)), np.diff(rows.starts))
    blocks: list[Floats] = []
    for block in (EMBEDDING, MARKS, PRIORS):
        start, end = ROUTE_BLOCKS[block], ROUTE_BLOCKS[block + 1]
        own = (rows.features >= start) & (rows.features < end)
        dense = np.zeros((len(rows), end - start))
        dense[row_of[own], rows.features[own] - start] = rows.values[own]
        dense -= dense.mean(axis=0)
        variance = float((dense**2).sum()) / max(len(rows), 1)
        blocks.append(dense / np.sqrt(variance) if variance > 1e-12 else dense)
    return np.hstack(blocks) / np.sqrt(len(blocks))
