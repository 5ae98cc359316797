"""A conversation stays with its model where the provider's cached prompt is worth more than the saving."""

import msgspec
import pytest

from models_made_up import GRAND, LADDER, MIDDLE, QUICK, SMALL, choose, deployment, lost, names
from neuralrouting.catalog import Deployment, Price
from neuralrouting.exchange import Mode, Odds, Route
from neuralrouting.layers.routing import LEAST_CACHED_TOKENS, Ask, Stay, Wish
from neuralrouting.providers.speeds import Speeds


def caching(name: str, usd: float, cached_usd: float) -> Deployment:
    """A premium model whose cached input has a price of its own; a million tokens cost so many dollars."""
    paid, cached = int(usd * 1_000_000), int(cached_usd * 1_000_000)
    return msgspec.structs.replace(deployment(name, "premium"), price=Price(paid, paid, cached, paid, "v1", "made up"))


HERE, THERE = caching("here", 5.0, 0.5), caching("there", 3.0, 0.3)


def asked(
    prompt_tokens: int, *pool: Deployment, stay: Stay, ask: Ask | None = None, speeds: Speeds | None = None
) -> Route:
    ask = ask or Ask("auto", "auto", prompt_tokens, max_output_tokens=10)
    return choose(ask, *pool, speeds=speeds, wish=Wish(stay=stay))


def at(d: Deployment, cached: int, mode: Mode = "auto", *, said: int = 10, loop: bool = False) -> Stay:
    return Stay(d.id, mode, cached, said, tool_loop=loop)


def test_a_long_prompt_that_the_provider_has_seen_keeps_the_conversation():
    route = asked(10_000, HERE, THERE, stay=at(HERE, 9_000))
    assert names(route) == ["here", "there"]
    assert route.affinity == "stays: moving saves less than the provider's cached prompt"
    assert lost(route)["there"] == f"the conversation {route.affinity}"


def test_the_same_prompt_moves_when_the_provider_has_forgotten_it():
    route = asked(10_000, HERE, THERE, stay=at(HERE, 0))
    assert names(route) == ["there", "here"]
    assert route.affinity is None


def test_it_moves_exactly_when_moving_is_cheaper():
    # Staying costs 0.5 for what is cached and 5 for the rest, moving 3 for all: equal at 4 of 9 cached.
    for cached, first in ((3_999, "there"), (4_001, "here")):
        ask = Ask("auto", "auto", 9_000, max_output_tokens=1)
        assert names(asked(9_000, HERE, THERE, stay=at(HERE, cached, said=1), ask=ask))[0] == first


def test_what_is_too_short_to_be_cached_counts_as_new():
    prompt = LEAST_CACHED_TOKENS - 1
    assert names(asked(prompt, HERE, THERE, stay=at(HERE, prompt)))[0] == "there"
    assert names(asked(prompt + 1, HERE, THERE, stay=at(HERE, prompt + 1)))[0] == "here"


def test_long_answers_at_a_lower_price_outweigh_a_cached_prompt():
    ask = Ask("auto", "auto", 10_000)
    assert names(asked(0, HERE, THERE, stay=at(HERE, 9_000, said=100_000), ask=ask))[0] == "there"


def test_what_became_too_hard_goes_up():
    ask = Ask("auto", "auto", 10_000, complexity=8.0)
    assert names(asked(0, *LADDER, stay=at(SMALL, 10_000), ask=ask))[0] == "grand"


def test_and_comes_down_again_when_the_saving_is_worth_it():
    assert names(asked(1_500, *LADDER, stay=at(GRAND, 1_500)))[0] == "small"


def test_a_model_that_was_refused_since_is_left():
    stay = at(SMALL, 9_000)
    odds = [Odds(SMALL.id, enough=False, basis="refused", expected=-0.2, n=80)]
    route = choose(Ask("auto", "auto", 1_900), *LADDER, odds=odds, wish=Wish(stay=stay))
    assert names(route)[0] == "quick"


@pytest.mark.parametrize("mode", ["auto", "cost", "quality", "speed"])
@pytest.mark.parametrize("held", LADDER, ids=[d.model for d in LADDER])
def test_inside_a_tool_loop_it_never_moves(held: Deployment, mode: Mode):
    ask = Ask("auto", mode, 5_000, has_tools=True, complexity=9.9, high_risk="medical")
    route = asked(0, *LADDER, stay=at(held, 0, mode, loop=True), ask=ask)
    assert names(route)[0] == held.model
    assert route.affinity == "stays while its tool loop runs"


def test_a_tool_loop_moves_when_its_model_failed_a_moment_ago_or_cannot_serve():
    speeds = Speeds()
    speeds.cool(MIDDLE.id, 10.0)
    stay = at(MIDDLE, 0, loop=True)
    ask = Ask("auto", "auto", 20, has_tools=True)
    assert names(asked(0, *LADDER, stay=stay, ask=ask, speeds=speeds))[0] == "grand"
    gone = choose(ask, SMALL, QUICK, GRAND, wish=Wish(stay=stay))
    assert names(gone)[0] == "grand"


def test_who_asks_for_another_mode_in_the_middle_of_a_tool_loop_gets_it():
    ask = Ask("auto", "cost", 20, has_tools=True)
    assert names(asked(0, *LADDER, stay=at(GRAND, 0, "quality", loop=True), ask=ask))[0] == "small"


@pytest.mark.parametrize("mode", ["cost", "quality", "speed"])
def test_the_other_modes_do_not_stay_for_a_cached_prompt(mode: str):
    ask = Ask("auto", mode, 10_000, max_output_tokens=10)
    assert names(asked(0, *LADDER, stay=at(MIDDLE, 10_000), ask=ask)) == names(choose(ask, *LADDER))


def test_a_client_that_names_a_model_is_obeyed_in_a_tool_loop_too():
    assert names(asked(0, *LADDER, stay=at(GRAND, 0, loop=True), ask=Ask("small", "auto", 20))) == ["small"]


def test_a_tier_that_a_rule_asks_for_is_not_given_up_for_a_cached_prompt():
    tier, stay = Wish(tier="medium", stay=at(HERE, 10_000)), Ask("auto", "auto", 10_000, max_output_tokens=10)
    assert names(choose(stay, HERE, MIDDLE, wish=tier))[0] == "middle"


def test_what_has_no_price_is_not_kept_for_its_cache():
    unpriced = deployment("unpriced", "premium", None)
    assert names(asked(10_000, unpriced, THERE, stay=at(unpriced, 10_000)))[0] == "there"
