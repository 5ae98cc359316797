"""Purges: stored answers that are to go, from the tables at once, and from the memory of every worker that follows."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import Final

import msgspec
import orjson

from neuralrouting.errors import InvalidField
from neuralrouting.storage.database import Database, Dialect, Row, Script, ask
from neuralrouting.storage.entries import PURGE_ROWS
from neuralrouting.storage.trail import Actor, Change
from neuralrouting.storage.trail import record as record_change
from neuralrouting.storage.turnstile import delete_entries, pass_through

KEY_BYTES: Final = 32
PATTERN_CHARS: Final = 500
SKEW_MS: Final = 60_000
"""An entry of a machine whose clock is ahead by up to this is purged as well, where its row is among the newest."""
SWEEPS_MS: Final = (15_000, 900_000)
"""How long after a purge its entries are deleted again: rows that waited in a worker's queue come after it."""
KEPT_MS: Final = 7 * 86_400_000
"""A purge is followed for so long: no answer is in the making, no row waits to be written for longer."""
READ_ROWS: Final = 250
"""Answers read at a time where their texts are looked through."""

_NEWEST_MS = """
SELECT MAX(stored_ms) FROM (SELECT account_id, stored_ms FROM cache_entries ORDER BY seq DESC LIMIT 10000) AS newest
WHERE account_id = $1
"""
_RECORD = """
INSERT INTO cache_purges (account_id, scope, key, pattern, purged_ms, swept_ms) VALUES ($1, $2, $3, $4, $5, $5)
RETURNING seq
"""
_SINCE = """
SELECT seq, account_id, scope, key, pattern, purged_ms FROM cache_purges
WHERE seq > $1 AND purged_ms > $2 ORDER BY seq LIMIT $3
"""
_DUE = """
SELECT seq, account_id, scope, key, pattern, purged_ms, swept_ms FROM cache_purges
WHERE purged_ms + $2 <= $1 AND swept_ms < purged_ms + $2 ORDER BY seq
"""


class Purge(msgspec.Struct, frozen=True):
    """What was stored for an account by `purged_ms` (Unix time) and matches all that is not None is gone.

    `seq` grows with every purge, in the order in which they can be seen.
    """

    seq: int
    account_id: str
    scope: bytes | None
    key: bytes | None
    pattern: str | None
    purged_ms: int


class Purges:
    """Purges entries and tells which purges there were. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def purge(
        self,
        account_id: str,
        *,
        scope: bytes | None = None,
        key: bytes | None = None,
        pattern: str | None = None,
        now_ms: int,
        actor: Actor,
    ) -> int:
        """Delete an account's entries that match all that is given; return how many rows that were.

        `pattern` is looked for in the texts of the answers, see `texts_hold`. What was stored until now is gone for
        good once the first transaction of this is committed: readers leave it out, also where this is cut short, or
        where its row is written after this. Raises InvalidField for a pattern that cannot be looked for.
        """
        check_pattern(pattern)
        newest_ms = (await self._database.fetch(_NEWEST_MS, account_id))[0][0] or 0
        purged_ms = max(now_ms, min(newest_ms, now_ms + SKEW_MS))
        values = (account_id, scope, key, pattern, purged_ms)
        named = {"scope": scope.hex() if scope else None, "entry": key.hex() if key else None, "pattern": pattern}
        told = {name: value for name, value in named.items() if value is not None} or {"all": True}
        change = Change(account_id, actor, "cache.purge", account_id, None, told)
        script = partial(_record_alone, self._database.dialect, values, change)
        seq = await self._database.transact(script, durable=True)
        return await self._delete(Purge(seq, *values))

    async def count(
        self,
        account_id: str,
        *,
        scope: bytes | None = None,
        key: bytes | None = None,
        pattern: str | None = None,
        now_ms: int,
    ) -> int:
        """Return how many rows `purge` would delete now, and delete none. Raises InvalidField as it does."""
        check_pattern(pattern)
        found = 0
        async for some in self._matching(Purge(0, account_id, scope, key, pattern, now_ms + SKEW_MS)):
            found += len(some)
        return found

    async def since(self, seq: int, now_ms: int, limit: int = 1_000) -> list[Purge]:
        """Return up to `limit` purges of the last week after `seq`; with the largest seen, none is ever passed over."""
        return [Purge(*row) for row in await self._database.fetch(_SINCE, seq, now_ms - KEPT_MS, limit)]

    async def sweep(self, now_ms: int) -> int:
        """Delete what was written after the purge that it was stored before; return how many rows that were.

        Of many workers one does it, twice for each purge. Purges that are too old to matter are forgotten.
        """
        swept = 0
        for after_ms in SWEEPS_MS:
            for *values, swept_ms in await self._database.fetch(_DUE, now_ms, after_ms):
                claim = "UPDATE cache_purges SET swept_ms = $1 WHERE seq = $2 AND swept_ms = $3"
                if await self._database.execute(claim, now_ms, values[0], swept_ms):
                    swept += await self._delete(Purge(*values))
        await self._database.execute("DELETE FROM cache_purges WHERE purged_ms <= $1", now_ms - KEPT_MS)
        return swept

    async def _delete(self, purge: Purge) -> int:
        purged = 0
        async for found in self._matching(purge):
            await delete_entries(self._database, found)
            purged += len(found)
        return purged

    async def _matching(self, purge: Purge) -> AsyncIterator[list[int]]:
        """Yield the rows that a purge is about, some at a time; by key, so that each is looked at once."""
        page, rows_a_page = _page_of(purge), READ_ROWS if purge.pattern is not None else PURGE_ROWS
        place = (b"", 0)
        while rows := await self._database.fetch(*page, *place, rows_a_page):
            place = rows[-1][:2]
            found = [row[1] for row in rows]
            if purge.pattern is not None:
                found = await asyncio.to_thread(_that_hold, rows, purge.pattern)
            if found:
                yield found


def key_of(text: str, name: str) -> bytes:
    """Read the key of an entry, or a scope, from its hexadecimal digits. Raises InvalidField that calls it `name`."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidField(f"{name} must be {2 * KEY_BYTES} hexadecimal digits", param=name)
    return key


