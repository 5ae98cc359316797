"""Reads a LiteLLM `config.yaml`: what means the same here moves over, everything else is listed."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from neuralrouting.config.providers import BUILT_IN_PROVIDERS
from neuralrouting.config.settings import Config
from neuralrouting.config.shape import mapping, merged
from neuralrouting.errors import ConfigError

_PROVIDERS: Final = {
    "openai": "openai", "anthropic": "anthropic", "groq": "groq", "together_ai": "together",
    "mistral": "mistral", "openrouter": "openrouter", "gemini": "google", "deepseek": "deepseek",
    "xai": "xai", "ollama": "ollama", "ollama_chat": "ollama", "hosted_vllm": "vllm", "vllm": "vllm",
}  # fmt: skip
"""LiteLLM's model prefixes and the provider each means here."""
_BARE_NAMES: Final = (
    ("gpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("claude", "anthropic"),
)
"""Names that LiteLLM understands without a prefix."""
_SECTIONS: Final = ("model_list", "litellm_settings", "general_settings", "router_settings")
_INFO: Final = {
    "max_input_tokens": "context_tokens",
    "max_output_tokens": "max_output_tokens",
    "supports_function_calling": "tools",
    "supports_vision": "vision",
    "supports_response_schema": "json_schema",
}
_COSTS: Final = {"input_cost_per_token": "input_usd_per_mtok", "output_cost_per_token": "output_usd_per_mtok"}

_REFERENCE: Final = "os.environ/"

_Raw = dict[str, Any]


class _Params(msgspec.Struct, frozen=True):
    model: str
    api_base: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    custom_llm_provider: str | None = None
    input_cost_per_token: float | str | None = None
    output_cost_per_token: float | str | None = None


class _Info(msgspec.Struct, frozen=True):
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    supports_function_calling: bool | None = None
    supports_vision: bool | None = None
    supports_response_schema: bool | None = None
    input_cost_per_token: float | str | None = None
    output_cost_per_token: float | str | None = None


class _Entry(msgspec.Struct, frozen=True):
    model_name: str
    litellm_params: _Params
    model_info: _Info = _Info()


def is_litellm(raw: Mapping[str, Any]) -> bool:
    """Tell LiteLLM's configuration from ours by its model list."""
    return "model_list" in raw


def translate(raw: Mapping[str, Any], environ: Mapping[str, str], source: str) -> tuple[_Raw, tuple[str, ...]]:
    """Return our settings and the notices of what was not used; our own sections in the file stay.

    Raises ConfigError where `model_list` does not have LiteLLM's shape, or refers to a variable that is not set.
    """
    return _Translation(raw, environ, source).result()


class _Translation:
    """One file on its way: collects providers, models and notices."""

    def __init__(self, raw: Mapping[str, Any], environ: Mapping[str, str], source: str) -> None:
        self._raw = raw
        self._environ = environ
        self._source = source
        self._notices: list[str] = []
        self._providers: dict[str, _Raw] = {}
        self._seen: set[tuple[str, str]] = set()

    def result(self) -> tuple[_Raw, tuple[str, ...]]:
        ours = {f.name for f in msgspec.structs.fields(Config)}
        kept: _Raw = {key: value for key, value in self._raw.items() if key in ours}
        try:
            entries = msgspec.convert(self._raw["model_list"] or [], list[_Entry])
        except msgspec.ValidationError as error:
            told = str(error) if " - at " in str(error) else f"{error} - at `$`"
            raise ConfigError(f"{self._source}: {told.replace('`$', '`model_list')}") from error
        models = [m for index, entry in enumerate(entries) if (m := self._model(entry, index))]
        self._general(kept)
        for section in ("litellm_settings", "router_settings"):
            self._unused(mapping(self._raw.get(section)) or {}, section)
        self._notices.extend(f"{k}: not used" for k in self._raw if k not in ours and k not in _SECTIONS)
        kept["providers"] = merged(self._providers, mapping(kept.get("providers")) or {})
        kept["models"] = [*models, *(kept.get("models") or [])]
        return kept, tuple(self._notices)

    def _general(self, kept: _Raw) -> None:
        general = dict(mapping(self._raw.get("general_settings")) or {})
        url = general.pop("database_url", None)
        if isinstance(url, str):
            kept.setdefault("database_url", self._resolved(url, "general_settings.database_url"))
        if general.pop("master_key", None) is not None:
            hint = "make keys with `neuralrouting keys create`"
            self._notices.append(f"general_settings.master_key: not used; {hint}")
        self._unused(general, "general_settings")

    def _model(self, entry: _Entry, index: int) -> _Raw | None:
        path, params = f"model_list[{index}]", entry.litellm_params
        self._unused_fields(path, self._raw["model_list"][index])
        base, upstream = _split(params)
        if base is None or "*" in entry.model_name + upstream:
            self._notices.append(f"{path}: {params.model!r} left out; its provider or wildcard is not supported")
            return None
        provider = self._provider(base, params, path)
        if (provider, entry.model_name) in self._seen:
            self._notices.append(f"{path}: left out; {provider}/{entry.model_name} stands in the list already")
            return None
        self._seen.add((provider, entry.model_name))
        facts = {ours: getattr(entry.model_info, theirs) for theirs, ours in _INFO.items()}
        for theirs, ours in _COSTS.items():
            cost = getattr(params, theirs)
            cost = getattr(entry.model_info, theirs) if cost is None else cost
            facts[ours] = self._usd_per_mtok(cost, f"{path}.{theirs}")
        told = {name: value for name, value in facts.items() if value is not None}
        return {"model": entry.model_name, "provider": provider, "upstream_model": upstream, **told}

    def _provider(self, base: str, params: _Params, path: str) -> str:
        """Return the provider for this base URL and key; each other pair becomes one more provider."""
        row: _Raw = {}
        if (url := params.api_base or params.base_url) is not None:
            row["base_url"] = _openai_path(base, self._resolved(url, f"{path}.api_base"))
        if params.api_key is not None:
            row["api_key"] = params.api_key
        number = 1
        while (name := base if number == 1 else f"{base}-{number}") in self._providers:
            if all(self._providers[name].get(key) == row.get(key) for key in ("base_url", "api_key")):
                return name
            number += 1
        self._providers[name] = row if number == 1 else {**_alike(base), **row}
        return name

    def _resolved(self, value: str, path: str) -> str:
        if not value.startswith(_REFERENCE):
            return value
        name = value.removeprefix(_REFERENCE)
        if not self._environ.get(name):
            raise ConfigError(f"{self._source}: {path}: the environment variable {name} is not set")
        return self._environ[name]

    def _usd_per_mtok(self, cost: float | str | None, path: str) -> str | None:
        if cost is None:
            return None
        try:
            return format((Decimal(str(cost)) * 1_000_000).normalize(), "f")
        except InvalidOperation as error:
            hint = "expected dollars per token, such as 0.0000025"
            raise ConfigError(f"{self._source}: {path}: {hint}") from error

    def _unused_fields(self, path: str, entry: _Raw) -> None:
        for at, value, known in (
            (path, entry, _Entry),
            (f"{path}.litellm_params", entry["litellm_params"], _Params),
            (f"{path}.model_info", entry.get("model_info") or {}, _Info),
        ):
            self._unused(set(value) - set(known.__struct_fields__), at)

    def _unused(self, keys: Iterable[str], path: str) -> None:
        self._notices.extend(f"{path}.{key}: not used" for key in sorted(map(str, keys)))


def _split(params: _Params) -> tuple[str | None, str]:
    """Return our provider, None where there is none, and the model's name there."""
    prefix, slash, rest = params.model.partition("/")
    if slash and prefix in _PROVIDERS:
        return _PROVIDERS[prefix], rest
    if params.custom_llm_provider is not None:
        return _PROVIDERS.get(params.custom_llm_provider), params.model
    bare = (provider for start, provider in _BARE_NAMES if not slash and params.model.startswith(start))
    return next(bare, None), params.model


def _openai_path(base: str, url: str) -> str:
    """LiteLLM speaks Ollama's own protocol at its root; we speak OpenAI's, which lives under /v1."""
    bare = base == "ollama" and urlsplit(url).path in ("", "/")
    return url.rstrip("/") + "/v1" if bare else url


def _alike(base: str) -> _Raw:
    """Return the built-in row as plain data, for one more provider of the same kind."""
    row = BUILT_IN_PROVIDERS[base]
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    return {**fields, "rename": dict(row.rename), "prices": row.prices or base}
