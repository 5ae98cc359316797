"""One line of the log for each finished request, written behind it: figures and names, no word of its text."""

import logging

from neuralrouting.exchange import Exchange, SecurityEvent
from neuralrouting.telemetry.counting import decided_by
from neuralrouting.telemetry.spans import trace_of

log = logging.getLogger("neuralrouting.requests")


class RequestLog:
    """Writes the lines, at level `info`."""

    def read(self, event: Exchange | SecurityEvent) -> None:
        """Write the line of one request."""
        if isinstance(event, Exchange) and log.isEnabledFor(logging.INFO):
            told = _told(event)
            log.info("request ended %s", " ".join(f"{n}={v}" for n, v in told.items()), extra={"fields": told})


def _told(done: Exchange) -> dict[str, object]:
    arrival, facts = done.arrival, done.facts
    told: dict[str, object] = {
        "request_id": arrival.request_id,
        "endpoint": arrival.hints.endpoint,
        "account": arrival.caller.account_id,
        "key": arrival.caller.key_id,
        "status": done.status,
        "error": done.error_code,
        "decided_by": decided_by(done),
        "stream": done.stream,
        "latency_us": done.latency_us,
        "attempts": len(done.attempts),
    }
    if arrival.hints.traceparent is not None:
        told["trace_id"] = trace_of(arrival.hints.traceparent)
    if facts is not None:
        told |= {
            "model": facts.deployment.id,
            "cache": facts.cache.outcome,
            "simulated": facts.deployment.simulated,
            "prompt_tokens": facts.usage.prompt_tokens,
            "completion_tokens": facts.usage.completion_tokens,
            "cost_nanousd": facts.bill.cost_nanousd,
            "baseline_nanousd": facts.bill.baseline_nanousd,
            "overhead_us": facts.overhead_us,
        }
    return {name: value for name, value in told.items() if value is not None}
