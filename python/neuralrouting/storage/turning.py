"""The script of one turn: settle what the journal has, give back, lease. Both databases play it as one transaction.

Everything is locked in one order, whoever comes: the worker's row, then requests, sums, budgets and balances, each
sorted. Balances, which all workers want, come last and are held shortest.
"""

from collections.abc import Iterable, Sequence

import msgspec

from neuralrouting.storage.database import Dialect, Row, RowError, Script, ask, run
from neuralrouting.storage.dialect import NOW_MS, ask_among, lock_of, locking
from neuralrouting.storage.figures import APPEND_FRESH, fresh_rows
from neuralrouting.storage.ledger import INSERT_LEDGER
from neuralrouting.storage.purses import Credits, Purse, Window
from neuralrouting.storage.requests import APPEND_REQUEST
from neuralrouting.storage.rollups import ADD_ROLLUP, ADD_SESSION, INSERT_CELL, deltas
from neuralrouting.storage.turns import Free, Settlement, Turn, TurnResult, Want, account_of, credits_purse, window_of

_ADVANCE = """
UPDATE workers SET turn = $2, applied = $3, seen_ms = {now} WHERE id = $1 AND turn = $4 RETURNING seen_ms
"""
_WORKER = "SELECT turn, applied FROM workers WHERE id = $1"
_WRITTEN = "SELECT request_id FROM requests WHERE request_id IN ({places})"
_LEASES = "SELECT purse, amount FROM leases WHERE worker_id = $1"
_SET_LEASE = (
    "INSERT INTO leases (worker_id, purse, amount) VALUES ($1, $2, $3) "
    "ON CONFLICT (worker_id, purse) DO UPDATE SET amount = excluded.amount"
)
_DROP_LEASE = "DELETE FROM leases WHERE worker_id = $1 AND purse = $2"
_OPEN_WINDOW = (
    "INSERT INTO budget_windows (purse, budget_id, epoch_ms, subject) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
)
_OPEN_BALANCE = "INSERT INTO balances (account_id) SELECT id FROM accounts WHERE id = $1 ON CONFLICT DO NOTHING"
_LIMITS = "SELECT id, limit_nanousd FROM budgets WHERE id IN ({places})"
_LOST = (
    "SELECT CAST(COALESCE(SUM(loss_mc), 0) AS BIGINT) FROM ledger "
    "WHERE account_id = $1 AND kind = 'usage' AND ref IN ({places})"
)


class OutOfTurn(RuntimeError):
    """A worker's turn is not the one after its last, or its row is gone: two processes act as one worker."""


class Work(msgspec.Struct, frozen=True):
    """What one purse goes through in one turn, in this order."""

    settled: list[Settlement]
    spends: list[int]
    returns: list[int]
    wants: list[Want]


class Moves(msgspec.Struct, frozen=True):
    """What moving money came to: how the wanted purses stand, and what was due and could not be taken."""

    purses: dict[str, Free]
    lost_mc: int


def take_turn(dialect: Dialect, turn: Turn) -> Script[TurnResult]:
    """Play one turn. Raises OutOfTurn, and RowError for a settlement that contradicts itself."""
    moved = yield ask(
        _ADVANCE.format(now=NOW_MS[dialect]), turn.worker_id, turn.number, turn.journal_end, turn.number - 1
    )
    if not moved:
        return (yield from _committed(turn))
    leases = yield from leases_of(turn.worker_id)
    moves = yield from apply(dialect, turn, leases, moved[0][0])
    return TurnResult(leases, moves.purses, moves.lost_mc)


def settle_one(dialect: Dialect, turn: Turn, settlement: Settlement) -> Script[None]:
    """Write one settlement of a turn that is still to be taken; nothing, when it was taken or this is written."""
    seen = yield ask(f"{_WORKER} {lock_of(dialect)}", turn.worker_id)
    if seen and seen[0][0] == turn.number:
        return
    if not seen or seen[0][0] != turn.number - 1:
        raise _out_of_turn(turn, seen)
    [(now_ms,)] = yield ask(f"SELECT {NOW_MS[dialect]}")
    alone = msgspec.structs.replace(turn, settlements=(settlement,), returns=(), wants=())
    leases = yield from leases_of(turn.worker_id)
    yield from apply(dialect, alone, leases, now_ms)


