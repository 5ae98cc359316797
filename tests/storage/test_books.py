"""The money store: what is settled moves once, what is leased is nobody else's, what is gone cannot be taken."""

import asyncio
import hashlib
import json
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.errors import InsufficientCredits, InvalidField, NotFound, RequestError
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.books import Balance, Books, Due
from neuralrouting.storage.database import Database, RowError, open_database
from neuralrouting.storage.ledger import GENESIS, Entry, digest
from neuralrouting.storage.purses import granted
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.turning import OutOfTurn
from neuralrouting.storage.turns import Free, Settlement, TurnResult, Want, budget_purse, credits_purse, window_of
from neuralrouting.storage.verify import verify
from settling import Worker, new_account, new_budget, new_worker, request_row, settled, spending

pytestmark = pytest.mark.anyio
ACME = credits_purse("acme")
BUDGET = budget_purse("b1", 0, "")


@pytest.fixture
async def books(database: Database) -> Books:
    """An account `acme` with 1,000 millicredits."""
    return await new_account(database, "acme", 1_000)


@pytest.fixture
async def worker(books: Books) -> Worker:
    return await new_worker(books)


async def _window(database: Database, purse: str) -> tuple[int, int]:
    sql = "SELECT spent_nanousd, reserved_nanousd FROM budget_windows WHERE purse = $1"
    [row] = await database.fetch(sql, purse)
    return row[0], row[1]


async def _count(database: Database, table: str) -> int:
    return (await database.fetch(f"SELECT COUNT(*) FROM {table}"))[0][0]


# Settling


async def test_a_settled_request_is_paid_out_of_the_lease(books: Books, worker: Worker):
    await worker.lease(ACME, 300)
    result = await worker.turn(settled("r1", 120))
    assert result == TurnResult({ACME: 180}, {}, 0)
    assert await books.balance("acme") == Balance(880, 180, 0, "")
    [entry] = await books.entries_of("r1", "acme")
    assert (entry.kind, entry.counter, entry.delta_mc, entry.loss_mc, entry.cost_nanousd) == (
        "usage", "revenue", -120, 0, 100,
    )  # fmt: skip


async def test_the_request_and_its_sums_are_written_in_the_same_turn(database: Database, worker: Worker):
    await worker.lease(ACME, 300)
    await worker.turn(settled("r1", 1, session_id="s"), settled("r2", 2, session_id="s"))
    assert await _count(database, "requests") == 2
    assert await _count(database, "cells") == 1
    sums = "SELECT grain, requests, charged_mc FROM rollups ORDER BY grain"
    assert await database.fetch(sums) == [("day", 2, 3), ("hour", 2, 3)]
    assert await database.fetch("SELECT session_id, requests FROM sessions") == [("s", 2)]


async def test_what_is_not_metered_has_an_entry_that_moves_nothing(books: Books, worker: Worker):
    await worker.turn(spending("r1", simulated=True, cost_nanousd=7))
    [entry] = await books.entries_of("r1", "acme")
    assert (entry.delta_mc, entry.cost_nanousd, entry.simulated) == (0, 7, True)
    assert (await books.balance("acme")).posted_mc == 1_000


@pytest.mark.parametrize("state", ["none", "voided", "expired"])
async def test_a_voided_hold_costs_nothing_and_has_no_entry(books: Books, worker: Worker, state: str):
    await worker.lease(ACME, 300)
    await worker.turn(settled("r1", 0, hold_state=state, held_mc=50))
    assert await books.entries_of("r1", "acme") == []
    assert await books.balance("acme") == Balance(1_000, 300, 0, "")


async def test_a_request_that_is_written_already_moves_nothing_again(database: Database, books: Books, worker: Worker):
    other = await new_worker(books)
    await worker.lease(ACME, 300)
    await other.lease(ACME, 300)
    await worker.turn(settled("r1", 100), settled("r1", 100))
    await worker.turn(settled("r1", 100))
    await other.turn(settled("r1", 90, session_id="s"), settled("r2", 1))
    assert [entry.ref for entry in await books.entries("acme", None, 9)] == ["r2", "r1", "first"]
    assert await books.balance("acme") == Balance(899, 200 + 299, 0, "")
    assert await database.fetch("SELECT SUM(requests), SUM(charged_mc) FROM rollups WHERE grain = 'hour'") == [(2, 101)]


