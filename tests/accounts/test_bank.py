"""Holds and settlements of one worker: never more than there is, each ended once, whatever the database does."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from neuralrouting.accounts.bank import FRESH_S, Bank, Hold
from neuralrouting.accounts.purse import Short
from neuralrouting.errors import Unavailable
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import Database
from neuralrouting.storage.journal import Journal, Started, orphans
from neuralrouting.storage.turns import Settlement, budget_purse, credits_purse
from neuralrouting.storage.verify import verify
from settling import new_account, new_budget, request_row, settled
from unsteady import AFTER, BEFORE, UnsteadyDatabase

pytestmark = pytest.mark.anyio
ACME, ZETA = credits_purse("acme"), credits_purse("zeta")
BUDGET = budget_purse("b1", 0, "")


@dataclass
class Counter:
    """One worker's bank over a database that can be made to fail."""

    database: UnsteadyDatabase
    books: Books
    bank: Bank
    journals: Path

    async def hold(self, request_id: str, *parts: tuple[str, int]) -> Hold:
        return await self.bank.hold(parts, started(request_id, dict(parts).get(ACME, 0)))

    def settle(self, hold: Hold | None, request_id: str, charged_mc: int, held_mc: int = 100, **more: object) -> None:
        self.bank.settle(hold, settled(request_id, charged_mc, held_mc=held_mc, **more))

    def void(self, hold: Hold, request_id: str, held_mc: int = 100) -> None:
        self.bank.settle(hold, settled(request_id, 0, held_mc=held_mc, hold_state="voided", status=502))

    async def posted(self, account_id: str = "acme") -> int:
        return (await self.books.balance(account_id)).posted_mc

    async def reserved(self, account_id: str = "acme") -> int:
        return (await self.books.balance(account_id)).reserved_mc

    async def states(self) -> dict[str, tuple[str, int]]:
        rows = await self.database.fetch("SELECT request_id, hold_state, charged_mc FROM requests")
        return {row[0]: (row[1], row[2]) for row in rows}


def started(request_id: str, held_mc: int = 0) -> Started:
    return Started(request_id, 1, "acme", "AbCdEfGhIjKl", "/v1/dispatch", stream=False, held_mc=held_mc)


