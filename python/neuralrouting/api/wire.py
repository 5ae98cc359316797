"""Facts as bytes: the same figures in headers, in extra fields of a body and in the billing event."""

import re
from math import ceil

import orjson

from neuralrouting.catalog import Deployment
from neuralrouting.errors import NeuralRoutingError, RateLimited
from neuralrouting.exchange import BudgetNote, Cascade, Facts, Finding, JsonObject, Lookup, Task, Usage

Header = tuple[str, str]
JSON_TYPE: Header = ("content-type", "application/json")
EVENT_HEADERS: tuple[Header, ...] = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
    ("x-accel-buffering", "no"),
)
_TAKEN = re.compile(rb'"(?:model_used|cache_hit|business_metrics|cascade|request_id)"')
DONE = b"data: [DONE]\n\n"
RULES_TOLD = 8
"""Rules named in a header; the audit trail has all of them."""


def usd(nanousd: int | None) -> float | None:
    """Nano-dollars as dollars; None (unpriced) stays None."""
    return None if nanousd is None else nanousd / 1_000_000_000


def request_headers(request_id: str) -> list[Header]:
    """What every response carries, errors included."""
    return [("x-nr-request-id", request_id), ("x-request-id", request_id)]


def served_headers(deployment: Deployment, cache: Lookup, overhead_us: int) -> list[Header]:
    """What is known as soon as somebody answers."""
    model = deployment.id if deployment.simulated else deployment.model
    headers = [
        ("x-nr-model", _printable(model)),
        ("x-nr-provider", _printable(deployment.provider)),
        ("x-nr-cache", _cache_header(cache)),
        ("x-nr-overhead-ms", f"{overhead_us / 1000:.3f}"),
    ]
    if deployment.simulated:
        headers.append(("x-nr-simulated", "true"))
    return headers


def _cache_header(cache: Lookup) -> str:
    """How the cache took part: `semantic; similarity=0.9412; age=37; entry=...`, or `miss; reason=temperature`."""
    if not cache.hit:
        return f"{cache.outcome}; reason={cache.reason}" if cache.reason is not None else cache.outcome
    told = f"age={cache.age_s}; entry={cache.entry}"
    if cache.outcome == "exact":
        return f"exact; {'shared; ' if cache.shared else ''}{told}"
    kind = "kind=canonical; " if cache.outcome == "canonical" else ""
    return f"semantic; {kind}similarity={cache.similarity}; {told}"


def money_headers(facts: Facts) -> list[Header]:
    """What is known once the usage is."""
    bill = facts.bill
    return [("x-nr-cost-usd", _decimal(bill.cost_nanousd)), ("x-nr-saved-usd", _decimal(bill.saved_nanousd))]


def cascade_headers(cascade: Cascade | None) -> list[Header]:
    """What became of a cascade's first answer: `kept`, `escalated; reason=refusal` or `fell_back; reason=refusal`."""
    return [] if cascade is None else [("x-nr-cascade", cascade.told)]


def judged_headers(task: Task | None, finding: Finding | None) -> list[Header]:
    """What the classifier made of a request that a model answered, and what the shield found in it, if anything."""
    headers: list[Header] = []
    if task is not None:
        headers += [("x-nr-task", task.task), ("x-nr-complexity", f"{task.complexity:.1f}")]
        if task.risk_domain is not None:
            headers.append(("x-nr-high-risk", task.risk_domain))
    if finding is not None:
        headers.append(_shield_header(finding))
    return headers


def budget_headers(notes: tuple[BudgetNote, ...]) -> list[Header]:
    """Say of budgets that run low how much of them is used, in percent; `spent` ones had the request downgraded."""
    told = (f"{note.budget_id}; used={note.percent}%{'; spent' if note.spent else ''}" for note in notes)
    return [("x-nr-budget", ", ".join(told))] if notes else []


def _shield_header(finding: Finding) -> Header:
    """What the shield found in a request that it let pass: `monitor` where it would have been blocked."""
    verdict = finding.verdict
    state = "monitor" if finding.action == "monitor" else "flagged"
    rules = ",".join(_printable(rule) for rule in verdict.rules[:RULES_TOLD])
    return "x-nr-shield", f"{state}; rules={rules}; risk={verdict.risk:.2f}"


