"""Turns finished exchanges into rows, and writes stored answers and security events down, off the request path."""

import logging
from collections.abc import Callable

import msgspec

from neuralrouting.exchange import Attempt, CacheEntry, Exchange, Route, SecurityEvent
from neuralrouting.storage.entries import INSERT_ENTRY, entry_values
from neuralrouting.storage.feedback import INSERT_SIGN, Feedback
from neuralrouting.storage.requests import RequestRow
from neuralrouting.storage.security import INSERT_EVENT, event_values
from neuralrouting.storage.writer import Writer

log = logging.getLogger("neuralrouting.requests")
_encode = msgspec.json.Encoder().encode


def _nobody(_event: Exchange | SecurityEvent) -> None:
    """Tell nobody."""


class Recorder:
    """Turns values into rows and hands them to the writer; never blocks.

    `told` hears of every finished request and every finding: it must neither wait nor raise.
    """

    def __init__(self, writer: Writer, told: Callable[[Exchange | SecurityEvent], None] = _nobody) -> None:
        self._writer = writer
        self.ended: Callable[[Exchange], None] = told
        self._told = told

    @property
    def full(self) -> bool:
        """Whether intake must wait for `room`."""
        return self._writer.full

    async def room(self) -> None:
        """Wait until there is room for more rows."""
        await self._writer.room()

    def entry(self, entry: CacheEntry) -> None:
        """Record one stored answer."""
        self._writer.put(INSERT_ENTRY, entry_values(entry))

    def sign(self, sign: Feedback) -> None:
        """Record a sign that an answer did not please."""
        self._writer.put(INSERT_SIGN, sign.values())

    def security(self, event: SecurityEvent) -> None:
        """Record what the shield found in one request."""
        self._writer.put(INSERT_EVENT, event_values(event))
        self._told(event)


def row_of(done: Exchange) -> RequestRow:
    """Return the row of one request; at log level `debug` it is a line of the log too, without a word of its text."""
    row = _row(done)
    if log.isEnabledFor(logging.DEBUG):
        log.debug(
            "request=%s endpoint=%s status=%d deployment=%s simulated=%s cache=%s cost_nanousd=%s latency_us=%d",
            row.request_id, row.endpoint, row.status, row.deployment, row.simulated, row.cache,
            row.cost_nanousd, row.latency_us,
        )  # fmt: skip
    return row


def _row(done: Exchange) -> RequestRow:
    arrival, facts, task, route = done.arrival, done.facts, done.task, done.route
    served = facts.deployment if facts is not None else None
    usage = facts.usage if facts is not None else None
    bill = facts.bill if facts is not None else None
    return RequestRow(
        request_id=arrival.request_id,
        created_ms=arrival.created_ms,
        account_id=arrival.caller.account_id,
        key_id=arrival.caller.key_id,
        endpoint=arrival.hints.endpoint,
        stream=done.stream,
        end_user=done.end_user,
        session_id=done.session_id,
        feature=done.feature,
        requested_model=done.requested_model,
        routing_mode=route.mode if route is not None else None,
        route_rule=route.rule if route is not None else None,
        deployment=served.id if served is not None else None,
        model=served.model if served is not None else None,
        provider=served.provider if served is not None else None,
        simulated=served.simulated if served is not None else False,
        cache=facts.cache.outcome if facts is not None else "miss",
        status=done.status,
        error_code=done.error_code,
        attempts=_attempts(done.attempts),
        candidates=_candidates(route),
        prompt_tokens=usage.prompt_tokens if usage is not None else 0,
        completion_tokens=usage.completion_tokens if usage is not None else 0,
        cached_tokens=usage.cached_tokens if usage is not None else 0,
        cache_write_tokens=usage.cache_write_tokens if usage is not None else 0,
        reasoning_tokens=usage.reasoning_tokens if usage is not None else 0,
        usage_source=usage.source if usage is not None else None,
        cost_nanousd=bill.cost_nanousd if bill is not None else 0,
        baseline_nanousd=bill.baseline_nanousd if bill is not None else None,
        price_version=bill.price_version if bill is not None else None,
        latency_us=done.latency_us,
        ttft_us=done.ttft_us,
        overhead_us=facts.overhead_us if facts is not None else None,
        request_body=done.request_body,
        response_body=done.response_body,
        task=task.task if task is not None else None,
        complexity_tenths=round(10 * task.complexity) if task is not None else None,
        high_risk=task.high_risk if task is not None else None,
        risk_domain=task.risk_domain if task is not None else None,
        team=arrival.caller.team,
        hold_state=done.hold_state,
        held_mc=done.held_mc,
        charged_mc=done.charged_mc,
        house_nanousd=done.house_nanousd,
        provider_cache_nanousd=bill.provider_cache_nanousd if bill is not None else 0,
        decision=done.decision,
    )


def _attempts(attempts: tuple[Attempt, ...]) -> str:
    return _encode(attempts).decode() if attempts else "[]"


def _candidates(route: Route | None) -> str:
    return _encode([d.id for d in route.candidates]).decode() if route is not None else "[]"
