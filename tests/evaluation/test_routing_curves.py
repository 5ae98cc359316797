"""The figures of a curve, counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralrouting.evaluation.curves import Curve, best_mix, interval, least_loss, shuffled_apgr


def curve(gains: list[float], scores: list[float]) -> Curve:
    return Curve.of(np.array(gains), np.array(scores), np.random.default_rng(0))


def test_the_area_is_that_of_the_trapezoids():
    # Closed after 0 to 4 calls: 0, 1/2, 1/2, 1, 1.
    found = curve([1, 0, 1, 0], [4, 3, 2, 1])
    assert found.closed.tolist() == [0, 0.5, 0.5, 1, 1]
    assert found.apgr == pytest.approx((0.25 + 0.5 + 0.75 + 1) / 4)


def test_the_calls_for_a_share_are_the_least_that_reach_it():
    found = curve([1, 0, 1, 0], [4, 3, 2, 1])
    assert (found.calls_for(50), found.calls_for(80), found.calls_for(95)) == (25, 75, 75)


def test_a_prompt_that_premium_fails_counts_against_it():
    assert curve([1, -1, 1], [3, 2, 1]).closed.tolist() == [0, 1, 0, 1]


@settings(deadline=None)
@given(st.integers(0, 5_000))
def test_no_order_beats_the_oracle_and_a_random_one_is_near_one_half(seed: int):
    rng = np.random.default_rng(seed)
    gains = rng.choice([-1.0, 0.0, 1.0], 3000, p=[0.05, 0.6, 0.35])
    oracle = Curve.of(gains, gains, rng).apgr
    assert Curve.of(gains, rng.normal(size=3000), rng).apgr == pytest.approx(0.5, abs=0.06)
    assert Curve.of(gains, gains + rng.normal(size=3000), rng).apgr <= oracle
    assert shuffled_apgr(gains, gains, rng) == pytest.approx(0.5, abs=0.01)


def test_a_fixed_split_is_the_line_between_two_models():
    losses, savings = np.array([0.0, 0.1, 0.5]), np.array([0.0, 0.6, 0.9])
    assert best_mix(losses, savings, 0.05) == pytest.approx(0.3)
    assert best_mix(losses, savings, 0.3) == pytest.approx(0.75)
    assert least_loss(losses, savings, 0.75) == pytest.approx(0.3)
    assert least_loss(losses, savings, 0.0) == 0


def test_the_interval_holds_the_mean_and_is_the_same_for_one_seed():
    differences, savings = np.repeat([-1.0, 0.0, 0.0, 0.0], 100), np.repeat([0.9, 0.9, 0.0, 0.0], 100)
    first = interval(differences, savings, 0.5, np.random.default_rng(3))
    assert first["loss"][0] < 0.5 < first["loss"][1]
    assert first["saved"][0] < 0.45 < first["saved"][1]
    assert first == interval(differences, savings, 0.5, np.random.default_rng(3))