async def test_a_turn_whose_answer_was_lost_answers_again_and_moves_nothing(books: Books, worker: Worker):
    await worker.lease(ACME, 100)
    turn = worker.next(settled("r1", 60), settled("r2", 60), wants=(Want(ACME, 10, 500),))
    await books.reap("elsewhere", -60_000)  # so that there is a loss to tell of
    await books.adjust("acme", -930, "take", "tests", "leave little")
    first = await books.turn(turn)
    assert first.lost_mc == 50
    assert await books.turn(turn) == msgspec.structs.replace(first, purses={})
    assert len(await books.entries("acme", None, 99)) == 4


@pytest.mark.parametrize(("number", "end"), [(0, 0), (3, 0), (1, 7)])
async def test_a_turn_that_does_not_follow_is_refused(books: Books, worker: Worker, number: int, end: int):
    turn = msgspec.structs.replace(worker.next(), number=1)
    await books.turn(turn)
    with pytest.raises(OutOfTurn, match="is at turn 1, journal byte 0"):
        await books.turn(msgspec.structs.replace(turn, number=number, journal_end=end))


async def test_a_worker_without_a_row_takes_no_turn(books: Books):
    with pytest.raises(OutOfTurn, match="has no row"):
        await Worker(books, "nobody").turn()


# Losses


async def test_what_a_lost_lease_cannot_pay_is_lost_row_by_row_and_the_balance_stays_above_zero(
    books: Books, worker: Worker
):
    await worker.lease(ACME, 1_000)
    await books.reap("elsewhere", -60_000)
    await books.adjust("acme", -950, "take", "tests", "while the worker is away")
    result = await worker.turn(settled("r1", 30), settled("r2", 40), settled("r3", 5))
    assert result == TurnResult({}, {}, 25)
    assert await books.balance("acme") == Balance(0, 0, 0, "")
    moved = {entry.ref: (entry.delta_mc, entry.loss_mc) for entry in await books.entries("acme", None, 3)}
    assert moved == {"r1": (-30, 0), "r2": (-20, 20), "r3": (0, 5)}


async def test_what_others_have_leased_is_not_taken_for_a_lost_lease(books: Books, worker: Worker):
    other = await new_worker(books)
    await other.lease(ACME, 990)
    result = await worker.turn(settled("r1", 100))
    assert result.lost_mc == 90
    assert await books.balance("acme") == Balance(990, 990, 0, "")


async def test_the_months_credits_are_spent_first(books: Books, worker: Worker):
    await books.renew("acme", "2026-11", 100)
    await worker.lease(ACME, 500)
    await worker.turn(settled("r1", 70))
    assert await books.balance("acme") == Balance(1_030, 430, 30, "2026-11")
    await worker.turn(settled("r2", 70))
    assert await books.balance("acme") == Balance(960, 360, 0, "2026-11")


# Leases


@pytest.mark.parametrize(
    ("need", "wish", "free", "amount"),
    [(10, 500, 1_000, 250), (10, 100, 1_000, 100), (400, 500, 1_000, 400), (10, 5, 1_000, 10), (5, 9, 7, 5),
     (8, 9, 7, 0), (0, 0, 5, 0), (1, 9, -5, 0)],
)  # fmt: skip
def test_a_lease_is_a_quarter_of_what_is_free_unless_more_is_needed(need: int, wish: int, free: int, amount: int):
    assert granted(need, wish, free) == amount


@given(need=st.integers(0, 2**62), wish=st.integers(0, 2**62), free=st.integers(-(2**62), 2**62))
def test_a_lease_is_never_more_than_what_is_free_and_never_less_than_what_is_needed(need: int, wish: int, free: int):
    amount = granted(need, wish, free)
    assert need <= amount <= free or (amount == 0 and free < need)


