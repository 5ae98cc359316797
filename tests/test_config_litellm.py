"""A LiteLLM file moves over: models and providers are understood, the rest is listed."""

from pathlib import Path

import pytest

from neuralrouting.catalog import build_catalog
from neuralrouting.config import read, resolved_providers
from neuralrouting.errors import ConfigError

FILE = """
model_list:
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, rpm: 100}
  - model_name: cheap
    litellm_params: {model: groq/openai/gpt-oss-20b, api_key: os.environ/GROQ_API_KEY}
  - model_name: cheap
    litellm_params: {model: together_ai/meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo}
  - model_name: claude
    litellm_params: {model: claude-sonnet-5-5}
    model_info: {mode: chat, supports_vision: true}
  - model_name: home
    litellm_params: {model: ollama/qwen3, api_base: http://localhost:11434}
  - model_name: other-account
    litellm_params: {model: openai/gpt-4o, api_key: sk-literal}
  - model_name: ours
    litellm_params:
      model: openai/our-model
      api_base: os.environ/OUR_BASE
      api_key: none
      input_cost_per_token: 0.0000025
      output_cost_per_token: "1e-5"
  - model_name: azure
    litellm_params: {model: azure/gpt-4o, api_base: https://x.example.com}
  - model_name: "*"
    litellm_params: {model: "openai/*"}
litellm_settings: {drop_params: true, cache: true}
router_settings: {routing_strategy: least-busy}
general_settings: {master_key: sk-1234, database_url: os.environ/PG}
guardrails: []
cache: {ttl_days: 3}
"""
ENVIRON = {"OUR_BASE": "https://llm.example.com/v1", "PG": "postgresql://h/d", "HOME": "/h"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(FILE)
    return path


def test_models_and_providers_move_over(file: Path):
    config = read(file, ENVIRON).config
    moved = [(m.model, m.provider, m.upstream_model) for m in config.models]
    assert moved == [
        ("gpt-4o", "openai", "gpt-4o"),
        ("cheap", "groq", "openai/gpt-oss-20b"),
        ("cheap", "together", "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo"),
        ("claude", "anthropic", "claude-sonnet-5-5"),
        ("home", "ollama", "qwen3"),
        ("other-account", "openai-2", "gpt-4o"),
        ("ours", "openai-3", "our-model"),
    ]
    assert config.database_url == "postgresql://h/d"
    assert config.cache.ttl_days == 3


def test_each_pair_of_address_and_key_is_a_provider_of_its_own(file: Path):
    config = read(file, ENVIRON).config
    found = resolved_providers(config, {"OPENAI_API_KEY": "first", "GROQ_API_KEY": "g"})
    assert set(found) == {"openai", "openai-2", "openai-3", "groq", "ollama"}
    keys = {name: endpoint.api_key.reveal() for name, endpoint in found.items() if endpoint.api_key}
    assert keys == {"openai": "first", "openai-2": "sk-literal", "openai-3": "none", "groq": "g"}
    assert found["ollama"].base_url == "http://localhost:11434/v1"
    assert found["openai-3"].base_url == "https://llm.example.com/v1"


def test_what_is_not_used_is_listed(file: Path):
    notices = read(file, ENVIRON).notices
    for told in (
        "model_list[0].litellm_params.rpm: not used",
        "model_list[3].model_info.mode: not used",
        "model_list[7]: 'azure/gpt-4o' left out; its provider or wildcard is not supported",
        "model_list[8]: 'openai/*' left out; its provider or wildcard is not supported",
        "litellm_settings.cache: not used",
        "router_settings.routing_strategy: not used",
        "general_settings.master_key: not used; make keys with `neuralrouting keys create`",
        "guardrails: not used",
    ):
        assert told in notices
    assert not any("sk-" in notice for notice in notices)


def test_moved_models_have_prices_and_can_be_named(file: Path):
    config = read(file, ENVIRON).config
    catalog = build_catalog(config, resolved_providers(config, {"OPENAI_API_KEY": "k", "GROQ_API_KEY": "k"}), None)
    assert [d.id for d in catalog.named("other-account")] == ["openai-2/other-account"]
    (ours,) = catalog.named("ours")
    assert ours.price is not None
    assert (ours.price.input_picousd, ours.price.output_picousd) == (2_500_000, 10_000_000)
    (other,) = catalog.named("other-account")
    assert other.price is not None
    assert other.price.input_picousd == 2_500_000
    assert other.capabilities.tools
    (home,) = catalog.named("home")
    assert home.price is None
    assert "ollama/home: unpriced; its cost and saving are shown as unknown" in catalog.notices


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model_list: 5", "Expected `array`, got `int` - at `model_list`"),
        ("model_list: [{model_name: a}]", "missing required field `litellm_params` - at `model_list[0]`"),
        ("model_list: [{model_name: a, litellm_params: {model: 1}}]", "`model_list[0].litellm_params.model`"),
        (
            "model_list: [{model_name: a, litellm_params: {model: openai/a, api_base: os.environ/NOPE}}]",
            "model_list[0].api_base: the environment variable NOPE is not set",
        ),
        (
            "model_list: [{model_name: a, litellm_params: {model: openai/a, api_base: 'http://10.1.1.1'}}]",
            "allow_private: true",
        ),
        (
            "model_list: [{model_name: a, litellm_params: {model: openai/a, input_cost_per_token: free}}]",
            "model_list[0].input_cost_per_token: expected dollars per token",
        ),
    ],
)
def test_a_broken_list_is_told_with_its_place(tmp_path: Path, text: str, told: str):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read(path, {})
    assert told in caught.value.message
