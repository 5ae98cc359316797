"""Rows of budgets and of what was spent of them."""

import secrets
from collections.abc import Sequence
from typing import Final, get_args

import msgspec

from neuralrouting.errors import InvalidField
from neuralrouting.exchange import Budget, BudgetAction, BudgetPeriod, BudgetScope, JsonObject
from neuralrouting.storage.accounts import hold_account, no_account
from neuralrouting.storage.bounds import check_text
from neuralrouting.storage.changes import next_change
from neuralrouting.storage.database import Database, Row, Script, ask
from neuralrouting.storage.trail import Actor, Change, record

MOST_NANOUSD: Final = 10**18
"""Highest limit: a thousand million dollars."""
WINDOWS_SHOWN: Final = 1_000
PURSES_A_QUERY: Final = 500
SCOPES: Final[tuple[str, ...]] = get_args(BudgetScope)
PERIODS: Final[tuple[str, ...]] = get_args(BudgetPeriod)
ACTIONS: Final[tuple[str, ...]] = get_args(BudgetAction)


class BudgetRow(msgspec.Struct, frozen=True):
    """A budget as whoever follows them sees it; `changed_ms` grows with every change in the table."""

    budget: Budget
    deleted: bool
    changed_ms: int


class Window(msgspec.Struct, frozen=True):
    """What one subject has of one budget in the period that began at `epoch_ms`: spent, and leased to workers."""

    purse: str
    epoch_ms: int
    subject: str
    spent_nanousd: int
    reserved_nanousd: int


_COLUMNS = Budget.__struct_fields__
_FIXED = ("account_id", "scope", "subject", "period")
"""What a budget counts. Windows are kept by budget and epoch: another count under the same id would mix them."""
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM budgets"  # noqa: S608  names of our own columns
_FIND = f"{_SELECT} WHERE id = $1 AND deleted = 0"
_BEFORE = f"SELECT deleted, {', '.join(_COLUMNS)} FROM budgets WHERE id = $1"  # noqa: S608
_OWN_KEY = "SELECT 1 FROM api_keys WHERE id = $1 AND account_id = $2"
_PUT = (
    f"INSERT INTO budgets ({', '.join(_COLUMNS)}, changed_ms) "  # noqa: S608
    f"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, {next_change('budgets', '$10')}) ON CONFLICT (id) DO UPDATE SET "
    "name = excluded.name, limit_nanousd = excluded.limit_nanousd, action = excluded.action, "
    "warn_percent = excluded.warn_percent, deleted = 0, changed_ms = excluded.changed_ms "
    "WHERE budgets.account_id = excluded.account_id"
)
_REMOVE = (
    f"UPDATE budgets SET deleted = 1, changed_ms = {next_change('budgets', '$3')} "  # noqa: S608
    f"WHERE id = $1 AND account_id = $2 AND deleted = 0 RETURNING {', '.join(_COLUMNS)}"
)
_CHANGED = (
    f"SELECT {', '.join(_COLUMNS)}, deleted, changed_ms FROM budgets "  # noqa: S608
    "WHERE changed_ms >= $1 ORDER BY changed_ms"
)
_WINDOWS = """
SELECT purse, epoch_ms, subject, spent_nanousd, reserved_nanousd FROM budget_windows
WHERE budget_id = $1 AND epoch_ms >= $2 ORDER BY epoch_ms DESC, spent_nanousd DESC, subject LIMIT $3
"""


def new_budget_id() -> str:
    """Return an id that no budget has."""
    return f"bdg_{secrets.token_hex(8)}"


