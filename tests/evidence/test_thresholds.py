"""The operating point: chosen by a bound, and never by luck."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.evidence.thresholds import choose, gained, operating_point, upper_loss


def test_the_model_of_greatest_worth_is_chosen_and_none_that_is_worth_nothing():
    differences = np.array([[-0.3, -0.1], [-0.3, -0.1], [-0.9, -0.8]])
    savings = np.array([[0.9, 0.4], [0.1, 0.4], [0.9, 0.4]])
    assert list(choose(differences, savings, 0.0)) == [-1, -1, -1]
    assert list(choose(differences, savings, 0.5)) == [0, 1, -1]
    assert list(choose(differences, savings, 10.0)) == [0, 1, 0]


def test_of_equal_worth_the_cheaper_is_taken():
    assert list(choose(np.array([[0.1, 0.1]]), np.array([[0.2, 0.9]]), 0.0)) == [1]


def test_the_reference_brings_nothing():
    assert list(gained(np.array([[0.5, -1.0], [0.5, -1.0]]), np.array([-1, 1]))) == [0.0, -1.0]


def test_the_bound_is_the_normal_one_with_half_a_row_of_doubt():
    differences = np.array([-1.0, 0.0, 0.0, 0.0])
    loss, upper = upper_loss(differences, 0.5)
    assert loss == pytest.approx(0.5)
    assert upper == pytest.approx((0.25 + 0.8416212 * np.sqrt((0.75 + 0.5) / 4 / 4)) / 0.5)


def test_twenty_rows_without_a_failure_prove_nothing():
    rows = np.zeros((20, 1)), np.ones((20, 1))
    assert operating_point(rows, rows, 1.0, 0.01).saved == 0


def test_a_thousand_rows_without_a_failure_do():
    rows = np.zeros((1000, 1)), np.full((1000, 1), 0.9)
    point = operating_point(rows, rows, 1.0, 0.01)
    assert (point.loss, point.saved) == (0.0, pytest.approx(0.9))
    assert point.loss_upper <= 0.01


@given(st.integers(0, 10_000))
def test_the_bound_of_the_chosen_point_is_within_the_budget(seed: int):
    rng = np.random.default_rng(seed)
    differences = rng.choice([-1.0, 0.0, 1.0], (400, 2), p=[0.1, 0.85, 0.05])
    predicted = differences * rng.uniform(0, 0.5) + rng.normal(0, 0.2, differences.shape)
    savings = rng.uniform(0.2, 0.9, differences.shape)
    point = operating_point((predicted, savings), (differences, savings), 0.8, 0.02)
    assert point.loss <= point.loss_upper <= 0.02 or point.saved == 0
