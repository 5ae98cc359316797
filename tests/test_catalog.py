"""The catalog: prices as integers, tiers by data, and who can be reached with which keys."""

from collections.abc import Iterable
from datetime import date
from fractions import Fraction
from importlib.metadata import version

import genai_prices.data_snapshot
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.catalog import (
    VIRTUAL_MODELS,
    Catalog,
    Deployment,
    Price,
    blended_picousd,
    build_catalog,
    cost_nanousd,
    tier_of,
)
from neuralrouting.config import BUILT_IN_PROVIDERS, Config, LocalConfig, ModelConfig, RoutingConfig, SimulatedConfig
from neuralrouting.errors import ConfigError

TODAY = date(2026, 11, 22)
LOCAL = "smollm2-135m-instruct"


def catalog(*providers: str, local: str | None = None, today: date = TODAY, **config: object) -> Catalog:
    return build_catalog(Config(**config), providers, local, today)


def known(name: str, today: date = TODAY) -> Deployment:
    return next(d for d in catalog(today=today).known if d.id == name)


def ids(deployments: Iterable[Deployment]) -> list[str]:
    return [d.id for d in deployments]


# --- prices ---------------------------------------------------------------------------------------------------------

prices = st.builds(
    Price,
    *[st.integers(0, 10**11)] * 4,
    version=st.just("v"),
    source=st.just("s"),
    steps=st.lists(st.tuples(*[st.integers(1, 10**7)] * 5), max_size=3).map(lambda s: tuple(sorted(s))),
)
counts = st.integers(-(10**9), 10**9)


@given(prices, counts, counts, counts, counts)
def test_a_cost_is_a_whole_number_and_never_negative(
    price: Price, prompt: int, completion: int, cached: int, written: int
):
    cost = cost_nanousd(price, prompt, completion, cached, written)
    assert type(cost) is int
    assert cost >= 0


@given(prices, st.integers(0, 10**7), st.integers(0, 10**7), st.data())
def test_a_cost_is_the_exact_sum_rounded_once_half_up(price: Price, prompt: int, completion: int, data: st.DataObject):
    cached = data.draw(st.integers(0, prompt))
    written = data.draw(st.integers(0, prompt - cached))
    rates = (price.input_picousd, price.cached_input_picousd, price.cache_write_picousd, price.output_picousd)
    for start, *step in price.steps:
        if prompt >= start:
            rates = tuple(step)
    exact = Fraction(
        (prompt - cached - written) * rates[0] + cached * rates[1] + written * rates[2] + completion * rates[3], 1000
    )
    cost = cost_nanousd(price, prompt, completion, cached, written)
    assert exact - Fraction(1, 2) < cost <= exact + Fraction(1, 2)


@given(prices, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**6))
def test_more_answer_never_costs_less(price: Price, prompt: int, completion: int, more: int):
    assert cost_nanousd(price, prompt, completion + more) >= cost_nanousd(price, prompt, completion)


def test_gpt_4o_costs_what_its_list_says():
    price = known("openai/gpt-4o").price
    assert price is not None
    assert cost_nanousd(price, 1_000_000, 0) == 2_500_000_000
    assert cost_nanousd(price, 0, 1_000_000) == 10_000_000_000
    assert cost_nanousd(price, 1_000_000, 0, cached_tokens=1_000_000) == 1_250_000_000
    assert cost_nanousd(price, 1, 0) == 2_500


def test_a_long_prompt_pays_the_higher_step_for_all_its_tokens():
    price = known("anthropic/claude-haiku-5-5").price
    assert price is not None
    assert cost_nanousd(price, 100_000, 0) == 10_000_000
    assert cost_nanousd(price, 100_001, 0) == 50_000_500


def test_a_price_is_the_one_of_the_day():
    before, after = known("google/gemini-4-argon"), known("google/gemini-4-argon", date(2026, 12, 1))
    assert before.price is not None
    assert after.price is not None
    assert (before.price.input_picousd, after.price.input_picousd) == (2_000_000, 4_000_000)
    assert before.price.version == f"genai-prices {version('genai-prices')} (2026-11-22)"
    assert before.price.source.startswith("https://")


def test_prices_agree_with_the_package_for_every_shipped_model():
    snapshot = genai_prices.data_snapshot.get_snapshot()
    for d in catalog().known:
        if d.provider == "local":
            continue
        _, info = snapshot.find_provider_model(d.upstream_model, None, d.provider, None)
        for prompt in (1_000, d.context_tokens - 1):
            usage = genai_prices.Usage(input_tokens=prompt, output_tokens=1_000)
            paid = genai_prices.calc_price(usage, d.upstream_model, provider_id=d.provider).total_price
            assert d.price is not None
            assert cost_nanousd(d.price, prompt, 1_000) == paid * 10**9
        if info.context_window is not None:
            assert d.context_tokens <= info.context_window


# --- tiers ----------------------------------------------------------------------------------------------------------


def priced(usd_per_mtok: float) -> Price:
    picousd = int(usd_per_mtok * 1_000_000)
    return Price(picousd, picousd, picousd, picousd, "v", "s")


