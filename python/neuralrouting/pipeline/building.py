"""Builds the confidence matrix of an account out of its evidence: reads it, computes off the event loop, writes it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from neuralrouting.clock import unix_ms
from neuralrouting.engine import ROUTE_VERSION
from neuralrouting.evidence.judging import Judge, calibrate
from neuralrouting.evidence.matrix import Matrix, MatrixSettings, rebuild
from neuralrouting.evidence.ridge import MID, SMALL, fit_head
from neuralrouting.evidence.rows import read_rows
from neuralrouting.exchange import Judged, Said
from neuralrouting.layers.confidence import FORMAT, Learned
from neuralrouting.layers.feedback import evidence_of
from neuralrouting.storage.confidence import ConfidenceRow, ConfidenceRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.evidence import EvidenceRows, KeptRow

WRONG_MS: Final = 30 * 86_400_000
"""A prompt that went wrong sends what is like it to the premium tier for so long."""
WRONG: Final = 1_000
"""Prompts that went wrong, at most; 256 bytes each."""
HEAD_LEAST: Final = 50
"""Comparisons with features below which a candidate gets no head of its own: they would move the shipped one by a fifth
at most (`evidence.ridge.HEAD_PENALTY`)."""
HEAD_MOST: Final = 2_000
"""Comparisons that a head is learned from, the newest; a few kilobytes each."""
ATTEMPTS: Final = 3
"""Builds on demand before another worker's, which was quicker each time, is taken for good."""


class Heads(msgspec.Struct, frozen=True):
    """What was learned of single prompts, as it is kept: of use to features of the same `version` only.

    `heads` are weights by candidate, `escalated` the embeddings of prompts that went wrong, 256 bytes each, the newest
    first. `seq` is the number of the newest comparison that was there when this was made.
    """

    version: bytes
    heads: dict[str, bytes]
    escalated: bytes
    seq: int


class Evidence(msgspec.Struct, frozen=True):
    """All that a build looks at."""

    judged: Sequence[Judged]
    said: Sequence[Said]
    rows: Mapping[str, Sequence[KeptRow]]
    escalated: Sequence[bytes]
    seq: int


class Builder:
    """Builds matrices. Raises Unavailable when the database is away, and then what was there stays.

    `prior` names the shipped head (`small`, `mid`) that a candidate's own one starts from, None: the nearest there is.
    """

    def __init__(self, database: Database, settings: MatrixSettings, prior: Callable[[str], str | None]) -> None:
        self._rows = ConfidenceRows(database)
        self._evidence = EvidenceRows(database)
        self._settings = settings
        self._prior = prior

    async def build(self, account_id: str, reference: str) -> ConfidenceRow | None:
        """Build and write the matrix of an account, compared with this reference.

        None, and nothing is written, where somebody else has written one since this began.
        """
        before = await self._rows.find(account_id)
        built_ms = unix_ms()
        evidence = await self._read(account_id, reference, built_ms)
        learned, heads = await asyncio.to_thread(self._learn, evidence, reference, _matrix_of(before, reference))
        row = ConfidenceRow(
            account_id,
            before.seq if before is not None else 0,
            built_ms,
            msgspec.json.encode(learned).decode(),
            msgspec.msgpack.encode(heads),
        )
        seq = await self._rows.put(row)
        return msgspec.structs.replace(row, seq=seq) if seq is not None else None

    async def build_now(self, account_id: str, reference: str) -> ConfidenceRow | None:
        """Build as `build`, again where somebody else was quicker; return what is there then."""
        for _ in range(ATTEMPTS):
            row = await self.build(account_id, reference)
            if row is not None:
                return row
        return await self._rows.find(account_id)

    async def reference(self, account_id: str) -> str | None:
        """Return what an account's answers were compared with last; None: with nothing yet."""
        return await self._evidence.reference(account_id)

    async def _read(self, account_id: str, reference: str, now_ms: int) -> Evidence:
        seq = await self._evidence.last_seq()
        judged = await self._evidence.audits(account_id, reference)
        counts = Counter(one.audit.candidate for one in judged)
        return Evidence(
            judged,
            await self._evidence.feedback(account_id, reference),
            {
                candidate: await self._evidence.rows(account_id, reference, candidate, HEAD_MOST)
                for candidate in sorted(counts)
                if counts[candidate] >= HEAD_LEAST
            },
            await self._evidence.went_wrong(account_id, now_ms - WRONG_MS, WRONG),
            seq,
        )

    def _learn(self, evidence: Evidence, reference: str, before: Matrix | None) -> tuple[Learned, Heads]:
        heads = heads_of(evidence.rows, self._prior)
        learned = learn(evidence, reference, self._settings, before)
        kept = Heads(ROUTE_VERSION, heads, b"".join(evidence.escalated), evidence.seq)
        return msgspec.structs.replace(learned, heads=tuple(heads)), kept


