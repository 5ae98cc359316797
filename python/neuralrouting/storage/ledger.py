"""Rows of the ledger: each is one entry with both its sides, chained to the one before it by its hash."""

import hashlib
from typing import Final, Literal

import msgspec

from neuralrouting.storage.database import Row

Kind = Literal["usage", "grant", "expiry", "topup", "refund", "adjustment"]
Counter = Literal["revenue", "plan", "funding", "house"]

COUNTERS: Final[dict[Kind, Counter]] = {
    "usage": "revenue",
    "grant": "plan",
    "expiry": "plan",
    "topup": "funding",
    "refund": "funding",
    "adjustment": "house",
}
"""The account on the other side of each kind: it takes what the customer's account gives, and the reverse."""

GENESIS: Final = bytes(32)
"""The hash before an account's first entry."""

_encode = msgspec.json.Encoder().encode


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One entry, in the order of its columns.

    `delta_mc` is what the account got (negative: gave), in millicredits; `counter` got the opposite. `ref` is the
    request id of a usage, the reference of anything else. `cost_nanousd` is what the provider takes, None: unpriced.
    `loss_mc` was due and could not be taken. `created_ms` is the database's clock.
    """

    account_id: str
    seq: int
    created_ms: int
    kind: Kind
    ref: str
    counter: Counter
    delta_mc: int
    cost_nanousd: int | None
    loss_mc: int
    simulated: bool
    actor: str | None
    reason: str | None
    hash: bytes


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An entry that has no place in its account's chain yet."""

    kind: Kind
    ref: str
    delta_mc: int
    cost_nanousd: int | None = None
    loss_mc: int = 0
    simulated: bool = False
    actor: str | None = None
    reason: str | None = None


COLUMNS: Final = ", ".join(Entry.__struct_fields__)
INSERT_LEDGER: Final = (
    f"INSERT INTO ledger ({COLUMNS}) "  # noqa: S608  names of our own columns
    f"VALUES ({', '.join(f'${place}' for place in range(1, len(Entry.__struct_fields__) + 1))})"
)
"""Takes what `Chain.append` returns. A second entry of one account, kind and reference is refused."""


def digest(before: bytes, columns: Row) -> bytes:
    """Return the hash of an entry: SHA-256 over the 32 bytes of the hash before it, then its own columns.

    The columns, all but the hash, are one JSON array in the order of `Entry`, in UTF-8, without spaces, with
    `simulated` as 0 or 1 and only those characters escaped that must be: what `json.dumps(columns,
    ensure_ascii=False, separators=(",", ":"))` writes.
    """
    return hashlib.sha256(before + _encode(columns)).digest()


class Chain:
    """The end of one account's chain, inside a transaction that appends to it."""

    __slots__ = ("account_id", "hash", "seq")

    def __init__(self, account_id: str, seq: int, hash_: bytes) -> None:
        self.account_id = account_id
        self.seq = seq
        self.hash = hash_

    def append(self, draft: Draft, now_ms: int) -> Row:
        """Give an entry the next place; return its row."""
        self.seq += 1
        columns = (
            self.account_id, self.seq, now_ms, draft.kind, draft.ref, COUNTERS[draft.kind], draft.delta_mc,
            draft.cost_nanousd, draft.loss_mc, int(draft.simulated), draft.actor, draft.reason,
        )  # fmt: skip
        self.hash = digest(self.hash, columns)
        return (*columns, self.hash)


def entry_of(row: Row) -> Entry:
    """Turn a row into an entry."""
    # Not strict: the databases keep a flag as 0 or 1.
    return msgspec.convert(row, Entry, strict=False)
