"""Weak signs that an answer did not please: nearly the same is asked again at once, or the question is edited.

They are written down beside feedback, and weigh nothing by default: whoever sends one template with many texts looks
just the same. Of a prompt only its key, a hash and its embedding are kept, for two minutes, in a bounded memory.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from neuralrouting.clock import unix_ms
from neuralrouting.exchange import Facts
from neuralrouting.pipeline.turn import Turn
from neuralrouting.storage.feedback import Feedback, Source

SOON_S: Final = 120.0
"""Until so long after an answer it can have been the reason for the next question."""
ALIKE: Final = 0.9
"""Cosine from which on two questions are nearly the same; below the 0.92 from which on the cache would answer."""
RECENT: Final = 4
"""Answers remembered of one asker."""
ASKERS: Final = 4_096
"""Askers remembered by one worker; with four answers each, at under 1 KB, that is 16 MB at most."""
HISTORY: Final = 3
"""From so many messages on the last one can be an edited one; before it has no history to be recognised by."""
SCORES: Final[dict[Source, float]] = {"reask": -1.0, "edit": -0.5}
_Asker = tuple[str, str, str]


class Heard(NamedTuple):
    """One answered question: when it was answered (monotonic seconds), and what it is recognised by."""

    request_id: str
    at_s: float
    key: bytes
    embedding: bytes
    place: tuple[str | bytes, int] | None
    said: bytes
    task: str | None
    deployment: str | None


class Signals:
    """Remembers the latest questions of each asker, and hands over a sign where the next one makes it one."""

    def __init__(self, record: Callable[[Feedback], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._record = record
        self._clock = clock
        self._heard: OrderedDict[_Asker, list[Heard]] = OrderedDict()

    def note(self, turn: Turn, facts: Facts) -> None:
        """Take in a question that a model has just answered. Costs microseconds and never raises."""
        asker, heard = _asker(turn), _heard(turn, facts, self._clock())
        known = [one for one in self._heard.pop(asker, ()) if heard.at_s - one.at_s <= SOON_S]
        for one in reversed(known):
            source = sign(one, heard, fresh=not turn.arrival.hints.read_cache)
            if source is not None:
                self._record(_feedback(asker[0], one, source))
                break
        self._heard[asker] = [*known, heard][-RECENT:]
        if len(self._heard) > ASKERS:
            self._heard.popitem(last=False)


def sign(before: Heard, after: Heard, *, fresh: bool) -> Source | None:
    """Return what a question says of the answer to an earlier one, if anything. `fresh`: it takes no stored answer."""
    if before.key == after.key:
        return "reask" if fresh else None
    if before.place is not None and before.place == after.place and before.said != after.said:
        return "edit"
    return "reask" if _cosine(before.embedding, after.embedding) >= ALIKE else None


def _asker(turn: Turn) -> _Asker:
    """Whoever asks, as narrowly as it is told: end user, session, or key."""
    caller = turn.arrival.caller
    for kind, name in (("user", turn.spender.end_user), ("session", turn.inspection.session_id)):
        if name:
            return caller.account_id, kind, name
    return caller.account_id, "key", caller.key_id


def _heard(turn: Turn, facts: Facts, now_s: float) -> Heard:
    found, place = turn.inspection, _place(turn)
    said = hashlib.blake2b(found.last_user_text.encode(), digest_size=8).digest() if place is not None else b""
    task = turn.task.task if turn.task is not None and not facts.deployment.simulated else None
    return Heard(turn.arrival.request_id, now_s, found.key, found.embedding, place, said, task, facts.deployment.id)


def _place(turn: Turn) -> tuple[str | bytes, int] | None:
    """Where in which conversation this is asked, by its session or its opening; None where that cannot be told."""
    found = turn.inspection
    if found.message_count < HISTORY:
        return None
    conversation = found.session_id or turn.opening or found.conversation
    return (conversation, found.message_count) if conversation is not None else None


def _feedback(account_id: str, one: Heard, source: Source) -> Feedback:
    now_ms = unix_ms()
    return Feedback(account_id, one.request_id, source, SCORES[source], None, one.task, one.deployment, now_ms)


def _cosine(first: bytes, second: bytes) -> float:
    """Cosine of two embeddings; -1 where there is nothing to compare."""
    if not first or len(first) != len(second):
        return -1.0
    one, other = (np.frombuffer(vector, np.int8).astype(np.int32) for vector in (first, second))
    size = float(one @ one) * float(other @ other)
    return float(one @ other) / size**0.5 if size > 0 else -1.0
