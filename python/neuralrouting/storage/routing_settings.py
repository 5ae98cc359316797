"""Rows of what accounts order about routing: rules as text, a mode, whether to cascade, whether to be audited."""

from collections.abc import Callable

import msgspec

from neuralrouting.exchange import JsonObject, Mode
from neuralrouting.storage.accounts import hold_account
from neuralrouting.storage.changes import next_change
from neuralrouting.storage.database import Database, Row, Script, ask
from neuralrouting.storage.trail import Actor, Change, record, told_text


class RoutingSettings(msgspec.Struct, frozen=True):
    """What one account orders, in the order of its columns; `rules` as its owner wrote them, empty for none.

    `routing_mode` and `cascade` None: as configured. `shadow` False: its prompts are never answered a second time.
    """

    rules: str = ""
    routing_mode: Mode | None = None
    cascade: bool | None = None
    shadow: bool = True


class RoutingSettingsRow(msgspec.Struct, frozen=True):
    """The settings of one account. `changed_ms` grows with every change in the table."""

    account_id: str
    settings: RoutingSettings
    changed_ms: int


_FIELDS = RoutingSettings.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_FIND = f"SELECT {_COLUMNS} FROM routing_settings WHERE account_id = $1"  # noqa: S608  our own columns
_PUT = f"""
INSERT INTO routing_settings (account_id, {_COLUMNS}, changed_ms)
SELECT id, CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS SMALLINT), CAST($6 AS SMALLINT),
    {next_change("routing_settings", "$2")}
FROM accounts WHERE id = $1
ON CONFLICT (account_id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _FIELDS)},
    changed_ms = excluded.changed_ms
"""  # noqa: S608
_CHANGED = (
    f"SELECT account_id, {_COLUMNS}, changed_ms FROM routing_settings "  # noqa: S608
    "WHERE changed_ms >= $1 ORDER BY changed_ms"
)


class RoutingSettingsRows:
    """Reads and writes settings. Rules that it is given must be good ones; nothing here looks into them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, account_id: str) -> RoutingSettings:
        """Return an account's settings; those of everybody else where it has none."""
        rows = await self._database.fetch(_FIND, account_id)
        return _settings(rows[0]) if rows else RoutingSettings()

    async def change(
        self, account_id: str, edit: Callable[[RoutingSettings], RoutingSettings], now_ms: int, *, actor: Actor
    ) -> RoutingSettings | None:
        """Replace an account's settings by what `edit` makes of them; return those, None for no such account."""

        def script() -> Script[RoutingSettings | None]:
            # Held, so that of two changes at once the second sees the first: the settings may have no row yet.
            if not (yield hold_account(account_id)):
                return None
            found = yield ask(_FIND, account_id)
            old = _settings(found[0]) if found else RoutingSettings()
            new = edit(old)
            flags = (None if new.cascade is None else int(new.cascade), int(new.shadow))
            yield ask(_PUT, account_id, now_ms, new.rules, new.routing_mode, *flags)
            for action, told in (("routing.rules", _rules), ("routing.settings", _orders)):
                change = Change(account_id, actor, action, account_id, told(old), told(new))
                yield from record(self._database.dialect, change)
            return new

        return await self._database.transact(script)

    async def changed_since(self, changed_ms: int) -> list[RoutingSettingsRow]:
        """Return the settings whose `changed_ms` is at least this, in the order of their change."""
        rows = await self._database.fetch(_CHANGED, changed_ms)
        return [RoutingSettingsRow(row[0], _settings(row[1:-1]), row[-1]) for row in rows]


def _rules(settings: RoutingSettings) -> JsonObject:
    return {"rules": told_text(settings.rules)}


def _orders(settings: RoutingSettings) -> JsonObject:
    return {"mode": settings.routing_mode, "cascade": settings.cascade, "shadow": settings.shadow}


def _settings(row: Row) -> RoutingSettings:
    # Not strict: the databases keep a flag as 0 or 1.
    return msgspec.convert(dict(zip(_FIELDS, row, strict=True)), RoutingSettings, strict=False)
