"""Who is drawn: with the probability that is kept, never below the floor; and who is compared with whom."""

import random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from models_made_up import deployment
from neuralrouting.layers.shadow import LEAST_SHARE, arms_of, draw, judge_among

shares = st.floats(0, 1)
CHEAP, GOOD, BEST = deployment("cheap", usd=0.1), deployment("good", "premium", 4), deployment("best", "premium", 9)
NAMELESS = deployment("nameless", usd=None)
MIDDLE = deployment("middle", "medium", 1)


@given(shares, shares, shares, st.integers(0, 2**32))
def test_the_probability_that_is_kept_is_the_frequency(share: float, most: float, rate: float, seed: int):
    numbers = random.Random(seed)
    draws = [draw(numbers.random(), share, most, rate) for _ in range(2_000)]
    drawn = [found for found in draws if found is not None]
    propensity = draw(0.0, share, most, rate)
    assert propensity is not None
    assert set(drawn) <= {propensity}
    # Five standard deviations: one of a few million such samples is further away.
    assert abs(len(drawn) / 2_000 - propensity) <= 5 * (propensity * (1 - propensity) / 2_000) ** 0.5 + 1e-9


@given(shares, shares, shares)
def test_the_floor_holds_whatever_the_evidence_says(share: float, most: float, rate: float):
    propensity = draw(0.0, share, most, rate)
    assert propensity is not None
    assert max(share, LEAST_SHARE) <= propensity <= max(share, most, LEAST_SHARE)


@given(st.floats(0, 1, exclude_max=True), shares, shares, shares)
def test_a_higher_rate_never_takes_a_draw_away(number: float, share: float, most: float, rate: float):
    if draw(number, share, most, rate) is not None:
        assert draw(number, share, most, 1.0) is not None


def test_a_candidate_is_compared_with_the_reference():
    arms = arms_of(CHEAP, GOOD, (CHEAP, GOOD, BEST), None)
    assert arms is not None
    assert (arms.candidate, arms.reference, arms.asked) == (CHEAP, GOOD, GOOD)


def test_the_reference_and_what_is_dearer_stand_for_good_answers():
    for served in (GOOD, BEST):
        arms = arms_of(served, GOOD, (CHEAP, GOOD, BEST), CHEAP)
        assert arms is not None
        assert (arms.candidate, arms.reference, arms.asked) == (CHEAP, served, CHEAP)


def test_the_reference_is_not_compared_with_itself_at_another_provider():
    twin = msgspec.structs.replace(GOOD, id="other/good", provider="other", price=CHEAP.price)
    assert arms_of(twin, GOOD, (twin, GOOD), None) is None
    assert arms_of(GOOD, GOOD, (twin, GOOD), twin) is None


def test_a_simulated_answer_is_never_compared_with_a_real_one():
    played = msgspec.structs.replace(CHEAP, simulated=True)
    assert arms_of(played, GOOD, (played, GOOD), None) is None
    assert arms_of(GOOD, GOOD, (played, GOOD), played) is None


def test_who_could_not_have_served_is_not_asked():
    assert arms_of(CHEAP, GOOD, (CHEAP, BEST), None) is None
    assert arms_of(GOOD, GOOD, (GOOD,), CHEAP) is None


def test_who_has_no_price_is_not_asked():
    assert arms_of(GOOD, GOOD, (NAMELESS, GOOD), NAMELESS) is None
    arms = arms_of(NAMELESS, GOOD, (NAMELESS, GOOD), None)
    assert arms is not None
    assert arms.asked == GOOD


def test_the_judge_is_the_best_that_is_neither_arm_nor_one_of_them_elsewhere():
    twin = msgspec.structs.replace(BEST, id="other/best", provider="other")
    assert judge_among((CHEAP, MIDDLE, GOOD, BEST), (CHEAP, GOOD), None, 10) == BEST
    assert judge_among((CHEAP, MIDDLE, GOOD, BEST, twin), (CHEAP, BEST), None, 10) == GOOD
    assert judge_among((CHEAP, BEST, twin), (CHEAP, BEST), None, 10) is None


def test_a_named_judge_judges_unless_it_is_an_arm():
    assert judge_among((CHEAP, MIDDLE, GOOD, BEST), (CHEAP, GOOD), "middle", 10) == MIDDLE
    assert judge_among((CHEAP, MIDDLE, GOOD, BEST), (MIDDLE, GOOD), "middle", 10) is None


def test_a_judge_must_hold_the_question_and_have_a_price():
    assert judge_among((BEST,), (CHEAP, GOOD), None, BEST.context_tokens + 1) is None
    assert judge_among((NAMELESS,), (CHEAP, GOOD), None, 10) is None