@pytest.mark.parametrize(
    ("usd", "context", "fast", "tier"),
    [
        (0.499999, 128_000, False, "economy"),
        (0.5, 128_000, False, "medium"),
        (3.499999, 128_000, False, "medium"),
        (3.5, 128_000, False, "premium"),
        (0.1, 128_000, True, "fast"),
        (3.5, 128_000, True, "premium"),
        (2.0, 31_999, False, "economy"),
        (0.1, 31_999, True, "economy"),
        (9.0, 8_000, False, "premium"),
    ],
)
def test_a_tier_follows_from_price_context_and_hardware(usd: float, context: int, *, fast: bool, tier: str):
    assert tier_of(priced(usd), context, fast_hardware=fast) == tier


def test_a_model_without_a_price_is_medium():
    assert tier_of(None, 128_000, fast_hardware=False) == "medium"


@pytest.mark.parametrize("day", [TODAY, date(2026, 12, 1), date(2027, 1, 1)])
def test_every_shipped_model_stands_in_the_tier_of_the_rule(day: date):
    tiers: dict[str, set[str]] = {}
    for d in catalog(today=day).known:
        row = BUILT_IN_PROVIDERS.get(d.provider)
        fast = row is not None and row.fast_hardware
        assert d.tier == tier_of(d.price, d.context_tokens, fast_hardware=fast), d.id
        tiers.setdefault(d.tier, set()).add(d.model)
    assert tiers == {
        "economy": {"gpt-4o-mini", "gpt-6-luna", "claude-haiku-5-5", "llama-3.1-8b", LOCAL},
        "medium": {"gpt-6.1-terra", "gemini-3.8-flash", "gemini-3.5-flash-lite", "llama-3.1-70b"},
        "premium": {
            "gpt-4o", "gpt-6-astra", "gpt-6.1-sol", "claude-3-5-sonnet", "claude-opus-5-5", "claude-sonnet-5-5",
            "gemini-4-argon",
        },
        "fast": {"gpt-oss-120b", "gpt-oss-20b", "llama-3.1-8b", "llama-3.1-70b"},
    }  # fmt: skip


def test_tiers_are_ordered_by_price():
    bands: dict[str, list[int]] = {"economy": [], "medium": [], "premium": []}
    for d in catalog().known:
        if d.tier in bands and d.price is not None:
            bands[d.tier].append(blended_picousd(d.price))
    assert max(bands["economy"]) < min(bands["medium"])
    assert max(bands["medium"]) < min(bands["premium"])


def test_quality_stands_only_where_it_was_measured():
    for d in catalog().known:
        assert (d.quality is None) == (d.quality_source is None)
        assert d.quality is None or (0 < d.quality < 1 and "ZeroEval" in (d.quality_source or ""))


# --- who can be reached ---------------------------------------------------------------------------------------------


def test_without_a_key_simulated_twins_stand_in_and_say_so():
    c = catalog(local=LOCAL)
    assert ids(c.servable)[0] == f"local/{LOCAL}"
    assert {d.tier for d in c.servable if d.simulated} == {"medium", "premium", "fast"}
    assert all(d.provider == "simulated" and d.id.startswith("simulated/") for d in c.servable if d.simulated)
    (twin,) = c.named("gpt-4o")
    assert (twin.id, twin.simulated, twin.upstream_model) == ("simulated/gpt-4o", True, "gpt-4o")
    assert (twin.price, twin.capabilities) == (c.baseline.price, c.baseline.capabilities)
    assert ids(c.named("gpt-4o-mini")) == ["simulated/gpt-4o-mini"]


def test_without_a_local_model_the_economy_tier_is_simulated_too():
    assert {d.tier for d in catalog().servable} == {"economy", "medium", "premium", "fast"}
    assert all(d.simulated for d in catalog().servable)


def test_once_a_provider_can_be_called_routing_sees_no_simulated_model():
    c = catalog("openai", local=LOCAL)
    assert not any(d.simulated for d in c.servable)
    assert ids(c.named("gpt-4o")) == ["openai/gpt-4o"]
    assert ids(c.named("simulated/gpt-4o")) == ["simulated/gpt-4o"]
    assert c.named("claude-opus-5-5") == ()
    assert "set ANTHROPIC_API_KEY" in c.missing("claude-opus-5-5")


def test_simulated_on_fills_empty_tiers_beside_real_ones():
    c = catalog("openai", simulated=SimulatedConfig(enabled="on"))
    assert {d.tier for d in c.servable if d.simulated} == {"fast"}
    assert ids(c.named("gpt-4o")) == ["openai/gpt-4o"]
    assert ids(c.named("claude-opus-5-5")) == ["simulated/claude-opus-5-5"]
    assert ids(c.named("simulated/gpt-4o")) == ["simulated/gpt-4o"]


def test_simulated_off_means_none():
    c = catalog(simulated=SimulatedConfig(enabled="off"))
    assert c.servable == c.by_name_only == ()
    assert c.named("simulated/gpt-4o") == ()


