"""Routing: who may serve a request and who is asked first, decided from values alone."""

import msgspec
import pytest

from models_made_up import GRAND, LADDER, MIDDLE, QUICK, SMALL, choose, deployment, names
from neuralrouting.catalog import VIRTUAL_MODELS, Capabilities, build_catalog
from neuralrouting.config import Config
from neuralrouting.errors import NoCapableModel, UnknownModel
from neuralrouting.layers.routing import (
    DEFAULT_OUTPUT_TOKENS,
    LONG_CONVERSATION,
    LONG_PROMPT_TOKENS,
    NO_ADVICE,
    SIMPLE_COMPLEXITY,
    Ask,
    Router,
    incapable,
)
from neuralrouting.providers.speeds import Speeds

# --- the rule of `auto` ---------------------------------------------------------------------------------------------


def test_auto_sends_a_short_plain_prompt_to_the_cheapest_and_then_up_by_price():
    route = choose(Ask("auto", "auto", 20), *LADDER)
    assert names(route) == ["small", "quick", "middle", "grand"]
    assert route.rule == "short and plain: cheapest"


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (Ask("auto", "auto", 20, has_tools=True), "tools"),
        (Ask("auto", "auto", 20, has_images=True), "images"),
        (Ask("auto", "auto", 20, json_mode="schema"), "JSON schema"),
        (Ask("auto", "auto", LONG_PROMPT_TOKENS), "long prompt"),
        (Ask("auto", "auto", 20, message_count=LONG_CONVERSATION), "long conversation"),
    ],
)
def test_auto_passes_the_lower_tiers_over_for_what_they_are_not_safe_with(ask: Ask, why: str):
    route = choose(ask, *LADDER)
    assert names(route) == ["middle", "grand", "quick", "small"]
    assert route.rule == f"medium or better for {why}"


@pytest.mark.parametrize(
    "ask",
    [
        Ask("auto", "auto", LONG_PROMPT_TOKENS - 1),
        Ask("auto", "auto", 20, message_count=LONG_CONVERSATION - 1),
        Ask("auto", "auto", 20, json_mode="object"),
        Ask("auto", "auto", 20, complexity=SIMPLE_COMPLEXITY),
        Ask("auto", "auto", 20, high_risk=NO_ADVICE),
    ],
)
def test_auto_stays_at_the_bottom_just_below_its_limits(ask: Ask):
    assert names(choose(ask, *LADDER))[0] == "small"


def test_auto_names_every_reason_it_had():
    ask = Ask("auto", "auto", LONG_PROMPT_TOKENS, has_tools=True)
    assert choose(ask, *LADDER).rule == "medium or better for tools, long prompt"


def test_auto_takes_a_lower_tier_where_there_is_no_other():
    assert names(choose(Ask("auto", "auto", 20, has_tools=True), SMALL, QUICK)) == ["quick", "small"]


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (Ask("auto", "auto", 20, complexity=7.2), "complexity 7.2"),
        (Ask("auto", "auto", 20, high_risk="medical"), "medical advice"),
        (Ask("auto", "auto", 20, high_risk="mental_health"), "mental health advice"),
        (Ask("auto", "auto", 20, complexity=6.1, high_risk="legal"), "complexity 6.1, legal advice"),
        (Ask("auto", "auto", LONG_PROMPT_TOKENS, has_tools=True, complexity=8.0), "complexity 8.0"),
    ],
)
def test_auto_gives_what_is_hard_or_could_hurt_to_the_premium_tier_and_says_why(ask: Ask, why: str):
    route = choose(ask, *LADDER, deployment("grander", "premium", 20.0))
    assert names(route) == ["grand", "grander", "middle", "quick", "small"]
    assert route.rule == f"premium for {why}"


def test_without_a_premium_model_auto_goes_down_from_the_dearest():
    assert names(choose(Ask("auto", "auto", 20, complexity=9.0), SMALL, QUICK, MIDDLE)) == ["middle", "quick", "small"]


def test_a_premium_model_that_cannot_serve_is_passed_over_for_one_that_can():
    blind = deployment("blind", "premium", 9.0, can=Capabilities(tools=True))
    ask = Ask("auto", "auto", 20, has_images=True, high_risk="medical")
    assert names(choose(ask, blind, MIDDLE, SMALL)) == ["middle", "small"]


@pytest.mark.parametrize("ask", [Ask("small", "auto", 20), *(Ask("auto", m, 20) for m in ("cost", "quality", "speed"))])
def test_only_auto_looks_at_how_hard_a_prompt_is(ask: Ask):
    hard = msgspec.structs.replace(ask, complexity=10.0, high_risk="medical")
    assert choose(hard, *LADDER) == choose(ask, *LADDER)


