"""The money store: what workers settle, lease and give back, what operators move, and what the API shows of it."""

import logging
from typing import Final

import msgspec

from neuralrouting.storage import credits as moves
from neuralrouting.storage import leases
from neuralrouting.storage.credits import Transfer
from neuralrouting.storage.database import Database, Dialect, RowError
from neuralrouting.storage.ledger import COLUMNS, COUNTERS, Entry, Kind, entry_of
from neuralrouting.storage.trail import Actor
from neuralrouting.storage.turning import lost_by, settle_one, take_turn
from neuralrouting.storage.turns import Turn, TurnResult

READ_BALANCE: Final = "SELECT posted_mc, reserved_mc, grant_mc, period FROM balances WHERE account_id = $1"
_ENTRIES = f"SELECT {COLUMNS} FROM ledger WHERE account_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3"  # noqa: S608
_ALL_KINDS = ", ".join(f"'{kind}'" for kind in COUNTERS)
# The inner question is answered by `ledger_once` alone, for which the kinds are there. Asked for whole rows at once,
# SQLite reads all of an account's ledger instead: 340 ms for 800,000 entries.
_ENTRIES_OF = f"""
SELECT {COLUMNS} FROM ledger WHERE account_id = $1 AND seq IN (
    SELECT seq FROM ledger WHERE account_id = $1 AND ref = $2 AND kind IN ({_ALL_KINDS})
) ORDER BY seq
"""  # noqa: S608
_DUE = """
SELECT accounts.id, plans.monthly_mc FROM accounts
JOIN plans ON plans.id = accounts.plan_id
LEFT JOIN balances ON balances.account_id = accounts.id
WHERE plans.monthly_mc IS NOT NULL AND (
    COALESCE(balances.period, '') < $1 OR (balances.period = $1 AND plans.monthly_mc > balances.granted_mc)
)
ORDER BY accounts.id
"""
_LAST_SEQ = 2**63 - 1

log = logging.getLogger("neuralrouting.storage")


class Balance(msgspec.Struct, frozen=True):
    """What an account has, in millicredits.

    `posted_mc` is the sum of its ledger; `reserved_mc` of that is leased to workers, `grant_mc` of it is left of the
    credits of the month `period`.
    """

    posted_mc: int = 0
    reserved_mc: int = 0
    grant_mc: int = 0
    period: str = ""


class Due(msgspec.Struct, frozen=True):
    """An account that has not got all of its plan's credits of the month."""

    account_id: str
    monthly_mc: int


