"""Every setting, typed and frozen, read once at start: flags over environment over file over defaults."""

from typing import Literal

import msgspec


class ServerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the gateway listens and how much it takes in."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    max_body_bytes: int = 16 * 1024 * 1024
    body_timeout_s: float = 10.0
    max_in_flight: int = 256


class CacheConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The exact cache. `memory_mb` is per worker."""

    enabled: bool = True
    ttl_days: float = 7.0
    memory_mb: int = 256
    persist: bool = True


class RoutingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults of routing and the model that savings are measured against."""

    default_mode: Literal["auto", "cost", "quality", "speed"] = "auto"
    baseline_model: str = "gpt-4o"
    max_attempts: int = 3


class UpstreamConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Deadlines and bounds of one call to a provider, in seconds and bytes."""

    connect_timeout_s: float = 5.0
    total_timeout_s: float = 120.0
    stream_timeout_s: float = 600.0
    first_token_timeout_s: float = 60.0
    idle_timeout_s: float = 30.0
    max_answer_bytes: int = 32 * 1024 * 1024
    max_connections: int = 512


class LocalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The local model process. `enabled: auto` means: when the extra `[local]` is installed."""

    enabled: Literal["auto", "on", "off"] = "auto"
    model_path: str | None = None
    port: int = 0
    context_tokens: int = 4096
    parallel: int = 2
    threads: int = 0


class SimulatedConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The simulated provider. `auto`: it stands in for tiers that have no real provider; never beside a real one.

    `latency_ms` before the first token and `token_ms` between tokens are waited out; `fail` scripts failures
    (see docs/configuration.md).
    """

    enabled: Literal["auto", "on", "off"] = "auto"
    latency_ms: float = 0.0
    token_ms: float = 0.0
    fail: str = ""


class ProviderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One provider: a row of data. `api_key_env` names the environment variable that holds the key."""

    kind: Literal["openai", "anthropic"] = "openai"
    base_url: str | None = None
    api_key_env: str | None = None
    api_key: str | None = None
    allow_private: bool = False
    rename: dict[str, str] = {}
    drop: tuple[str, ...] = ()


class ModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One more deployment of the catalog, or an overlay over one that is there (same provider and model)."""

    model: str
    provider: str
    upstream_model: str | None = None
    tier: Literal["economy", "medium", "premium", "fast"] | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    tools: bool | None = None
    vision: bool | None = None
    json_mode: bool | None = None
    json_schema: bool | None = None
    input_usd_per_mtok: str | None = None
    output_usd_per_mtok: str | None = None
    aliases: tuple[str, ...] = ()


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration of one gateway."""

    server: ServerConfig = ServerConfig()
    cache: CacheConfig = CacheConfig()
    routing: RoutingConfig = RoutingConfig()
    upstream: UpstreamConfig = UpstreamConfig()
    local: LocalConfig = LocalConfig()
    simulated: SimulatedConfig = SimulatedConfig()
    providers: dict[str, ProviderConfig] = {}
    models: tuple[ModelConfig, ...] = ()
    data_dir: str = "var"
    database_url: str | None = None
    store_bodies: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