class BudgetRows:
    """Reads and writes budgets; what was spent of them is written with the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, budget: Budget, now_ms: int, *, actor: Actor) -> None:
        """Add the budget, or change name, limit, action and percentage of the one with its id.

        Raises InvalidField where it makes no sense, is for a key that the account has not, or would change whose or
        what spending it counts; NotFound where there is no such account.
        """
        check_budget(budget)

        def script() -> Script[None]:
            # Held, so that of two that set the same budget at once the second sees the first.
            if not (yield hold_account(budget.account_id)):
                raise no_account(budget.account_id)
            of_one_key = budget.scope == "key" and budget.subject != "*"
            if of_one_key and not (yield ask(_OWN_KEY, budget.subject, budget.account_id)):
                raise InvalidField(f"the account has no key {budget.subject!r}", param="subject")
            found = yield ask(_BEFORE, budget.id)
            had = _budget(found[0][1:]) if found else None
            if had is not None and any(getattr(had, name) != getattr(budget, name) for name in _FIXED):
                raise InvalidField("what a budget counts stays as it is: remove it and set another", param="id")
            yield ask(_PUT, *msgspec.structs.astuple(budget), now_ms)
            before = _told(had) if had is not None and not found[0][0] else None
            action = "budget.create" if before is None else "budget.change"
            change = Change(budget.account_id, actor, action, budget.id, before, _told(budget))
            yield from record(self._database.dialect, change)

        await self._database.transact(script)

    async def remove(self, budget_id: str, account_id: str, now_ms: int, *, actor: Actor) -> bool:
        """Take a budget of this account back; False when it has none with this id."""

        def script() -> Script[bool]:
            found = yield ask(_REMOVE, budget_id, account_id, now_ms)
            for row in found:
                change = Change(account_id, actor, "budget.remove", budget_id, _told(_budget(row)), None)
                yield from record(self._database.dialect, change)
            return bool(found)

        return await self._database.transact(script)

    async def find(self, budget_id: str, account_id: str) -> Budget | None:
        """Return one budget of this account; another account's is as unknown as none."""
        rows = await self._database.fetch(f"{_FIND} AND account_id = $2", budget_id, account_id)
        return _budget(rows[0]) if rows else None

    async def of_account(self, account_id: str) -> list[Budget]:
        """Return the budgets of one account, by scope, subject and period."""
        rows = await self._database.fetch(f"{_SELECT} WHERE account_id = $1 AND deleted = 0", account_id)
        found = [_budget(row) for row in rows]
        return sorted(found, key=lambda b: (SCOPES.index(b.scope), b.subject, PERIODS.index(b.period), b.id))

    async def changed_since(self, changed_ms: int) -> list[BudgetRow]:
        """Return the budgets whose `changed_ms` is at least this, removed ones too, in the order of their change."""
        rows = await self._database.fetch(_CHANGED, changed_ms)
        return [BudgetRow(_budget(row[:-2]), bool(row[-2]), row[-1]) for row in rows]

    async def windows(self, budget: Budget, since_ms: int = 0) -> list[Window]:
        """Return what was spent in the periods that began at `since_ms` or later: newest, then highest, first.

        At most `WINDOWS_SHOWN`.
        """
        rows = await self._database.fetch(_WINDOWS, budget.id, since_ms, WINDOWS_SHOWN)
        return [Window(*row) for row in rows]

    async def windows_of(self, purses: Sequence[str]) -> list[Window]:
        """Return these windows; those of which nothing was ever spent are left out."""
        found: list[Window] = []
        for first in range(0, len(purses), PURSES_A_QUERY):
            some = purses[first : first + PURSES_A_QUERY]
            places = ", ".join(f"${place}" for place in range(1, len(some) + 1))
            rows = await self._database.fetch(
                "SELECT purse, epoch_ms, subject, spent_nanousd, reserved_nanousd FROM budget_windows "  # noqa: S608
                f"WHERE purse IN ({places})",
                *some,
            )
            found += [Window(*row) for row in rows]
        return found

    async def spent(self, purses: Sequence[str]) -> dict[str, int]:
        """Return what was spent in each of these windows, in nano-dollars; those without spending are left out."""
        return {window.purse: window.spent_nanousd for window in await self.windows_of(purses)}


def check_budget(budget: Budget) -> None:
    """Raise InvalidField, which names the field, where a budget makes no sense."""
    check_text(budget.name, "name")
    for param, allowed in (("scope", SCOPES), ("period", PERIODS), ("action", ACTIONS)):
        if getattr(budget, param) not in allowed:
            raise InvalidField(f"{param} is one of {', '.join(allowed)}", param=param)
    if budget.scope == "account":
        if budget.subject:
            raise InvalidField("a budget of the whole account has no subject", param="subject")
    else:
        check_text(budget.subject, "subject")
    if not 1 <= budget.limit_nanousd <= MOST_NANOUSD:
        raise InvalidField("a limit is above 0 and at most 1,000,000,000 dollars", param="limit_nanousd")
    if not 1 <= budget.warn_percent <= 100:
        raise InvalidField("warn_percent is from 1 to 100", param="warn_percent")


def _told(budget: Budget) -> JsonObject:
    return {name: value for name, value in msgspec.structs.asdict(budget).items() if name not in ("id", "account_id")}


def _budget(row: Row) -> Budget:
    return msgspec.convert(dict(zip(_COLUMNS, row, strict=True)), Budget)
