"""Finishes what dead workers left behind: their journals are put into the tables, their leases go back."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from neuralrouting.storage.books import Books
from neuralrouting.storage.database import RowError
from neuralrouting.storage.journal import Orphan, orphans
from neuralrouting.storage.turns import Turn

BATCH = 500

_log = logging.getLogger("neuralrouting.accounts")


async def recover(root: Path, books: Books, forget: Callable[[str], Awaitable[object]]) -> int:
    """Settle the journals under `root` whose workers are dead; return how many there were.

    Safe to repeat, and from many processes at once: a journal is locked while it is worked on, and what is in the
    tables is known from its worker's row. `forget` is told each worker's id. Raises Unavailable when the database is
    away: then the journal stays for the next time.
    """
    found = 0
    left = orphans(root)
    try:
        while (orphan := await asyncio.to_thread(next, left, None)) is not None:
            await _settle(orphan, books)
            await forget(orphan.worker_id)
            await books.retire(orphan.worker_id)
            found += 1
            _log.warning(
                "worker %s died: %d settlements of its journal are safe, %d requests were cut off and cost nothing",
                orphan.worker_id,
                len(orphan.settled),
                len(orphan.unfinished),
            )
    finally:
        # Its journal stays locked as long as the walk lives, which may be until the collector comes by. Where this was
        # cancelled a thread may still be in it, and lets go of it.
        with contextlib.suppress(ValueError):
            left.close()
    return found


async def _settle(orphan: Orphan, books: Books) -> None:
    place = await books.place(orphan.worker_id)
    if place is None:  # it had settled everything, or never began
        return
    number, applied = place
    news = [(end, settlement) for end, settlement in orphan.settled if end > applied]
    # The last turn stands at the same place as the one before: what never ended has no record of an end.
    lost = [(0, started.expired()) for started in orphan.unfinished]
    todo = [*news, *lost]
    for first in range(0, len(todo), BATCH):
        some = todo[first : first + BATCH]
        number += 1
        applied = max(applied, *(end for end, _ in some))
        await _take(Turn(orphan.worker_id, number, applied, tuple(one for _, one in some)), books)


async def _take(turn: Turn, books: Books) -> None:
    try:
        await books.turn(turn)
    except RowError:
        await books.turn_apart(turn)
