"""Rows of shadow audits: what was compared, how it was judged, what a person said of it, and what a day may cost."""

from functools import partial
from typing import Any, Final, Literal

import msgspec

from neuralrouting.storage.database import Database, Row, Script, ask
from neuralrouting.storage.trail import Actor, Change, record

DAY_MS: Final = 86_400_000
AuditKind = Literal["answer", "cache"]
Verdict = Literal["win", "tie", "lose"]


class ShadowAudit(msgspec.Struct, frozen=True):
    """One audit, in the order of its columns; see the migration `routing` for what each of them holds.

    `method` is `check`, `judge`, `none` (nobody could tell) or `failed` (the other model gave no answer); `verdict` and
    `difference` are None for the last two. `judged_ms` and `human_ms` are Unix times.
    """

    id: str
    account_id: str
    request_id: str
    kind: AuditKind
    task: str
    complexity_tenths: int | None
    served: str
    candidate: str
    reference: str
    candidate_version: str
    reference_version: str
    entry: bytes | None
    similarity: float | None
    propensity: float
    predicted: float | None
    features: bytes | None
    embedding: bytes | None
    verdict: Verdict | None
    difference: float | None
    method: str
    judge: str | None
    reason: str
    cost_nanousd: int
    simulated: bool
    judged_ms: int
    human: Verdict | None = None
    human_ms: int | None = None


class ShadowFilter(msgspec.Struct, frozen=True):
    """Which audits are wanted; None is any. `verdict` "none" are those without one."""

    task: str | None = None
    candidate: str | None = None
    verdict: Verdict | Literal["none"] | None = None
    kind: AuditKind | None = None


class ShadowSums(msgspec.Struct, frozen=True):
    """Audits of one kind that ended alike: how many, and what they cost in nano-dollars."""

    kind: AuditKind
    method: str
    verdict: Verdict | None
    simulated: bool
    audits: int
    cost_nanousd: int


class Agreement(msgspec.Struct, frozen=True):
    """How many audits with this verdict of a judge a person judged so."""

    verdict: Verdict
    human: Verdict
    audits: int


_ALL: Final = 2**62
_FIELDS = ShadowAudit.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_INSERT = (
    f"INSERT INTO shadow_audits ({_COLUMNS}) "  # noqa: S608  names of our own columns
    f"VALUES ({', '.join(f'${place}' for place in range(1, len(_FIELDS) + 1))})"
)
_SET_ASIDE = """
INSERT INTO shadow_spending (account_id, day, nanousd) VALUES ($1, $2, $3)
ON CONFLICT (account_id, day) DO UPDATE SET nanousd = shadow_spending.nanousd + excluded.nanousd
WHERE shadow_spending.nanousd + excluded.nanousd <= $4
RETURNING nanousd
"""
# Never below nothing: the row may have been written by an older clock.
_CORRECT = """
UPDATE shadow_spending SET nanousd = CASE WHEN nanousd + $3 > 0 THEN nanousd + $3 ELSE 0 END
WHERE account_id = $1 AND day = $2
"""
_SPENT = "SELECT nanousd FROM shadow_spending WHERE account_id = $1 AND day = $2"
_SUMS = """
SELECT kind, method, verdict, simulated, COUNT(*), CAST(SUM(cost_nanousd) AS BIGINT) FROM (
    SELECT kind, method, verdict, simulated, cost_nanousd FROM shadow_audits
    WHERE account_id = $1 ORDER BY judged_ms DESC LIMIT $2
) AS newest GROUP BY kind, method, verdict, simulated ORDER BY kind, method, verdict, simulated
"""
# The moment is there where the word is, and has an index.
_AGREEMENT = """
SELECT verdict, human, COUNT(*) FROM shadow_audits
WHERE account_id = $1 AND human_ms IS NOT NULL AND method = 'judge' AND simulated = 0
GROUP BY verdict, human ORDER BY verdict, human
"""
_JUDGE_AS_PERSON = "UPDATE shadow_audits SET human = $3, human_ms = $4 WHERE account_id = $1 AND id = $2"
# Locks the row on PostgreSQL, so that of two verdicts at once the second tells of the first.
_HOLD = "UPDATE shadow_audits SET human = human WHERE account_id = $1 AND id = $2 RETURNING human"


class SetAside(msgspec.Struct, frozen=True):
    """Money that one audit may spend: nano-dollars of an account's budget for a UTC day (days since 1970)."""

    account_id: str
    day: int
    nanousd: int


