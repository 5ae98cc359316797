"""The check of the books: silent while all is well, also beside live workers; each invariant has a breach it finds."""

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from neuralrouting.storage import recount
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import FILE_NAME, Database, open_database
from neuralrouting.storage.figures import fold
from neuralrouting.storage.findings import MOST, Breach, Findings
from neuralrouting.storage.turns import Want, budget_purse, credits_purse
from neuralrouting.storage.verify import STALE_MS, verify
from settling import NOON_MS, Worker, new_account, new_budget, new_worker, settled, spending

pytestmark = pytest.mark.anyio
ACME = credits_purse("acme")
BUDGET = budget_purse("b1", 0, "")
DAY_MS = 86_400_000
CONSTRAINTS = """
SELECT relname, conname FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid WHERE contype = 'c'
"""
TRIGGERS = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = 'ledger'::regclass"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
async def worker(database: Database) -> Worker:
    """Two accounts, a budget, requests of two days in every state, leases that are still out."""
    books = await new_account(database, "acme", 10_000)
    await new_account(database, "zeta", 50)
    await new_budget(database, "b1", 10_000)
    await books.renew("acme", "2026-10", 300)
    await books.renew("acme", "2026-11", 300)
    worker = await new_worker(books, "w1")
    zeta = credits_purse("zeta")
    await worker.turn(wants=(Want(ACME, 5_000, 5_000), Want(BUDGET, 1_000, 1_000), Want(zeta, 20, 20)))
    await worker.turn(
        settled("r1", 100, session_id="s1", end_user="ann"),
        settled("r2", 0, held_mc=90, hold_state="voided", status=502, error_code="upstream_error", cost_nanousd=None),
        settled("r3", 7, account_id="zeta"),
        spending("r4", (BUDGET, 70), end_user="a\0b", session_id="s\0", simulated=True),
        settled("r5", 0, hold_state="none", cache="exact", cost_nanousd=0, session_id="s1"),
        settled("r6", 50, created_ms=NOON_MS - DAY_MS, session_id="s2", cost_nanousd=None, baseline_nanousd=None),
    )
    return worker


async def _breaches(database: Database) -> list[tuple[str, str]]:
    return [(breach.invariant, breach.row) for breach in await verify(database, _now_ms())]


async def _force(database: Database, place: tuple[str | None, Path], *changes: tuple[str, Sequence[object]]) -> None:
    """Change rows as no program of ours could: without triggers, checks and unique indexes."""
    url, data_dir = place
    if url is None:
        connection = sqlite3.connect(data_dir / FILE_NAME, isolation_level=None)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("DROP TRIGGER ledger_is_not_changed")
        connection.execute("DROP TRIGGER ledger_is_not_shortened")
        connection.execute("DROP INDEX ledger_once")
        for sql, args in changes:
            connection.execute(sql.replace("$", "?"), args)
        connection.close()
        return
    for table, constraint in await database.fetch(CONSTRAINTS):
        await database.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
    for (trigger,) in await database.fetch(TRIGGERS):
        await database.execute(f"DROP TRIGGER {trigger} ON ledger")
    await database.execute("DROP INDEX ledger_once")
    for sql, args in changes:
        await database.execute(sql, *args)


async def test_books_that_are_right_have_no_breach(database: Database, worker: Worker):
    assert await verify(database, _now_ms()) == []


async def test_an_empty_database_has_no_breach(database: Database):
    assert await verify(database, _now_ms()) == []


