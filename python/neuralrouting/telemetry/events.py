"""What has happened, on its way to those who tell of it: the request path appends one value, the rest is done later."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextvars import copy_context
from itertools import islice
from typing import Final, Protocol

from neuralrouting.background import Complaints
from neuralrouting.exchange import Exchange, SecurityEvent

Event = Exchange | SecurityEvent
DELAY_S: Final = 0.05
"""How long an event waits; a worker that is killed takes those with it."""
BATCH: Final = 100
"""Events that are read in one go: about a millisecond in which nobody else is served."""
CAPACITY: Final = 20_000
"""Events that wait at most; those beyond are not kept, which the log says once."""

log = logging.getLogger("neuralrouting.telemetry")


class Reader(Protocol):
    """Who tells of events."""

    def read(self, event: Event) -> None:
        """Take one event in."""
        ...


class Events:
    """The queue of one worker; everything is called on the event loop's thread."""

    def __init__(self, readers: Sequence[Reader], *, capacity: int = CAPACITY) -> None:
        self.missed = 0
        self._readers = tuple(readers)
        self._capacity = capacity
        self._waiting: deque[Event] = deque()
        self._complaints = Complaints(log)
        self._context = copy_context()  # of no request: what is said here is of none in particular

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def note(self, event: Event) -> None:
        """Take one event; it is read soon. Never waits, never raises."""
        waiting = self._waiting
        if not waiting:
            asyncio.get_running_loop().call_later(DELAY_S, self._drain, context=self._context)
        elif len(waiting) >= self._capacity:
            self.missed += 1
            self._complaints.say("queue", f"more than {self._capacity} events wait: some are not counted")
            return
        waiting.append(event)

    def flush(self) -> None:
        """Read everything that waits, now."""
        while self._waiting:
            self._read(len(self._waiting))
        self._complaints.settle("queue")

    def _drain(self) -> None:
        self._read(BATCH)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._drain)

    def _read(self, most: int) -> None:
        for event in list(islice(self._waiting, most)):
            for reader in self._readers:
                try:
                    reader.read(event)
                except Exception as error:  # noqa: BLE001  what tells of requests must not end them, nor the others
                    # Its message may hold text of the request.
                    self._complaints.say(type(reader).__name__, f"an event cannot be told: {type(error).__name__}")
            self._waiting.popleft()
