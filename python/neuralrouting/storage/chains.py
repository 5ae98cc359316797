"""Checks one account's ledger from its first entry to its last, a page at a time."""

from typing import Final

import msgspec

from neuralrouting.storage.database import Script, ask
from neuralrouting.storage.dialect import ask_among
from neuralrouting.storage.findings import Findings
from neuralrouting.storage.ledger import COLUMNS, COUNTERS, GENESIS, Entry, digest, entry_of

PAGE: Final = 500
_PAGE: Final = f"""
SELECT {COLUMNS} FROM ledger WHERE account_id = $1 AND seq > $2 ORDER BY seq LIMIT {PAGE}
"""  # noqa: S608  names of our own columns
# Not joined to the page: a planner without statistics would read all requests for each entry.
_REQUESTS: Final = "SELECT request_id, account_id, hold_state FROM requests WHERE request_id IN ({places})"
_TWICE: Final = f"""
SELECT ref FROM ledger WHERE account_id = $1 AND kind = 'usage' GROUP BY ref HAVING COUNT(*) > 1 LIMIT {PAGE}
"""  # noqa: S608
_SIGNS: Final = {"usage": -1, "grant": 1, "expiry": -1, "topup": 1, "refund": -1}


class End(msgspec.Struct, frozen=True):
    """What an account's entries come to: the sum of their deltas, and the last of them."""

    total_mc: int = 0
    seq: int = 0
    hash: bytes = GENESIS


def check_chain(account_id: str, found: Findings) -> Script[End]:
    """Check that entries have no gap, are linked, fit their kind and belong to a request; return where they end."""
    end = End()
    while rows := (yield ask(_PAGE, account_id, end.seq)):
        entries = [entry_of(row) for row in rows]
        usages = [entry.ref for entry in entries if entry.kind == "usage"]
        requests = {row[0]: row[1:] for row in (yield from ask_among(_REQUESTS, usages))}
        for entry in entries:
            if entry.kind == "usage":
                fits = requests.get(entry.ref) == (account_id, "settled")
                says = f"its request {entry.ref} is not a settled one of this account"
                found.expect(fits, "I8", _name(entry), says)
            end = _check(entry, end, found)
    for (ref,) in (yield ask(_TWICE, account_id)):
        found.expect(False, "I4", f"request {ref}", "it is charged more than once")  # noqa: FBT003
    return end


def _check(entry: Entry, end: End, found: Findings) -> End:
    name = _name(entry)
    found.expect(entry.seq == end.seq + 1, "I9", name, f"the entry before it is {end.seq}: there is a gap")
    columns = msgspec.structs.astuple(msgspec.structs.replace(entry, simulated=int(entry.simulated)))[:-1]
    found.expect(entry.hash == digest(end.hash, columns), "I9", name, "its hash is not that of its columns")
    fits = COUNTERS[entry.kind] == entry.counter
    found.expect(fits, "I5", name, f"a {entry.kind} is booked against {entry.counter}")
    found.expect(entry.delta_mc * _SIGNS.get(entry.kind, 0) >= 0, "I5", name, f"a {entry.kind} has the wrong sign")
    found.expect(entry.loss_mc == 0 or entry.kind == "usage", "I5", name, f"a {entry.kind} has a loss")
    return End(end.total_mc + entry.delta_mc, entry.seq, entry.hash)


def _name(entry: Entry) -> str:
    return f"entry {entry.seq} of {entry.account_id}"