async def test_a_want_that_cannot_be_met_is_told_with_what_is_there(books: Books, worker: Worker):
    other = await new_worker(books)
    assert await other.lease(ACME, 700) == 700
    assert await worker.lease(ACME, 100) == 100
    result = await worker.turn(wants=(Want(ACME, 201, 201), Want(BUDGET, 1, 1)))
    assert result == TurnResult({ACME: 100}, {ACME: Free(200, 800), BUDGET: Free(0, 0)}, 0)


async def test_a_return_is_free_for_others_before_wants_are_met(books: Books, worker: Worker):
    await worker.lease(ACME, 1_000)
    result = await worker.turn(returns=((ACME, 900),), wants=(Want(ACME, 850, 850),))
    assert result == TurnResult({ACME: 950}, {ACME: Free(50, 950)}, 0)
    assert (await worker.turn(returns=((ACME, 10**9),))).leases == {}
    assert await books.balance("acme") == Balance(1_000, 0, 0, "")


async def test_a_retired_worker_leaves_nothing_behind(database: Database, books: Books, worker: Worker):
    await new_budget(database, "b1", 500)
    await worker.turn(wants=(Want(ACME, 100, 100), Want(BUDGET, 50, 50)))
    for _ in range(2):
        await books.retire(worker.id)
        assert await books.balance("acme") == Balance(1_000, 0, 0, "")
        assert await _window(database, BUDGET) == (0, 0)
        assert [await _count(database, table) for table in ("leases", "workers")] == [0, 0]


async def test_registering_twice_keeps_the_turns(books: Books, worker: Worker):
    await worker.turn()
    await books.register(worker.id, "here")
    await worker.turn()


async def test_only_workers_of_other_machines_that_are_away_lose_their_leases(books: Books, worker: Worker):
    near, far = worker, await new_worker(books, "far", "there")
    await near.lease(ACME, 100)
    await far.lease(ACME, 300)
    assert await books.reap("here", 60_000) == ()
    assert await books.reap("here", -60_000) == ("far",)
    assert await books.reap("here", -60_000) == ()
    assert await books.balance("acme") == Balance(1_000, 100, 0, "")
    assert (await far.turn(settled("r1", 40))).leases == {}  # its row is still there, and it pays from what is free
    assert await books.balance("acme") == Balance(960, 100, 0, "")


# Budgets


async def test_a_budget_is_spent_out_of_its_lease(database: Database, worker: Worker):
    await new_budget(database, "b1", 500)
    assert await worker.lease(BUDGET, 200) == 200
    assert await _window(database, BUDGET) == (0, 200)
    result = await worker.turn(spending("r1", (BUDGET, 150)))
    assert result.leases == {BUDGET: 50}
    assert await _window(database, BUDGET) == (150, 50)


async def test_a_budgets_spent_may_pass_its_limit_but_nothing_is_lent_any_more(database: Database, worker: Worker):
    await new_budget(database, "b1", 500)
    await worker.lease(BUDGET, 100)
    result = await worker.turn(spending("r1", (BUDGET, 90)), spending("r2", (BUDGET, 480)), wants=(Want(BUDGET, 1, 9),))
    assert result == TurnResult({BUDGET: 10}, {BUDGET: Free(0, 10)}, 0)
    assert await _window(database, BUDGET) == (570, 10)


async def test_each_period_and_subject_of_a_budget_is_a_purse_of_its_own(database: Database, worker: Worker):
    await new_budget(database, "b1", 100)
    mine, theirs = budget_purse("b1", 3_600_000, "user/1"), budget_purse("b1", 7_200_000, "user/1")
    await worker.turn(spending("r1", (mine, 60)), spending("r2", (mine, 1)))
    assert await worker.lease(theirs, 100) == 100
    assert (await worker.turn(wants=(Want(mine, 40, 40),))).purses == {mine: Free(39, 0)}
    rows = "SELECT purse, budget_id, epoch_ms, subject, spent_nanousd, reserved_nanousd FROM budget_windows ORDER BY 3"
    assert await database.fetch(rows) == [
        (mine, "b1", 3_600_000, "user/1", 61, 0), (theirs, "b1", 7_200_000, "user/1", 0, 100),
    ]  # fmt: skip


