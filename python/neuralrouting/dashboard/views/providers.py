"""The page of providers: how each has answered lately, how each does just now, and what to do where one does not."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from neuralrouting.api.figures import moment
from neuralrouting.catalog import Catalog, Deployment
from neuralrouting.dashboard.page import Ask, Column, Page, Table
from neuralrouting.exchange import Attempt, JsonObject
from neuralrouting.intervals import percentile
from neuralrouting.providers.dispatcher import CLIENT_CLOSED
from neuralrouting.providers.speeds import Speeds
from neuralrouting.storage.audit import AuditQuery
from neuralrouting.storage.calls import EXAMINED_ROWS, CallRows, RequestCalls

OK = "ok"
ADVICE: Mapping[str, str] = {
    "provider_auth": "The provider refuses our key: check the variable that holds it, then restart.",
    "upstream_rate_limited": "The provider limits us: ask it for a higher limit, or add a second provider.",
    "upstream_overloaded": "The provider is overloaded; others are preferred for a while. Nothing to do.",
    "upstream_timeout": "It answers too late: see its status page, or raise UPSTREAM_FIRST_TOKEN_TIMEOUT_S.",
    "upstream_unreachable": "It cannot be reached: check address, network and the provider's status page.",
    "upstream_bad_response": "What it answers is no answer: check its address and the model's name there.",
    "content_filter": "The provider refuses these prompts; another model is not asked to get round that.",
}
"""What to do about the commonest failures, by the outcome of a call."""
_ATTEMPTS = msgspec.json.Decoder(list[Attempt])
_SHOWN = (
    Column("calls", "Calls", "count"),
    Column("failed", "Failed", "count"),
    Column("failed_share", "Share", "percent"),
    Column("ttft_p50_us", "TTFT p50", "us"),
    Column("ttft_p99_us", "TTFT p99", "us"),
    Column("latency_p50_us", "Latency p50", "us"),
    Column("latency_p99_us", "Latency p99", "us"),
    Column("tokens_per_s", "Tokens/s", "count"),
    Column("last_error", "Last failure"),
    Column("last_error_at", "At", "time"),
)
_NOW = (
    Column("deployment", "Model", narrows="model"),
    Column("tier", "Tier"),
    Column("state", "State"),
    Column("ttft_us", "TTFT", "us"),
    Column("tokens_per_s", "Tokens/s", "count"),
    Column("samples", "Answers", "count"),
)
_ERRORS = (
    Column("provider", "Provider"),
    Column("code", "Failure", "code"),
    Column("calls", "Calls", "count"),
    Column("advice", "What to do"),
)


class Call(msgspec.Struct, frozen=True):
    """One call of a provider; `completion_tokens` only of the call whose answer was taken, else 0."""

    at_ms: int
    completion_tokens: int
    attempt: Attempt


class Providers:
    """What the page shows."""

    def __init__(self, calls: CallRows, catalog: Catalog, speeds: Speeds) -> None:
        self._calls = calls
        self._catalog = catalog
        self._speeds = speeds

    def page(self) -> Page:
        """Return the page."""
        tables = {
            "providers": Table("Providers", (Column("provider", "Provider"), *_SHOWN), lambda body: body["providers"]),
            "models": Table(
                "Models", (Column("deployment", "Model", narrows="model"), *_SHOWN), lambda body: body["models"]
            ),
            "errors": Table("Failures by kind", _ERRORS, lambda body: body["errors"]),
            "now": Table("Just now, in this worker", _NOW, lambda body: body["now"]),
        }
        return Page("providers", "Providers", "see_requests", self.body, tables)

    async def body(self, ask: Ask) -> JsonObject:
        """Return how the calls of the newest requests went, by provider and model, and what this worker knows."""
        bar = ask.bar
        query = AuditQuery(ask.viewer.account_id, bar.from_ms, bar.to_ms, bar.wanted)
        rows = [row for row in await self._calls.newest(query) if row.simulated == bar.simulated]
        calls = list(calls_of(rows))
        return {
            "object": "page.providers",
            "examined_newest": EXAMINED_ROWS,
            "requests": len(rows),
            "calls": len(calls),
            "failed": sum(_failed(call) for call in calls),
            "providers": [{"provider": name, **figures(some)} for name, some in _apart(calls, "provider")],
            "models": [{"deployment": name, **figures(some)} for name, some in _apart(calls, "deployment")],
            "errors": _errors(calls),
            "now": [self._now(one) for one in self._catalog.servable if one.simulated == bar.simulated],
        }

    def _now(self, deployment: Deployment) -> JsonObject:
        speed = self._speeds.of(deployment.id)
        cooling = self._speeds.cooling(deployment.id, time.monotonic())
        return {
            "deployment": deployment.id,
            "tier": deployment.tier,
            "state": "resting after a failure" if cooling else "ready" if speed is not None else "not asked yet",
            "ttft_us": round(speed.ttft_us) if speed is not None and speed.ttft_us is not None else None,
            "tokens_per_s": round(1e6 / speed.token_us) if speed is not None and speed.token_us else None,
            "samples": speed.samples if speed is not None else 0,
        }


def calls_of(rows: Iterable[RequestCalls]) -> Iterable[Call]:
    """Take requests apart into calls, newest request first; the answer is that of the last call that went well."""
    for row in rows:
        attempts = _ATTEMPTS.decode(row.attempts)
        answered = max((at for at, one in enumerate(attempts) if one.outcome == OK), default=-1)
        for at, attempt in enumerate(attempts):
            yield Call(row.created_ms, row.completion_tokens if at == answered else 0, attempt)


def figures(calls: Sequence[Call]) -> JsonObject:
    """Return how some calls went; times in microseconds, of calls that went well; None where none tells.

    Tokens a second are those of all streamed answers together, from their first token on.
    """
    well = [call for call in calls if call.attempt.outcome == OK]
    failed = [call for call in calls if _failed(call)]
    ttft = [float(call.attempt.ttft_us) for call in well if call.attempt.ttft_us is not None]
    latency = [float(call.attempt.latency_us) for call in well]
    last = max(failed, key=lambda call: call.at_ms, default=None)
    return {
        "calls": len(calls),
        "failed": len(failed),
        "failed_share": len(failed) / len(calls) if calls else None,
        "ttft_p50_us": _at(ttft, 0.5),
        "ttft_p99_us": _at(ttft, 0.99),
        "latency_p50_us": _at(latency, 0.5),
        "latency_p99_us": _at(latency, 0.99),
        "tokens_per_s": _tokens_per_s(well),
        "last_error": last.attempt.outcome if last is not None else None,
        "last_error_at": moment(last.at_ms) if last is not None else None,
    }


def _tokens_per_s(well: Iterable[Call]) -> int | None:
    tokens = spent_us = 0
    for call in well:
        attempt = call.attempt
        if attempt.ttft_us is not None and call.completion_tokens and attempt.latency_us > attempt.ttft_us:
            tokens += call.completion_tokens
            spent_us += attempt.latency_us - attempt.ttft_us
    return round(1e6 * tokens / spent_us) if spent_us else None


def _at(values: list[float], share: float) -> int | None:
    return round(percentile(values, share)) if values else None


def _failed(call: Call) -> bool:
    """Whether a provider failed; a client that left is no fault of it."""
    return call.attempt.outcome not in (OK, CLIENT_CLOSED)


def _apart(calls: Iterable[Call], name: str) -> list[tuple[str, list[Call]]]:
    apart: dict[str, list[Call]] = {}
    for call in calls:
        apart.setdefault(getattr(call.attempt, name), []).append(call)
    return sorted(apart.items(), key=lambda pair: (-len(pair[1]), pair[0]))


def _errors(calls: Iterable[Call]) -> list[JsonObject]:
    counts = Counter((call.attempt.provider, call.attempt.outcome) for call in calls if _failed(call))
    return [
        {
            "provider": provider,
            "code": code,
            "calls": count,
            "advice": ADVICE.get(code, "See the provider's status page; the requests say more."),
        }
        for (provider, code), count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
