"""What may be spent, while a transaction has it in its hands: an account's credits, a budget's period."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from neuralrouting.storage.database import Row
from neuralrouting.storage.ledger import Chain, Draft
from neuralrouting.storage.turns import Free, Settlement, Want


def granted(need: int, wish: int, free: int) -> int:
    """Return how much of `free` is leased: a quarter of it at most, unless more is needed; 0 where need is not met."""
    if free < need:
        return 0
    return min(max(need, min(wish, free // 4)), free)


class Purse:
    """Part of a purse is leased out, part of that to the worker whose transaction this is (`lease`)."""

    __slots__ = ("lease", "name", "reserved")

    def __init__(self, name: str, lease: int, reserved: int) -> None:
        self.name = name
        self.lease = lease
        self.reserved = reserved

    @property
    def free(self) -> int:
        """What is neither spent nor leased."""
        raise NotImplementedError

    def give_back(self, amount: int) -> None:
        """Free some of the lease; what is not leased any more cannot be given back."""
        self._release(min(amount, self.lease))

    def lend(self, want: Want) -> Free:
        """Lease what is wanted, or nothing where there is too little; say how the purse stands then."""
        amount = granted(want.need, want.wish, self.free)
        self.lease += amount
        self.reserved += amount
        return Free(max(0, self.free), self.reserved)

    def _release(self, amount: int) -> None:
        self.lease -= amount
        self.reserved -= amount


class Window(Purse):
    """One period of a budget, in nano-dollars. `limit` None: there is no such budget, so nothing is lent."""

    __slots__ = ("limit", "spent")
    SELECT: ClassVar = "SELECT purse, spent_nanousd, reserved_nanousd FROM budget_windows"
    UPDATE: ClassVar = "UPDATE budget_windows SET spent_nanousd = $2, reserved_nanousd = $3 WHERE purse = $1"

    def __init__(self, name: str, lease: int, row: Row, limit: int | None) -> None:
        super().__init__(name, lease, row[2])
        self.spent: int = row[1]
        self.limit = limit

    @property
    def free(self) -> int:
        """What is neither spent nor leased; below nothing where more was spent than leased."""
        return (self.limit or 0) - self.spent - self.reserved

    def spend(self, amounts: Iterable[int]) -> None:
        """Spend each out of the lease, or past it where the lease does not cover it."""
        for amount in amounts:
            if self.lease >= amount:
                self._release(amount)
            self.spent += amount

    def row(self) -> Row:
        """Return what `UPDATE` takes."""
        return self.name, self.spent, self.reserved


class Credits(Purse):
    """The credits of one account, in millicredits, and the end of its ledger."""

    __slots__ = ("chain", "grant", "granted", "period", "posted")
    SELECT: ClassVar = (
        "SELECT account_id, posted_mc, reserved_mc, grant_mc, period, granted_mc, seq, hash FROM balances"
    )
    UPDATE: ClassVar = (
        "UPDATE balances SET posted_mc = $2, reserved_mc = $3, grant_mc = $4, period = $5, granted_mc = $6, seq = $7, "
        "hash = $8 WHERE account_id = $1"
    )

    def __init__(self, name: str, lease: int, row: Row) -> None:
        account_id, posted, reserved, grant, period, granted_mc, seq, hash_ = row
        super().__init__(name, lease, reserved)
        self.posted: int = posted
        self.grant: int = grant
        self.period: str = period
        self.granted: int = granted_mc
        self.chain = Chain(account_id, seq, hash_)

    @property
    def free(self) -> int:
        """What is neither spent nor leased."""
        return self.posted - self.reserved

    def charge(self, settled: Sequence[Settlement], now_ms: int) -> tuple[list[Row], int]:
        """Take what settled requests of this account cost; return their ledger rows and what could not be taken.

        The lease pays for all of them or, where it ran out meanwhile, for none: then each takes what is free.
        """
        due = sum(one.row.charged_mc for one in settled)
        covered = self.lease >= due
        if covered:
            self._release(due)
        entries: list[Row] = []
        lost = 0
        for one in settled:
            row = one.row
            taken = row.charged_mc if covered else min(row.charged_mc, self.free)
            loss = row.charged_mc - taken
            lost += loss
            draft = Draft("usage", row.request_id, -taken, row.cost_nanousd, loss, row.simulated)
            self.grant -= min(taken, self.grant)
            entries.append(self.post(draft, now_ms))
        return entries, lost

    def post(self, draft: Draft, now_ms: int) -> Row:
        """Append an entry and move what it says; return its row. A grant is part of what is posted, never more."""
        self.posted += draft.delta_mc
        self.grant = min(self.grant, self.posted)
        return self.chain.append(draft, now_ms)

    def row(self) -> Row:
        """Return what `UPDATE` takes."""
        chain = self.chain
        return (
            chain.account_id, self.posted, self.reserved, self.grant, self.period, self.granted, chain.seq, chain.hash,
        )  # fmt: skip