def test_the_name_of_a_purse_says_what_it_holds():
    assert window_of(budget_purse("b1", 5, "a/b/c")) == ("b1", 5, "a/b/c")
    assert window_of(budget_purse("b1", 0, "a\0b")) == ("b1", 0, "a\N{REPLACEMENT CHARACTER}b")
    for other in (ACME, "budget/b1", "budget/b1/5", "budget/b1/x/", "budget/b1/-5/", "budget/b1/\u0665/", "cash/1/2/3"):
        assert window_of(other) is None


async def test_a_subject_that_one_database_cannot_write_is_still_one_purse(database: Database, worker: Worker):
    await new_budget(database, "b1", 100)
    purse = budget_purse("b1", 0, "a\0b")
    assert await worker.lease(purse, 60) == 60
    assert (await worker.turn(spending("r1", (purse, 50), end_user="a\0b"))).leases == {purse: 10}


# Settlements that cannot be written

WRONG = [
    settled("wrong", 10, held_mc=5),
    settled("wrong", 10, hold_state="voided"),
    Settlement(request_row("wrong", held_mc=9, charged_mc=9), metered=False),
    settled("wrong", 1, account_id="nobody"),
    settled("wrong", 2**70),
    spending("wrong", (BUDGET, -1)),
    spending("wrong", (ACME, 5)),
    settled("wrong", 1, end_user="\ud800"),
    settled("wrong", 1, complexity_tenths=1_000),
]


@pytest.mark.parametrize("wrong", WRONG, ids=range(len(WRONG)))
async def test_a_settlement_that_is_refused_does_not_hold_up_the_others(
    database: Database, books: Books, worker: Worker, wrong: Settlement
):
    await worker.lease(ACME, 300)
    turn = worker.next(settled("r1", 10), wrong, settled("r2", 20), wants=(Want(ACME, 100, 100),))
    with pytest.raises(RowError):
        await books.turn(turn)
    assert await _count(database, "requests") == 0
    assert await books.balance("acme") == Balance(1_000, 300, 0, "")
    for refused in (("wrong",), ()):  # the second time the whole turn was committed before
        result, left_out = await books.turn_apart(turn)
        assert (result.leases, result.lost_mc, left_out) == ({ACME: 370}, 0, refused)
    assert [entry.ref for entry in await books.entries("acme", None, 2)] == ["r2", "r1"]
    assert await books.balance("acme") == Balance(970, 370, 0, "")
    await worker.turn()


async def test_a_turn_that_was_cut_off_half_way_is_finished(books: Books, worker: Worker):
    await worker.lease(ACME, 300)
    turn = worker.next(settled("r1", 10), settled("r2", 20))
    first = msgspec.structs.replace(turn, settlements=turn.settlements[:1])
    from neuralrouting.storage.turning import settle_one  # noqa: PLC0415

    database = books._database
    await database.transact(lambda: settle_one(database.dialect, first, first.settlements[0]))
    assert await books.turn(turn) == TurnResult({ACME: 270}, {}, 0)
    assert await books.balance("acme") == Balance(970, 270, 0, "")


# What operators move


async def test_a_top_up_happens_once(books: Books):
    first = await books.top_up("acme", 500, "invoice-7", "ada", "paid")
    again = await books.top_up("acme", 500, "invoice-7", "bob", "paid twice?")
    assert first == again
    assert (first.kind, first.counter, first.delta_mc, first.actor, first.reason) == (
        "topup", "funding", 500, "ada", "paid",
    )  # fmt: skip
    assert (await books.balance("acme")).posted_mc == 1_500
    with pytest.raises(RequestError, match="invoice-7") as refused:
        await books.top_up("acme", 501, "invoice-7", "ada", "paid")
    assert (refused.value.code, refused.value.param) == ("reference_used", "ref")
    await books.adjust("acme", 1, "invoice-7", "ada", "another kind, another entry")


