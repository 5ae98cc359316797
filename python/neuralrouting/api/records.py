"""Single requests and rows of the ledger, as they are shown to whom they belong."""

from typing import Any

import orjson

from neuralrouting.api.figures import credit, moment, money
from neuralrouting.exchange import JsonObject, Role
from neuralrouting.storage.ledger import Entry
from neuralrouting.storage.requests import RequestRow


def entry_fields(entry: Entry, role: Role) -> JsonObject:
    """Return one entry. Who made it is for operators only: an id of a key that is not the account's own."""
    fields: JsonObject = {
        "seq": entry.seq,
        "created": moment(entry.created_ms),
        "kind": entry.kind,
        "ref": entry.ref,
        "counter": entry.counter,
        **credit("delta", entry.delta_mc),
        **credit("loss", entry.loss_mc),
        **money("cost", entry.cost_nanousd),
        "simulated": entry.simulated,
        "reason": entry.reason,
        "hash": entry.hash.hex(),
    }
    if role == "operator":
        fields["actor"] = entry.actor
    return fields


def request_fields(row: RequestRow) -> JsonObject:
    """Return what may be told of a request, without a word of its text."""
    cost, baseline = row.cost_nanousd, row.baseline_nanousd
    saved = baseline - cost if cost is not None and baseline is not None else None
    return {
        "request_id": row.request_id,
        "created": moment(row.created_ms),
        **_named(row, "endpoint", "stream"),
        "key": row.key_id,
        "user": row.end_user,
        "session": row.session_id,
        **_named(row, "feature", "team", "status", "error_code", "cache"),
        **_decided(row),
        **_named(row, "deployment", "model", "provider", "simulated"),
        "attempts": _list(row.attempts),
        **_named(row, "prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens"),
        **_named(row, "usage_source", "price_version"),
        **money("cost", cost),
        **money("baseline", baseline),
        **money("saved", saved),
        **money("house", row.house_nanousd),
        **money("provider_cache", row.provider_cache_nanousd),
        "hold_state": row.hold_state,
        **credit("held", row.held_mc),
        **credit("charged", row.charged_mc),
        **_named(row, "latency_us", "ttft_us", "overhead_us"),
    }


def _decided(row: RequestRow) -> JsonObject:
    """What the classifier and the router made of the request."""
    return {
        **_named(row, "requested_model", "routing_mode", "route_rule", "task"),
        "complexity": row.complexity_tenths / 10 if row.complexity_tenths is not None else None,
        **_named(row, "high_risk", "risk_domain"),
        "candidates": _list(row.candidates),
    }


def decision_of(row: RequestRow) -> JsonObject | None:
    """Return what was decided of a request and why; None of one from before that was kept."""
    return orjson.loads(row.decision) if row.decision is not None else None


def _named(row: RequestRow, *names: str) -> JsonObject:
    return {name: getattr(row, name) for name in names}


def _list(text: str) -> list[Any]:
    return orjson.loads(text)
