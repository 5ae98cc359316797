"""A judge's errors are taken out of what it says, and what is not known of them is added to the doubt."""

import random

import pytest
from comparing import verdicts
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralrouting.evidence.judging import Judge, calibrate, corrected


def flipped(truth: list[float], share: float, seed: int = 1) -> list[float]:
    drawn = random.Random(seed)
    return [value if drawn.random() >= share else (-value if value else drawn.choice((-1.0, 1.0))) for value in truth]


@settings(deadline=None)
@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), max_size=50), st.floats(-1, 1), st.floats(0, 1))
def test_a_perfect_judge_changes_nothing(truth: list[float], mean: float, error: float):
    assert corrected(mean, error, calibrate(truth, truth)) == (mean, error)


def test_a_judge_that_flips_verdicts_is_stretched_back():
    truth = verdicts(4000, -0.1)
    judge = calibrate(flipped(truth, 0.1), truth)
    assert judge.slope == pytest.approx(0.8, abs=0.04)
    mean, error = corrected(-0.08, 0.01, judge)
    assert mean == pytest.approx(-0.1, abs=0.012)
    assert error > 0.0125


def test_few_checked_pairs_correct_little_and_leave_much_doubt():
    truth = verdicts(20, -0.1)
    few, many = calibrate(flipped(truth, 0.3), truth), calibrate(flipped(truth * 50, 0.3), truth * 50)
    assert many.slope < few.slope < 1
    assert few.slope_error > many.slope_error
    assert few.pairs == 20


def test_nothing_checked_is_a_judge_without_error():
    assert calibrate([], []) == Judge()


def test_a_judge_that_leans_to_one_side_is_set_upright():
    truth = verdicts(3000, 0.0)
    read = [value if place % 10 else 1.0 for place, value in enumerate(truth)]
    judge = calibrate(read, truth)
    mean, _ = corrected(sum(read) / len(read), 0.01, judge)
    assert abs(mean) < 0.03
