"""Rows of API keys. A key's secret is never here, only the SHA-256 of the whole key."""

from collections.abc import Callable

import msgspec

from neuralrouting.exchange import JsonObject, Mode, Role, ShieldMode
from neuralrouting.storage.bounds import check_figure, check_text
from neuralrouting.storage.changes import next_change
from neuralrouting.storage.database import Database, Row, Script, ask
from neuralrouting.storage.trail import Actor, Change, record


class KeyOptions(msgspec.Struct, frozen=True):
    """What can be changed of a key, in the order of its columns.

    `shield_mode` None: as configured; `routing_mode` None: as the account's. Limits are of this key alone, None: none.
    """

    shield_mode: ShieldMode | None = None
    role: Role = "member"
    team: str | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel: int | None = None
    routing_mode: Mode | None = None


class KeyRow(msgspec.Struct, frozen=True, array_like=True):
    """One API key, in the order of its columns; times are Unix milliseconds.

    `changed_ms` grows with every change in the table and is set by the database; what `insert` is given is
    not used. `shield_mode` None: as configured.
    """

    id: str
    account_id: str
    name: str
    live: bool
    secret_sha256: bytes
    last4: str
    created_ms: int
    revoked_ms: int | None = None
    changed_ms: int = 0
    shield_mode: ShieldMode | None = None
    role: Role = "member"
    team: str | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel: int | None = None
    routing_mode: Mode | None = None

    @property
    def options(self) -> KeyOptions:
        """What can be changed of it."""
        return KeyOptions(*(getattr(self, name) for name in _OPTIONS))


_OPTIONS = KeyOptions.__struct_fields__
_COLUMNS = ", ".join(KeyRow.__struct_fields__)
_SELECT = f"SELECT {_COLUMNS} FROM api_keys"  # noqa: S608  names of our own columns
_INSERT = (
    f"INSERT INTO api_keys ({_COLUMNS}) "  # noqa: S608
    f"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, {next_change('api_keys', '$7')}, $9, $10, $11, $12, $13, $14, $15)"
)
_REVOKE = (
    f"UPDATE api_keys SET revoked_ms = $2, changed_ms = {next_change('api_keys', '$2')} "  # noqa: S608
    "WHERE id = $1 AND revoked_ms IS NULL RETURNING account_id, name, role"
)
# Locks the row on PostgreSQL, so that two changes at once are made one after the other.
_HOLD = (
    "UPDATE api_keys SET changed_ms = changed_ms WHERE id = $1 AND revoked_ms IS NULL "  # noqa: S608
    f"RETURNING account_id, {', '.join(_OPTIONS)}"
)
_CHANGE = (
    f"UPDATE api_keys SET {', '.join(f'{name} = ${place}' for place, name in enumerate(_OPTIONS, 3))}, "  # noqa: S608
    f"changed_ms = {next_change('api_keys', '$2')} WHERE id = $1"
)


class KeyRows:
    """Reads and writes keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, row: KeyRow, *, actor: Actor) -> None:
        """Add a key. Raises RowError when its account does not exist or its id is taken, InvalidField for options."""
        check_options(row.options)
        values = msgspec.structs.astuple(row)

        def script() -> Script[None]:
            yield ask(_INSERT, *values[:8], *values[9:])
            told: JsonObject = {"name": row.name, "live": row.live, **msgspec.structs.asdict(row.options)}
            change = Change(row.account_id, actor, "key.create", row.id, None, told)
            yield from record(self._database.dialect, change)

        await self._database.transact(script)

    async def find(self, key_id: str) -> KeyRow | None:
        """Return one key, revoked or not."""
        rows = await self._database.fetch(f"{_SELECT} WHERE id = $1", key_id)
        return _row(rows[0]) if rows else None

    async def all(self, account_id: str | None) -> list[KeyRow]:
        """Return the keys of one account, or of all with None, oldest first."""
        if account_id is None:
            rows = await self._database.fetch(f"{_SELECT} ORDER BY created_ms, id")
        else:
            rows = await self._database.fetch(f"{_SELECT} WHERE account_id = $1 ORDER BY created_ms, id", account_id)
        return [_row(row) for row in rows]

    async def revoke(self, key_id: str, now_ms: int, *, actor: Actor) -> bool:
        """Revoke a key for good; False when it is unknown or revoked already."""

        def script() -> Script[bool]:
            found = yield ask(_REVOKE, key_id, now_ms)
            for account_id, name, role in found:
                change = Change(account_id, actor, "key.revoke", key_id, {"name": name, "role": role}, None)
                yield from record(self._database.dialect, change)
            return bool(found)

        return await self._database.transact(script)

    async def change(
        self, key_id: str, edit: Callable[[KeyOptions], KeyOptions], now_ms: int, *, actor: Actor
    ) -> KeyOptions | None:
        """Replace a key's options by what `edit` makes of them and return those; None when it is unknown or revoked.

        Raises InvalidField for options that cannot be.
        """

        def script() -> Script[KeyOptions | None]:
            found = yield ask(_HOLD, key_id)
            if not found:
                return None
            account_id, *had = found[0]
            old = KeyOptions(*had)
            options = edit(old)
            check_options(options)
            yield ask(_CHANGE, key_id, now_ms, *msgspec.structs.astuple(options))
            before, after = msgspec.structs.asdict(old), msgspec.structs.asdict(options)
            yield from record(self._database.dialect, Change(account_id, actor, "key.change", key_id, before, after))
            return options

        return await self._database.transact(script)

    async def changed_since(self, changed_ms: int) -> list[KeyRow]:
        """Return the keys whose `changed_ms` is at least this, in the order of their change."""
        rows = await self._database.fetch(f"{_SELECT} WHERE changed_ms >= $1 ORDER BY changed_ms", changed_ms)
        return [_row(row) for row in rows]


def check_options(options: KeyOptions) -> None:
    """Raise InvalidField, which names the field, where a key cannot be like that."""
    if options.team is not None:
        check_text(options.team, "team")
    check_figure(options.requests_per_minute, "requests_per_minute")
    check_figure(options.tokens_per_minute, "tokens_per_minute")
    check_figure(options.parallel, "parallel")


def _row(row: Row) -> KeyRow:
    # Not strict: the databases keep a flag as 0 or 1.
    return msgspec.convert(row, KeyRow, strict=False)
