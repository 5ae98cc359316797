"""What is measured of a deployment, how it is averaged, and how long a failure is held against it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.providers.speeds import WEIGHT, Speed, Speeds

NAME = "acme/m-1"


def test_nothing_is_known_before_the_first_answer():
    speeds = Speeds()
    assert speeds.of(NAME) is None
    assert speeds.expected_latency_us(NAME, 100) is None
    assert not speeds.cooling(NAME, 0.0)


def test_the_first_answer_is_taken_as_it_is():
    speeds = Speeds()
    speeds.learn(NAME, 200_000, 50, 1_000_000)
    assert speeds.of(NAME) == Speed(200_000, 20_000, 1)
    assert speeds.expected_latency_us(NAME, 100) == 200_000 + 100 * 20_000


def test_later_answers_move_the_average_by_a_fifth():
    speeds = Speeds()
    speeds.learn(NAME, 100_000, 10, 100_000)
    speeds.learn(NAME, 200_000, 10, 200_000)
    assert speeds.of(NAME) == Speed(120_000, 12_000, 2)


def test_ten_answers_make_up_nine_tenths_of_the_average():
    speeds = Speeds()
    speeds.learn(NAME, 1_000_000, 10, 10)
    for _ in range(10):
        speeds.learn(NAME, 0, 10, 10)
    found = speeds.of(NAME)
    assert found is not None
    assert found.ttft_us == pytest.approx(1_000_000 * (1 - WEIGHT) ** 10)
    assert 0.85 < 1 - found.ttft_us / 1_000_000 < 0.9


def test_whole_answers_say_nothing_about_the_first_token():
    speeds = Speeds()
    speeds.learn(NAME, None, 10, 500_000)
    assert speeds.expected_latency_us(NAME, 10) == 500_000
    speeds.learn(NAME, 300_000, 10, 500_000)  # the first that tells is taken as it is, not averaged with zero
    assert speeds.of(NAME) == Speed(300_000, 50_000, 2)
    speeds.learn(NAME, None, 10, 500_000)
    assert speeds.of(NAME) == Speed(300_000, 50_000, 3)


def test_an_answer_without_tokens_says_nothing_about_tokens():
    speeds = Speeds()
    speeds.learn(NAME, 100_000, 0, 5_000_000)
    assert speeds.of(NAME) == Speed(100_000, None, 1)
    assert speeds.expected_latency_us(NAME, 10) is None
    speeds.learn(NAME, 100_000, 10, 100_000)
    speeds.learn(NAME, 100_000, 0, 5_000_000)
    assert speeds.expected_latency_us(NAME, 10) == 200_000


def test_one_answer_in_a_single_burst_does_not_make_a_deployment_fast():
    speeds = Speeds()
    for _ in range(10):
        speeds.learn(NAME, 100_000, 10, 1_000_000)
    speeds.learn(NAME, 100_000, 100, 1)
    assert speeds.expected_latency_us(NAME, 100) == pytest.approx(100_000 + 100 * 80_000, rel=0.01)


@given(st.lists(st.tuples(st.none() | st.integers(0, 10**8), st.integers(0, 10**5), st.integers(0, 10**9)), min_size=1))
def test_averages_stay_between_the_least_and_the_most_that_was_measured(answers: list[tuple[int | None, int, int]]):
    speeds = Speeds()
    for answer in answers:
        speeds.learn(NAME, *answer)
    found = speeds.of(NAME)
    assert found is not None
    assert found.samples == len(answers)
    waits = [float(ttft_us) for ttft_us, _, _ in answers if ttft_us is not None]
    paces = [spent_us / tokens for _, tokens, spent_us in answers if tokens]
    for average, samples in ((found.ttft_us, waits), (found.token_us, paces)):
        assert (average is None) == (not samples)
        if average is not None:
            assert min(samples) * (1 - 1e-9) <= average <= max(samples) * (1 + 1e-9)


def test_deployments_are_measured_apart():
    speeds = Speeds()
    speeds.learn(NAME, 1, 1, 1)
    speeds.cool("other/m", 10.0)
    assert speeds.of("other/m") is None
    assert not speeds.cooling(NAME, 0.0)


def test_a_failure_is_held_against_it_until_its_time_is_over():
    speeds = Speeds()
    speeds.cool(NAME, 10.0)
    assert [speeds.cooling(NAME, now_s) for now_s in (0.0, 9.99, 10.0, 11.0)] == [True, True, False, False]


def test_a_lesser_failure_does_not_shorten_a_longer_rest():
    speeds = Speeds()
    speeds.cool(NAME, 600.0)
    speeds.cool(NAME, 5.0)
    assert speeds.cooling(NAME, 599.0)
    speeds.cool(NAME, 700.0)
    assert speeds.cooling(NAME, 699.0)


def test_a_good_answer_ends_the_rest():
    speeds = Speeds()
    speeds.cool(NAME, 600.0)
    speeds.learn(NAME, None, 1, 1)
    assert not speeds.cooling(NAME, 0.0)
