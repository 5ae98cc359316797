"""Checks the books: the ten invariants of the ledger, and that every sum is the sum of its rows.

Every turn, top-up and renewal is one transaction, so that all of this holds between any two of them. The check reads
one snapshot, in pages: live workers are neither held up nor mistaken for breaches.

- I1   a balance is at least what is leased of it, and that at least 0; a grant is part of the balance
- I2   a balance is the sum of its entries
- I3   what is reserved of a purse is the sum of its leases
- I4   no request is charged twice
- I5   every entry balances: one row has both its sides, and its kind fits its counter and sign
- I6   a settled request is charged at most what was held, another one nothing
- I7   no worker that was away for long holds a lease
- I8   a settled request has one entry of its usage, another one none
- I9   entries are gapless and linked by their hashes up to the head in the balance
- I10  the balance that the API shows is the sum of the entries
- charges, costs      each usage entry takes and costs what its request says
- cells, rollups, figures, sessions   are what the requests make
- windows             a budget's period is what its purse says

What a budget's periods have spent cannot be recounted: which budgets there were when a request was settled is not kept.
"""

from typing import Final

from neuralrouting.storage.books import READ_BALANCE
from neuralrouting.storage.chains import End, check_chain
from neuralrouting.storage.database import Database, Script, ask
from neuralrouting.storage.findings import MOST, Breach, Findings
from neuralrouting.storage.recount import check_requests
from neuralrouting.storage.turns import credits_purse, window_of

STALE_MS: Final = 120_000
"""How long a worker may be away before its leases must have been reaped or replayed."""
PAGE: Final = 500

_NEXT_ACCOUNT: Final = """
SELECT MIN(id) FROM (
    SELECT MIN(id) AS id FROM accounts WHERE id > $1
    UNION ALL SELECT MIN(account_id) FROM balances WHERE account_id > $1
    UNION ALL SELECT MIN(account_id) FROM ledger WHERE account_id > $1
    UNION ALL SELECT MIN(account_id) FROM requests WHERE account_id > $1
    UNION ALL SELECT MIN(account_id) FROM cells WHERE account_id > $1
    UNION ALL SELECT MIN(account_id) FROM sessions WHERE account_id > $1
) AS everywhere
"""
_BALANCE: Final = "SELECT posted_mc, reserved_mc, grant_mc, seq, hash FROM balances WHERE account_id = $1"
_LEASED: Final = "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM leases WHERE purse = $1"
_WINDOWS: Final = f"""
SELECT purse, budget_id, epoch_ms, subject, reserved_nanousd,
    CAST(COALESCE((SELECT SUM(amount) FROM leases WHERE leases.purse = budget_windows.purse), 0) AS BIGINT)
FROM budget_windows WHERE purse > $1 ORDER BY purse LIMIT {PAGE}
"""  # noqa: S608
_ASTRAY: Final = f"""
SELECT worker_id, purse FROM leases
WHERE amount > 0 AND NOT EXISTS (SELECT 1 FROM budget_windows WHERE budget_windows.purse = leases.purse)
    AND NOT (purse LIKE 'credits/%' AND EXISTS (SELECT 1 FROM balances WHERE account_id = SUBSTR(leases.purse, 9)))
ORDER BY worker_id, purse LIMIT {MOST}
"""  # noqa: S608
_AWAY: Final = f"""
SELECT id, machine, seen_ms FROM workers
WHERE seen_ms < $1 AND EXISTS (SELECT 1 FROM leases WHERE worker_id = workers.id AND amount > 0)
ORDER BY id LIMIT {MOST}
"""  # noqa: S608
_CELLLESS: Final = f"""
SELECT DISTINCT cell_id FROM rollups
WHERE NOT EXISTS (SELECT 1 FROM cells WHERE cells.id = rollups.cell_id) LIMIT {MOST}
"""  # noqa: S608


async def verify(database: Database, now_ms: int) -> list[Breach]:
    """Check everything; return which row breaks what, at most `findings.MOST`. `now_ms` is Unix time.

    Takes minutes for millions of requests, and memory for one day's sums and `recount.SESSIONS_A_PASS` sessions.
    Raises Unavailable when the database does not serve.
    """
    return await database.snapshot(lambda: _check(now_ms))


def _check(now_ms: int) -> Script[list[Breach]]:
    found = Findings()
    last = ""
    while True:
        [(account_id,)] = yield ask(_NEXT_ACCOUNT, last)
        if account_id is None:
            break
        yield from _check_account(account_id, found)
        last = account_id
    yield from _check_windows(found)
    for worker_id, purse in (yield ask(_ASTRAY)):
        found.expect(False, "I3", f"lease of {worker_id} on {purse}", "there is no such purse")  # noqa: FBT003
    for worker_id, machine, seen_ms in (yield ask(_AWAY, now_ms - STALE_MS)):
        says = f"on {machine}, it was last seen at {seen_ms} ms and still holds leases"
        found.expect(False, "I7", f"worker {worker_id}", says)  # noqa: FBT003
    for (cell_id,) in (yield ask(_CELLLESS)):
        found.expect(False, "cells", str(cell_id), "it has rollups but is not there")  # noqa: FBT003
    return found.breaches


def _check_account(account_id: str, found: Findings) -> Script[None]:
    end = yield from check_chain(account_id, found)
    yield from _check_balance(account_id, end, found)
    yield from check_requests(account_id, found)


def _check_balance(account_id: str, end: End, found: Findings) -> Script[None]:
    rows = yield ask(_BALANCE, account_id)
    [(leased,)] = yield ask(_LEASED, credits_purse(account_id))
    posted, reserved, grant, seq, head = rows[0] if rows else (0, 0, 0, 0, End().hash)
    shown = yield ask(READ_BALANCE, account_id)
    name = f"balance of {account_id}"
    sums = f"posted {posted}, reserved {reserved}, grant {grant}"
    found.expect(posted >= reserved >= 0 and 0 <= grant <= posted, "I1", name, sums)
    found.expect(posted == end.total_mc, "I2", name, f"posted {posted}, its entries sum up to {end.total_mc}")
    found.expect(reserved == leased, "I3", name, f"reserved {reserved}, its leases sum up to {leased}")
    told = (seq, head) == (end.seq, end.hash)
    found.expect(told, "I9", name, f"it knows {seq} entries, the last of {end.seq} has another number or hash")
    visible = shown[0][0] if shown else 0
    found.expect(visible == end.total_mc, "I10", name, f"it shows {visible}, its entries sum up to {end.total_mc}")


def _check_windows(found: Findings) -> Script[None]:
    last = ""
    while rows := (yield ask(_WINDOWS, last)):
        for purse, budget_id, epoch_ms, subject, reserved, leased in rows:
            found.expect(reserved == leased, "I3", purse, f"reserved {reserved}, its leases sum up to {leased}")
            told = window_of(purse) == (budget_id, epoch_ms, subject)
            found.expect(told, "windows", purse, f"it is of {budget_id}, {epoch_ms}, {subject}")
        last = rows[-1][0]
