"""What people say of what the shield found: right, or a false positive. What was recorded is never changed by it."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from neuralrouting.exchange import ShieldAction
from neuralrouting.storage.database import Database, Script, ask
from neuralrouting.storage.dialect import lock_of
from neuralrouting.storage.trail import Actor, Change, record

Verdict = Literal["right", "wrong"]
# Locks the event on PostgreSQL, so that of two verdicts at once the second tells of the first.
_FOUND = "SELECT 1 FROM security_events WHERE request_id = $2 AND account_id = $1"
_BEFORE = "SELECT verdict FROM security_verdicts WHERE account_id = $1 AND request_id = $2"
_SET = """
INSERT INTO security_verdicts (account_id, request_id, verdict, actor, judged_ms) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (account_id, request_id)
DO UPDATE SET verdict = excluded.verdict, actor = excluded.actor, judged_ms = excluded.judged_ms
"""
_TAKE_BACK = "DELETE FROM security_verdicts WHERE account_id = $1 AND request_id = $2"
_OF = """
SELECT request_id, verdict, actor, judged_ms FROM security_verdicts WHERE account_id = $1 AND request_id IN ({places})
"""
_SUMS = """
SELECT e.action, v.verdict, COUNT(*) FROM security_verdicts AS v
JOIN security_events AS e ON e.request_id = v.request_id AND e.account_id = v.account_id
WHERE v.account_id = $1 AND e.created_ms >= $2 AND e.created_ms < $3
GROUP BY e.action, v.verdict ORDER BY e.action, v.verdict
"""


class EventVerdict(msgspec.Struct, frozen=True, array_like=True):
    """What somebody said of one event; `actor` is who, `judged_ms` when (Unix time)."""

    request_id: str
    verdict: Verdict
    actor: Actor
    judged_ms: int


class VerdictSum(msgspec.Struct, frozen=True, array_like=True):
    """How many events with one action have one verdict."""

    action: ShieldAction
    verdict: Verdict
    events: int


class EventVerdicts:
    """Writes and reads verdicts, each account its own. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, account_id: str, told: EventVerdict) -> bool:
        """Write a verdict in the place of the one before; False where nothing was found in such a request."""

        def script() -> Script[bool]:
            before = yield from self._before(account_id, told.request_id)
            if before is None:
                return False
            yield ask(_SET, account_id, *msgspec.structs.astuple(told))
            yield from self._noted(account_id, told.actor, told.request_id, (before, told.verdict))
            return True

        return await self._database.transact(script)

    async def take_back(self, account_id: str, request_id: str, *, actor: Actor) -> bool:
        """Take a verdict back, where there is one; False where nothing was found in such a request."""

        def script() -> Script[bool]:
            before = yield from self._before(account_id, request_id)
            if before is None:
                return False
            yield ask(_TAKE_BACK, account_id, request_id)
            yield from self._noted(account_id, actor, request_id, (before, ""))
            return True

        return await self._database.transact(script)

    def _before(self, account_id: str, request_id: str) -> Script[str | None]:
        """Return the verdict that there is, '' for none, None where there is no event."""
        if not (yield ask(f"{_FOUND} {lock_of(self._database.dialect)}", account_id, request_id)):
            return None
        rows = yield ask(_BEFORE, account_id, request_id)
        return rows[0][0] if rows else ""

    def _noted(self, account_id: str, actor: Actor, request_id: str, verdicts: tuple[str, str]) -> Script[None]:
        before, after = ({"verdict": verdict or None} for verdict in verdicts)
        yield from record(
            self._database.dialect, Change(account_id, actor, "security.verdict", request_id, before, after)
        )

    async def of(self, account_id: str, request_ids: Sequence[str]) -> dict[str, EventVerdict]:
        """Return the verdicts on these requests, by request."""
        if not request_ids:
            return {}
        places = ", ".join(f"${place}" for place in range(2, len(request_ids) + 2))
        rows = await self._database.fetch(_OF.replace("{places}", places), account_id, *request_ids)
        return {row[0]: EventVerdict(*row) for row in rows}

    async def sums(self, account_id: str, from_ms: int, to_ms: int) -> list[VerdictSum]:
        """Count the verdicts on events of a range (Unix ms, `to_ms` exclusive)."""
        return [VerdictSum(*row) for row in await self._database.fetch(_SUMS, account_id, from_ms, to_ms)]