class ShadowAudits:
    """Writes and reads audits, each account its own. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set_aside(self, wanted: SetAside, most_nanousd: int) -> bool:
        """Take money off a day's budget, of all workers together; False where that would be more than `most_nanousd`.

        What nobody gives back, because its worker died, stays taken until the day ends.
        """
        if wanted.nanousd > most_nanousd:
            return False
        return await self._database.transact(partial(_take, wanted, most_nanousd))

    async def give_back(self, kept: SetAside) -> None:
        """Put money back that was not spent."""
        await self._database.execute(_CORRECT, kept.account_id, kept.day, -kept.nanousd)

    async def write(self, audit: ShadowAudit, kept: SetAside | None) -> None:
        """Write an audit down and, in the same transaction, what it cost in the place of what was set aside for it."""
        await self._database.transact(partial(_write, audit, kept))

    async def spent(self, account_id: str, now_ms: int) -> int:
        """Return what today's audits have cost and may still come to, in nano-dollars."""
        rows = await self._database.fetch(_SPENT, account_id, now_ms // DAY_MS)
        return rows[0][0] if rows else 0

    async def sums(self, account_id: str, most: int = _ALL) -> list[ShadowSums]:
        """Count the audits of an account by how they ended: all, or the newest."""
        rows = await self._database.fetch(_SUMS, account_id, most)
        return [
            ShadowSums(kind, method, verdict, bool(simulated), audits, cost)
            for kind, method, verdict, simulated, audits, cost in rows
        ]

    async def agreement(self, account_id: str) -> list[Agreement]:
        """Count the audits that a judge and a person have judged, by both verdicts; simulated ones are left out."""
        return [Agreement(*row) for row in await self._database.fetch(_AGREEMENT, account_id)]

    async def page(
        self, account_id: str, wanted: ShadowFilter, limit: int, behind: str | None = None
    ) -> list[ShadowAudit]:
        """Return up to `limit` audits, newest first; those behind the audit with an id where it is given."""
        conditions, values = _narrowed(account_id, wanted)
        if behind is not None:
            values.append(behind)
            where = f"FROM shadow_audits WHERE account_id = $1 AND id = ${len(values)}"
            # The first is for the index, which has no `seq` in it.
            conditions.append(f"judged_ms <= (SELECT judged_ms {where})")
            conditions.append(f"(judged_ms, seq) < (SELECT judged_ms, seq {where})")
        sql = (
            f"SELECT {_COLUMNS} FROM shadow_audits WHERE {' AND '.join(conditions)} "  # noqa: S608  our own words
            f"ORDER BY judged_ms DESC, seq DESC LIMIT ${len(values) + 1}"
        )
        return [_audit(row) for row in await self._database.fetch(sql, *values, limit)]

    async def find(self, account_id: str, audit_id: str) -> ShadowAudit | None:
        """Return one audit; another account's is as unknown as none."""
        sql = f"SELECT {_COLUMNS} FROM shadow_audits WHERE account_id = $1 AND id = $2"  # noqa: S608
        rows = await self._database.fetch(sql, account_id, audit_id)
        return _audit(rows[0]) if rows else None

    async def of_request(self, account_id: str, request_id: str) -> list[ShadowAudit]:
        """Return the audits of one request, oldest first."""
        sql = f"SELECT {_COLUMNS} FROM shadow_audits WHERE account_id = $1 AND request_id = $2 ORDER BY seq"  # noqa: S608
        return [_audit(row) for row in await self._database.fetch(sql, account_id, request_id)]

    async def judge_as_person(
        self, account_id: str, audit_id: str, verdict: Verdict | None, now_ms: int, *, actor: Actor
    ) -> bool:
        """Set, or with None take back, what a person says of an audit; False where there is none."""
        at_ms = now_ms if verdict is not None else None

        def script() -> Script[bool]:
            held = yield ask(_HOLD, account_id, audit_id)
            if not held:
                return False
            yield ask(_JUDGE_AS_PERSON, account_id, audit_id, verdict, at_ms)
            before, after = {"verdict": held[0][0]}, {"verdict": verdict}
            change = Change(account_id, actor, "shadow.verdict", audit_id, before, after)
            yield from record(self._database.dialect, change)
            return True

        return await self._database.transact(script)


def _take(wanted: SetAside, most_nanousd: int) -> Script[bool]:
    return bool((yield ask(_SET_ASIDE, wanted.account_id, wanted.day, wanted.nanousd, most_nanousd)))


def _write(audit: ShadowAudit, kept: SetAside | None) -> Script[None]:
    values = msgspec.structs.asdict(audit) | {"simulated": int(audit.simulated)}
    yield ask(_INSERT, *values.values())
    if kept is not None:
        yield ask(_CORRECT, kept.account_id, kept.day, audit.cost_nanousd - kept.nanousd)


def _narrowed(account_id: str, wanted: ShadowFilter) -> tuple[list[str], list[Any]]:
    conditions, values = ["account_id = $1"], [account_id]
    for column, value in (("task", wanted.task), ("candidate", wanted.candidate), ("kind", wanted.kind)):
        if value is not None:
            values.append(value)
            conditions.append(f"{column} = ${len(values)}")
    if wanted.verdict == "none":
        conditions.append("verdict IS NULL")
    elif wanted.verdict is not None:
        values.append(wanted.verdict)
        conditions.append(f"verdict = ${len(values)}")
    return conditions, values


def _audit(row: Row) -> ShadowAudit:
    named = dict(zip(_FIELDS, row, strict=True))
    named["simulated"] = bool(named["simulated"])
    return ShadowAudit(**named)
