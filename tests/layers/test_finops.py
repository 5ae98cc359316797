"""What an answer cost and saved: integers, and never a zero that is not one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_made_up import deployment
from neuralrouting.exchange import Attempt, Usage
from neuralrouting.layers.finops import bill, both, free, lost_call_nanousd

BASELINE = deployment("baseline", "premium", 5.0)
USAGE = Usage(800, 200)


def test_an_answer_is_priced_at_the_model_that_served_it_and_compared_with_the_baseline():
    priced = bill(deployment("small", usd=0.5), USAGE, BASELINE)
    assert priced.cost_nanousd == 500_000
    assert priced.baseline_nanousd == 5_000_000
    assert priced.saved_nanousd == 4_500_000
    assert priced.savings_percentage == 90.0
    assert priced.price_version == "v1"


def test_an_answer_dearer_than_the_baseline_saves_less_than_nothing():
    priced = bill(deployment("grand", usd=10.0), USAGE, BASELINE)
    assert priced.saved_nanousd == -5_000_000
    assert priced.savings_percentage == -100.0


def test_an_unpriced_model_costs_and_saves_an_unknown_sum():
    priced = bill(deployment("unpriced", usd=None), USAGE, BASELINE)
    assert (priced.cost_nanousd, priced.saved_nanousd, priced.savings_percentage) == (None, None, None)
    assert priced.baseline_nanousd == 5_000_000
    assert priced.price_version == "unpriced"


def test_a_cached_answer_costs_nothing_and_saves_all_that_the_baseline_would_have_cost():
    for usd in (0.5, 10.0, None):
        priced = free(deployment("any", usd=usd), USAGE, BASELINE)
        assert (priced.cost_nanousd, priced.saved_nanousd, priced.savings_percentage) == (0, 5_000_000, 100.0)


def test_an_answer_of_no_tokens_has_nothing_to_compare():
    priced = bill(deployment("small"), Usage(0, 0), BASELINE)
    assert (priced.cost_nanousd, priced.saved_nanousd, priced.savings_percentage) == (0, 0, None)


def test_cached_prompt_tokens_are_not_paid_twice():
    assert bill(deployment("small"), Usage(800, 200, cached_tokens=800), BASELINE).cost_nanousd == 1_000_000


@given(
    st.none() | st.integers(0, 10**5).map(lambda cents: cents / 100),
    st.builds(Usage, *[st.integers(0, 10**8)] * 5),
)
def test_whatever_was_used_the_sums_are_whole_and_agree(usd: float | None, usage: Usage):
    priced = bill(deployment("any", usd=usd), usage, BASELINE)
    assert (priced.cost_nanousd is None) == (usd is None)
    if priced.cost_nanousd is not None:
        assert type(priced.cost_nanousd) is int
        assert priced.baseline_nanousd is not None
        assert priced.saved_nanousd == priced.baseline_nanousd - priced.cost_nanousd


@pytest.mark.parametrize(
    ("outcome", "provider_status", "nanousd"),
    [
        ("upstream_unreachable", None, 0),
        ("upstream_rate_limited", 429, 0),
        ("upstream_error", 500, 0),
        ("upstream_timeout", None, 1_000_000),
        ("client_closed", None, 1_000_000),
        ("upstream_bad_response", 200, 1_000_000),
    ],
)
def test_a_failed_call_costs_its_prompt_where_it_may_have_been_answered(
    outcome: str, provider_status: int | None, nanousd: int
):
    called = deployment("m", usd=10.0)
    failed = Attempt(called.id, called.provider, outcome, 5, provider_status=provider_status)
    assert lost_call_nanousd(failed, called, 100) == nanousd


def test_an_answer_that_replaced_another_costs_both_and_is_compared_with_one_of_the_baseline():
    small, grand = deployment("small", usd=0.5), deployment("grand", "premium", 4.0)
    priced = both(bill(small, Usage(800, 100), BASELINE), bill(grand, USAGE, BASELINE))
    assert priced.cost_nanousd == 450_000 + 4_000_000
    assert (priced.baseline_nanousd, priced.saved_nanousd, priced.savings_percentage) == (5_000_000, 550_000, 11.0)


def test_of_two_calls_one_of_which_has_no_price_the_cost_is_not_known():
    unpriced = bill(deployment("unpriced", usd=None), USAGE, BASELINE)
    for pair in ((unpriced, bill(BASELINE, USAGE, BASELINE)), (bill(BASELINE, USAGE, BASELINE), unpriced)):
        assert (both(*pair).cost_nanousd, both(*pair).saved_nanousd) == (None, None)
        assert both(*pair).baseline_nanousd == 5_000_000
