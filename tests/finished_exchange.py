"""A finished request with everything that there may be to tell: a call that failed, one that answered."""

import time
from functools import cache

from neuralrouting.catalog import Deployment, build_catalog
from neuralrouting.config import Config
from neuralrouting.exchange import (
    Arrival,
    Attempt,
    Bill,
    Caller,
    Exchange,
    Facts,
    Hints,
    Lookup,
    Plan,
    Route,
    Spent,
    Usage,
)


def finished() -> Exchange:
    """The request; it came in 0.9 s ago."""
    served = _deployment()
    arrival = Arrival(
        "req_bench", Caller("acme", "AbCdEfGhIjKl", live=True), _PLAN, Hints("/v1/chat/completions"),
        time.perf_counter_ns() - 900_000_000, time.time_ns() // 1_000_000,
    )  # fmt: skip
    usage = Usage(1_200, 340, 400, 0, 120)
    bill = Bill(123_456, 4_567_890, 4_444_434, 97.3, "bench")
    attempts = (
        Attempt("openai/gpt-4o-mini", "openai", "upstream_timeout", 200_000, began_us=500),
        Attempt(served.id, served.provider, "ok", 650_000, 210_000, 200, 123_456, 201_000),
    )
    spent = Spent(9_000, 1_200, 14_000, 21_000, 6_000, 60_000, 9_000, 180_000, 260_000)
    facts = Facts("req_bench", served, Lookup("miss"), usage, bill, 480)
    return Exchange(
        arrival, "auto", None, None, None, stream=True, task=None, attempts=attempts, facts=facts, status=200,
        route=Route("auto", "cheapest that is good enough: proven", (served,)), error_code=None, latency_us=900_000,
        ttft_us=210_000, house_nanousd=700, spent=spent,
    )  # fmt: skip


@cache
def _deployment() -> Deployment:
    known = build_catalog(Config(), ["openai"], None).servable
    return next(d for d in known if d.provider == "openai")


_PLAN = Plan("unlimited", "Unlimited", 0, None, None, None, None, ("auto",), force_model=True)