def learn(evidence: Evidence, reference: str, settings: MatrixSettings, before: Matrix | None) -> Learned:
    """Return what the evidence of one account says of its candidates. Pure."""
    audits = [one.audit for one in evidence.judged]
    together = evidence_of(audits, evidence.said)
    judges = _judges(evidence.judged)
    matrix = rebuild(together, settings, before, judges)
    return Learned(reference, len(audits), len(together) - len(audits), settings, matrix, judges)


def heads_of(rows: Mapping[str, Sequence[KeptRow]], prior: Callable[[str], str | None]) -> dict[str, bytes]:
    """Return what predicts for each candidate that enough is kept of, as weights for the native core. Pure.

    A comparison counts the more the less likely it was drawn, so that heads are about all prompts of the account.
    """
    heads: dict[str, bytes] = {}
    for candidate, kept in rows.items():
        found, places = read_rows([row for row, _, _ in kept])
        if len(places) >= HEAD_LEAST:
            differences = np.array([kept[place][1] for place in places])
            weights = np.array([1 / kept[place][2] for place in places])
            heads[candidate] = fit_head(
                found, differences, weights, prior=SMALL if prior(candidate) == "small" else MID
            )
    return heads


def read_learned(text: str) -> Learned:
    """Read what `Builder` wrote; raises ValueError where it is damaged or of another form."""
    try:
        learned = msgspec.json.decode(text, type=Learned)
    except msgspec.DecodeError as error:
        raise ValueError(f"the matrix cannot be read: {error}") from error
    if learned.format != FORMAT:
        raise ValueError(f"the matrix has form {learned.format}, this program reads {FORMAT}")
    return learned


def read_heads(data: bytes | None) -> Heads:
    """Read what `Builder` wrote; empty where other features were learned from. Raises ValueError where damaged."""
    nothing = Heads(ROUTE_VERSION, {}, b"", 0)
    if data is None:
        return nothing
    try:
        heads = msgspec.msgpack.decode(data, type=Heads)
    except msgspec.DecodeError as error:
        raise ValueError(f"what was learned of single prompts cannot be read: {error}") from error
    return heads if heads.version == ROUTE_VERSION else nothing


def _matrix_of(row: ConfidenceRow | None, reference: str) -> Matrix | None:
    """Return the matrix that the next one goes on from; none where it is of no use for that."""
    if row is None:
        return None
    try:
        learned = read_learned(row.matrix)
    except ValueError:
        return None
    return learned.matrix if learned.reference == reference else None


def _judges(judged: Sequence[Judged]) -> dict[str, Judge]:
    """Return how the judge reads each candidate that people have looked at too."""
    pairs: dict[str, list[tuple[float, float]]] = {}
    for one in judged:
        if one.checked and one.by_judge is not None:
            pairs.setdefault(one.audit.candidate, []).append((one.by_judge, one.audit.difference))
    return {
        candidate: calibrate([judge for judge, _ in found], [person for _, person in found])
        for candidate, found in sorted(pairs.items())
    }