LINK = "UPDATE ledger SET {} WHERE account_id = 'acme' AND seq = 5"
ENTRY_5 = ("I9", "entry 5 of acme")
HEAD = ("I9", "balance of acme")
SUMS = [("I2", "balance of acme"), ("I10", "balance of acme")]
DOUBLE = """
INSERT INTO ledger (account_id, seq, created_ms, kind, ref, counter, delta_mc, hash)
SELECT account_id, 8, created_ms, kind, ref, counter, 0, hash FROM ledger WHERE account_id = 'acme' AND seq = 5
"""
VIOLATIONS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "more is leased than there is": (
        "UPDATE balances SET reserved_mc = posted_mc + 1 WHERE account_id = 'acme'",
        [("I1", "balance of acme"), ("I3", "balance of acme")],
    ),
    "a grant is more than there is": (
        "UPDATE balances SET grant_mc = posted_mc + 1 WHERE account_id = 'acme'",
        [("I1", "balance of acme")],
    ),
    "a balance is not the sum of its entries": (
        "UPDATE balances SET posted_mc = posted_mc + 1 WHERE account_id = 'acme'",
        SUMS,
    ),
    "a lease is more than what is reserved": (
        f"UPDATE leases SET amount = amount + 1 WHERE purse = '{ACME}'",
        [("I3", "balance of acme")],
    ),
    "a budget's lease is gone": (f"DELETE FROM leases WHERE purse = '{BUDGET}'", [("I3", BUDGET)]),
    "a lease is of no purse": (
        "UPDATE leases SET purse = 'credits/nobody' WHERE purse = 'credits/zeta'",
        [("I3", "balance of zeta"), ("I3", "lease of w1 on credits/nobody")],
    ),
    "a request is charged twice": (
        DOUBLE,
        [("I9", "entry 8 of acme"), ("I4", "request r1"), HEAD, ("charges", "request r1"), ("costs", "request r1")],
    ),
    "an entry is booked against another account": (LINK.format("counter = 'house'"), [ENTRY_5, ("I5", ENTRY_5[1])]),
    "an entry has the wrong sign": (
        LINK.format("delta_mc = 100"),
        [ENTRY_5, ("I5", ENTRY_5[1]), *SUMS, ("charges", "request r1")],
    ),
    "a top-up has a loss": (
        "UPDATE ledger SET loss_mc = 1 WHERE account_id = 'acme' AND seq = 1",
        [("I9", "entry 1 of acme"), ("I5", "entry 1 of acme")],
    ),
    "more is charged than was held": (
        "UPDATE requests SET held_mc = 99 WHERE request_id = 'r1'",
        [("I6", "request r1")],
    ),
    "a voided request is charged": (
        "UPDATE requests SET charged_mc = 9 WHERE request_id = 'r2'",
        [("I6", "request r2"), ("rollups", "day"), ("rollups", "hour"), ("figures", "acme")],
    ),
    "a worker is away and holds leases": ("UPDATE workers SET seen_ms = 5", [("I7", "worker w1")]),
    "a settled request has no entry": (
        "UPDATE ledger SET ref = 'gone' WHERE ref = 'r1'",
        [("I8", ENTRY_5[1]), ENTRY_5, ("I8", "request r1")],
    ),
    "a voided request has an entry": (
        "UPDATE requests SET hold_state = 'settled', charged_mc = 0 WHERE request_id = 'r5'",
        [("I8", "request r5")],
    ),
    "an entry is of another account's request": (
        "UPDATE ledger SET ref = 'r3' WHERE ref = 'r1'",
        [("I8", ENTRY_5[1]), ENTRY_5, ("I8", "request r1")],
    ),
    "an entry is missing": (
        "DELETE FROM ledger WHERE account_id = 'acme' AND seq = 3",
        [("I9", "entry 4 of acme"), ("I9", "entry 4 of acme"), *SUMS],
    ),
    "the last entry is missing": (
        "DELETE FROM ledger WHERE account_id = 'zeta' AND seq = 2",
        [("I2", "balance of zeta"), ("I9", "balance of zeta"), ("I10", "balance of zeta"), ("I8", "request r3")],
    ),
    "an entry tells another reason": (
        "UPDATE ledger SET reason = 'forged' WHERE account_id = 'acme' AND seq = 1",
        [("I9", "entry 1 of acme")],
    ),
    "a balance is missing": (
        "DELETE FROM balances WHERE account_id = 'zeta'",
        [("I2", "balance of zeta"), ("I3", "balance of zeta"), ("I9", "balance of zeta"), ("I10", "balance of zeta"),
         ("I3", "lease of w1 on credits/zeta")],
    ),
    "a request is charged otherwise than its entry says": (
        "UPDATE requests SET charged_mc = 99 WHERE request_id = 'r1'",
        [("charges", "request r1"), ("rollups", "day"), ("rollups", "hour"), ("figures", "acme")],
    ),
    "an entry has another cost than its request": (
        LINK.format("cost_nanousd = 1"),
        [ENTRY_5, ("costs", "request r1")],
    ),
    "a real request has a simulated entry": (LINK.format("simulated = 1"), [ENTRY_5, ("costs", "request r1")]),
    "a rollup is wrong": ("UPDATE rollups SET requests = requests + 1 WHERE grain = 'hour' AND charged_mc = 100",
        [("rollups", "hour")]),
    "a rollup is missing": (
        "DELETE FROM rollups WHERE grain = 'day' AND charged_mc = 100",
        [("rollups", "day"), ("rollups", "acme")],
    ),
    "a rollup is of no request": (
        "UPDATE rollups SET start_ms = start_ms + 86400000 * 9 WHERE grain = 'day' AND charged_mc = 100",
        [("rollups", "day")],
    ),
    "a cell is another": ("UPDATE cells SET feature = 'x' WHERE end_user = 'ann'", [("cells", "")]),
    "a cell is missing": (
        "DELETE FROM cells WHERE end_user = 'ann'",
        [("cells", ""), ("rollups", "acme"), ("cells", "")],
    ),
    "a session is wrong": (
        "UPDATE sessions SET last_ms = last_ms + 1 WHERE session_id = 's1'", [("sessions", "acme s1 0")],
    ),
    "a session is missing": (
        "DELETE FROM sessions WHERE session_id = 's1'", [("sessions", "acme s1 0"), ("sessions", "acme")],
    ),
    "a session is of no request": (
        "UPDATE sessions SET simulated = 1 WHERE session_id = 's1'",
        [("sessions", "acme s1 0"), ("sessions", "acme s1 1")],
    ),
    "a request is missing": (
        "DELETE FROM requests WHERE request_id = 'r3'",
        [("I8", "entry 2 of zeta"), ("rollups", "zeta"), ("figures", "zeta")],
    ),
    "a figure that is not folded is wrong": (
        "UPDATE fresh_figures SET cost_nanousd = cost_nanousd + 1 WHERE end_user = 'ann'", [("figures", "acme")],
    ),
    "figures are missing": (
        "DELETE FROM fresh_figures WHERE account_id = 'zeta'", [("figures", "zeta"), ("figures", "zeta")],
    ),
    "a period is another": (
        "UPDATE budget_windows SET epoch_ms = 5", [("windows", BUDGET)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VIOLATIONS)
async def test_what_is_broken_is_named(
    database: Database, database_place: tuple[str | None, Path], worker: Worker, name: str
):
    sql, expected = VIOLATIONS[name]
    await _force(database, database_place, (sql, ()))
    found = await _breaches(database)
    assert [invariant for invariant, _ in found] == [invariant for invariant, _ in expected]
    for (_, row), (_, part) in zip(found, expected, strict=True):
        assert part in row


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE figures SET cost_nanousd = cost_nanousd + 1 WHERE axes = 'user' AND grain = 'day' AND first = 'ann'",
        "UPDATE figures SET cost_nanousd = cost_nanousd + 1 WHERE axes = '' AND grain = 'span' AND account_id = 'acme'",
        "UPDATE figures SET start_ms = start_ms + 69120000000 WHERE axes = 'user model' AND grain = 'day'",
        "DELETE FROM figures WHERE axes = 'feature' AND grain = 'hour'",
    ],
)
async def test_what_is_folded_is_checked_as_well(
    database: Database, database_place: tuple[str | None, Path], worker: Worker, sql: str
):
    while await fold(database):
        pass
    assert await verify(database, _now_ms()) == []
    await _force(database, database_place, (sql, ()))
    assert {invariant for invariant, _ in await _breaches(database)} == {"figures"}


