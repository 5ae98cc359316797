"""One request on its way through the layers: the only value that changes, seen by nobody but the pipeline."""

import time

from neuralrouting.accounts.admission import Admitted
from neuralrouting.accounts.bounds import Size
from neuralrouting.accounts.budgets import Spender
from neuralrouting.engine import Inspection
from neuralrouting.exchange import Arrival, Attempt, Cascade, Finding, Lookup, Task
from neuralrouting.pipeline.flight import Seat
from neuralrouting.rules import Rule

NOTHING_NEAR = "none"
"""Reason of the core for a miss about which there is nothing to tell."""


class Turn:
    """What one request has come to so far; `ended` once its row is written and its hold resolved."""

    __slots__ = (
        "admitted", "arrival", "attempts", "cascade", "ended", "finding", "inspection", "opening", "order", "seat",
        "stream", "task", "waited_us",
    )  # fmt: skip

    def __init__(self, arrival: Arrival, inspection: Inspection, *, stream: bool) -> None:
        self.arrival = arrival
        self.inspection = inspection
        self.stream = stream  # as the endpoint decided, which may not be what the body says
        self.finding: Finding | None = None
        self.order: Rule | None = None  # the account's rule that holds
        self.task: Task | None = None
        self.opening: bytes | None = None  # of its conversation, once somebody asked
        self.admitted: Admitted | None = None
        self.attempts: list[Attempt] = []
        self.cascade: Cascade | None = None  # once the first of two models has answered, which was the first attempt
        self.seat: Seat | None = None  # others may wait for its answer
        self.waited_us = 0  # for the answer of an equal request
        self.ended = False

    @property
    def followed(self) -> Lookup:
        """How the cache took part where an equal request's stream is read along."""
        return Lookup("exact", 1.0, 0, self.inspection.key.hex(), shared=True)

    @property
    def missed(self) -> Lookup:
        """How the cache took part when it did not answer."""
        if not self.arrival.hints.read_cache:
            return Lookup("bypass")
        reason = self.inspection.miss_reason
        return Lookup("miss", reason=reason if reason != NOTHING_NEAR else None)

    @property
    def upstream_us(self) -> int:
        """Time spent in finished calls to providers, and in waiting for those of an equal request."""
        return self.waited_us + sum(attempt.latency_us for attempt in self.attempts)

    @property
    def spender(self) -> Spender:
        """Whom the spending is attributed to."""
        caller, found, hints = self.arrival.caller, self.inspection, self.arrival.hints
        return Spender(caller.key_id, caller.team, found.user or hints.end_user, found.feature or hints.feature)

    @property
    def size(self) -> Size:
        """What bounds the cost."""
        found = self.inspection
        media = found.has_images or found.has_audio
        return Size(found.prompt_tokens, found.message_count, found.n, found.max_output_tokens, media)

    def since_us(self) -> int:
        """Return the microseconds since the request came in."""
        return (time.perf_counter_ns() - self.arrival.started_ns) // 1000

    def stand_up(self) -> None:
        """Leave the asking to who waits for this request's answer, if anybody does; nothing after it has landed."""
        if self.seat is not None:
            self.seat.fail()
