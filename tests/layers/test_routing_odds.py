"""Mode auto with what layer 3 knows: who is good enough, and why each of the others is not the first."""

import pytest

from models_made_up import GRAND, LADDER, MIDDLE, QUICK, SMALL, choose, deployment, lost, names
from neuralrouting.catalog import Capabilities, Deployment
from neuralrouting.errors import NoCapableModel
from neuralrouting.exchange import Basis, Odds
from neuralrouting.layers.routing import NEAR_ESCALATED, Ask, Wish
from neuralrouting.providers.speeds import Speeds

PLAIN = Ask("auto", "auto", 20)
TOOLS = Ask("auto", "auto", 20, has_tools=True)
HARD = Ask("auto", "auto", 20, complexity=8.0)


def known(d: Deployment, basis: Basis, expected: float | None = None, n: int = 0) -> Odds:
    enough = {"proven": True, "predicted": True, "reference": True, "refused": False, "unproven": None}[basis]
    return Odds(d.id, enough, basis, expected, n=n)


def test_a_proven_model_serves_what_its_tier_alone_would_not():
    route = choose(TOOLS, *LADDER, odds=[known(SMALL, "proven", -0.01, 800)])
    assert names(route) == ["small", "middle", "grand", "quick"]
    assert route.rule == "cheapest that is good enough: proven"
    assert lost(route)["quick"] == "unproven and below the tier this prompt needs (medium)"
    assert lost(route)["middle"] == "dearer"


def test_a_refused_model_is_asked_last_however_cheap_it_is_and_its_loss_is_told():
    route = choose(PLAIN, *LADDER, odds=[known(SMALL, "refused", -0.031, 812)])
    assert names(route) == ["quick", "middle", "grand", "small"]
    assert lost(route)["small"] == "refused: 3.1 points worse in 812 audits"
    assert route.rule == "short and plain: cheapest; cheaper refused"


def test_a_model_is_refused_for_being_likely_worse_even_where_its_mean_is_not():
    route = choose(PLAIN, *LADDER, odds=[known(SMALL, "refused", 0.002, 40)])
    assert lost(route)["small"] == "refused: it is too likely that it is worse in 40 audits"


def test_of_what_nothing_is_proven_the_tier_decides_as_it_always_did():
    unproven = [known(d, "unproven", -0.2, 7) for d in LADDER]
    for ask in (PLAIN, TOOLS, HARD):
        assert names(choose(ask, *LADDER, odds=unproven)) == names(choose(ask, *LADDER))


def test_the_reference_is_good_enough_whatever_its_tier():
    route = choose(TOOLS, SMALL, QUICK, MIDDLE, odds=[known(QUICK, "reference")])
    assert names(route)[0] == "quick"


def test_when_everything_cheaper_is_refused_the_reference_answers():
    odds = [known(GRAND, "reference"), *(known(d, "refused", -0.1, 90) for d in (SMALL, QUICK, MIDDLE))]
    assert names(choose(PLAIN, *LADDER, odds=odds)) == ["grand", "middle", "quick", "small"]


@pytest.mark.parametrize(
    "ask",
    [HARD, Ask("auto", "auto", 20, high_risk="legal"), Ask("auto", "auto", 20, escalated=NEAR_ESCALATED)],
    ids=["hard", "advice", "like one that went wrong"],
)
def test_nothing_that_was_proven_takes_a_prompt_that_needs_premium(ask: Ask):
    route = choose(ask, *LADDER, odds=[known(d, "proven", 0.0, 5_000) for d in (SMALL, QUICK, MIDDLE)])
    assert names(route)[0] == "grand"
    assert lost(route)["small"] == "below the premium tier, which this prompt needs"


def test_a_prompt_just_below_that_likeness_goes_its_usual_way():
    assert names(choose(Ask("auto", "auto", 20, escalated=NEAR_ESCALATED - 0.001), *LADDER))[0] == "small"


def test_a_premium_model_that_was_refused_is_passed_over_for_the_next():
    other = deployment("other", "premium", 12.0)
    route = choose(HARD, *LADDER, other, odds=[known(GRAND, "refused", -0.2, 60)])
    assert names(route)[0] == "other"
    assert names(route)[-1] == "grand"


def test_where_nobody_is_good_enough_the_dearest_of_the_unproven_answers_and_that_is_said():
    route = choose(TOOLS, SMALL, QUICK, odds=[])
    assert names(route) == ["quick", "small"]
    assert route.rule == "medium or better for tools; nobody is good enough"
    assert lost(route)["quick"] is None