def extra_fields(facts: Facts) -> JsonObject:
    """Top-level fields beside OpenAI's own."""
    bill = facts.bill
    fields: JsonObject = {
        "model_used": facts.model_used,
        **cache_fields(facts),
        "business_metrics": {
            "cost_usd": usd(bill.cost_nanousd),
            "estimated_gpt4_cost": usd(bill.baseline_nanousd),
            "savings_percentage": bill.savings_percentage,
        },
        **cascade_fields(facts.cascade),
        "request_id": facts.request_id,
    }
    if facts.deployment.simulated:
        fields["simulated"] = True
    return fields


def cascade_fields(cascade: Cascade | None) -> JsonObject:
    """What became of a cascade's first answer, who gave it, and what it cost: part of the cost that is told."""
    if cascade is None:
        return {}
    first = cascade.deployment
    told: JsonObject = {
        "outcome": cascade.outcome,
        "reason": cascade.doubt,
        "first_model": first.id if first.simulated else first.model,
        "first_cost_usd": usd(cascade.bill.cost_nanousd),
    }
    return {"cascade": told}


def cache_fields(facts: Facts) -> JsonObject:
    """How the cache took part; the similarity is told on hits only."""
    cache = facts.cache
    if not cache.hit:
        return {"cache_hit": False, "cache_exact": False}
    return {"cache_hit": True, "cache_exact": cache.outcome == "exact", "cache_similarity": cache.similarity}


def billing(facts: Facts, usage: JsonObject) -> JsonObject:
    """The last event of `/v1/dispatch/stream` before `[DONE]`."""
    bill = facts.bill
    fields: JsonObject = {
        "object": "nr.billing",
        "model_used": facts.model_used,
        "financials": {
            "billed_price": usd(bill.cost_nanousd),
            "provider_cost": usd(bill.cost_nanousd),
            "estimated_gpt4_cost": usd(bill.baseline_nanousd),
            "savings": usd(bill.saved_nanousd),
            "savings_percentage": bill.savings_percentage,
        },
        "usage": usage,
        **cache_fields(facts),
        **cascade_fields(facts.cascade),
        "request_id": facts.request_id,
    }
    if facts.deployment.simulated:
        fields["simulated"] = True
    return fields


def usage_fields(usage: Usage) -> JsonObject:
    """Usage in OpenAI's shape."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def with_fields(body: bytes, fields: JsonObject) -> bytes:
    """Add top-level fields to a JSON object without touching its bytes, unless a field is there already."""
    body = body.rstrip()
    # Quotes inside a JSON string are escaped, so these can only be keys (or whole strings, which costs a copy).
    if len(body) <= 2 or _TAKEN.search(body):
        return orjson.dumps(orjson.loads(body) | fields)
    return appended(body, fields)


def appended(body: bytes, fields: JsonObject) -> bytes:
    """Add top-level fields to a JSON object that has others, and none of these."""
    return b"%b,%b" % (body[:-1], orjson.dumps(fields)[1:])


def event(data: JsonObject) -> bytes:
    """One server-sent event."""
    return b"data: %b\n\n" % orjson.dumps(data)


def refusal_headers(error: NeuralRoutingError, request_id: str) -> list[Header]:
    """What a refusal carries, whatever the shape of its body."""
    return [JSON_TYPE, *request_headers(request_id), *error_headers(error)]


def error_headers(error: NeuralRoutingError) -> list[Header]:
    """Retry hints that the official clients obey, and the limit that refused."""
    headers: list[Header] = list(error.headers) if isinstance(error, RateLimited) else []
    if error.should_retry is not None:
        headers.append(("x-should-retry", "true" if error.should_retry else "false"))
    if error.retry_after_s is not None:
        headers.append(("retry-after", str(max(1, ceil(error.retry_after_s)))))
    return headers


def _printable(text: str) -> str:
    """A header value from catalog data; what is not printable ASCII would cost the response its headers."""
    return text if text.isascii() and text.isprintable() else ascii(text)[1:-1]


def _decimal(nanousd: int | None) -> str:
    if nanousd is None:
        return "unpriced"
    dollars, rest = divmod(abs(nanousd), 1_000_000_000)
    return f"{'-' if nanousd < 0 else ''}{dollars}.{rest:09d}"


def per_mtok(picousd: int) -> float:
    """A list price in dollars per million tokens."""
    return picousd / 1_000_000
