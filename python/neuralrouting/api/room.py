"""How many requests may be under way in this worker, and none while the database is too far behind."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from neuralrouting.errors import Unavailable

ROOM_S = 5.0
"""How long a request waits for the database to catch up: an outage may last for hours, a client does not."""


class Queue(Protocol):
    """What fills up when the database falls behind."""

    @property
    def full(self) -> bool:
        """Whether no more should be let in."""
        ...

    async def room(self) -> None:
        """Wait until more may be."""
        ...


class Room:
    """Places for requests. While one of `queues` is full a request waits for `ROOM_S`, then it is refused."""

    def __init__(self, queues: Sequence[Queue], most: int) -> None:
        self._queues = queues
        self._most = self._free = most

    @property
    def taken(self) -> int:
        """Places that are taken just now."""
        """How many are under way."""
        return self._most - self._free

    async def enter(self) -> None:
        """Take a place; give it back with `leave`. Raises Unavailable."""
        if self._free <= 0:
            raise Unavailable("too many requests at once; try again in a moment", code="overloaded", retry_after_s=1)
        for queue in self._queues:
            if queue.full:
                await _wait(queue)
        self._free -= 1

    def leave(self) -> None:
        """Give a place back."""
        self._free += 1


async def _wait(queue: Queue) -> None:
    try:
        async with asyncio.timeout(ROOM_S):
            await queue.room()
    except TimeoutError:
        raise Unavailable(
            "the database is too far behind to let more in; try again", code="ledger_unavailable", retry_after_s=5
        ) from None