class Books:
    """Reads and writes balances, budgets' periods, leases and the ledger.

    Every method raises `errors.Unavailable` when the database does not serve. After that a turn may be in the tables or
    not: the same turn is taken again and finds out.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect: Dialect = database.dialect

    async def register(self, worker_id: str, machine: str) -> None:
        """Give a worker its row, once."""
        await self._database.transact(lambda: leases.register(self._dialect, worker_id, machine))

    async def retire(self, worker_id: str) -> None:
        """Give back all that a worker holds and remove its row; nothing when it has none."""
        await self._database.transact(lambda: leases.retire(self._dialect, worker_id))

    async def reap(self, machine: str, stale_ms: int) -> tuple[str, ...]:
        """Give back what workers of other machines hold that were not seen for `stale_ms`; return their ids.

        Their rows stay: a journal that is replayed later still finds how far it was applied.
        """
        found = await self._database.transact(lambda: leases.away(self._dialect, machine, stale_ms))
        released = [id_ for id_ in found if await self._release_if_away(id_, stale_ms)]
        return tuple(released)

    async def _release_if_away(self, worker_id: str, stale_ms: int) -> bool:
        return await self._database.transact(lambda: leases.release_if_away(self._dialect, worker_id, stale_ms))

    async def turn(self, turn: Turn) -> TurnResult:
        """Settle, take back and lease in one transaction; a turn that was committed before only answers.

        Raises RowError when the database refuses a settlement, and nothing has changed then: `turn_apart` takes the
        same turn without it. Raises OutOfTurn when this is not the worker's next turn.
        """
        return await self._database.transact(lambda: take_turn(self._dialect, turn))

    async def turn_apart(self, turn: Turn) -> tuple[TurnResult, tuple[str, ...]]:
        """Take a turn that `turn` refused: each settlement in a transaction of its own, then all the rest of it.

        Returns the request ids of the settlements that the database refuses; they are logged and left out for good.
        May be repeated like `turn`, and interrupted anywhere: a settlement that is written is not written again.
        """
        refused: list[str] = []
        for one in turn.settlements:
            try:
                await self._database.transact(lambda one=one: settle_one(self._dialect, turn, one))
            except RowError as error:
                refused.append(one.row.request_id)
                log.error("request %s can never be settled: %s", one.row.request_id, error)  # noqa: TRY400  one line
        rest = msgspec.structs.replace(turn, settlements=())
        result = await self.turn(rest)
        lost = await self._database.transact(lambda: lost_by(turn.settlements))
        return msgspec.structs.replace(result, lost_mc=lost), tuple(refused)

    async def top_up(self, account_id: str, mc: int, ref: str, actor: Actor, reason: str) -> Entry:
        """Add credits that were paid for, on disk when this returns; the same reference again returns the first entry.

        Raises InvalidField, NotFound for an unknown account, AlreadyExists `reference_used` for the same reference with
        another amount.
        """
        moves.check_amount(mc)
        return await self._transfer("topup", Transfer(account_id, mc, ref, actor, reason))

    async def refund(self, account_id: str, mc: int, ref: str, actor: Actor, reason: str) -> Entry:
        """Take back `mc` credits whose price is paid back; raises as `top_up`, and InsufficientCredits.

        What workers hold is not touched.
        """
        moves.check_amount(mc)
        return await self._transfer("refund", Transfer(account_id, -mc, ref, actor, reason))

    async def adjust(self, account_id: str, mc: int, ref: str, actor: Actor, reason: str) -> Entry:
        """Give credits, or take some with a negative `mc`, on the house's side of the books; raises as `refund`."""
        moves.check_amount(abs(mc))
        return await self._transfer("adjustment", Transfer(account_id, mc, ref, actor, reason))

    async def _transfer(self, kind: Kind, wanted: Transfer) -> Entry:
        return await self._database.transact(lambda: moves.transfer(self._dialect, kind, wanted), durable=True)

    async def place(self, worker_id: str) -> tuple[int, int] | None:
        """Return a worker's last turn and how far its journal is applied; None when it has no row.

        PostgreSQL may still commit what a dead worker sent last: that is waited for.
        """
        return await self._database.transact(lambda: leases.place(self._dialect, worker_id))

    async def renew(self, account_id: str, period: str, monthly_mc: int | None) -> bool:
        """Give an account the credits of a month such as '2026-11', once; what is left of the last month's expires.

        More than was granted this month, as after a change of plan, brings the difference. With `monthly_mc` None it
        only expires. False when the account has got as much already, or has reached a later month.
        Raises InvalidField and NotFound.
        """
        moves.check_period(period)
        return await self._database.transact(
            lambda: moves.renew(self._dialect, account_id, period, monthly_mc), durable=True
        )

    async def due(self, period: str) -> list[Due]:
        """Return the accounts whose plan has monthly credits that they have not got for this month."""
        return [Due(*row) for row in await self._database.fetch(_DUE, period)]

    async def balance(self, account_id: str) -> Balance:
        """Return what an account has; nothing, when it never had anything."""
        rows = await self._database.fetch(READ_BALANCE, account_id)
        return Balance(*rows[0]) if rows else Balance()

    async def entries(self, account_id: str, before_seq: int | None, limit: int) -> list[Entry]:
        """Return up to `limit` entries of an account, newest first; `before_seq` None: from the newest on."""
        last = _LAST_SEQ if before_seq is None else before_seq
        return [entry_of(row) for row in await self._database.fetch(_ENTRIES, account_id, last, limit)]

    async def entries_of(self, ref: str, account_id: str) -> list[Entry]:
        """Return what one request or reference moved on an account, oldest first."""
        found = [entry_of(row) for row in await self._database.fetch(_ENTRIES_OF, account_id, ref)]
        return sorted(found, key=lambda entry: entry.seq)