# --- the other modes ------------------------------------------------------------------------------------------------


def test_cost_goes_up_by_price_and_asks_the_unpriced_last():
    unpriced = deployment("unpriced", "economy", None)
    assert names(choose(Ask("auto", "cost", 20), unpriced, *LADDER)) == [
        "small",
        "quick",
        "middle",
        "grand",
        "unpriced",
    ]


def test_quality_goes_down_by_tier_and_in_it_by_price_with_measured_quality_for_ties():
    better, worse = deployment("better", "premium", 5.0, quality=0.9), deployment("worse", "premium", 5.0, quality=0.7)
    route = choose(Ask("auto", "quality", 20), *LADDER, worse, better)
    assert names(route) == ["grand", "better", "worse", "middle", "quick", "small"]


def test_quality_does_not_take_an_unpriced_model_for_the_dearest():
    assert names(choose(Ask("auto", "quality", 20), deployment("unpriced", "premium", None), GRAND))[0] == "grand"


def test_speed_before_anything_is_measured_is_the_fast_tier_then_the_cheapest():
    route = choose(Ask("auto", "speed", 20), *LADDER)
    assert names(route) == ["quick", "small", "middle", "grand"]
    assert route.rule == "fast tier, not measured yet"


def test_speed_prefers_what_was_measured_and_of_that_the_fastest_to_the_last_token():
    speeds = Speeds()
    speeds.learn(GRAND.id, 100_000, 100, 1_000_000)  # 100 tokens/s after 0.1 s
    speeds.learn(MIDDLE.id, 10_000, 10, 1_000_000)  # 10 tokens/s after 0.01 s
    speeds.learn(QUICK.id, 900_000, 10, 9_000_000)
    route = choose(Ask("auto", "speed", 20), *LADDER, speeds=speeds)
    assert names(route) == ["grand", "middle", "quick", "small"]
    assert route.rule == "fastest measured"


def test_speed_measures_the_fast_tier_once_before_it_keeps_to_what_it_knows():
    speeds = Speeds()
    speeds.learn(GRAND.id, 100_000, 100, 1_000_000)
    route = choose(Ask("auto", "speed", 20), *LADDER, speeds=speeds)
    assert names(route) == ["quick", "grand", "small", "middle"]
    assert route.rule == "fast tier, not measured yet"


def test_speed_reckons_with_the_length_of_the_answer():
    speeds = Speeds()
    speeds.learn(GRAND.id, 100_000, 100, 1_000_000)  # 0.11 s to one token, 0.6 s to fifty
    speeds.learn(MIDDLE.id, 10_000, 50, 1_000_000)  # 0.03 s to one token, 1.01 s to fifty
    for tokens, fastest in ((1, "middle"), (50, "grand")):
        ask = Ask("auto", "speed", 20, max_output_tokens=tokens)
        assert names(choose(ask, GRAND, MIDDLE, speeds=speeds))[0] == fastest


@pytest.mark.parametrize("mode", ["auto", "cost", "quality", "speed"])
def test_one_that_failed_a_moment_ago_is_asked_last_until_it_has_cooled(mode: str):
    speeds = Speeds()
    first = choose(Ask("auto", mode, 20), *LADDER).candidates[0]
    speeds.cool(first.id, 10.0)
    assert choose(Ask("auto", mode, 20), *LADDER, speeds=speeds, now_s=9.9).candidates[-1] == first
    assert choose(Ask("auto", mode, 20), *LADDER, speeds=speeds, now_s=10.0).candidates[0] == first


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, *VIRTUAL_MODELS])
def test_no_name_and_the_virtual_names_mean_choose_for_me(name: str | None):
    assert len(choose(Ask(name, "auto", 20), *LADDER).candidates) == len(LADDER)


def test_a_forced_name_is_served_by_all_who_have_it_cheapest_first_and_by_no_one_else():
    here, there = deployment("llama", usd=2.0, provider="here"), deployment("llama", usd=1.0, provider="there")
    route = choose(Ask("llama", "auto", 20, has_tools=True), here, there, SMALL)
    assert [d.id for d in route.candidates] == ["there/llama", "here/llama"]
    assert (route.mode, route.rule) == ("cost", "forced")


def test_a_forced_id_is_that_deployment_alone():
    here, there = deployment("llama", usd=2.0, provider="here"), deployment("llama", usd=1.0, provider="there")
    assert [d.id for d in choose(Ask("here/llama", "auto", 20), here, there).candidates] == ["here/llama"]


