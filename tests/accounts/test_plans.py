"""Plans gate routing modes and X-Force-Model, and a refusal says which plans have them."""

import pytest
from msgspec.structs import replace

from neuralrouting.accounts.plans import allow_force, allow_mode, cheapest_first
from neuralrouting.errors import PlanRequired
from neuralrouting.exchange import Mode, Plan

EVERY: tuple[Mode, ...] = ("auto", "cost", "quality", "speed")
FREE = Plan("free", "Free", 0, 5_000_000, 3, None, None, ("auto",), force_model=False)
STARTER = Plan("starter", "Starter", 2_900, 50_000_000, 60, None, None, ("auto", "cost"), force_model=True)
GROWTH = Plan("growth", "Growth", 8_900, 200_000_000, 250, None, None, EVERY, force_model=True)
BUSINESS = Plan("business", "Business", 34_900, 1_000_000_000, 1_000, None, None, EVERY, force_model=True)
UNLIMITED = Plan("unlimited", "Unlimited", 0, None, None, None, None, EVERY, force_model=True)
PLANS = (UNLIMITED, BUSINESS, FREE, STARTER, GROWTH)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.id)
def test_a_plan_allows_the_modes_that_it_has_and_no_other(plan: Plan):
    for mode in EVERY:
        if mode in plan.modes:
            allow_mode(plan, mode, PLANS)
        else:
            with pytest.raises(PlanRequired) as refused:
                allow_mode(plan, mode, PLANS)
            assert (refused.value.status, refused.value.code) == (403, "plan_required")


def test_a_refused_mode_names_the_plan_and_those_that_have_it_cheapest_first():
    with pytest.raises(PlanRequired) as refused:
        allow_mode(FREE, "quality", PLANS)
    assert refused.value.message == (
        "routing mode 'quality' is not in the plan Free; Growth, Business and Unlimited have it"
    )


def test_a_refused_model_names_the_plan_and_those_that_have_it_cheapest_first():
    with pytest.raises(PlanRequired) as refused:
        allow_force(FREE, PLANS)
    assert refused.value.message == (
        "X-Force-Model is not in the plan Free; Starter, Growth, Business and Unlimited have it"
    )
    allow_force(STARTER, PLANS)


def test_the_price_of_today_decides_the_order():
    dear = replace(GROWTH, price_cents=99_900)
    assert cheapest_first((UNLIMITED, dear, FREE, BUSINESS)) == [FREE, BUSINESS, dear, UNLIMITED]
    with pytest.raises(PlanRequired, match="Business, Growth and Unlimited have it"):
        allow_mode(STARTER, "speed", (UNLIMITED, dear, FREE, BUSINESS))


def test_one_plan_or_none_reads_as_well():
    with pytest.raises(PlanRequired, match=r"; Starter has it$"):
        allow_mode(FREE, "cost", (FREE, STARTER))
    with pytest.raises(PlanRequired, match=r"; no plan here has it$"):
        allow_mode(FREE, "cost", (FREE,))
