"""The reference: the configured model, else the baseline, else the best premium one; real before simulated."""

import msgspec
import pytest

from neuralrouting.catalog import Catalog, blended_picousd, build_catalog
from neuralrouting.config import Config, RoutingConfig, SimulatedConfig
from neuralrouting.errors import ConfigError


def _catalog(*providers: str, simulated: str = "auto", **routing: str) -> Catalog:
    config = Config(routing=msgspec.convert(routing, RoutingConfig), simulated=SimulatedConfig(enabled=simulated))  # type: ignore[arg-type]
    return build_catalog(config, providers, None)


def _reference(catalog: Catalog) -> str | None:
    return catalog.reference.id if catalog.reference is not None else None


def test_it_is_the_baseline_where_that_can_be_reached():
    assert _reference(_catalog("openai", "anthropic")) == "openai/gpt-4o"
    assert _reference(_catalog("openai", baseline_model="gpt-6-astra")) == "openai/gpt-6-astra"


def test_it_is_the_configured_model_before_all_others():
    assert _reference(_catalog("openai", "anthropic", reference_model="claude-opus-5-5")) == "anthropic/claude-opus-5-5"
    assert _reference(_catalog("openai", reference_model="openai/gpt-6.1-sol")) == "openai/gpt-6.1-sol"


def test_a_configured_model_that_cannot_be_reached_is_replaced_and_told():
    catalog = _catalog("openai", reference_model="claude-opus-5-5")
    assert _reference(catalog) == "openai/gpt-4o"
    assert any("claude-opus-5-5" in notice and "openai/gpt-4o" in notice for notice in catalog.notices)


def test_a_configured_model_that_nobody_knows_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"gpt-4oo.*did you mean 'gpt-4o'"):
        _catalog("openai", reference_model="gpt-4oo")


def test_without_the_baseline_it_is_the_dearest_premium_model():
    catalog = _catalog("anthropic")
    premium = [d for d in catalog.servable if d.tier == "premium" and d.price is not None]
    assert catalog.reference == max(premium, key=lambda d: blended_picousd(d.price) if d.price else 0)


def test_a_real_premium_model_goes_before_a_simulated_baseline():
    assert _reference(_catalog("anthropic", "simulated", simulated="on")) == "anthropic/claude-opus-5-5"
    assert _reference(_catalog("simulated")) == "simulated/gpt-4o"


def test_where_no_premium_model_can_be_reached_there_is_none():
    catalog = _catalog("groq", simulated="off")
    assert (catalog.reference, catalog.candidates) == (None, ())


def test_candidates_are_the_cheaper_real_ones_cheapest_first():
    catalog = _catalog("openai", "anthropic", simulated="on")
    assert catalog.reference is not None
    assert catalog.reference.price is not None
    dear = blended_picousd(catalog.reference.price)
    prices = [blended_picousd(d.price) for d in catalog.candidates if d.price is not None]
    assert len(prices) == len(catalog.candidates) > 2
    assert prices == sorted(prices)
    assert max(prices) < dear
    assert not any(d.simulated for d in catalog.candidates)
    assert set(catalog.candidates) <= set(catalog.servable)


def test_every_worker_that_reads_the_catalog_has_the_same_reference():
    catalog = _catalog("openai", "anthropic", reference_model="claude-opus-5-5")
    assert msgspec.json.decode(msgspec.json.encode(catalog), type=Catalog) == catalog