async def test_every_invariant_has_a_violation_that_is_found():
    found = {invariant for _, breaches in VIOLATIONS.values() for invariant, _ in breaches}
    assert found == {
        *(f"I{n}" for n in range(1, 11)), "charges", "costs", "cells", "rollups", "figures", "sessions", "windows",
    }  # fmt: skip


async def test_a_worker_that_was_seen_lately_may_hold_leases(database: Database, worker: Worker):
    assert await verify(database, _now_ms() + STALE_MS - 60_000) == []
    [breach] = await verify(database, _now_ms() + STALE_MS + 60_000)
    assert breach.invariant == "I7"


async def test_requests_from_before_credits_are_no_breach(database: Database, worker: Worker):
    await database.execute("UPDATE requests SET hold_state = NULL WHERE request_id = 'r2'")
    found = await _breaches(database)
    assert {invariant for invariant, _ in found} == {"rollups", "figures"}, "they are in no sums"


async def test_the_check_goes_on_from_page_to_page(database: Database, worker: Worker):
    count = 2 * recount.PAGE + 3  # all at one moment, so that a page ends between equal times
    for first in range(0, count, 500):
        await worker.turn(
            *(settled(f"p{n:05}", 1, session_id=f"s{n % 7}") for n in range(first, min(first + 500, count)))
        )
    assert await verify(database, _now_ms()) == []
    await database.execute("UPDATE requests SET charged_mc = 0 WHERE request_id = $1", f"p{count - 1:05}")
    assert ("charges", f"request p{count - 1:05}") in await _breaches(database)


async def test_sessions_are_counted_in_parts_where_they_are_many():
    parts = [recount._part_of(f"session-{n}", 3) for n in range(300)]
    assert {parts.count(part) > 50 for part in range(3)} == {True}


def test_no_more_is_told_than_anybody_reads():
    found = Findings()
    for n in range(MOST + 5):
        found.expect(n < 0, "I1", str(n), "broken")
    assert len(found.breaches) == MOST
    assert found.breaches[0] == Breach("I1", "0", "broken")


async def test_live_workers_are_no_breach_and_are_not_held_up(
    database: Database, database_place: tuple[str | None, Path], worker: Worker
):
    stop = asyncio.Event()
    second = await open_database(*database_place)

    async def work(books: Books, name: str) -> int:
        busy, turns = await new_worker(books, name), 0
        while not stop.is_set():
            done = [settled(f"{name}-{turns}-{n}", 1, session_id=name, end_user=f"u{n}") for n in range(20)]
            await busy.turn(*done, returns=((ACME, 3),), wants=(Want(ACME, 0, 30), Want(BUDGET, 0, 5)))
            turns += 1
        return turns

    working = [asyncio.create_task(work(books, f"w-{n}")) for n, books in enumerate((worker.books, Books(second)))]
    try:
        for _ in range(3):
            assert await verify(database, _now_ms()) == []
    finally:
        stop.set()
        turns = await asyncio.gather(*working)
        await second.close()
    assert min(turns) > 0
    assert await verify(database, _now_ms()) == []
