"""Rate limits that machines share on PostgreSQL: who is there, and what each was granted of a subject's minute.

A machine either counts **alone**, which its workers' rows say, or has every request granted here. Grants stop while any
worker is alone, and nobody comes to be alone while another machine is there or was granted anything within a window. A
worker that ends being alone writes down what its machine has let in, in the transaction in which it says so; grants to
its siblings, which that would count once more, wait for it too.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from neuralrouting.storage.database import Database, Script, ask, run
from neuralrouting.storage.dialect import NOW_MS

LEASE_MS: Final = 1_000
"""A unit is used within this after it was granted, or never."""
COUNTED_MS: Final = 60_000 + LEASE_MS
"""A unit counts for so long. What lies further ahead was written before the database's clock went back."""
LIVE_MS: Final = 30_000
"""A machine is there when one of its workers was seen within this."""
ALONE_MS: Final = COUNTED_MS + 15_000
"""A machine that was alone when it fell silent holds up all grants until what it let in is as old as a window."""
LEASES_A_WINDOW: Final = 20
"""A machine is lent up to this part of its share of a limit at once, and at least what waits."""
_GATE_KEY: Final = 0x6E725F72617465
"""Key of the advisory lock between grants and those who come to be alone: the letters `nr_rate`."""

_NOW = NOW_MS["postgres"]
_SEEN = f"UPDATE workers SET seen_ms = {_NOW} WHERE id = $1"  # noqa: S608
_LIVE = f"SELECT DISTINCT machine FROM workers WHERE seen_ms > {_NOW} - {LIVE_MS}"  # noqa: S608
_SET_ALONE = "UPDATE workers SET alone = $2 WHERE id = $1"
# Whoever holds a subject's lock holds the gate's already, so that no two wait for each other.
_LOCK = "SELECT pg_advisory_xact_lock_shared($1), pg_advisory_xact_lock(key) FROM unnest($2::BIGINT[]) AS key"
_GATE = f"""
SELECT {_NOW},
    EXISTS (SELECT 1 FROM workers WHERE id = $1 AND seen_ms > {_NOW} - {LIVE_MS})
    AND NOT EXISTS (SELECT 1 FROM workers WHERE alone = 1 AND seen_ms > {_NOW} - {ALONE_MS})
"""  # noqa: S608
_IN_COMPANY = f"""
SELECT EXISTS (SELECT 1 FROM workers WHERE machine <> $1 AND seen_ms > {_NOW} - {LIVE_MS})
    OR EXISTS (SELECT 1 FROM workers WHERE machine <> $1 AND alone = 1 AND seen_ms > {_NOW} - {ALONE_MS})
    OR EXISTS (
        SELECT 1 FROM rate_slices WHERE machine <> $1 AND units > 0
        AND granted_ms > {_NOW} - {COUNTED_MS} AND granted_ms < {_NOW} + {COUNTED_MS}
    )
"""  # noqa: S608
_SLICES = """
SELECT subject, machine, past, granted_ms, units FROM rate_slices
WHERE subject = ANY($1::TEXT[]) AND granted_ms > $2 AND granted_ms < $3 AND units > 0
"""
_ADD = """
INSERT INTO rate_slices (subject, machine, past, granted_ms, units) VALUES ($1, $2, 0, $3, $4)
ON CONFLICT (subject, granted_ms, machine, past) DO UPDATE SET units = rate_slices.units + excluded.units
"""
_ADD_PAST = """
INSERT INTO rate_slices (subject, machine, past, granted_ms, units) VALUES ($1, $2, 1, $3, $4)
ON CONFLICT (subject, granted_ms, machine, past) DO UPDATE SET units = GREATEST(rate_slices.units, excluded.units)
"""
_GIVE_BACK = """
UPDATE rate_slices SET units = units - $4 WHERE subject = $1 AND machine = $2 AND past = 0 AND granted_ms = $3
"""
_PURGE = f"DELETE FROM rate_slices WHERE granted_ms < {_NOW} - {2 * COUNTED_MS}"  # noqa: S608


class Unused(NamedTuple):
    """Units of a grant that nobody used within its time."""

    subject: str
    granted_ms: int
    units: int


class Want(NamedTuple):
    """What a worker wants of a subject, which is named by its SHA-256 in hex: for `waiting` requests, or more."""

    subject: str
    limit: int
    waiting: int


class Grant(NamedTuple):
    """What it got at `granted_ms` of the database's clock; `free` is left for others, nothing for `retry_ms`."""

    units: int
    granted_ms: int
    free: int
    retry_ms: int


class Slice(NamedTuple):
    """Units that a machine was granted, or (`past`) all that it had let in by then while it was alone."""

    machine: str
    past: int
    granted_ms: int
    units: int


