"""What came of one prompt, read from the answer's extra fields and headers as any client could."""

from collections.abc import Mapping
from typing import Any

import msgspec

NANO = 1_000_000_000
"""Nano-dollars in a dollar: sums are made of integers."""


class Outcome(msgspec.Struct, frozen=True):
    """An answer and its figures. Money in nano-dollars, None where a price is not known."""

    kind: str
    answer: str
    model: str
    provider: str
    cache: str
    simulated: bool
    prompt_tokens: int
    completion_tokens: int
    cost_nanousd: int | None
    baseline_nanousd: int | None
    latency_ms: float
    overhead_ms: float


class Failed(msgspec.Struct, frozen=True):
    """No answer, and why."""

    kind: str
    reason: str


class Raw(msgspec.Struct, frozen=True):
    """An answer as the OpenAI client gives it: text, usage, extra fields, headers."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    extra: Mapping[str, Any]
    headers: Mapping[str, str]
    latency_ms: float


def outcome_of(kind: str, raw: Raw) -> Outcome:
    """Read the figures; raises KeyError when the gateway has not told one."""
    metrics = raw.extra["business_metrics"]
    return Outcome(
        kind,
        raw.text,
        raw.extra["model_used"],
        raw.headers["x-nr-provider"],
        raw.headers["x-nr-cache"].partition(";")[0],
        bool(raw.extra.get("simulated")),
        raw.prompt_tokens,
        raw.completion_tokens,
        _nanousd(metrics["cost_usd"]),
        _nanousd(metrics["estimated_gpt4_cost"]),
        raw.latency_ms,
        float(raw.headers["x-nr-overhead-ms"]),
    )


def _nanousd(usd: float | None) -> int | None:
    return None if usd is None else round(usd * NANO)
