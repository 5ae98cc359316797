"""The trail of admin actions: who changed what from what to what, chained by hash, written with the change itself."""

import hashlib
from typing import Final, NewType

import msgspec

from neuralrouting.exchange import JsonObject
from neuralrouting.storage.database import Database, Dialect, Script, ask
from neuralrouting.storage.dialect import NOW_MS, lock_of
from neuralrouting.storage.findings import Breach, Findings
from neuralrouting.storage.ledger import GENESIS, digest

Actor = NewType("Actor", str)
"""Who acts: `key_ID` of the API, `user_ID` of the dashboard, `cli:OS-USER` of the command line, `gateway` by itself."""
GATEWAY: Final = Actor("gateway")
COMMON: Final = ""
"""The chain of what belongs to no account, such as plans. No account is called so."""
TEXT_CHARS: Final = 2_000
"""Longest text of an owner's that is kept as it is; of a longer one length and SHA-256."""
PAGE: Final = 500
"""Entries of a chain that are checked at a time."""


class Change(msgspec.Struct, frozen=True):
    """One change, as whoever makes it tells of it.

    `action` is what it was done to and how, such as `key.revoke`; `subject` is the id of that. `before` and `after` are
    small documents without a secret; None: there was none, or there is none any more.
    """

    account_id: str
    actor: Actor
    action: str
    subject: str
    before: JsonObject | None
    after: JsonObject | None


class TrailEntry(msgspec.Struct, frozen=True):
    """One entry, in the order of its columns; `at_ms` is the database's clock, `before` and `after` are JSON."""

    account_id: str
    seq: int
    at_ms: int
    actor: str
    action: str
    subject: str
    before: str | None
    after: str | None
    hash: bytes


class Head(msgspec.Struct, frozen=True):
    """The end of one account's chain: how many entries it has, and the hash of the last."""

    account_id: str
    seq: int
    hash: bytes


_COLUMNS = ", ".join(TrailEntry.__struct_fields__)
_OPEN = "INSERT INTO trail_heads (account_id) VALUES ($1) ON CONFLICT DO NOTHING"
_HEAD = "SELECT seq, hash FROM trail_heads WHERE account_id = $1"
_ADVANCE = "UPDATE trail_heads SET seq = $2, hash = $3 WHERE account_id = $1"
_APPEND = f"INSERT INTO trail ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"  # noqa: S608  our own columns
_NEWEST = f"SELECT {_COLUMNS} FROM trail WHERE account_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3"  # noqa: S608
_ONWARD = f"SELECT {_COLUMNS} FROM trail WHERE account_id = $1 AND seq > $2 ORDER BY seq LIMIT {PAGE}"  # noqa: S608
_NEXT_CHAIN = """
SELECT MIN(id) FROM (
    SELECT MIN(account_id) AS id FROM trail_heads WHERE account_id > $1
    UNION ALL SELECT MIN(account_id) FROM trail WHERE account_id > $1
) AS everywhere
"""
_COUNT = "SELECT COUNT(*), CAST(COALESCE(SUM(seq), 0) AS BIGINT) FROM trail_heads"
_LAST_SEQ = 2**63 - 1
_json = msgspec.json.Encoder().encode


def actor_of(id_: str) -> Actor:
    """Return who acts by the key with this id; an id that says already what it is of (`user_...`) stays as it is."""
    return Actor(id_ if "_" in id_ else f"key_{id_}")


def record(dialect: Dialect, change: Change) -> Script[None]:
    """Append an entry of what differs between before and after, nothing where nothing does; the last step of a script.

    The last, since it locks the account's chain until the transaction ends: two that write to one chain wait for each
    other here and nowhere else. What rolls the script back takes the entry with it.
    """
    before, after = _differing(change.before, change.after)
    if before == after:
        return
    yield ask(_OPEN, change.account_id)
    [(seq, hash_)] = yield ask(f"{_HEAD} {lock_of(dialect)}", change.account_id)
    [(now_ms,)] = yield ask(f"SELECT {NOW_MS[dialect]}")
    columns = (
        change.account_id,
        seq + 1,
        now_ms,
        _kept(change.actor),
        change.action,
        _kept(change.subject),
        _text(before),
        _text(after),
    )
    new = digest(hash_, columns)
    yield ask(_APPEND, *columns, new)
    yield ask(_ADVANCE, change.account_id, seq + 1, new)


def told_text(text: str) -> JsonObject | str | None:
    """Return what is kept of a text that its owner wrote: itself, or of a long one what it can be recognised by."""
    if len(text) <= TEXT_CHARS:
        return text or None
    return {"characters": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}


class Trail:
    """Reads the trail; it is written by `record` only. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, account_id: str, before_seq: int | None, limit: int) -> list[TrailEntry]:
        """Return up to `limit` entries of a chain, newest first; `before_seq` None: from the newest on."""
        last = _LAST_SEQ if before_seq is None else before_seq
        return [TrailEntry(*row) for row in await self._database.fetch(_NEWEST, account_id, last, limit)]

    async def head(self, account_id: str) -> Head:
        """Return where a chain ends. Whoever writes it down elsewhere can tell later that nothing was rewritten."""
        rows = await self._database.fetch(_HEAD, account_id)
        return Head(account_id, *rows[0]) if rows else Head(account_id, 0, GENESIS)

    async def size(self) -> tuple[int, int]:
        """Return how many chains there are, and how many entries they should have."""
        [(chains, entries)] = await self._database.fetch(_COUNT)
        return chains, entries

    async def verify(self) -> list[Breach]:
        """Check every chain, on one state of the database; return what does not fit, at most `findings.MOST`."""
        found = Findings()
        await self._database.snapshot(lambda: check_trail(found))
        return found.breaches


def check_trail(found: Findings) -> Script[None]:
    """Check every chain from its first entry to its head: no gap, no other hash, and the end where the head says."""
    last: str | None = None
    while True:
        # The common chain is called '', and nothing is less than that.
        account_id = COMMON if last is None else (yield ask(_NEXT_CHAIN, last))[0][0]
        if account_id is None:
            return
        yield from _check_chain(account_id, found)
        last = account_id


def _check_chain(account_id: str, found: Findings) -> Script[None]:
    seq, hash_ = 0, GENESIS
    while rows := (yield ask(_ONWARD, account_id, seq)):
        for row in rows:
            entry = TrailEntry(*row)
            name = f"entry {entry.seq} of {_name(account_id)}"
            found.expect(entry.seq == seq + 1, "trail", name, f"the entry before it is {seq}: there is a gap")
            found.expect(entry.hash == digest(hash_, row[:-1]), "trail", name, "its hash is not that of its columns")
            seq, hash_ = entry.seq, entry.hash
    heads = yield ask(_HEAD, account_id)
    told = heads[0] if heads else (0, GENESIS)
    says = f"it ends with entry {seq}, or another hash; its head knows {told[0]} entries"
    found.expect(told == (seq, hash_), "trail", f"head of {_name(account_id)}", says)


def _name(account_id: str) -> str:
    return f"account {account_id}" if account_id else "the common chain"


def _differing(before: JsonObject | None, after: JsonObject | None) -> tuple[JsonObject | None, JsonObject | None]:
    """Leave out what is the same in both, where there are both."""
    if before is None or after is None:
        return before, after
    names: list[str] = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {name: before.get(name) for name in names}, {name: after.get(name) for name in names}


def _text(told: JsonObject | None) -> str | None:
    return None if told is None else _json(told).decode()


def _kept(text: str) -> str:
    """Write NUL, which PostgreSQL has not, as it will be read again: the hash is over what is kept."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