def grant(want: Want, slices: Iterable[Slice], machines: int, now_ms: int) -> Grant:
    """Decide what is granted of a limit when these slices count and so many machines are there."""
    counted = _counted(slices)
    free = want.limit - sum(units for _, units in counted)
    wanted = max(1, want.waiting, want.limit // (LEASES_A_WINDOW * machines))
    units = max(0, min(wanted, free))
    if free > units:
        return Grant(units, now_ms, free - units, 0)
    if units:
        counted.append((now_ms, units))
    return Grant(units, now_ms, 0, _retry_ms(counted, want.limit, now_ms))


def _counted(slices: Iterable[Slice]) -> list[tuple[int, int]]:
    """Return (when, units) of all that counts.

    Each worker tells the whole past of its machine, so the most that was told of it is all.
    """
    counted: list[tuple[int, int]] = []
    pasts: dict[str, tuple[int, int]] = {}
    for one in slices:
        if one.past:
            told_ms, units = pasts.get(one.machine, (0, 0))
            pasts[one.machine] = (max(told_ms, one.granted_ms), max(units, one.units))
        else:
            counted.append((one.granted_ms, one.units))
    return counted + list(pasts.values())


def _retry_ms(counted: list[tuple[int, int]], limit: int, now_ms: int) -> int:
    """Return how long until one more than now fits."""
    excess = sum(units for _, units in counted) - limit + 1
    for granted_ms, units in sorted(counted):
        excess -= units
        if excess <= 0:
            return max(1, granted_ms + COUNTED_MS - now_ms)
    return COUNTED_MS


class RateRows:
    """The rows of one worker of one machine. Every method raises Unavailable as the database does."""

    def __init__(self, database: Database, worker_id: str, machine: str) -> None:
        self._database = database
        self._worker_id = worker_id
        self._machine = machine

    async def beat(self, unused: Sequence[Unused] = (), owed: Sequence[tuple[str, int]] = ()) -> tuple[str, ...]:
        """Be seen, give back what is unused, note what was let in without a grant; return the machines, sorted."""

        def script() -> Script[tuple[str, ...]]:
            if unused:
                yield run(_GIVE_BACK, [self._row(*one) for one in sorted(unused)])
            if owed:
                [(now_ms,)] = yield ask(f"SELECT {_NOW}")
                yield run(_ADD, [self._row(subject, now_ms, units) for subject, units in sorted(owed)])
            yield ask(_SEEN, self._worker_id)
            live = yield ask(_LIVE)
            return tuple(sorted({self._machine, *(row[0] for row in live)}))

        return await self._database.transact(script)

    async def claim(self) -> bool:
        """Become one who counts alone, if nobody else is there, nor was within a window."""

        def script() -> Script[bool]:
            yield ask("SELECT pg_advisory_xact_lock($1)", _GATE_KEY)
            [(in_company,)] = yield ask(_IN_COMPANY, self._machine)
            if not in_company:
                yield ask(_SET_ALONE, self._worker_id, 1)
            return not in_company

        return await self._database.transact(script)

    async def join(self, past: Iterable[tuple[str, int]], worker_id: str | None = None) -> None:
        """End being alone, for this worker or a dead one of its machine: `past` is what the machine has let in."""

        def script() -> Script[None]:
            [(now_ms,)] = yield ask(f"SELECT {_NOW}")
            yield run(_ADD_PAST, [self._row(subject, now_ms, units) for subject, units in sorted(past)])
            yield ask(_SET_ALONE, worker_id or self._worker_id, 0)

        await self._database.transact(script)

    async def lease(self, wants: Sequence[Want], unused: Sequence[Unused], machines: int) -> dict[str, Grant] | None:
        """Grant what can be granted of each; None: nothing is for now, some worker still counts alone."""
        subjects = sorted(want.subject for want in wants)

        def script() -> Script[dict[str, Grant] | None]:
            yield ask(_LOCK, _GATE_KEY, [_lock_key(subject) for subject in subjects])
            [(now_ms, is_open)] = yield ask(_GATE, self._worker_id)
            if unused:
                yield run(_GIVE_BACK, [self._row(*one) for one in sorted(unused)])
            if not is_open:
                return None
            slices: dict[str, list[Slice]] = {}
            for subject, *rest in (yield ask(_SLICES, subjects, now_ms - COUNTED_MS, now_ms + COUNTED_MS)):
                slices.setdefault(subject, []).append(Slice(*rest))
            grants = {want.subject: grant(want, slices.get(want.subject, ()), machines, now_ms) for want in wants}
            rows = [self._row(subject, now_ms, grants[subject].units) for subject in subjects if grants[subject].units]
            if rows:
                yield run(_ADD, rows)
            return grants

        return await self._database.transact(script)

    async def is_alone(self, worker_id: str) -> bool:
        """Whether a worker's row says that it counts alone."""
        return bool(await self._database.fetch("SELECT 1 FROM workers WHERE id = $1 AND alone = 1", worker_id))

    async def purge(self) -> None:
        """Delete what counts no more."""
        await self._database.execute(_PURGE)

    def _row(self, subject: str, granted_ms: int, units: int) -> tuple[str, str, int, int]:
        return subject, self._machine, granted_ms, units


def _lock_key(subject: str) -> int:
    """Of 64 bits, signed. Sorted subjects are locked in one order by everybody."""
    return int(subject[:16], 16) - 2**63
