"""Every metric: its name, its labels, and what it counts. Never a user, a key, an account or a prompt among the labels.

Labels are bounded: models are deployments of the catalog, errors our own codes, kinds and results fixed words.
"""

from typing import Literal

import msgspec

Kind = Literal["counter", "histogram", "sum", "most", "least"]
"""The last three are gauges, named by how those of several workers become one number."""

WHOLE, MICRO, NANO = 1, 1_000_000, 1_000_000_000
"""How many of what is counted make up one of the unit in a metric's name."""

_MS = 1_000
SECONDS_US = tuple(
    ms * _MS for ms in (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000)
)
"""Buckets for what a client waits for, in microseconds."""
OVERHEAD_US = (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 1_000_000)
"""Buckets for the gateway's own share of it, in microseconds."""
LAYER_NS = (250, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000)
"""Buckets for one layer, in nanoseconds."""


class Family(msgspec.Struct, frozen=True):
    """Series of one name. `per`: how many of what is counted make up one of its unit, `bounds` those of its buckets."""

    name: str
    help: str
    kind: Kind
    labels: tuple[str, ...] = ()
    per: int = WHOLE
    bounds: tuple[int, ...] = ()


REQUESTS = Family(
    "neuralrouting_requests_total",
    "Requests that have ended, each with one row in the ledger.",
    "counter",
    ("endpoint", "model", "provider", "decided_by", "status"),
)
ERRORS = Family(
    "neuralrouting_errors_total", "Requests that ended with an error, by its code.", "counter", ("code", "status")
)
REFUSALS = Family(
    "neuralrouting_refusals_total",
    "Errors that were answered before the first byte, unauthenticated and rate-limited requests included.",
    "counter",
    ("code", "status"),
)
REQUEST_SECONDS = Family(
    "neuralrouting_request_seconds",
    "From a request's arrival to the last byte of its answer.",
    "histogram",
    ("endpoint", "cache"),
    MICRO,
    SECONDS_US,
)
OVERHEAD_SECONDS = Family(
    "neuralrouting_overhead_seconds",
    "The gateway's own share of the time until an answer begins.",
    "histogram",
    ("endpoint",),
    MICRO,
    OVERHEAD_US,
)
LAYER_SECONDS = Family(
    "neuralrouting_layer_seconds", "Time spent in one layer.", "histogram", ("layer",), NANO, LAYER_NS
)
UPSTREAM_SECONDS = Family(
    "neuralrouting_upstream_seconds", "One call of a provider.", "histogram", ("model", "provider"), MICRO, SECONDS_US
)
ATTEMPTS = Family(
    "neuralrouting_upstream_attempts_total",
    "Calls of providers, by what became of them.",
    "counter",
    ("model", "provider", "outcome"),
)
TTFT_SECONDS = Family(
    "neuralrouting_ttft_seconds",
    "From the call of a provider to the first token of its stream.",
    "histogram",
    ("model", "provider"),
    MICRO,
    SECONDS_US,
)
TOKENS = Family(
    "neuralrouting_tokens_total",
    "Tokens of answers; cached and cache_write are part of prompt, reasoning of completion.",
    "counter",
    ("model", "provider", "direction"),
)
COST = Family(
    "neuralrouting_cost_usd_total",
    "What answers cost, in dollars; provider=simulated is nobody's money. The ledger is the truth.",
    "counter",
    ("model", "provider"),
    NANO,
)
BASELINE = Family(
    "neuralrouting_baseline_usd_total",
    "What the same answers would have cost from the baseline model, where that is known.",
    "counter",
    ("model", "provider"),
    NANO,
)
PRICED_COST = Family(
    "neuralrouting_compared_cost_usd_total",
    "Cost of the answers that have a baseline: baseline minus this is what was saved.",
    "counter",
    ("model", "provider"),
    NANO,
)
UNPRICED = Family(
    "neuralrouting_unpriced_requests_total", "Answers of models without a price.", "counter", ("model", "provider")
)
HOUSE_COST = Family(
    "neuralrouting_failed_attempts_cost_usd_total",
    "What failed calls may have cost, which no account pays.",
    "counter",
    (),
    NANO,
)
LOOKUPS = Family(
    "neuralrouting_cache_lookups_total",
    "How the cache took part in requests that were answered.",
    "counter",
    ("kind", "result"),
)
CASCADES = Family("neuralrouting_cascades_total", "Cascades, by what became of them.", "counter", ("outcome",))
SECURITY = Family(
    "neuralrouting_security_events_total",
    "What the shield found, by what became of the request and the kind of rule.",
    "counter",
    ("action", "category"),
)
BUDGET_NOTES = Family(
    "neuralrouting_budget_warnings_total", "Answers that came with a word about a budget.", "counter", ("state",)
)
AUDITS = Family(
    "neuralrouting_shadow_audits_total", "Answers drawn for an audit, by what became of it.", "counter", ("outcome",)
)
VERDICTS = Family(
    "neuralrouting_shadow_verdicts_total",
    "Verdicts of audits on the cheaper, or cached, answer.",
    "counter",
    ("verdict",),
)
PROVIDER_UP = Family(
    "neuralrouting_provider_up",
    "0 while a worker prefers others to every model of this provider that it has asked.",
    "least",
    ("provider",),
)
BREAKER = Family(
    "neuralrouting_breaker_state",
    "1 while a worker prefers others to this model after a failure.",
    "most",
    ("model", "provider"),
)
IN_FLIGHT = Family("neuralrouting_requests_in_flight", "Requests under way.", "sum")
QUEUE_DEPTH = Family(
    "neuralrouting_queue_depth", "What waits behind the requests to be written or judged.", "sum", ("queue",)
)
QUEUE_LAG = Family(
    "neuralrouting_queue_lag_seconds", "Age of the oldest that waits to be written.", "most", ("queue",), MICRO
)
CACHE_BYTES = Family("neuralrouting_cache_bytes", "Memory of stored answers.", "sum")
WORKERS = Family("neuralrouting_workers", "Living workers.", "sum")
BUILD = Family("neuralrouting_build_info", "1, with the version.", "most", ("version",))

FAMILIES = (
    REQUESTS, ERRORS, REFUSALS, REQUEST_SECONDS, OVERHEAD_SECONDS, LAYER_SECONDS, UPSTREAM_SECONDS, ATTEMPTS,
    TTFT_SECONDS, TOKENS, COST, BASELINE, PRICED_COST, UNPRICED, HOUSE_COST, LOOKUPS, CASCADES, SECURITY, BUDGET_NOTES,
    AUDITS, VERDICTS, PROVIDER_UP, BREAKER, IN_FLIGHT, QUEUE_DEPTH, QUEUE_LAG, CACHE_BYTES, WORKERS, BUILD,
)  # fmt: skip
TURNED_AWAY = "neuralrouting_series_turned_away_total"
"""Told by the native core beside these: how often there were too many series."""