def test_a_forced_name_with_a_mode_is_ordered_by_that_mode():
    here, there = deployment("llama", usd=2.0, provider="here"), deployment("llama", usd=1.0, provider="there")
    route = choose(Ask("llama", "quality", 20), there, here)
    assert [d.id for d in route.candidates] == ["here/llama", "there/llama"]
    assert route.mode == "quality"


def test_an_alias_is_a_name():
    aliased = deployment("grand-2026-11-22", "premium", 9.0, aliases=("grand-latest",))
    assert names(choose(Ask("grand-latest", "auto", 20), SMALL, aliased)) == ["grand-2026-11-22"]


def test_an_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(UnknownModel, match=r"'midle'; did you mean 'middle'\?") as caught:
        choose(Ask("midle", "auto", 20), *LADDER)
    assert caught.value.param == "model"


# --- who cannot -----------------------------------------------------------------------------------------------------

NOTHING = Capabilities()


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (Ask(None, "auto", 20, has_tools=True), "tools"),
        (Ask(None, "auto", 20, has_images=True), "images"),
        (Ask(None, "auto", 20, has_audio=True), "audio"),
        (Ask(None, "auto", 20, json_mode="object"), "JSON mode"),
        (Ask(None, "auto", 20, json_mode="schema"), "a JSON schema"),
        (Ask(None, "auto", 20, logprobs=True), "log probabilities"),
    ],
)
def test_a_capability_that_is_missing_is_told_and_one_that_is_there_is_not(ask: Ask, reason: str):
    assert incapable(deployment("plain", can=NOTHING), ask) == reason
    assert incapable(deployment("able"), ask) is None


def test_prompt_and_answer_must_fit_into_the_context_together():
    assert incapable(SMALL, Ask(None, "auto", 100_000 - DEFAULT_OUTPUT_TOKENS)) is None
    assert incapable(SMALL, Ask(None, "auto", 100_001 - DEFAULT_OUTPUT_TOKENS)) == "a context of 100001 tokens"
    assert incapable(SMALL, Ask(None, "auto", 99_999, max_output_tokens=1)) is None


def test_when_nobody_can_the_error_says_what_was_missing():
    plain = deployment("plain", can=NOTHING)
    with pytest.raises(NoCapableModel, match=r"the models configured here do not .* with images and tools"):
        choose(Ask(None, "auto", 20, has_tools=True, has_images=True),
               plain, deployment("looks", can=Capabilities(tools=True)))  # fmt: skip
    with pytest.raises(NoCapableModel, match=r"plain does not .* with tools"):
        choose(Ask("plain", "auto", 20, has_tools=True), plain, GRAND)


def test_without_any_model_the_error_says_how_to_get_one():
    with pytest.raises(NoCapableModel, match="set a provider key"):
        choose(Ask(None, "auto", 20))


# --- what is simulated ----------------------------------------------------------------------------------------------

TWIN = deployment("twin", "premium", 0.5, simulated=True)


@pytest.mark.parametrize("mode", ["auto", "cost", "quality", "speed"])
def test_a_real_model_never_falls_back_to_a_simulated_one(mode: str):
    route = choose(Ask(None, mode, 20), SMALL, TWIN, MIDDLE)
    assert len({d.simulated for d in route.candidates}) == 1


def test_a_real_name_means_the_real_model_and_the_twin_is_reached_by_its_own():
    real, twin = deployment("grand", "premium", 9.0), deployment("grand", "premium", 9.0, simulated=True)
    assert [d.id for d in choose(Ask("grand", "auto", 20), twin, real).candidates] == ["acme/grand"]
    assert [d.id for d in choose(Ask("simulated/grand", "auto", 20), twin, real).candidates] == ["simulated/grand"]


def test_a_test_key_reaches_simulated_and_local_models_only():
    catalog = build_catalog(Config(), ["openai", "groq", "simulated"], "smol")
    router = Router(catalog, VIRTUAL_MODELS)
    for mode in ("auto", "cost", "quality", "speed"):
        for tools in (False, True):
            route = router.choose(Ask("auto", mode, 20, has_tools=tools, live=False), Speeds(), 0.0)
            assert all(d.simulated or d.provider == "local" for d in route.candidates)
    forced = router.choose(Ask("gpt-4o", "auto", 20, live=False), Speeds(), 0.0)
    assert [d.id for d in forced.candidates] == ["simulated/gpt-4o"]
    live = router.choose(Ask("gpt-4o", "auto", 20), Speeds(), 0.0)
    assert [d.id for d in live.candidates] == ["openai/gpt-4o"]
