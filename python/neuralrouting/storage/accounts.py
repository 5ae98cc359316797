"""Rows of accounts: who pays, and by which plan."""

import msgspec

from neuralrouting.errors import NotFound
from neuralrouting.storage.bounds import check_id, check_text
from neuralrouting.storage.changes import next_change
from neuralrouting.storage.database import Database, Script, Statement, ask
from neuralrouting.storage.plans import hold_plan
from neuralrouting.storage.trail import Actor, Change, record


class AccountRow(msgspec.Struct, frozen=True):
    """One account, in the order of its columns; `changed_ms` grows with every change in the table."""

    id: str
    name: str
    created_ms: int
    plan_id: str
    changed_ms: int = 0


_SELECT = f"SELECT {', '.join(AccountRow.__struct_fields__)} FROM accounts"  # noqa: S608  names of our own columns
_FIND = f"{_SELECT} WHERE id = $1"
_INSERT = (
    "INSERT INTO accounts (id, name, created_ms, plan_id, changed_ms) "  # noqa: S608
    f"VALUES ($1, $2, $3, $4, {next_change('accounts', '$3')}) ON CONFLICT DO NOTHING RETURNING id"
)
_INSERT_BALANCE = "INSERT INTO balances (account_id) VALUES ($1) ON CONFLICT DO NOTHING"
_SET_PLAN = (
    f"UPDATE accounts SET plan_id = $2, changed_ms = {next_change('accounts', '$3')} "  # noqa: S608
    "WHERE id = $1"
)
_RENAME = (
    f"UPDATE accounts SET name = $2, changed_ms = {next_change('accounts', '$3')} "  # noqa: S608
    "WHERE id = $1"
)
# Locks the row on PostgreSQL until the transaction ends; SQLite has one writer at a time anyway.
_HOLD = "UPDATE accounts SET changed_ms = changed_ms WHERE id = $1 RETURNING name, plan_id"


def hold_account(account_id: str) -> Statement:
    """Return a step of a script that keeps an account as it is until its end: its name and plan, no row for none."""
    return ask(_HOLD, account_id)


class AccountRows:
    """Reads and writes accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ensure(
        self, account_id: str, name: str, now_ms: int, plan_id: str = "unlimited", *, actor: Actor
    ) -> bool:
        """Make the account and its balance unless it is there; one that is stays as it is, and False comes back.

        Raises InvalidField for an id or name that cannot be, NotFound for a plan that there is not.
        """

        def script() -> Script[bool]:
            if (yield ask(_FIND, account_id)):
                return False
            check_id(account_id, "account")
            check_text(name, "name")
            if not (yield hold_plan(plan_id)):
                raise _no_plan(plan_id)
            made = yield ask(_INSERT, account_id, name, now_ms, plan_id)
            yield ask(_INSERT_BALANCE, account_id)
            if made:
                told = {"name": name, "plan": plan_id}
                change = Change(account_id, actor, "account.create", account_id, None, told)
                yield from record(self._database.dialect, change)
            return bool(made)

        return await self._database.transact(script)

    async def find(self, account_id: str) -> AccountRow | None:
        """Return one account."""
        rows = await self._database.fetch(_FIND, account_id)
        return AccountRow(*rows[0]) if rows else None

    async def all(self) -> list[AccountRow]:
        """Return every account, oldest first."""
        return [AccountRow(*row) for row in await self._database.fetch(f"{_SELECT} ORDER BY created_ms, id")]

    async def set_plan(self, account_id: str, plan_id: str, now_ms: int, *, actor: Actor) -> None:
        """Give an account another plan. Raises NotFound where there is no such account or plan."""

        def script() -> Script[None]:
            if not (yield hold_plan(plan_id)):
                raise _no_plan(plan_id)
            held = yield hold_account(account_id)
            if not held:
                raise no_account(account_id)
            yield ask(_SET_PLAN, account_id, plan_id, now_ms)
            before, after = {"plan": held[0][1]}, {"plan": plan_id}
            change = Change(account_id, actor, "account.change", account_id, before, after)
            yield from record(self._database.dialect, change)

        await self._database.transact(script)

    async def rename(self, account_id: str, name: str, now_ms: int, *, actor: Actor) -> None:
        """Call an account something else. Raises InvalidField for what cannot be a name, NotFound for no account."""
        check_text(name, "name")

        def script() -> Script[None]:
            held = yield hold_account(account_id)
            if not held:
                raise no_account(account_id)
            yield ask(_RENAME, account_id, name, now_ms)
            before, after = {"name": held[0][0]}, {"name": name}
            change = Change(account_id, actor, "account.change", account_id, before, after)
            yield from record(self._database.dialect, change)

        await self._database.transact(script)

    async def changed_since(self, changed_ms: int) -> list[AccountRow]:
        """Return the accounts whose `changed_ms` is at least this, in the order of their change."""
        rows = await self._database.fetch(f"{_SELECT} WHERE changed_ms >= $1 ORDER BY changed_ms", changed_ms)
        return [AccountRow(*row) for row in rows]


def no_account(account_id: str) -> NotFound:
    """Say that there is no such account, and where to see which there are."""
    return NotFound(f"no account {account_id!r}; see `neuralrouting accounts list`")


def _no_plan(plan_id: str) -> NotFound:
    return NotFound(f"no plan {plan_id!r}; see `neuralrouting plans list`")