def test_a_test_key_reaches_simulated_and_local_models_only():
    c = catalog("openai", "groq", local=LOCAL)
    assert all(d.simulated or d.provider == "local" for d in c.reachable(live=False))
    assert ids(c.named("gpt-4o", live=False)) == ["simulated/gpt-4o"]
    assert ids(c.named("gpt-4o", live=True)) == ["openai/gpt-4o"]


def test_the_same_model_at_two_providers_answers_to_one_name():
    c = catalog("together", "groq", models=(ModelConfig(model="llama-3.1-8b", provider="groq"),))
    assert ids(c.named("llama-3.1-8b")) == ["groq/llama-3.1-8b", "together/llama-3.1-8b"]
    assert len({d.id for d in (*c.known, *c.servable, *c.by_name_only)}) == len(
        [*c.known, *(d for d in (*c.servable, *c.by_name_only) if d.simulated)]
    )


def test_a_retired_model_is_never_routed_to_but_may_be_named():
    c = catalog("anthropic", "groq")
    assert "anthropic/claude-3-5-sonnet" not in ids(c.servable)
    assert ids(c.named("claude-3.5-sonnet")) == ["anthropic/claude-3-5-sonnet"]
    assert "openai/gpt-4o" in ids(catalog("openai", today=date(2027, 1, 13)).servable)
    assert "openai/gpt-4o" not in ids(catalog("openai", today=date(2027, 1, 14)).servable)


def test_an_operator_who_names_a_retired_model_has_it():
    c = catalog("groq", models=(ModelConfig(model="llama-3.1-8b", provider="groq"),))
    assert "groq/llama-3.1-8b" in ids(c.servable)


def test_the_local_model_costs_nothing_by_declaration():
    c = catalog(local="my-model")
    (local,) = c.named("my-model")
    assert (local.id, local.tier, local.simulated) == ("local/my-model", "economy", False)
    assert local.price is not None
    assert cost_nanousd(local.price, 10_000, 10_000) == 0
    assert local.price.source == "own hardware: no provider bill"
    assert not local.capabilities.tools


def test_a_row_for_the_local_model_tells_what_it_can():
    rows = (ModelConfig(model="my-model", provider="local", tools=True, context_tokens=40_000),)
    (local,) = catalog(local="my-model", models=rows).named("my-model")
    assert local.capabilities.tools
    assert local.context_tokens == 40_000


def test_an_overlay_changes_only_what_it_says():
    rows = (ModelConfig(model="gpt-4o", provider="openai", input_usd_per_mtok="1.5", output_usd_per_mtok="6"),)
    c = catalog("openai", models=rows)
    (d,) = c.named("gpt-4o")
    assert d.price is not None
    assert (d.price.input_picousd, d.price.output_picousd, d.tier) == (1_500_000, 6_000_000, "medium")
    assert d.capabilities.tools
    assert d.aliases == ("gpt-4o-2024-08-06", "gpt-4o-2024-11-20")
    assert d.price.version == "declared 1.5/6"


def test_an_unknown_model_is_unpriced_and_the_operator_is_told():
    c = catalog("openai", models=(ModelConfig(model="mystery", provider="openai"),))
    (d,) = c.named("mystery")
    assert (d.price, d.tier, d.context_tokens) == (None, "economy", 8_192)
    assert [n.split(":")[0] for n in c.notices] == ["openai/mystery"] * 2


def test_the_baseline_is_gpt_4o_unless_told():
    assert catalog().baseline.id == "openai/gpt-4o"
    assert catalog(routing=RoutingConfig(baseline_model="claude-opus-5.5")).baseline.model == "claude-opus-5-5"


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"routing": RoutingConfig(baseline_model="gpt-5000")}, "routing.baseline_model: no model 'gpt-5000'"),
        (
            {
                "routing": RoutingConfig(baseline_model="mystery"),
                "models": (ModelConfig(model="mystery", provider="openai"),),
            },
            "has no price",
        ),
        ({"models": (ModelConfig(model="auto", provider="openai"),)}, "'auto' is a name of our own"),
        (
            {"models": (ModelConfig(model="a", provider="openai", input_usd_per_mtok="1"),)},
            "give input_usd_per_mtok and output_usd_per_mtok together",
        ),
    ],
)
def test_a_catalog_that_cannot_be_is_told(config: dict[str, object], told: str):
    with pytest.raises(ConfigError) as caught:
        catalog(**config)
    assert told in caught.value.message


def test_a_name_nobody_has_gets_the_nearest_one():
    assert "did you mean 'gpt-4o'?" in catalog().missing("gpt-4oo")
    assert not {n for d in catalog().known for n in (d.model, *d.aliases)} & set(VIRTUAL_MODELS)


def test_the_local_model_says_what_it_needs():
    assert "neuralrouting[local]" in catalog("openai").missing(LOCAL)
    off = build_catalog(Config(local=LocalConfig(model_path="/m/Qwen3-4B.gguf")), ["openai"], None, TODAY)
    assert "local/qwen3-4b" in off.unreachable
