"""Keeps what this worker knows of models up to date: has matrices built when they are due, and follows all builds."""

import asyncio
import logging
import random
import time
from typing import Final

from neuralrouting.background import Background, Complaints, again
from neuralrouting.clock import unix_ms
from neuralrouting.engine import Predictor
from neuralrouting.errors import NotFound, Unavailable
from neuralrouting.layers.confidence import Confidence, Snapshot
from neuralrouting.pipeline.building import WRONG, Builder, Heads, read_heads, read_learned
from neuralrouting.storage.confidence import ConfidenceRow, ConfidenceRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.evidence import EvidenceRows

POLL_S: Final = 1.0
"""How often a worker looks for what others have built: by then all serve by the same matrix."""
LOOK_S: Final = 15.0
"""How often, at most, a worker looks whether a matrix is due."""
START_S: Final = 2.0
"""How long the start of a worker waits for matrices; the rest is taken while it serves."""
EXPIRE_S: Final = 60.0
EMBEDDING_BYTES: Final = 256
TROUBLE: Final = "confidence matrices cannot be kept up to date"

_log = logging.getLogger("neuralrouting.learning")


class Learning:
    """Builds for and follows the table `confidence`, and gives `Confidence` what is new.

    Of many workers one builds an account's matrix at a time; all take it within a poll. While the database is away,
    or what is written cannot be read, requests are served by what is known or by priors.
    """

    def __init__(self, database: Database, confidence: Confidence, *, period_s: float, poll_s: float = POLL_S) -> None:
        self._rows = ConfidenceRows(database)
        self._evidence = EvidenceRows(database)
        self._builder = Builder(database, confidence.settings, confidence.prior)
        self.confidence: Final = confidence
        self._period_s = period_s
        self._poll_s = poll_s
        self._seq = 0
        self._wrong_seq: int | None = None
        self._heads: dict[str, Heads] = {}
        self._following, self._building = asyncio.Lock(), asyncio.Lock()
        self._expire_s = 0.0
        self._complaints = Complaints(_log)
        self._background = Background()

    async def start(self) -> None:
        """Take what is there, for a moment, and begin to follow and to build; never fails, priors serve meanwhile."""
        try:
            async with asyncio.timeout(START_S):
                await self.follow()
        except Unavailable as error:
            self._complaints.say("follow", f"confidence matrices cannot be read, priors serve: {error.message}")
        except TimeoutError:
            _log.info("many confidence matrices are still to be read; priors serve the accounts behind them")
        self._background.start(
            follow=again("follow", self._following_on, self._complaints, TROUBLE, 0.0),
            build=again("build", self._building_on, self._complaints, TROUBLE, 0.0),
        )

    async def close(self) -> None:
        """Stop; a build that is under way is dropped, and what was there before stays."""
        await self._background.close()

    async def follow(self) -> None:
        """Take every matrix built since the last look, and every prompt that has gone wrong. Raises Unavailable."""
        async with self._following:
            while rows := await self._rows.since(self._seq):
                for row in rows:
                    await self._take(row)
                    self._seq = row.seq
            await self._follow_wrong()
            if time.monotonic() >= self._expire_s:
                self._expire_s = time.monotonic() + EXPIRE_S
                for account_id in self.confidence.expire(unix_ms()):
                    _log.warning("the confidence matrix of account %s is too old: priors serve", account_id)

    async def build_due(self) -> None:
        """Build the matrices that are due and that no other worker is building. Raises Unavailable."""
        reference = self.confidence.reference
        if reference is None:
            return
        now_ms = unix_ms()
        for account_id, seq in await self._rows.due(now_ms, int(self._period_s * 1_000)):
            async with self._building:
                if await self._rows.claim(account_id, seq, unix_ms()):
                    await self._builder.build(account_id, reference)

    async def rebuild(self, account_id: str) -> ConfidenceRow:
        """Build an account's matrix now; this worker serves by it when this returns, all others within a poll.

        Raises NotFound where there is no model to compare with, Unavailable.
        """
        reference = self.confidence.reference
        async with self._building:
            row = await self._builder.build_now(account_id, reference) if reference is not None else None
        if row is None:
            raise NotFound("there is no premium model here that others could be compared with")
        await self.follow()
        return row

    async def _take(self, row: ConfidenceRow) -> None:
        try:
            learned, heads = await asyncio.to_thread(lambda: (read_learned(row.matrix), read_heads(row.heads)))
            predictor = await asyncio.to_thread(_predictor, heads)
        except ValueError as error:
            self._complaints.say(
                row.account_id, f"account {row.account_id} is served by priors, build {row.seq}: {error}"
            )
            self._heads.pop(row.account_id, None)
            self.confidence.take(row.account_id, Snapshot(None, row.built_ms, broken=True))
            return
        self._complaints.settle(row.account_id)
        self._heads[row.account_id] = heads
        self.confidence.take(row.account_id, Snapshot(learned, row.built_ms, predictor))
        if self._wrong_seq is not None:  # what has gone wrong while this was built is not in it
            self._wrong_seq = min(self._wrong_seq, heads.seq)

    async def _follow_wrong(self) -> None:
        """Let prompts that have gone wrong since the last build count at once, not only from the next one on."""
        if self._wrong_seq is None:
            self._wrong_seq = min((heads.seq for heads in self._heads.values()), default=None)
            if self._wrong_seq is None:
                self._wrong_seq = await self._evidence.last_seq()
        fresh: dict[str, list[bytes]] = {}
        while rows := await self._evidence.went_wrong_since(self._wrong_seq):
            for seq, account_id, embedding in rows:
                fresh.setdefault(account_id, []).append(embedding)
                self._wrong_seq = seq
        for account_id, embeddings in fresh.items():
            await self._escalate(account_id, embeddings)

    async def _escalate(self, account_id: str, embeddings: list[bytes]) -> None:
        known = self._heads.get(account_id, read_heads(None))
        held = {known.escalated[at : at + EMBEDDING_BYTES] for at in range(0, len(known.escalated), EMBEDDING_BYTES)}
        new = [embedding for embedding in reversed(embeddings) if embedding not in held]
        if not new:
            return
        escalated = (b"".join(new) + known.escalated)[: WRONG * EMBEDDING_BYTES]
        heads = Heads(known.version, known.heads, escalated, known.seq)
        try:
            predictor = await asyncio.to_thread(_predictor, heads)
        except ValueError as error:
            self._complaints.say(account_id, f"prompts of account {account_id} that went wrong cannot be used: {error}")
            return
        self._heads[account_id] = heads
        before = self.confidence.snapshot(account_id)
        self.confidence.take(account_id, Snapshot(before.learned, before.built_ms, predictor, before.broken))

    async def _following_on(self) -> float:
        await asyncio.sleep(self._poll_s)
        await self.follow()
        return 0.0

    async def _building_on(self) -> float:
        # After a pause, and not the same one everywhere: workers that started together need not look at one moment.
        await asyncio.sleep(min(LOOK_S, self._period_s) * random.uniform(0.5, 1.0))  # noqa: S311
        await self.build_due()
        return 0.0


def _predictor(heads: Heads) -> Predictor | None:
    """Make what the native core predicts with; raises ValueError where it refuses the weights."""
    if not heads.heads and not heads.escalated:
        return None
    return Predictor(sorted(heads.heads.items()), heads.escalated)