def check_pattern(pattern: str | None) -> None:
    """Raise InvalidField for a pattern that is empty, too long, or no text that both databases can hold."""
    if pattern is None:
        return
    if not 1 <= len(pattern) <= PATTERN_CHARS:
        raise InvalidField(f"a pattern has 1 to {PATTERN_CHARS} characters", param="pattern")
    if "\0" in pattern or any("\ud800" <= char <= "\udfff" for char in pattern):
        raise InvalidField("a pattern has neither NUL nor halves of surrogate pairs", param="pattern")


def texts_hold(body: bytes, pattern: str) -> bool:
    """Whether the text of a choice of a stored answer holds the pattern, upper or lower case.

    It is the text that the JSON stands for, lowered as Unicode says (`str.lower`, Rust's `str::to_lowercase`).
    """
    wanted = pattern.lower()
    try:
        choices = orjson.loads(body)["choices"]
        return any(wanted in choice["message"]["content"].lower() for choice in choices)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return False  # no answer that could be replayed


def record(values: Row) -> Script[int]:
    """Write down a purge of (account, scope, key, pattern, Unix ms); a step of a script that holds the turnstile."""
    return (yield ask(_RECORD, *values))[0][0]


def _record_alone(dialect: Dialect, values: Row, change: Change) -> Script[int]:
    yield from pass_through(dialect)
    seq = yield from record(values)
    yield from record_change(dialect, change)
    return seq


def _page_of(purge: Purge) -> tuple[str, *tuple[object, ...]]:
    """Return a query for key, number and, where it is looked through, body of a page; it takes a place and a size."""
    conditions = ["account_id = $1", "stored_ms <= $2"]
    values: list[object] = [purge.account_id, purge.purged_ms]
    for column, value in (("scope", purge.scope), ("key", purge.key)):
        if value is not None:
            values.append(value)
            conditions.append(f"{column} = ${len(values)}")
    place = len(values) + 1
    conditions.append(f"(key, seq) > (${place}, ${place + 1})")
    columns = "key, seq, body" if purge.pattern is not None else "key, seq"
    query = f"SELECT {columns} FROM cache_entries WHERE {' AND '.join(conditions)} ORDER BY key, seq"  # noqa: S608
    return f"{query} LIMIT ${place + 2}", *values


def _that_hold(rows: Iterable[Row], pattern: str) -> list[int]:
    return [seq for _, seq, body in rows if texts_hold(body, pattern)]
