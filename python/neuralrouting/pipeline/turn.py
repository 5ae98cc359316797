"""One request on its way through the layers: the only value that changes, seen by nobody but the pipeline."""

import time

from neuralrouting.accounts.admission import Admitted
from neuralrouting.accounts.bounds import Size
from neuralrouting.accounts.budgets import Spender
from neuralrouting.engine import Inspection
from neuralrouting.exchange import Arrival, Attempt, CacheOutcome, Finding, Task


class Turn:
    """What one request has come to so far; `ended` once its row is written and its hold resolved."""

    __slots__ = ("admitted", "arrival", "attempts", "ended", "finding", "inspection", "stream", "task")

    def __init__(self, arrival: Arrival, inspection: Inspection, *, stream: bool) -> None:
        self.arrival = arrival
        self.inspection = inspection
        self.stream = stream  # as the endpoint decided, which may not be what the body says
        self.finding: Finding | None = None
        self.task: Task | None = None
        self.admitted: Admitted | None = None
        self.attempts: list[Attempt] = []
        self.ended = False

    @property
    def outcome(self) -> CacheOutcome:
        """How the cache took part when it did not answer."""
        return "miss" if self.arrival.hints.read_cache else "bypass"

    @property
    def upstream_us(self) -> int:
        """Time spent in finished calls to providers."""
        return sum(attempt.latency_us for attempt in self.attempts)

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
