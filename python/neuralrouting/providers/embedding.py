"""What second embedders have in common: floats to signed bytes, and one run for one text however many ask for it."""

import asyncio
import hashlib
import logging
import math
import time
from array import array
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

log = logging.getLogger("neuralrouting.embedding")

LARGEST = 127
"""What the largest number of a vector becomes: the whole range of a signed byte but for -128."""
DIMENSIONS_MOST = 4_096
"""More numbers than this are not taken as an embedding; common models have 256 to 3,072."""
REMEMBERED = 1_024
"""Vectors kept: from being asked until its answer is stored a question must stay. 0.4 MB of MiniLM's, 4 MB at most."""
SILENT_S = 60.0
"""Seconds between two words in the log about one embedder."""


def signed(numbers: Sequence[float]) -> bytes | None:
    """Round a vector of any length to signed bytes; None for one without direction, or with what is no number."""
    largest = max(map(abs, numbers), default=0.0)
    if not all(map(math.isfinite, numbers)) or largest == 0:
        return None
    return array("b", [round(number / largest * LARGEST) for number in numbers]).tobytes()


class Runs:
    """Embeds a text once for all who ask at a time or soon after; more than `at_once` texts at a time are refused.

    `run` returns a vector or None and raises nothing. It goes on when those who asked have left: what it brings is
    there when the answer is stored.
    """

    def __init__(self, run: Callable[[str], Awaitable[bytes | None]], at_once: int) -> None:
        self._run = run
        self._at_once = at_once
        self._running: dict[bytes, asyncio.Task[bytes | None]] = {}
        self._known: OrderedDict[bytes, bytes] = OrderedDict()

    def known(self, text: str) -> bytes | None:
        """Return the vector of a text that was embedded lately."""
        return self._recall(_digest(text))

    async def vector(self, text: str, within_s: float) -> bytes | None:
        """Return a text's vector; None when there is none, too many wait, or the time is over."""
        digest = _digest(text)
        known = self._recall(digest)
        if known is not None:
            return known
        task = self._running.get(digest)
        if task is None:
            if len(self._running) >= self._at_once:
                return None
            task = self._running[digest] = asyncio.create_task(self._remembered(digest, text))
        done, _ = await asyncio.wait((task,), timeout=within_s)
        return None if not done or task.cancelled() else task.result()

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _recall(self, digest: bytes) -> bytes | None:
        vector = self._known.get(digest)
        if vector is not None:
            self._known.move_to_end(digest)
        return vector

    async def _remembered(self, digest: bytes, text: str) -> bytes | None:
        try:
            vector = await self._run(text)
        finally:
            del self._running[digest]
        if vector is not None:
            self._known[digest] = vector
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return vector


class Complaints:
    """Says in the log what keeps an embedder from its work, at most once a minute; never a text or a key."""

    def __init__(self, embedder: str) -> None:
        self._embedder = embedder
        self._next_s = -math.inf

    def say(self, reason: object) -> None:
        """Say it, unless something was said just before."""
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + SILENT_S
            log.warning("%s: %s; questions that need it are misses", self._embedder, reason)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