async def test_a_refund_takes_back_what_nobody_holds(books: Books, worker: Worker):
    await worker.lease(ACME, 600)
    with pytest.raises(InsufficientCredits, match="400") as refused:
        await books.refund("acme", 401, "r", "ada", "left us")
    assert refused.value.facts == {"required_mc": 401, "available_mc": 400}
    entry = await books.refund("acme", 400, "r", "ada", "left us")
    assert (entry.kind, entry.counter, entry.delta_mc) == ("refund", "funding", -400)
    assert await books.refund("acme", 400, "r", "ada", "left us") == entry
    assert await books.balance("acme") == Balance(600, 600, 0, "")


async def test_an_adjustment_goes_both_ways_but_not_below_what_is_held(books: Books, worker: Worker):
    await worker.lease(ACME, 600)
    assert (await books.adjust("acme", 5, "a", "ada", "sorry")).delta_mc == 5
    assert (await books.adjust("acme", -405, "b", "ada", "was wrong")).counter == "house"
    with pytest.raises(InsufficientCredits):
        await books.adjust("acme", -1, "c", "ada", "more")


async def test_credits_that_are_taken_back_are_no_grant_any_more(books: Books):
    await books.renew("acme", "2026-11", 100)
    await books.adjust("acme", -1_040, "a", "ada", "was wrong")
    assert await books.balance("acme") == Balance(60, 0, 60, "2026-11")


@pytest.mark.parametrize("mc", [0, -5, 10**15 + 1])
async def test_an_amount_that_makes_no_sense_is_refused(books: Books, mc: int):
    with pytest.raises(InvalidField, match="millicredits"):
        await books.top_up("acme", mc, "r", "ada", "?")
    with pytest.raises(InvalidField):
        await books.adjust("acme", 0, "r", "ada", "?")


async def test_an_unknown_account_is_told(books: Books):
    with pytest.raises(NotFound, match="nobody"):
        await books.top_up("nobody", 5, "r", "ada", "?")
    with pytest.raises(NotFound):
        await books.renew("nobody", "2026-11", 5)
    assert await books.balance("nobody") == Balance()


# The month's credits


async def test_what_is_left_of_a_month_expires_when_the_next_is_granted(books: Books, worker: Worker):
    assert await books.renew("acme", "2026-11", 100)
    assert not await books.renew("acme", "2026-11", 100)
    await worker.lease(ACME, 1_040)  # of the grant's 100, 60 are not leased
    assert await books.renew("acme", "2026-12", 200)
    assert not await books.renew("acme", "2026-11", 100), "a clock that jumped back grants nothing"
    moved = [(e.kind, e.counter, e.ref, e.delta_mc) for e in reversed(await books.entries("acme", None, 3))]
    assert moved == [
        ("grant", "plan", "plan/2026-11", 100),
        ("expiry", "plan", "plan/2026-12", -60),
        ("grant", "plan", "plan/2026-12", 200),
    ]
    assert await books.balance("acme") == Balance(1_240, 1_040, 200, "2026-12")


async def test_a_plan_without_credits_only_lets_the_last_grant_expire(books: Books):
    await books.renew("acme", "2026-11", 100)
    assert await books.renew("acme", "2026-12", None)
    assert await books.balance("acme") == Balance(1_000, 0, 0, "2026-12")
    with pytest.raises(InvalidField, match="2026-11"):
        await books.renew("acme", "November", None)


