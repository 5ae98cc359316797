"""Rows of the shield's rules: one account, one TOML text that its operator wrote."""

import msgspec

from neuralrouting.storage.accounts import hold_account
from neuralrouting.storage.changes import next_change
from neuralrouting.storage.database import Database, Script, ask
from neuralrouting.storage.trail import Actor, Change, record, told_text

_SET = f"""
INSERT INTO shield_rules (account_id, toml, changed_ms)
SELECT id, CAST($2 AS TEXT), {next_change("shield_rules", "$3")} FROM accounts WHERE id = $1
ON CONFLICT (account_id) DO UPDATE SET toml = excluded.toml, changed_ms = excluded.changed_ms
"""  # noqa: S608  our own SQL
_FIND = "SELECT toml FROM shield_rules WHERE account_id = $1"
_CHANGED = "SELECT account_id, toml, changed_ms FROM shield_rules WHERE changed_ms >= $1 ORDER BY changed_ms"


class RuleRow(msgspec.Struct, frozen=True):
    """The rules of one account; empty `toml` is none. `changed_ms` grows with every change in the table."""

    account_id: str
    toml: str
    changed_ms: int


class RuleRows:
    """Reads and writes the rules of accounts. What it is given must compile; nothing here looks into it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, account_id: str, toml: str, now_ms: int, *, actor: Actor) -> bool:
        """Replace an account's rules, empty takes them back; False when there is no such account."""

        def script() -> Script[bool]:
            if not (yield hold_account(account_id)):
                return False
            found = yield ask(_FIND, account_id)
            yield ask(_SET, account_id, toml, now_ms)
            before, after = {"rules": told_text(found[0][0] if found else "")}, {"rules": told_text(toml)}
            change = Change(account_id, actor, "shield.rules", account_id, before, after)
            yield from record(self._database.dialect, change)
            return True

        return await self._database.transact(script)

    async def find(self, account_id: str) -> str:
        """Return an account's rules; empty when it has none."""
        rows = await self._database.fetch(_FIND, account_id)
        return rows[0][0] if rows else ""

    async def changed_since(self, changed_ms: int) -> list[RuleRow]:
        """Return the rules whose `changed_ms` is at least this, in the order of their change."""
        return [RuleRow(*row) for row in await self._database.fetch(_CHANGED, changed_ms)]
