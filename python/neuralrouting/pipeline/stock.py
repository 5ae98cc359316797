"""The stock of stored answers in one worker's memory: filled from the database, and rid of what is to go."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from neuralrouting.background import Background, Complaints, again
from neuralrouting.clock import unix_ms
from neuralrouting.exchange import CacheEntry
from neuralrouting.storage.database import Database
from neuralrouting.storage.entries import EntryRows
from neuralrouting.storage.judgements import Judgements, Retirement
from neuralrouting.storage.purges import KEPT_MS, Purge, Purges
from neuralrouting.storage.tombstones import Tombstones

POLL_S: Final = 1.0
"""How often a worker looks for what others have stored, purged and judged; the promise for purges is 2 s."""
PAGE: Final = 1_000
"""Entries a query, so that their answers are never all in memory twice."""
BREATH: Final = 200
"""Entries taken, 5 us each, before waiting requests come first."""
TIDY_S: Final = 5.0
EXPIRE_S: Final = 3_600.0
"""How often what has expired is deleted; the first time at start."""

TOLD_STEP: Final = 0.0001
"""Similarities are told cut after four decimals: the one of the hit that was wrong may be more by this."""

_log = logging.getLogger("neuralrouting.cache")


class Memory(Protocol):
    """What the stock asks of the native engine beside taking entries; may be called on any thread."""

    def purge(self, *, account: str, before_s: int, scope: bytes | None, key: bytes | None, pattern: str | None) -> int:
        """Drop an account's entries, stored by then (Unix seconds, inclusive), that match all that is not None."""
        ...

    def retire(self, scope: bytes, key: bytes, similarity: float) -> bool:
        """Drop an entry that was proven wrong, and ask more than `similarity` of its scope from now on."""
        ...


class CacheStock:
    """Follows the tables of the cache for one engine, which takes entries through `take`.

    Entries are read before purges, and what a purge covers is not taken: so nothing that was purged comes back,
    however late its row was written. `alone`: nobody else stores entries, so that once warm there are none to read.
    While the database is away all stays as it is, and is caught up with after.
    """

    def __init__(
        self,
        memory: Memory,
        take: Callable[[CacheEntry], bool],
        database: Database,
        *,
        memory_bytes: int,
        alone: bool,
        poll_s: float = POLL_S,
    ) -> None:
        self._memory = memory
        self._take = take
        self._entries = EntryRows(database)
        self._purges = Purges(database)
        self._judgements = Judgements(database)
        self._memory_bytes = memory_bytes
        self._alone = alone
        self._poll_s = poll_s
        self._tombstones = Tombstones()
        self._seq: int | None = None
        self._warm = False
        self._purge_seq = self._retirement_seq = 0
        self._following = asyncio.Lock()
        self._expire_s = 0.0
        self._complaints = Complaints(_log)
        self._background = Background()

    def start(self) -> None:
        """Begin to fill the memory and to follow what changes; needs a running event loop."""
        trouble = "stored answers cannot be followed"
        self._background.start(
            follow=again("follow", self.follow, self._complaints, trouble, self._poll_s),
            tidy=again("tidy", self._tidy, self._complaints, trouble, self._poll_s),
        )

    async def close(self) -> None:
        """Stop."""
        await self._background.close()

    def covers(self, entry: CacheEntry) -> bool:
        """Whether a purge that this worker knows of covers an entry, which must then neither be stored nor served.

        To be asked of an answer that is stored only now: its request may have come before the purge.
        """
        return self._tombstones.cover(entry)

    async def apply_now(self) -> None:
        """Obey every purge and judgement that is committed by now, before this returns. Raises Unavailable."""
        async with self._following:
            await self._obey()

    async def follow(self) -> float:
        """Read a page of entries, then what is purged, and take what is left of the page; done for ever once started.

        Returns after how many seconds there may be more. Raises Unavailable.
        """
        async with self._following:
            seq = self._seq if self._seq is not None else await self._entries.before_newest(self._memory_bytes)
            resting = self._alone and self._warm
            page = [] if resting else await self._entries.since(seq, PAGE)
            await self._obey()
            await self._take_page(page)
            self._seq = page[-1][0] if page else seq
            self._warm = self._warm or len(page) < PAGE
        return 0.0 if len(page) == PAGE else self._poll_s

    async def _take_page(self, page: list[tuple[int, CacheEntry]]) -> None:
        gone: list[int] = []
        for place, (seq, entry) in enumerate(page):
            if self._tombstones.cover(entry):
                gone.append(seq)
            else:
                self._take(entry)
            if place % BREATH == BREATH - 1:
                await asyncio.sleep(0)
        if gone:
            await self._entries.drop(gone)

    async def _obey(self) -> None:
        now_ms = unix_ms()
        while purges := await self._purges.since(self._purge_seq, now_ms):
            for purge in purges:
                await self._apply_purge(purge)
                self._purge_seq = purge.seq
        while retirements := await self._judgements.against(self._retirement_seq, now_ms):
            for retirement in retirements:
                self._apply_retirement(retirement)
                self._retirement_seq = retirement.seq

    async def _apply_purge(self, purge: Purge) -> None:
        # The tombstone first: from here on nothing older is stored, and what was stored is in the engine by now.
        self._tombstones.add(purge)
        await asyncio.to_thread(
            self._memory.purge,
            account=purge.account_id,
            before_s=purge.purged_ms // 1_000,
            scope=purge.scope,
            key=purge.key,
            pattern=purge.pattern,
        )

    def _apply_retirement(self, retirement: Retirement) -> None:
        """Exact and canonical hits were not found by their similarity, so it teaches nothing; their entry is purged."""
        if retirement.kind == "semantic" and retirement.scope is not None:
            self._memory.retire(retirement.scope, retirement.key, retirement.similarity + TOLD_STEP)

    async def _tidy(self) -> float:
        """Delete what has expired and what came after its purge."""
        now_ms = unix_ms()
        self._tombstones.forget(now_ms - KEPT_MS)
        if time.monotonic() >= self._expire_s:
            await self._entries.purge_expired(now_ms)
            self._expire_s = time.monotonic() + EXPIRE_S
        await self._purges.sweep(now_ms)
        return TIDY_S