async def test_accounts_whose_plan_has_credits_are_due_once_a_month(database: Database, books: Books):
    await new_account(database, "zeta")
    assert await books.due("2026-11") == []
    await database.execute("UPDATE accounts SET plan_id = 'free' WHERE id IN ('acme', 'zeta')")
    assert await books.due("2026-11") == [Due("acme", 5_000_000), Due("zeta", 5_000_000)]
    for due in await books.due("2026-11"):
        await books.renew(due.account_id, "2026-11", due.monthly_mc)
    assert await books.due("2026-11") == []
    assert [due.account_id for due in await books.due("2026-12")] == ["acme", "zeta"]


# The ledger


async def test_entries_are_chained_as_it_is_written(books: Books, worker: Worker):
    await worker.lease(ACME, 100)
    await worker.turn(settled("r1", 10, cost_nanousd=None), settled("r2", 5, simulated=True))
    before = GENESIS
    for seq, entry in enumerate(reversed(await books.entries("acme", None, 99)), 1):
        columns = list(msgspec.structs.astuple(entry)[:-1])
        columns[9] = int(entry.simulated)
        text = json.dumps(columns, ensure_ascii=False, separators=(",", ":"))
        assert entry.seq == seq
        assert entry.hash == hashlib.sha256(before + text.encode()).digest()
        before = entry.hash


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_an_entry_is_hashed_as_json_dumps_writes_it(columns: list[object]):
    text = json.dumps(columns, ensure_ascii=False, separators=(",", ":"))
    assert digest(GENESIS, tuple(columns)) == hashlib.sha256(GENESIS + text.encode()).digest()


async def test_entries_come_newest_first_in_pages(books: Books, worker: Worker):
    await worker.lease(ACME, 100)
    await worker.turn(*(settled(f"r{n}", 1) for n in range(5)))
    page: list[Entry] = await books.entries("acme", None, 2)
    assert [entry.seq for entry in page] == [6, 5]
    assert [entry.seq for entry in await books.entries("acme", 5, 2)] == [4, 3]
    assert await books.entries("other", None, 9) == []
    assert await books.entries_of("r1", "other") == []


@pytest.mark.parametrize("sql", ["UPDATE ledger SET delta_mc = 0", "DELETE FROM ledger"])
async def test_the_ledger_is_only_appended_to(database: Database, books: Books, sql: str):
    with pytest.raises(Exception, match=r"only appended to|refused"):
        await database.execute(sql)


# Many at once


async def test_workers_that_turn_at_once_never_deadlock_and_lose_nothing(
    database_place: tuple[str | None, Path], database: Database
):
    """Each worker settles in its own order what both share: accounts, cells, sessions, budgets."""
    accounts = [f"account-{n}" for n in range(6)]
    for account in accounts:
        await new_account(database, account, 1_000_000)
    for n in range(3):
        await new_budget(database, f"b{n}", 10**9, accounts[0])
    others = [await open_database(*database_place) for _ in range(2)]

    async def work(mine: Database, name: str, step: int) -> int:
        worker = await new_worker(Books(mine), name)
        lost = 0
        for turn in range(25):
            order = accounts[::step]
            done = [
                msgspec.structs.replace(
                    settled(f"{name}-{turn}-{account}", 3, account_id=account, session_id=account, end_user=f"u{n}"),
                    spends=((budget_purse(f"b{n % 3}", 0, ""), 5),),
                )
                for n, account in enumerate(order)
            ]
            wants = tuple(Want(credits_purse(account), 10, 10) for account in order)
            budgets = tuple(Want(budget_purse(f"b{n}", 0, ""), 10, 10) for n in (0, 1, 2)[::step])
            lost += (await worker.turn(*done, wants=(*wants, *budgets))).lost_mc
        return lost

    try:
        lost = await asyncio.gather(*(work(mine, f"w{n}", 1 - 2 * n) for n, mine in enumerate(others)))
    finally:
        for mine in others:
            await mine.close()
    assert lost == [0, 0]
    books = Books(database)
    for account in accounts:
        balance = await books.balance(account)
        assert (balance.posted_mc, balance.reserved_mc) == (1_000_000 - 2 * 25 * 3, 2 * (25 * 10 - 25 * 3) + 2 * 3)


