"""Rows of accounts and API keys. A key's secret is never here, only the SHA-256 of the whole key."""

import msgspec

from neuralrouting.exchange import ShieldMode
from neuralrouting.storage.database import Database, Row


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


_COLUMNS = ", ".join(KeyRow.__struct_fields__)
_SELECT = f"SELECT {_COLUMNS} FROM api_keys"  # noqa: S608  names of our own columns
# One more than every change so far, so that a clock that is behind cannot hide a change from `changed_since`.
_CHANGED = """
(SELECT CASE WHEN MAX(changed_ms) >= {now} THEN MAX(changed_ms) + 1 ELSE {now} END FROM api_keys)
"""
_INSERT = (
    f"INSERT INTO api_keys ({_COLUMNS}) "  # noqa: S608
    f"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, {_CHANGED.format(now='$7')}, $9)"
)
_REVOKE = (
    f"UPDATE api_keys SET revoked_ms = $2, changed_ms = {_CHANGED.format(now='$2')} "  # noqa: S608
    "WHERE id = $1 AND revoked_ms IS NULL"
)
_SET_SHIELD_MODE = (
    f"UPDATE api_keys SET shield_mode = $3, changed_ms = {_CHANGED.format(now='$2')} "  # noqa: S608
    "WHERE id = $1 AND revoked_ms IS NULL"
)
_ENSURE_ACCOUNT = "INSERT INTO accounts (id, name, created_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"


class KeyRows:
    """Reads and writes accounts and keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ensure_account(self, account_id: str, name: str, now_ms: int) -> None:
        """Make the account unless it is there; its name stays as it is."""
        await self._database.execute(_ENSURE_ACCOUNT, account_id, name, now_ms)

    async def insert(self, row: KeyRow) -> None:
        """Add a key. Raises RowError when its account does not exist or its id is taken."""
        await self._database.execute(_INSERT, *msgspec.structs.astuple(row)[:8], row.shield_mode)

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

    async def revoke(self, key_id: str, now_ms: int) -> bool:
        """Revoke a key for good; False when it is unknown or revoked already."""
        return await self._database.execute(_REVOKE, key_id, now_ms) == 1

    async def set_shield_mode(self, key_id: str, mode: ShieldMode | None, now_ms: int) -> bool:
        """Have the shield treat this key's requests so, None as configured; False when it is unknown or revoked."""
        return await self._database.execute(_SET_SHIELD_MODE, key_id, now_ms, mode) == 1

    async def changed_since(self, changed_ms: int) -> list[KeyRow]:
        """Return the keys whose `changed_ms` is at least this, in the order of their change."""
        rows = await self._database.fetch(f"{_SELECT} WHERE changed_ms >= $1 ORDER BY changed_ms", changed_ms)
        return [_row(row) for row in rows]


def _row(row: Row) -> KeyRow:
    # Not strict: the databases keep a flag as 0 or 1.
    return msgspec.convert(row, KeyRow, strict=False)
