"""One finished request as a trace: a span of ours, and below it one for each call of a provider. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from neuralrouting.exchange import Attempt, Exchange, Facts, Spent, Usage
from neuralrouting.telemetry import attributes as a
from neuralrouting.telemetry.counting import decided_by, looked

Value = str | int | float | bool | Sequence[str]
_PARENT = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?:-.*)?")
_NANO = 1_000_000_000


class Parent(msgspec.Struct, frozen=True):
    """The span of the client that a request belongs to, and whether that is traced."""

    trace_id: int
    span_id: int
    sampled: bool


class Happening(msgspec.Struct, frozen=True):
    """Something that happened at one moment within a span; times are Unix nanoseconds."""

    name: str
    at_ns: int
    attributes: Mapping[str, Value]


class Span(msgspec.Struct, frozen=True):
    """A span as it is to be sent; times are Unix nanoseconds. `error`: its type, None where all went well."""

    name: str
    kind: Literal["server", "client"]
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Value]
    events: tuple[Happening, ...] = ()
    error: str | None = None


def parent_of(traceparent: str | None) -> Parent | None:
    """Read a `traceparent` header as W3C Trace Context says; None where there is none, or one that is not valid."""
    found = _PARENT.fullmatch(traceparent) if traceparent is not None else None
    if found is None or traceparent is None or traceparent.startswith("ff"):
        return None
    if traceparent.startswith("00") and len(traceparent) != 55:
        return None
    trace_id, span_id = int(found["trace"], 16), int(found["span"], 16)
    return Parent(trace_id, span_id, bool(int(found["flags"], 16) & 1)) if trace_id and span_id else None


def trace_of(traceparent: str) -> str | None:
    """Return the trace that a `traceparent` names, as 32 hexadecimal digits."""
    parent = parent_of(traceparent)
    return f"{parent.trace_id:032x}" if parent is not None else None


def server_span(done: Exchange, start_ns: int) -> Span:
    """Return the span of a whole request that came in at `start_ns`."""
    endpoint = done.arrival.hints.endpoint
    told: dict[str, Value] = {
        a.HTTP_METHOD: "POST",
        a.HTTP_ROUTE: endpoint,
        a.HTTP_STATUS: done.status,
        a.REQUEST_ID: done.arrival.request_id,
        a.DECIDED_BY: decided_by(done),
    }
    if done.error_code is not None:
        told[a.ERROR_TYPE] = done.error_code
    if done.task is not None:
        told |= {a.TASK: done.task.task, a.TASK_CONFIDENCE: round(done.task.confidence, 4)}
    if done.route is not None:
        told |= {a.MODE: done.route.mode, a.REASON: done.route.rule}
    if done.finding is not None:
        told |= {a.SHIELD_ACTION: done.finding.action, a.SHIELD_RULES: tuple(done.finding.verdict.rules)}
    if done.facts is not None:
        told |= _facts(done.facts)
    events = _layers(done.spent, start_ns) if done.spent is not None else ()
    end_ns = start_ns + 1_000 * done.latency_us
    failed = done.error_code if done.status >= 500 else None
    return Span(f"POST {endpoint}", "server", start_ns, end_ns, told, events, failed)


def client_spans(done: Exchange, start_ns: int) -> list[Span]:
    """Return a span for each call of a provider, in their order."""
    answered = _answers(done)
    return [_call(done, attempt, start_ns, answered.get(place)) for place, attempt in enumerate(done.attempts)]


def _call(done: Exchange, attempt: Attempt, start_ns: int, usage: Usage | None) -> Span:
    told: dict[str, Value] = {**call_attributes(attempt), a.REQUEST_STREAM: done.stream}
    if attempt.provider_status is not None:
        told[a.HTTP_STATUS] = attempt.provider_status
    if attempt.ttft_us is not None:
        told[a.FIRST_CHUNK] = attempt.ttft_us / 1_000_000
    if usage is not None:
        told |= {a.INPUT_TOKENS: usage.prompt_tokens, a.OUTPUT_TOKENS: usage.completion_tokens}
        further = ((a.CACHE_READ_TOKENS, usage.cached_tokens), (a.CACHE_WRITE_TOKENS, usage.cache_write_tokens))
        told |= {name: count for name, count in (*further, (a.REASONING_TOKENS, usage.reasoning_tokens)) if count}
    began_ns = start_ns + 1_000 * (attempt.began_us or 0)
    failed = attempt.outcome if attempt.outcome != "ok" else None
    name = f"{a.CHAT} {told[a.REQUEST_MODEL]}"
    return Span(name, "client", began_ns, began_ns + 1_000 * attempt.latency_us, told, (), failed)


def call_attributes(attempt: Attempt) -> dict[str, str]:
    """Return what spans and metrics of one call have in common."""
    told = {
        a.OPERATION: a.CHAT,
        a.PROVIDER: a.provider_name(attempt.provider),
        a.REQUEST_MODEL: attempt.deployment.removeprefix(f"{attempt.provider}/"),
    }
    return told if attempt.outcome == "ok" else told | {a.ERROR_TYPE: attempt.outcome}


def answered_usage(done: Exchange) -> list[tuple[Attempt, Usage]]:
    """Return the calls whose answers are billed, with what they used: two where a cascade escalated."""
    return [(done.attempts[place], usage) for place, usage in _answers(done).items()]


def _answers(done: Exchange) -> dict[int, Usage]:
    facts = done.facts
    if facts is None or facts.cache.hit or not done.attempts:
        return {}
    replaced = facts.replaced
    if replaced is not None:
        return {0: replaced.usage, len(done.attempts) - 1: facts.usage}
    return {(0 if facts.cascade is not None else len(done.attempts) - 1): facts.usage}


def _facts(facts: Facts) -> dict[str, Value]:
    bill, (kind, result) = facts.bill, looked(facts.cache)
    told: dict[str, Value] = {
        a.MODEL: facts.deployment.id,
        a.SIMULATED: facts.deployment.simulated,
        a.CACHE_KIND: kind,
        a.CACHE_RESULT: result,
        a.OVERHEAD_US: facts.overhead_us,
        a.INPUT_TOKENS: facts.usage.prompt_tokens,
        a.OUTPUT_TOKENS: facts.usage.completion_tokens,
    }
    money = (
        (a.COST_USD, bill.cost_nanousd),
        (a.BASELINE_USD, bill.baseline_nanousd),
        (a.SAVED_USD, bill.saved_nanousd),
    )
    return told | {name: nanousd / _NANO for name, nanousd in money if nanousd is not None}


def _layers(spent: Spent, start_ns: int) -> tuple[Happening, ...]:
    """The layers, each at its end: the core's parts end where the inspection does, one after the other."""
    inside = (
        ("read", spent.read_ns),
        ("shield", spent.shield_ns),
        ("cache", spent.cache_ns),
        ("classification", spent.classification_ns),
        ("confidence", spent.confidence_ns),
    )
    at_ns = start_ns + spent.inspected_ns - sum(took or 0 for _, took in inside)
    told: list[Happening] = []
    for name, took in inside:
        at_ns += took or 0
        if took is not None:
            told.append(_layer(name, took, at_ns))
    if spent.routing_ns is not None:
        admitted_ns = start_ns + (spent.admitted_ns or spent.inspected_ns)
        told.append(_layer("routing", spent.routing_ns, admitted_ns - (spent.admission_ns or 0)))
        if spent.admission_ns is not None:
            told.append(_layer("admission", spent.admission_ns, admitted_ns))
    return tuple(told)


def _layer(name: str, took_ns: int, at_ns: int) -> Happening:
    return Happening(a.LAYER_EVENT, at_ns, {a.LAYER_NAME: name, a.LAYER_US: took_ns / 1_000})