@pytest.mark.parametrize("shared", ["credits", "budget"])
async def test_workers_that_share_one_purse_and_nothing_else_lose_no_update(
    database_place: tuple[str | None, Path], database: Database, shared: str
):
    names = ["w0", "w1", "w2"]
    accounts = ["acme"] * 3 if shared == "credits" else names
    for account in accounts:
        await new_account(database, account, 10_000)
    await new_budget(database, "b1", 10_000, accounts[0])
    others = [await open_database(*database_place) for _ in names]

    async def work(mine: Database, name: str, account: str) -> None:
        worker = await new_worker(Books(mine), name)
        purse = credits_purse(account) if shared == "credits" else BUDGET
        for turn in range(20):
            one = settled(f"{name}-{turn}", 3 if shared == "credits" else 0, account_id=account, end_user=name)
            spends = ((BUDGET, 3),) if shared == "budget" else ()
            await worker.turn(msgspec.structs.replace(one, spends=spends), wants=(Want(purse, 5, 5),))

    try:
        await asyncio.gather(*(work(*of) for of in zip(others, names, accounts, strict=True)))
    finally:
        for mine in others:
            await mine.close()
    if shared == "credits":
        assert await Books(database).balance("acme") == Balance(10_000 - 3 * 20 * 3, 3 * (20 * 5 - 19 * 3), 0, "")
    else:
        assert await _window(database, BUDGET) == (3 * 20 * 3, 3 * (20 * 5 - 19 * 3))


async def test_windows_that_workers_open_at_once_do_not_deadlock(
    database_place: tuple[str | None, Path], database: Database
):
    names = ["w0", "w1"]
    for name in names:
        await new_account(database, name)
    others = [await open_database(*database_place) for _ in names]

    async def work(mine: Database, name: str, step: int) -> None:
        worker = await new_worker(Books(mine), name)
        for turn in range(8):
            spends = [(budget_purse("b1", turn, f"u{n}"), 1) for n in range(400)]
            one = spending(f"{name}-{turn}", *spends[::step], account_id=name, end_user=name)
            await worker.turn(one)

    try:
        await asyncio.gather(work(others[0], "w0", 1), work(others[1], "w1", -1))
    finally:
        for mine in others:
            await mine.close()
    assert await database.fetch("SELECT COUNT(*), MIN(spent_nanousd), MAX(spent_nanousd) FROM budget_windows") == [
        (8 * 400, 2, 2)
    ]


async def test_a_change_to_a_larger_plan_brings_the_difference_at_once_and_only_once(database: Database):
    books = await new_account(database, "grows")
    assert await books.renew("grows", "2026-11", 5_000)
    assert await books.renew("grows", "2026-11", 50_000)
    for _ in range(2):  # back to the smaller one and up again
        assert not await books.renew("grows", "2026-11", 5_000)
        assert not await books.renew("grows", "2026-11", 50_000)
    assert (await books.balance("grows")) == Balance(50_000, 0, 50_000, "2026-11")
    grants = [(entry.ref, entry.delta_mc) for entry in await books.entries("grows", None, 10)]
    assert grants == [("plan/2026-11/50000", 45_000), ("plan/2026-11", 5_000)]
    assert await books.renew("grows", "2026-12", 5_000)
    assert (await books.balance("grows")) == Balance(5_000, 0, 5_000, "2026-12")
    assert await verify(database, int(time.time() * 1000)) == []


async def test_an_account_whose_plan_has_grown_is_due_again(database: Database):
    books = await new_account(database, "grows")
    accounts = AccountRows(database)
    await accounts.set_plan("grows", "free", 2, actor=GATEWAY)
    [due] = await books.due("2026-11")
    assert await books.renew("grows", "2026-11", due.monthly_mc)
    assert await books.due("2026-11") == []
    await accounts.set_plan("grows", "starter", 3, actor=GATEWAY)
    assert [(one.account_id, one.monthly_mc) for one in await books.due("2026-11")] == [("grows", 50_000_000)]
