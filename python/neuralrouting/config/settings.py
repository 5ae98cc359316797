"""The settings themselves: names, types, bounds and defaults. docs/configuration.md explains each one."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

from neuralrouting.config.secret import Secret

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
Milliseconds = Annotated[float, Meta(ge=0)]
Switch = Literal["auto", "on", "off"]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Usd = Annotated[str, Meta(pattern=r"^\d{1,6}(\.\d{1,6})?$")]
"""Decimal dollars per million tokens, as text so that no float touches money."""


class ServerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the gateway listens and how much it takes in."""

    host: Name = "127.0.0.1"
    port: Port = 8080
    workers: Count = 1
    max_body_bytes: Count = 16 * 1024 * 1024
    body_timeout_s: Seconds = 10.0
    max_in_flight: Count = 256
    idempotency_hours: Annotated[float, Meta(gt=0, le=8760)] = 24.0


class CacheConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The cache of answers. `memory_mb` is per worker. `similarity_threshold` is a cosine; requests may raise it."""

    enabled: bool = True
    ttl_days: Annotated[float, Meta(gt=0, le=3650)] = 7.0
    memory_mb: Annotated[int, Meta(ge=1, le=1_000_000)] = 256
    persist: bool = True
    similarity_threshold: Annotated[float, Meta(ge=0.8, le=1)] = 0.92


class SemanticCacheConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Answers to questions asked in other words. `scope: user` keeps the answers of end users apart.

    `embedder` other than `builtin`: it decides where the built-in one only comes near, unless that takes it longer than
    `timeout_ms`. `onnx` reads `model.onnx` and `tokenizer.json` in the folder `model_path`; `openai` asks for `model`
    at `url` (ending in /v1). `shared` is the tier that replicas share in PostgreSQL with pgvector; an answer
    from there is waited for `shared_timeout_ms` at most.
    """

    enabled: bool = True
    verifier: Literal["strict", "std", "off"] = "strict"
    scope: Literal["account", "user"] = "account"
    embedder: Literal["builtin", "onnx", "openai"] = "builtin"
    model_path: str | None = None
    url: str | None = None
    model: Name | None = None
    api_key: Secret | None = None
    allow_private: bool = False
    timeout_ms: Milliseconds = 100.0
    shared: Switch = "auto"
    shared_timeout_ms: Milliseconds = 50.0


class RoutingConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults of routing and the model that savings are measured against.

    `reference_model` is the one that cheaper models are compared with, the baseline where there is none. `cascade`: in
    mode auto an economy answer is looked at before it is sent, and a doubtful one is asked of a better model.
    """

    default_mode: Literal["auto", "cost", "quality", "speed"] = "auto"
    baseline_model: Name = "gpt-4o"
    reference_model: Name | None = None
    cascade: bool = False
    max_attempts: Annotated[int, Meta(ge=1, le=10)] = 3


class ConfidenceConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The confidence matrix: when it is rebuilt, and what it takes to prove a model at a task.

    `margin`: how much worse than the reference still counts as good, in quality from 0 to 1. A cell is proven when the
    difference is within it with probability `promote` or more, and no more below `demote`.
    """

    rebuild_minutes: Annotated[float, Meta(gt=0, le=1440)] = 30.0
    margin: Annotated[float, Meta(gt=0, le=0.5)] = 0.05
    promote: Annotated[float, Meta(gt=0.5, lt=1)] = 0.8
    demote: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    least: Annotated[int, Meta(ge=2, le=100_000)] = 20


class ShadowConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Shadow audits: which answers are compared with the reference model's, behind the requests.

    `share` of the answers is audited whatever is known, at least one in a hundred; up to `most` of those whose cell is
    undecided. `cache_share` of the answers from the semantic cache is asked anew. `daily_usd` is what the audits of one
    account may cost a day (UTC), the judge included. `judge_model` None: one that is neither of the two compared.
    """

    enabled: bool = True
    share: Annotated[float, Meta(ge=0.01, le=1)] = 0.02
    most: Annotated[float, Meta(ge=0.01, le=1)] = 0.1
    cache_share: Annotated[float, Meta(ge=0, le=1)] = 0.02
    daily_usd: Usd = "1"
    judge_model: Name | None = None
    queue: Annotated[int, Meta(ge=1, le=10_000)] = 64
    parallel: Annotated[int, Meta(ge=1, le=64)] = 2


class ShieldConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The shield against prompt injection. `mode` is for keys that have none of their own.

    `on_error`: what becomes of a request when the shield itself fails, `closed` refuses it, `open` lets it pass.
    """

    mode: Literal["off", "monitor", "block"] = "block"
    block_threshold: Annotated[float, Meta(ge=0.5, le=1)] = 0.85
    tool_action: Literal["flag", "block"] = "flag"
    model: bool = True
    rules_path: str | None = None
    store_excerpts: bool = True
    on_error: Literal["closed", "open"] = "closed"


class BillingConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Credits and what is kept of them. `default_plan` is the plan of accounts that are made without one.

    `unpriced_credits_per_1k`: the rate of a model that has neither a price nor a rate of its own; never free.
    """

    default_plan: Name = "unlimited"
    unpriced_credits_per_1k: Annotated[int, Meta(ge=1, le=1_000_000)] = 100
    nightly_check: bool = True


class ReportsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Monthly reports. `schedule: monthly` makes last month's PDF of every account soon after the month has ended."""

    schedule: Literal["monthly", "off"] = "monthly"


class UpstreamConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Deadlines and bounds of one call to a provider, in seconds and bytes.

    `on_disconnect`: what becomes of a call whose client left; what was produced until its end is billed.
    """

    connect_timeout_s: Seconds = 5.0
    total_timeout_s: Seconds = 120.0
    stream_timeout_s: Seconds = 600.0
    first_token_timeout_s: Seconds = 60.0
    idle_timeout_s: Seconds = 30.0
    max_answer_bytes: Count = 32 * 1024 * 1024
    on_disconnect: Literal["cancel", "drain"] = "cancel"


class OidcConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Sign-in through an identity provider (OpenID Connect), on when there is an `issuer`.

    `roles` gives each group, as the claim `group_claim` of the ID token lists them, its role; whoever is in none of
    them is refused. `domains`: only addresses of these. All come into the account `account`.
    """

    issuer: str | None = None
    client_id: str = ""
    client_secret: Secret | None = None
    group_claim: Name = "groups"
    roles: dict[str, Literal["owner", "member", "billing", "viewer"]] = {}
    domains: tuple[Name, ...] = ()
    account: Name = "default"
    allow_private: bool = False


class DashboardConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The pages for people and how they sign in.

    `hosts`: names under which browsers reach the gateway. `secure`: whether they come by https, `auto` as the request
    tells; `off` also takes passwords over plain http from beyond this machine. `trust_forwarded` believes a proxy's
    `X-Forwarded-Proto` and `X-Forwarded-For`. `notice` is a line on top of every page.
    """

    enabled: bool = True
    session_idle_hours: Annotated[float, Meta(gt=0, le=720)] = 12.0
    session_days: Annotated[float, Meta(gt=0, le=90)] = 7.0
    hosts: tuple[Name, ...] = ()
    trust_forwarded: bool = False
    secure: Switch = "auto"
    notice: Annotated[str, Meta(max_length=200)] = ""
    oidc: OidcConfig = OidcConfig()


class LocalConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The local model process. `enabled: auto` means: when the extra `[local]` is installed."""

    enabled: Switch = "auto"
    model_path: str | None = None
    port: Port = 0
    context_tokens: Annotated[int, Meta(ge=256, le=1_048_576)] = 4096
    parallel: Annotated[int, Meta(ge=1, le=64)] = 2
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0


class SimulatedConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The simulated provider. `auto`: it stands in for tiers without a model while no provider can be called.

    `latency_ms` before the first token and `token_ms` between tokens are waited out; `fail` scripts failures
    (see docs/configuration.md).
    """

    enabled: Switch = "auto"
    latency_ms: Milliseconds = 0.0
    token_ms: Milliseconds = 0.0
    fail: str = ""


class ProviderConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One provider: a row of data. `api_key_env` names the environment variable that holds the key.

    A provider with neither `api_key_env` nor `api_key` needs no key. `prices` is its id in the price list,
    where that is not its own name. `fast_hardware` puts its models below premium prices into the fast tier.
    """

    kind: Literal["openai", "anthropic"] = "openai"
    base_url: str | None = None
    api_key_env: str | None = None
    api_key: Secret | None = None
    allow_private: bool = False
    fast_hardware: bool = False
    prices: str | None = None
    rename: dict[str, str] = {}
    drop: tuple[str, ...] = ()


class ModelConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One more deployment of the catalog, or an overlay over one that is there (same provider and model)."""

    model: Name
    provider: Name
    upstream_model: Name | None = None
    tier: Literal["economy", "medium", "premium", "fast"] | None = None
    context_tokens: Count | None = None
    max_output_tokens: Count | None = None
    tools: bool | None = None
    vision: bool | None = None
    json_mode: bool | None = None
    json_schema: bool | None = None
    input_usd_per_mtok: Usd | None = None
    output_usd_per_mtok: Usd | None = None
    credits_per_1k: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    aliases: tuple[Name, ...] = ()


class TelemetryConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What the gateway tells of itself.

    `metrics`: whether `/metrics` is counted and served; `metrics_token` is a bearer token that opens it, beside
    operators' keys. `otel: auto` sends traces and metrics when `OTEL_EXPORTER_OTLP_ENDPOINT` is set; `otel_sample` is
    the share of requests that are traced where no parent decides. `request_log`: one line of the log for each request.
    """

    metrics: bool = True
    metrics_token: Secret | None = None
    otel: Switch = "auto"
    otel_sample: Annotated[float, Meta(ge=0, le=1)] = 0.1
    request_log: Literal["off", "on"] = "off"


def _home_data_dir() -> str:
    return str(Path.home() / ".local" / "share" / "neuralrouting")


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration of one gateway."""

    server: ServerConfig = ServerConfig()
    cache: CacheConfig = CacheConfig()
    semantic_cache: SemanticCacheConfig = SemanticCacheConfig()
    routing: RoutingConfig = RoutingConfig()
    confidence: ConfidenceConfig = ConfidenceConfig()
    shadow: ShadowConfig = ShadowConfig()
    shield: ShieldConfig = ShieldConfig()
    billing: BillingConfig = BillingConfig()
    reports: ReportsConfig = ReportsConfig()
    upstream: UpstreamConfig = UpstreamConfig()
    dashboard: DashboardConfig = DashboardConfig()
    local: LocalConfig = LocalConfig()
    simulated: SimulatedConfig = SimulatedConfig()
    telemetry: TelemetryConfig = TelemetryConfig()
    providers: dict[str, ProviderConfig] = {}
    models: tuple[ModelConfig, ...] = ()
    data_dir: str = field(default_factory=_home_data_dir)
    database_url: str | None = None
    store_bodies: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "text", "json"] = "auto"

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        if self.database_url is not None:
            shown["database_url"] = without_password(self.database_url)
        return f"Config({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def without_password(url: str) -> str:
    """Return a database URL that may be shown: `postgresql://user:***@host/name`."""
    parts = urlsplit(url)
    if not parts.password:
        return url
    return parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@", 1)).geturl()