def lost_by(settlements: Iterable[Settlement]) -> Script[int]:
    """Return what could not be charged of settlements that are written, in millicredits."""
    refs: dict[str, list[str]] = {}
    for one in settlements:
        refs.setdefault(one.row.account_id, []).append(one.row.request_id)
    lost = 0
    for account_id, ids in refs.items():
        sums = yield from ask_among(_LOST, sorted(set(ids)), account_id)
        lost += sum(row[0] for row in sums)
    return lost


def leases_of(worker_id: str) -> Script[dict[str, int]]:
    """Read a worker's leases; whoever holds the lock on the worker's row is the only one to change them."""
    return {row[0]: row[1] for row in (yield ask(_LEASES, worker_id))}


def apply(dialect: Dialect, turn: Turn, leases: dict[str, int], now_ms: int) -> Script[Moves]:
    """Write a turn's requests and move its money; `leases` is brought up to date."""
    fresh = yield from _unwritten(turn.settlements)
    rows = [one.row for one in fresh]
    yield run(APPEND_REQUEST, [row.values() for row in rows])
    sums = deltas(rows)
    yield run(INSERT_CELL, sums.cells)
    yield run(ADD_ROLLUP, sums.rollups)
    yield run(ADD_SESSION, sums.sessions)
    yield run(APPEND_FRESH, fresh_rows(sums.cells, sums.rollups))
    budgets, credits_ = _sorted_out(fresh, turn.returns, turn.wants)
    windows = yield from open_windows(dialect, budgets, leases)
    for window in windows:
        window.spend(budgets[window.name].spends)
    stand = _lend(windows, budgets)
    yield run(Window.UPDATE, [window.row() for window in windows])
    accounts = yield from open_accounts(dialect, credits_, leases)
    entries, lost = _charge(accounts, credits_, now_ms)
    stand |= _lend(accounts, credits_)
    yield run(INSERT_LEDGER, entries)
    yield run(Credits.UPDATE, [account.row() for account in accounts])
    yield from keep_leases(turn.worker_id, leases, [*windows, *accounts])
    return Moves(stand, lost)


def open_windows(dialect: Dialect, purses: Iterable[str], leases: dict[str, int]) -> Script[list[Window]]:
    """Lock the windows of these sorted purses, making those that are not there.

    What is missing is made before anything is locked: who holds a row never waits for one that comes before it.
    """
    names = list(purses)
    there = {row[0] for row in (yield from ask_among(f"{Window.SELECT} WHERE purse IN ({{places}})", names))}
    yield run(_OPEN_WINDOW, [(name, *_window(name)) for name in names if name not in there])
    sql = f"{Window.SELECT} WHERE purse IN ({{places}}) {locking(dialect, 'purse')}"
    by_name = {row[0]: row for row in (yield from ask_among(sql, names))}
    budgets = sorted({_window(name)[0] for name in names})
    limits: dict[str, int] = {row[0]: row[1] for row in (yield from ask_among(_LIMITS, budgets))}
    return [Window(name, leases.get(name, 0), by_name[name], limits.get(_window(name)[0])) for name in names]


def open_accounts(dialect: Dialect, purses: Iterable[str], leases: dict[str, int]) -> Script[list[Credits]]:
    """Lock the balances of these sorted purses, making those that are not there. Raises RowError: no such account."""
    ids = [account_of(purse) or "" for purse in purses]
    there = {row[0] for row in (yield from ask_among(f"{Credits.SELECT} WHERE account_id IN ({{places}})", ids))}
    yield run(_OPEN_BALANCE, [(id_,) for id_ in ids if id_ not in there])
    sql = f"{Credits.SELECT} WHERE account_id IN ({{places}}) {locking(dialect, 'account_id')}"
    by_id = {row[0]: row for row in (yield from ask_among(sql, ids))}
    if len(by_id) < len(ids):
        raise RowError("a settlement or a lease is of an account that does not exist")
    return [Credits(name := credits_purse(id_), leases.get(name, 0), by_id[id_]) for id_ in ids]