@pytest.fixture
async def counter(database: Database, tmp_path: Path) -> AsyncIterator[Counter]:
    """A bank over accounts with 1,000 and 500 millicredits and a budget of 400 nano-dollars."""
    await new_account(database, "acme", 1_000)
    await new_account(database, "zeta", 500)
    await new_budget(database, "b1", 400)
    unsteady = UnsteadyDatabase(database)
    books = Books(unsteady)
    bank = Bank(books, Journal.create(tmp_path / "journals", "w1"), flush_s=0.005)
    await bank.start("here")
    yield Counter(unsteady, books, bank, tmp_path / "journals")
    unsteady.away = False
    unsteady.failures.clear()
    unsteady.gate.set()
    await bank.close()
    assert await verify(database, time.time_ns() // 1_000_000) == []


async def soon(request: "asyncio.Task[Hold]") -> Hold:
    async with asyncio.timeout(5):
        return await request


# What is held, charged and free again


async def test_what_was_held_and_not_spent_is_free_again(counter: Counter):
    hold = await counter.hold("req_1", (ACME, 1_000))
    counter.settle(hold, "req_1", 300, 1_000)
    hold = await counter.hold("req_2", (ACME, 700))
    counter.void(hold, "req_2", 700)
    counter.void(await counter.hold("req_3", (ACME, 700)), "req_3", 700)
    await counter.bank.flush()
    assert await counter.posted() == 700
    assert await counter.states() == {"req_1": ("settled", 300), "req_2": ("voided", 0), "req_3": ("voided", 0)}


async def test_more_than_there_is_is_refused_with_what_is_there(counter: Counter):
    hold = await counter.hold("req_1", (ACME, 600))
    with pytest.raises(Short) as refused:
        await counter.hold("req_2", (ACME, 500))
    assert (refused.value.purse, refused.value.need, refused.value.free) == (ACME, 500, 400)
    assert refused.value.reserved >= 600, "what requests under way may free again"
    counter.void(hold, "req_1", 600)


async def test_all_parts_are_held_or_none(counter: Counter):
    with pytest.raises(Short) as refused:
        await counter.hold("req_1", (ACME, 100), (BUDGET, 401))
    assert refused.value.purse == BUDGET
    everything = await counter.hold("req_2", (ACME, 1_000), (BUDGET, 400))
    counter.void(everything, "req_2", 1_000)


async def test_a_hundred_at_once_never_hold_more_than_there_is(counter: Counter):
    requests = [asyncio.create_task(counter.hold(f"req_{n}", (ACME, 150))) for n in range(100)]
    found = await asyncio.gather(*requests, return_exceptions=True)
    holds = [hold for hold in found if isinstance(hold, Hold)]
    assert len(holds) == 6
    assert all(isinstance(other, Hold | Short) for other in found)
    for number, hold in enumerate(holds):
        counter.settle(hold, f"done_{number}", 150, 150)
    await counter.bank.flush()
    assert await counter.posted() == 100


async def test_a_hold_ends_once(counter: Counter):
    hold = await counter.hold("req_1", (ACME, 100))
    counter.settle(hold, "req_1", 50)
    with pytest.raises(AssertionError, match="ends once"):
        counter.settle(hold, "req_1", 50)


async def test_leases_at_hand_need_no_database(counter: Counter):
    counter.void(await counter.hold("req_1", (ACME, 1)), "req_1", 1)
    await counter.bank.flush()
    kept = await counter.hold("req_2", (ACME, 1))
    before = counter.database.transactions
    counter.database.gate.clear()
    hold = await counter.hold("req_3", (ACME, 1))
    assert counter.database.transactions == before
    counter.database.gate.set()
    counter.void(hold, "req_3", 1)
    counter.void(kept, "req_2", 1)


async def test_a_request_that_costs_nothing_anywhere_is_held_for_nothing_and_recorded(counter: Counter):
    counter.database.away = True
    hold = await counter.hold("req_1")
    counter.database.away = False
    counter.bank.settle(hold, Settlement(request_row("req_1"), metered=False))
    await counter.bank.flush()
    assert await counter.states() == {"req_1": ("settled", 0)}


async def test_what_was_spent_past_a_hold_is_charged_all_the_same(counter: Counter):
    hold = await counter.hold("req_1", (BUDGET, 10))
    over = Settlement(request_row("req_1"), metered=False, spends=((BUDGET, 35),))
    counter.bank.settle(hold, over)
    await counter.bank.flush()
    assert await counter.database.fetch("SELECT spent_nanousd FROM budget_windows") == [(35,)]


# Those who wait


async def test_who_asks_while_a_turn_is_under_way_is_asked_for_in_the_next(counter: Counter):
    """The turn under way has not asked for the other account: its answer says nothing about it."""
    counter.database.gate.clear()
    counter.database.begun.clear()
    first = asyncio.create_task(counter.hold("req_1", (ACME, 100)))
    await counter.database.begun.wait()
    other = asyncio.create_task(counter.hold("req_2", (ZETA, 100)))
    await asyncio.sleep(0)
    counter.database.gate.set()
    counter.void(await soon(first), "req_1")
    counter.void(await soon(other), "req_2")


async def test_old_news_never_refuse_who_was_not_asked_for(counter: Counter):
    """Poor a while ago, topped up since: a request that comes while another turn is under way is not told 402."""
    with pytest.raises(Short):
        await counter.hold("req_1", (ZETA, 600))
    await counter.books.top_up("zeta", 1_000, "more", "tests", "paid")
    await asyncio.sleep(0.15)
    counter.database.gate.clear()
    counter.database.begun.clear()
    first = asyncio.create_task(counter.hold("req_2", (ACME, 100)))
    await counter.database.begun.wait()
    other = asyncio.create_task(counter.hold("req_3", (ZETA, 600)))
    await asyncio.sleep(0)
    counter.database.gate.set()
    counter.void(await soon(first), "req_2")
    counter.void(await soon(other), "req_3", 600)


async def test_who_waits_and_leaves_holds_nothing(counter: Counter):
    counter.database.gate.clear()
    waiting = asyncio.create_task(counter.hold("req_1", (ACME, 1_000)))
    await asyncio.sleep(0.01)
    waiting.cancel()
    counter.database.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    counter.void(await counter.hold("req_2", (ACME, 1_000)), "req_2", 1_000)


@pytest.mark.parametrize("steps", range(12))
async def test_who_leaves_in_the_moment_of_being_served_holds_nothing(counter: Counter, steps: int):
    waiting = asyncio.create_task(counter.hold("req_1", (ACME, 1_000)))
    counter.database.begun.clear()
    await counter.database.begun.wait()
    await asyncio.sleep(0.002 * (steps % 4))
    for _ in range(steps):
        await asyncio.sleep(0)
    waiting.cancel()
    (found,) = await asyncio.gather(waiting, return_exceptions=True)
    if isinstance(found, Hold):
        counter.void(found, "req_1", 1_000)
    async with asyncio.timeout(5):
        counter.void(await counter.hold("req_2", (ACME, 1_000)), "req_2", 1_000)


async def test_who_was_served_and_cancelled_before_running_again_gives_the_hold_back(counter: Counter):
    """The exact moment: its hold is there, its task has not run since."""

    class LastMoment(asyncio.Future[None]):
        def set_result(self, result: None) -> None:
            super().set_result(result)
            waiting.cancel()

    loop = asyncio.get_running_loop()
    usual, loop.create_future = loop.create_future, lambda: LastMoment(loop=loop)
    waiting = asyncio.create_task(counter.hold("req_1", (ACME, 1_000)))
    await asyncio.sleep(0)
    loop.create_future = usual
    with pytest.raises(asyncio.CancelledError):
        await waiting
    counter.void(await counter.hold("req_2", (ACME, 1_000)), "req_2", 1_000)


# The database fails


@pytest.mark.parametrize("when", [BEFORE, AFTER])
async def test_a_turn_that_fails_settles_once_all_the_same(counter: Counter, when: str):
    for number in range(3):
        hold = await counter.hold(f"req_{number}", (ACME, 100))
        counter.database.failures.extend([when] * number)
        counter.settle(hold, f"req_{number}", 70)
        await counter.bank.flush()
    assert await counter.posted() == 1_000 - 3 * 70
    assert len(await counter.books.entries("acme", None, 100)) == 1 + 3


async def test_who_waits_while_the_database_fails_is_refused_and_nothing_stays_held(counter: Counter):
    counter.database.failures.append(AFTER)  # the lease was made, and nobody was told
    with pytest.raises(Unavailable) as refused:
        await counter.hold("req_1", (ACME, 1_000))
    assert (refused.value.code, refused.value.status) == ("ledger_unavailable", 503)
    counter.void(await counter.hold("req_2", (ACME, 1_000)), "req_2", 1_000)


async def test_leases_are_used_up_without_the_database_then_nobody_is_let_in(counter: Counter):
    kept = await counter.hold("req_0", (ACME, 10))
    await asyncio.sleep(0.01)
    counter.database.away = True
    held: list[Hold] = []

    async def hold_on() -> None:
        for number in range(1, 1_000):
            held.append(await counter.hold(f"req_{number}", (ACME, 10)))  # noqa: PERF401  it ends by raising

    with pytest.raises(Unavailable) as refused:
        await hold_on()
    assert refused.value.code == "ledger_unavailable"
    assert refused.value.retry_after_s
    assert 1 <= len(held) < 99, "what the leases covered and no more"
    counter.settle(held[0], "req_1", 10)
    counter.database.away = False
    await counter.bank.flush()
    for number, hold in enumerate([kept, *held[1:]]):
        counter.void(hold, f"void_{number}", 10)
    await counter.bank.flush()
    assert await counter.posted() == 990


async def test_leases_are_not_spent_for_long_after_the_database_answered_last(database: Database, tmp_path: Path):
    """They run out 30 s after the worker was seen last: ten seconds after it nobody counts on them."""
    await new_account(database, "acme", 1_000)
    unsteady = UnsteadyDatabase(database)
    bank = Bank(Books(unsteady), Journal.create(tmp_path / "journals", "w1"), flush_s=0.005, fresh_s=0.5)
    await bank.start("here")
    holds = [await bank.hold(((ACME, 10),), started("req_1", 10))]
    unsteady.away = True
    holds.append(await bank.hold(((ACME, 10),), started("req_2", 10)))
    await asyncio.sleep(0.6)
    with pytest.raises(Unavailable) as refused:
        await bank.hold(((ACME, 10),), started("req_3", 10))
    assert refused.value.code == "ledger_unavailable"
    unsteady.away = False
    for number, hold in enumerate(holds, 1):
        bank.settle(hold, settled(f"req_{number}", 0, held_mc=10, hold_state="voided"))
    await bank.close()


def test_leases_are_spent_for_ten_seconds_at_most_of_the_thirty_after_which_they_run_out():
    assert FRESH_S == 10


async def test_a_settlement_that_can_never_be_written_holds_up_no_other(counter: Counter):
    bad, good = await counter.hold("req_1", (ACME, 10)), await counter.hold("req_2", (ACME, 10))
    counter.bank.settle(bad, Settlement(request_row("req_1", held_mc=10, charged_mc=11), metered=True))
    counter.settle(good, "req_2", 10, 10)
    await counter.bank.flush()
    assert counter.bank.refused == 1
    assert await counter.states() == {"req_2": ("settled", 10)}
    counter.void(await counter.hold("req_3", (ACME, 990)), "req_3", 990)


async def test_how_far_it_is_behind_is_told(counter: Counter):
    assert counter.bank.lag_s == 0.0
    counter.database.away = True
    counter.bank.settle(None, Settlement(request_row("req_1", hold_state="none"), metered=False))
    await asyncio.sleep(0.05)
    assert counter.bank.lag_s >= 0.05
    counter.database.away = False
    await counter.bank.flush()
    assert counter.bank.lag_s == 0.0


async def test_intake_waits_while_too_much_waits_to_be_settled(database: Database, tmp_path: Path):
    await new_account(database)
    unsteady = UnsteadyDatabase(database)
    bank = Bank(Books(unsteady), Journal.create(tmp_path / "journals", "w1"), flush_s=0.005, capacity=2)
    await bank.start("here")
    unsteady.away = True
    for number in range(2):
        bank.settle(None, Settlement(request_row(f"req_{number}", hold_state="none"), metered=False))
    assert bank.full
    with anyio.move_on_after(0.1) as waited:
        await bank.room()
    assert waited.cancelled_caught
    unsteady.away = False
    async with asyncio.timeout(5):
        await bank.room()
    await bank.close()


# The end


async def test_closing_settles_everything_and_gives_the_leases_back(database: Database, tmp_path: Path):
    books = await new_account(database, "acme", 1_000)
    bank = Bank(books, Journal.create(tmp_path / "journals", "w1"), flush_s=10)
    await bank.start("here")
    hold = await bank.hold(((ACME, 500),), started("req_1", 500))
    bank.settle(hold, settled("req_1", 200, held_mc=500))
    await bank.close()
    balance = await books.balance("acme")
    assert (balance.posted_mc, balance.reserved_mc) == (800, 0)
    assert await books.place("w1") is None
    assert [*orphans(tmp_path / "journals")] == []


async def test_what_the_database_does_not_take_stays_in_the_journal(database: Database, tmp_path: Path):
    await new_account(database, "acme", 1_000)
    unsteady = UnsteadyDatabase(database)
    bank = Bank(Books(unsteady), Journal.create(tmp_path / "journals", "w1"), flush_s=0.005)
    await bank.start("here")
    hold = await bank.hold(((ACME, 500),), started("req_1", 500))
    unsteady.away = True
    bank.settle(hold, settled("req_1", 200, held_mc=500))
    await bank.close(timeout_s=0.2)
    [left] = orphans(tmp_path / "journals")
    assert [one.row.request_id for _, one in left.settled] == ["req_1"]
    assert left.unfinished == ()


async def test_who_waits_while_it_closes_is_refused(database: Database, tmp_path: Path):
    await new_account(database, "acme", 1_000)
    unsteady = UnsteadyDatabase(database)
    bank = Bank(Books(unsteady), Journal.create(tmp_path / "journals", "w1"), flush_s=0.005)
    await bank.start("here")
    unsteady.gate.clear()
    waiting = asyncio.create_task(bank.hold(((ACME, 500),), started("req_1", 500)))
    await asyncio.sleep(0.02)
    closing = asyncio.create_task(bank.close(timeout_s=0.1))
    with pytest.raises(Unavailable):
        await asyncio.wait_for(waiting, 5)
    await closing
    with pytest.raises(Unavailable):
        await asyncio.wait_for(bank.hold(((ACME, 500),), started("req_2", 500)), 5)


async def test_a_request_that_cannot_be_noted_is_not_let_in(counter: Counter):
    """A journal that cannot be written, as on a full disk: nothing is held for what could not be billed."""
    hold = await counter.hold("req_1", (ACME, 10))
    folder = counter.journals / "w1"
    tiny = Journal.create(counter.journals, "w2", segment_bytes=1)
    tiny.start(started("first"))
    (counter.journals / "w2").rename(counter.journals / ".gone")
    bank = Bank(counter.books, tiny, flush_s=0.005)
    await bank.start("here")
    with pytest.raises(Unavailable) as refused:
        await bank.hold(((ACME, 300),), started("req_2", 300))
    assert refused.value.code == "journal_unavailable"
    (counter.journals / ".gone").rename(counter.journals / "w2")
    again = await bank.hold(((ACME, 300),), started("req_3", 300))
    bank.settle(again, settled("req_3", 0, held_mc=300, hold_state="voided"))
    await bank.close()
    assert folder.exists()
    counter.void(hold, "req_1", 10)
