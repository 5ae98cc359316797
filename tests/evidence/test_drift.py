"""The change scan finds a change where there is one, and its place."""

import random

import numpy as np

from neuralrouting.evidence.audits import Floats
from neuralrouting.evidence.drift import SEGMENT, likeliest_change
from neuralrouting.evidence.matrix import MatrixSettings


def noise(n: int, seed: int) -> Floats:
    drawn = random.Random(seed)
    return np.array([drawn.gauss(0, 1) for _ in range(n)])


def test_too_few_differences_tell_of_no_change():
    assert likeliest_change(np.ones(2 * SEGMENT - 1)).score == 0


def test_a_change_is_placed_where_it_happened():
    change = likeliest_change(np.concatenate((noise(300, 1), noise(100, 2) - 1)))
    assert change.score > MatrixSettings().drift
    assert abs(change.at - 300) < 15


def test_steady_noise_is_not_taken_for_a_change():
    scores = [likeliest_change(noise(500, seed)).score for seed in range(20)]
    assert max(scores) < MatrixSettings().drift
