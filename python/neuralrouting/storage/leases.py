"""Scripts of what workers hold: they come, go, and lose their leases when they are away too long."""

from collections.abc import Sequence

from neuralrouting.storage.database import Dialect, Script, ask, run
from neuralrouting.storage.dialect import NOW_MS, lock_of
from neuralrouting.storage.purses import Credits, Purse, Window
from neuralrouting.storage.turning import keep_leases, leases_of, open_accounts, open_windows
from neuralrouting.storage.turns import account_of

_REGISTER = "INSERT INTO workers (id, machine, seen_ms) VALUES ($1, $2, {now}) ON CONFLICT DO NOTHING"
_PLACE = "SELECT turn, applied FROM workers WHERE id = $1"
_LOCKED = "SELECT id FROM workers WHERE id = $1"
_AWAY = """
SELECT id FROM workers WHERE machine <> $1 AND seen_ms < {now} - $2
AND EXISTS (SELECT 1 FROM leases WHERE worker_id = workers.id) ORDER BY id
"""
_STILL_AWAY = f"{_LOCKED} AND seen_ms < {{now}} - $2"


def register(dialect: Dialect, worker_id: str, machine: str) -> Script[None]:
    """Give a worker its row."""
    yield ask(_REGISTER.format(now=NOW_MS[dialect]), worker_id, machine)


def retire(dialect: Dialect, worker_id: str) -> Script[None]:
    """Give back all that a worker holds and remove its row, where it has one."""
    if (yield ask(f"{_LOCKED} {lock_of(dialect)}", worker_id)):
        yield from _release(dialect, worker_id)
        yield run("DELETE FROM workers WHERE id = $1", [(worker_id,)])


def place(dialect: Dialect, worker_id: str) -> Script[tuple[int, int] | None]:
    """Tell a worker's last turn and how far its journal is applied, once no turn of it is under way."""
    rows = yield ask(f"{_PLACE} {lock_of(dialect)}", worker_id)
    return (rows[0][0], rows[0][1]) if rows else None


def away(dialect: Dialect, machine: str, stale_ms: int) -> Script[list[str]]:
    """Name the workers of other machines that hold leases and were not seen for `stale_ms`."""
    rows = yield ask(_AWAY.format(now=NOW_MS[dialect]), machine, stale_ms)
    return [row[0] for row in rows]


def release_if_away(dialect: Dialect, worker_id: str, stale_ms: int) -> Script[bool]:
    """Give back all that a worker holds, unless it was seen meanwhile."""
    locked = f"{_STILL_AWAY.format(now=NOW_MS[dialect])} {lock_of(dialect)}"
    if not (yield ask(locked, worker_id, stale_ms)):
        return False
    yield from _release(dialect, worker_id)
    return True


def _release(dialect: Dialect, worker_id: str) -> Script[None]:
    leases = yield from leases_of(worker_id)
    purses = sorted(leases)
    windows = yield from open_windows(dialect, [name for name in purses if account_of(name) is None], leases)
    _give_all_back(windows)
    yield run(Window.UPDATE, [window.row() for window in windows])
    accounts = yield from open_accounts(dialect, [name for name in purses if account_of(name) is not None], leases)
    _give_all_back(accounts)
    yield run(Credits.UPDATE, [account.row() for account in accounts])
    yield from keep_leases(worker_id, leases, [*windows, *accounts])


def _give_all_back(purses: Sequence[Purse]) -> None:
    for purse in purses:
        purse.give_back(purse.lease)
