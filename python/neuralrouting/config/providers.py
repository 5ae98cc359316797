"""The providers we know, a row of data each, and which of them can be reached with the keys at hand."""

import ipaddress
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

import msgspec

from neuralrouting.config.secret import Secret
from neuralrouting.config.settings import Config, ProviderConfig
from neuralrouting.errors import ConfigError

_OLD_LIMIT: Final = {"max_completion_tokens": "max_tokens"}
"""These know the answer's limit only by its older name."""

BUILT_IN_PROVIDERS: Final[Mapping[str, ProviderConfig]] = {
    "openai": ProviderConfig(base_url="https://api.openai.com/v1", api_key_env="OPENAI_API_KEY"),
    "anthropic": ProviderConfig(
        kind="anthropic", base_url="https://api.anthropic.com", api_key_env="ANTHROPIC_API_KEY"
    ),
    # Groq answers 400 to logprobs: its models lack that capability. Nothing is dropped in silence.
    "groq": ProviderConfig(base_url="https://api.groq.com/openai/v1", api_key_env="GROQ_API_KEY", fast_hardware=True),
    "together": ProviderConfig(
        base_url="https://api.together.xyz/v1", api_key_env="TOGETHER_API_KEY", rename=_OLD_LIMIT
    ),
    # Mistral answers 422 to fields it does not know (extra_forbidden).
    "mistral": ProviderConfig(
        base_url="https://api.mistral.ai/v1",
        api_key_env="MISTRAL_API_KEY",
        rename={**_OLD_LIMIT, "seed": "random_seed"},
    ),
    "openrouter": ProviderConfig(base_url="https://openrouter.ai/api/v1", api_key_env="OPENROUTER_API_KEY"),
    "google": ProviderConfig(
        base_url="https://generativelanguage.googleapis.com/v1beta/openai", api_key_env="GEMINI_API_KEY"
    ),
    "deepseek": ProviderConfig(
        base_url="https://api.deepseek.com/v1", api_key_env="DEEPSEEK_API_KEY", rename=_OLD_LIMIT
    ),
    "xai": ProviderConfig(base_url="https://api.x.ai/v1", api_key_env="XAI_API_KEY", prices="x-ai"),
    "ollama": ProviderConfig(base_url="http://127.0.0.1:11434/v1", rename=_OLD_LIMIT),
    "vllm": ProviderConfig(base_url="http://127.0.0.1:8000/v1"),
}


class ProviderEndpoint(msgspec.Struct, frozen=True):
    """A provider that can be called: everything its client needs. `base_url` has no slash at its end."""

    name: str
    kind: Literal["openai", "anthropic"]
    base_url: str
    api_key: Secret | None = None
    rename: tuple[tuple[str, str], ...] = ()
    drop: tuple[str, ...] = ()


def provider_rows(config: Config) -> dict[str, ProviderConfig]:
    """Return all providers by name: the built-in ones, and over them what is configured."""
    return {**BUILT_IN_PROVIDERS, **config.providers}


def resolved_providers(config: Config, environ: Mapping[str, str]) -> dict[str, ProviderEndpoint]:
    """Return the providers that can be called: those with a key, and configured ones that need none.

    Raises ConfigError for a provider without a URL, a URL we do not dial, and a key no header can carry.
    """
    endpoints: dict[str, ProviderEndpoint] = {}
    for name, row in provider_rows(config).items():
        key = _key(name, row, environ)
        needs_key = row.api_key_env is not None
        if (needs_key and not key) or (not needs_key and name not in config.providers):
            continue
        endpoints[name] = ProviderEndpoint(
            name, row.kind, checked_base_url(name, row), key, tuple(row.rename.items()), row.drop
        )
    return endpoints


def _key(name: str, row: ProviderConfig, environ: Mapping[str, str]) -> Secret | None:
    source, value = f"providers.{name}.api_key", row.api_key.reveal() if row.api_key else ""
    if not value and row.api_key_env is not None:
        source, value = row.api_key_env, environ.get(row.api_key_env, "")
    value = value.strip()
    if not value.isascii() or not value.isprintable():
        raise ConfigError(f"{source}: the key holds characters that no HTTP header can carry; copy it again")
    return Secret(value) if value else None


def checked_base_url(name: str, row: ProviderConfig) -> str:
    """Return the URL to dial, without a slash at its end; raises ConfigError for one we do not dial."""
    if not row.base_url:
        raise ConfigError(f"providers.{name}.base_url: needed, for example https://llm.example.com/v1")
    return checked_url(f"providers.{name}", "base_url", row.base_url, allow_private=row.allow_private)


def checked_url(section: str, setting: str, url: str, *, allow_private: bool) -> str:
    """Return a URL to dial, without a slash at its end; raises ConfigError that names the setting."""
    field = f"{section}.{setting}"
    parts = _split(field, url)
    if parts.scheme == "http" and not allow_private and not is_loopback(parts.hostname or ""):
        raise ConfigError(
            f"{field}: http sends keys and prompts in the clear; use https, "
            f"or set {section}.allow_private: true for a network you trust"
        )
    return url.rstrip("/")


def _split(field: str, url: str) -> SplitResult:
    if not url.isascii() or not url.isprintable() or "\\" in url or " " in url:
        raise ConfigError(f"{field}: only plain ASCII without blanks and backslashes; write an IDN host as xn--...")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{field}: not a URL ({error})") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ConfigError(f"{field}: write it as https://host/path")
    if "@" in parts.netloc:
        raise ConfigError(f"{field}: no user and password in the URL; use api_key or api_key_env")
    if "?" in url or "#" in url:
        raise ConfigError(f"{field}: no query and no fragment")
    return parts


def is_loopback(host: str) -> bool:
    """Whether only this machine is meant by a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