@pytest.mark.parametrize("mode", ["cost", "quality", "speed"])
def test_the_other_modes_do_not_ask_what_is_known(mode: str):
    odds = [known(SMALL, "refused", -0.5, 900), known(GRAND, "refused", -0.5, 900)]
    assert names(choose(Ask("auto", mode, 20), *LADDER, odds=odds)) == names(choose(Ask("auto", mode, 20), *LADDER))


# --- what is told ---------------------------------------------------------------------------------------------------


def test_every_model_that_was_looked_at_is_told_with_what_it_lost_by():
    blind = deployment("blind", "economy", 0.05, can=Capabilities())
    twin = deployment("twin", "economy", 0.01, simulated=True)
    even = deployment("small-too", "economy", 0.1)
    speeds = Speeds()
    speeds.cool(MIDDLE.id, 10.0)
    route = choose(
        TOOLS, *LADDER, blind, even, twin, speeds=speeds, odds=[known(SMALL, "proven"), known(even, "proven")]
    )
    assert lost(route) == {
        "small": None,
        "small-too": "costs the same",
        "grand": "dearer",
        "quick": "unproven and below the tier this prompt needs (medium)",
        "middle": "it failed a moment ago",
        "twin": "simulated: it never stands in for a real model",
        "blind": "cannot serve tools",
    }
    assert {one.deployment for one in route.considered if one.odds is not None} == {SMALL.id, even.id}


def test_the_first_of_all_told_is_the_first_candidate_and_the_candidates_are_told_in_their_order():
    for mode in ("auto", "cost", "quality", "speed"):
        route = choose(Ask("auto", mode, 20), *LADDER)
        assert [one.deployment for one in route.considered] == [d.id for d in route.candidates]
        assert [one.lost for one in route.considered].count(None) == 1


# --- wishes of rules ------------------------------------------------------------------------------------------------


def test_a_rule_that_names_models_is_served_by_them_alone_in_its_order():
    route = choose(PLAIN, *LADDER, wish=Wish(models=("grand", "small")))
    assert names(route) == ["grand", "small"]
    assert (route.mode, route.rule) == ("cost", "models named by a rule")
    assert "middle" not in lost(route)


def test_a_client_that_names_a_model_outranks_the_rule():
    assert names(choose(Ask("quick", "auto", 20), *LADDER, wish=Wish(models=("grand",), tier="premium"))) == ["quick"]


def test_a_rule_none_of_whose_models_is_there_is_an_error_that_names_them():
    with pytest.raises(NoCapableModel, match=r"none of the models that the rule names .*: ghost, spectre"):
        choose(PLAIN, *LADDER, wish=Wish(models=("ghost", "spectre")))


def test_a_rule_that_names_a_tier_puts_it_first_and_keeps_the_others_for_failures():
    route = choose(PLAIN, *LADDER, wish=Wish(tier="medium"))
    assert names(route) == ["middle", "small", "quick", "grand"]
    assert lost(route)["small"] == "the rule asks for the medium tier"


def test_a_rule_that_names_a_tier_which_is_not_here_changes_nothing():
    assert names(choose(PLAIN, SMALL, GRAND, wish=Wish(tier="fast"))) == ["small", "grand"]


# --- cascade --------------------------------------------------------------------------------------------------------


def test_a_cascade_begins_with_the_same_model_and_has_the_reference_behind_it():
    route = choose(PLAIN, *LADDER, odds=[known(GRAND, "reference")], wish=Wish(cascade=True))
    assert route.cascade
    assert names(route) == ["small", "grand", "quick", "middle"]


def test_without_a_reference_the_best_tier_is_asked_in_doubt():
    assert names(choose(PLAIN, SMALL, QUICK, MIDDLE, wish=Wish(cascade=True))) == ["small", "middle", "quick"]


def test_one_that_failed_a_moment_ago_is_not_kept_for_doubts():
    speeds = Speeds()
    speeds.cool(GRAND.id, 10.0)
    assert names(choose(PLAIN, *LADDER, speeds=speeds, wish=Wish(cascade=True)))[:2] == ["small", "middle"]


@pytest.mark.parametrize("ask", [HARD, Ask("small", "auto", 20), Ask("auto", "cost", 20), Ask("auto", "quality", 20)])
def test_only_auto_cascades_and_only_where_premium_is_not_needed_anyway(ask: Ask):
    route = choose(ask, *LADDER, wish=Wish(cascade=True))
    assert not route.cascade
    assert names(route) == names(choose(ask, *LADDER))


def test_there_is_no_cascade_where_nobody_better_can_be_asked():
    assert not choose(PLAIN, SMALL, deployment("tiny", "economy", 0.2), wish=Wish(cascade=True)).cascade
