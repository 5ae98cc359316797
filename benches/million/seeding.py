"""Writes made-up traffic into an empty store, day by day, with all the sums and chains that belong to it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from neuralrouting.accounts.budgets import Spender, matching
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.database import Batch, Database, Row
from neuralrouting.storage.figures import APPEND_FRESH, fold, fresh_rows
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.ledger import INSERT_LEDGER, Draft
from neuralrouting.storage.purses import Credits
from neuralrouting.storage.requests import APPEND_REQUEST
from neuralrouting.storage.rollups import ADD_ROLLUP, ADD_SESSION, INSERT_CELL, Sums
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.turns import Settlement, window_of

from .aside import Aside
from .customers import Customer, customers
from .traffic import DAY_MS, Sent, Traffic, daily

BATCH: Final = 4_000
"""Rows a transaction: PostgreSQL's client waits ten seconds for one at most."""
FOLD_ROWS: Final = 10_000
"""What is folded into the figures at once: nobody else writes meanwhile."""
TOP_UP_MC: Final = 400_000_000_000
"""Credits that the paying account buys at the beginning, in millicredits."""
_ANALYSED = (
    "requests", "ledger", "cells", "rollups", "sessions", "figures", "security_events", "shadow_audits", "feedback",
)  # fmt: skip
_INSERT_WINDOW = (
    "INSERT INTO budget_windows (purse, budget_id, epoch_ms, subject, spent_nanousd) VALUES ($1, $2, $3, $4, $5)"
)


@dataclass(frozen=True)
class SeededAccount:
    """One account of the store. `owner_key` is the secret of a key that may see all of it."""

    id: str
    owner_key: str
    requests: int


@dataclass(frozen=True)
class Seeded:
    """What was written: the accounts, the largest first, and the time that the requests cover, in Unix ms."""

    accounts: tuple[SeededAccount, ...]
    from_ms: int
    until_ms: int


@dataclass
class _Books:
    """What a turn of a worker would move, kept until it is written."""

    credits: dict[str, Credits]
    spent: dict[str, int] = field(default_factory=dict)


async def seed(
    database: Database,
    requests: int,
    days: int,
    seed: int,
    accounts: Sequence[str],
    *,
    until_ms: int | None = None,
) -> Seeded:
    """Write so many requests of the last `days` days, with all that hangs on them; the store must hold none of these.

    `until_ms` (Unix time) is when they end, now unless told. One seed, count and end make the same rows each time.
    The keys follow from the seed as well: such a store is for measuring and for pictures, never for real traffic.
    """
    end_ms = until_ms or time.time_ns() // 1_000_000
    first_ms = end_ms - end_ms % DAY_MS - (days - 1) * DAY_MS
    random = Random(seed)
    asking = customers(accounts, first_ms, random, requests / days)
    traffic, aside = Traffic(asking, random, end_ms), Aside(random, end_ms)
    books = _Books(await _open(database, asking, first_ms))
    for day, count in enumerate(daily(requests, first_ms, days)):
        start_ms = first_ms + day * DAY_MS
        await _write_day(database, list(traffic.day(start_ms, min(start_ms + DAY_MS, end_ms), count)), aside, books)
    await _close(database, books)
    told = tuple(SeededAccount(one.id, one.owner_key, one.requests) for one in asking)
    return Seeded(told, first_ms, end_ms)


async def _open(database: Database, asking: Sequence[Customer], first_ms: int) -> dict[str, Credits]:
    """Make accounts, keys and budgets, and buy credits for who pays with them."""
    accounts, keys, budgets = AccountRows(database), KeyRows(database), BudgetRows(database)
    opened: dict[str, Credits] = {}
    for customer in asking:
        plan = "business" if customer.metered else "unlimited"
        await accounts.ensure(customer.id, customer.name, first_ms, plan, actor=GATEWAY)
        for key in customer.keys:
            await keys.insert(key, actor=GATEWAY)
        for budget in customer.budgets:
            await budgets.put(budget, first_ms, actor=GATEWAY)
        [row] = await database.fetch(f"{Credits.SELECT} WHERE account_id = $1", customer.id)
        opened[customer.id] = account = Credits(f"credits/{customer.id}", 0, row)
        if customer.metered:
            draft = Draft("topup", "sample-invoice", TOP_UP_MC, actor="sample", reason="sample data")
            await database.write([(INSERT_LEDGER, [account.post(draft, first_ms)])])
    return opened


async def _write_day(database: Database, day: Sequence[Sent], aside: Aside, books: _Books) -> None:
    sums, ended_ms = Sums(), 0
    for first in range(0, len(day), BATCH):
        part = day[first : first + BATCH]
        entries: list[Row] = []
        for sent in part:
            sums.add(sent.row)
            aside.add(sent)
            _spend(sent, books.spent)
            # A turn comes after the requests that it settles; the clock of the ledger never goes back.
            ended_ms = max(ended_ms, sent.row.created_ms + sent.row.latency_us // 1_000)
            if sent.row.hold_state == "settled":
                settled = Settlement(sent.row, sent.customer.metered)
                entries += books.credits[sent.customer.id].charge([settled], ended_ms)[0]
        await database.write([(APPEND_REQUEST, [sent.row.values() for sent in part]), (INSERT_LEDGER, entries)])
        await database.write(aside.take())
    cells, rollups, sessions = sums.deltas()
    fresh = fresh_rows(cells, rollups)
    await _write(database, (INSERT_CELL, cells), (ADD_ROLLUP, rollups), (ADD_SESSION, sessions), (APPEND_FRESH, fresh))
    while await fold(database, FOLD_ROWS):
        pass


def _spend(sent: Sent, spent: dict[str, int]) -> None:
    """Count a request in the windows of its account's budgets, as admission does."""
    row = sent.row
    if sent.served is None or not row.cost_nanousd:
        return
    spender = Spender(row.key_id, row.team, row.end_user, row.feature)
    for charge in matching(sent.customer.budgets, spender, (sent.served,), row.created_ms):
        if charge.counts(sent.served):
            spent[charge.purse] = spent.get(charge.purse, 0) + row.cost_nanousd


async def _write(database: Database, *batches: Batch) -> None:
    for sql, rows in batches:
        for first in range(0, len(rows), BATCH):
            await database.write([(sql, rows[first : first + BATCH])])


async def _close(database: Database, books: _Books) -> None:
    windows = [(purse, *_window(purse), amount) for purse, amount in sorted(books.spent.items())]
    accounts = [account.row() for account in books.credits.values()]
    await _write(database, (_INSERT_WINDOW, windows), (Credits.UPDATE, accounts))
    if database.dialect == "postgres":
        # What autovacuum does within a minute; nobody who measures wants to wait for it.
        for table in _ANALYSED:
            await database.execute(f"ANALYZE {table}")


def _window(purse: str) -> tuple[str, int, str]:
    window = window_of(purse)
    assert window is not None
    return window
