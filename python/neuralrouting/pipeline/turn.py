"""One request on its way through the layers: the only value that changes, seen by nobody but the pipeline."""

import time

import msgspec

from neuralrouting.accounts.admission import Admitted
from neuralrouting.accounts.bounds import Size
from neuralrouting.accounts.budgets import Spender
from neuralrouting.engine import Inspection
from neuralrouting.exchange import Arrival, Attempt, Cascade, Finding, Lookup, Task
from neuralrouting.pipeline.flight import Seat
from neuralrouting.rules import Rule

NOTHING_NEAR = "none"
"""Reason of the core for a miss about which there is nothing to tell."""


class Attempts(list[Attempt]):
    """The calls of one request so far, each added when it has ended; when it began is added to it."""

    __slots__ = ("_started_ns",)

    def __init__(self, started_ns: int) -> None:
        super().__init__()
        self._started_ns = started_ns

    def append(self, attempt: Attempt) -> None:
        """Add one that has ended just now."""
        ended_us = (time.perf_counter_ns() - self._started_ns) // 1_000
        super().append(msgspec.structs.replace(attempt, began_us=max(0, ended_us - attempt.latency_us)))


class Turn:
    """What one request has come to so far; `ended` once its row is written and its hold resolved."""

    __slots__ = (
        "admission_ns", "admitted", "admitted_ns", "arrival", "attempts", "cascade", "ended", "finding", "inspected_ns",
        "inspection", "opening", "order", "routing_ns", "seat", "stream", "task", "waited_us",
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
        self.attempts = Attempts(arrival.started_ns)
        self.cascade: Cascade | None = None  # once the first of two models has answered, which was the first attempt
        self.seat: Seat | None = None  # others may wait for its answer
        self.waited_us = 0  # for the answer of an equal request
        self.inspected_ns = time.perf_counter_ns() - arrival.started_ns  # just now
        self.routing_ns: int | None = None  # once routes were chosen, all of them together
        self.admission_ns: int | None = None  # once it was let in
        self.admitted_ns: int | None = None  # then, after its arrival
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