def _committed(turn: Turn) -> Script[TurnResult]:
    """Answer a turn that was committed before. How purses stand is not told again: who lacks still, wants again."""
    seen = yield ask(_WORKER, turn.worker_id)
    if not seen or tuple(seen[0]) != (turn.number, turn.journal_end):
        raise _out_of_turn(turn, seen)
    lost = yield from lost_by(turn.settlements)
    leases = yield from leases_of(turn.worker_id)
    return TurnResult(leases, {}, lost)


def _out_of_turn(turn: Turn, seen: Sequence[Row]) -> OutOfTurn:
    stands = f"is at turn {seen[0][0]}, journal byte {seen[0][1]}" if seen else "has no row"
    return OutOfTurn(f"worker {turn.worker_id} {stands}; turn {turn.number} to byte {turn.journal_end} cannot follow")


def _unwritten(settlements: Sequence[Settlement]) -> Script[list[Settlement]]:
    """Leave out what is written down already: its money has moved.

    Between this look and the INSERT another transaction may write the same request; then the INSERT, which has no ON
    CONFLICT, is refused and this transaction moves nothing.
    """
    by_id = {one.row.request_id: one for one in settlements}
    written = {row[0] for row in (yield from ask_among(_WRITTEN, sorted(by_id)))}
    fresh = [one for request_id, one in by_id.items() if request_id not in written]
    for one in fresh:
        _check(one)
    return fresh


def _check(one: Settlement) -> None:
    row = one.row
    if row.charged_mc and not (one.metered and row.hold_state == "settled"):
        raise RowError("a request that is not metered, or not settled, charges credits")
    if any(amount < 0 or window_of(purse) is None for purse, amount in one.spends):
        raise RowError("a request spends less than nothing, or from a purse that is no budget's")


def _sorted_out(
    settlements: Iterable[Settlement], returns: Iterable[tuple[str, int]], wants: Iterable[Want]
) -> tuple[dict[str, Work], dict[str, Work]]:
    """Gather what each purse goes through: budgets and credits, each sorted by purse."""
    work: dict[str, Work] = {}

    def of(purse: str) -> Work:
        found = work.get(purse)
        if found is None:
            found = work[purse] = Work([], [], [], [])
        return found

    for one in settlements:
        if one.row.hold_state == "settled":
            of(credits_purse(one.row.account_id)).settled.append(one)
        for purse, amount in one.spends:
            of(purse).spends.append(amount)
    for purse, amount in returns:
        of(purse).returns.append(amount)
    for want in wants:
        of(want.purse).wants.append(want)
    purses = sorted(work)
    return (
        {purse: work[purse] for purse in purses if account_of(purse) is None},
        {purse: work[purse] for purse in purses if account_of(purse) is not None},
    )


def _charge(accounts: Sequence[Credits], work: dict[str, Work], now_ms: int) -> tuple[list[Row], int]:
    entries: list[Row] = []
    lost = 0
    for account in accounts:
        own, not_taken = account.charge(work[account.name].settled, now_ms)
        entries += own
        lost += not_taken
    return entries, lost


def _lend(purses: Sequence[Purse], work: dict[str, Work]) -> dict[str, Free]:
    """Take back and lease; say how the wanted purses stand."""
    stand: dict[str, Free] = {}
    for purse in purses:
        for amount in work[purse.name].returns:
            purse.give_back(amount)
        for want in work[purse.name].wants:
            stand[purse.name] = purse.lend(want)
    return stand


def keep_leases(worker_id: str, leases: dict[str, int], purses: Sequence[Purse]) -> Script[None]:
    """Write down the leases that changed; a lease of nothing is none."""
    changed = [purse for purse in purses if purse.lease != leases.get(purse.name, 0)]
    yield run(_SET_LEASE, [(worker_id, purse.name, purse.lease) for purse in changed if purse.lease])
    yield run(_DROP_LEASE, [(worker_id, purse.name) for purse in changed if not purse.lease])
    for purse in changed:
        if purse.lease:
            leases[purse.name] = purse.lease
        else:
            del leases[purse.name]


def _window(purse: str) -> tuple[str, int, str]:
    window = window_of(purse)
    if window is None:
        raise RowError("a purse is neither an account's credits nor a budget's")
    return window
