"""What dead workers left behind is settled once, whoever finds it and however often that fails."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from neuralrouting.accounts import recovery
from neuralrouting.accounts.recovery import recover
from neuralrouting.errors import Unavailable
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import Database
from neuralrouting.storage.journal import Journal, Started
from neuralrouting.storage.turns import Settlement, Turn, Want, credits_purse
from neuralrouting.storage.verify import verify
from settling import new_account, request_row, settled
from unsteady import AFTER, BEFORE, UnsteadyDatabase

pytestmark = pytest.mark.anyio
ACME = credits_purse("acme")


def started(request_id: str, held_mc: int = 100) -> Started:
    return Started(request_id, 1, "acme", "AbCdEfGhIjKl", "/v1/dispatch", stream=False, held_mc=held_mc)


@dataclass
class Ruins:
    """A folder of journals over a database that can be made to fail."""

    database: UnsteadyDatabase
    books: Books
    root: Path
    forgotten: list[str] = field(default_factory=list)

    async def dead_worker(self, worker_id: str, settlements: list[Settlement], unfinished: list[Started]) -> Journal:
        """A worker that leased, noted all this and was killed before it took another turn."""
        journal = Journal.create(self.root, worker_id)
        await self.books.register(worker_id, "here")
        await self.books.turn(Turn(worker_id, 1, 0, (), (), (Want(ACME, 500, 500),)))
        for one in settlements:
            journal.start(started(one.row.request_id))
            journal.settle(one)
        for one in unfinished:
            journal.start(one)
        return journal

    async def recover(self) -> int:
        return await recover(self.root, self.books, self.forget)

    async def forget(self, worker_id: str) -> None:
        self.forgotten.append(worker_id)

    async def states(self) -> dict[str, tuple[str, int]]:
        rows = await self.database.fetch("SELECT request_id, hold_state, charged_mc FROM requests")
        return {row[0]: (row[1], row[2]) for row in rows}


@pytest.fixture
async def ruins(database: Database, tmp_path: Path) -> AsyncIterator[Ruins]:
    await new_account(database, "acme", 10_000)
    unsteady = UnsteadyDatabase(database)
    yield Ruins(unsteady, Books(unsteady), tmp_path / "journals")
    assert await verify(database, time.time_ns() // 1_000_000) == []


async def test_nothing_is_left_where_nobody_died(ruins: Ruins):
    assert await ruins.recover() == 0


async def test_what_was_settled_is_charged_and_what_was_cut_off_costs_nothing(ruins: Ruins):
    journal = await ruins.dead_worker("w1", [settled("req_1", 70, held_mc=100)], [started("req_2", 300)])
    journal.close(remove=False)
    assert await ruins.recover() == 1
    assert await ruins.states() == {"req_1": ("settled", 70), "req_2": ("expired", 0)}
    balance = await ruins.books.balance("acme")
    assert (balance.posted_mc, balance.reserved_mc) == (9_930, 0)
    assert await ruins.books.place("w1") is None
    assert ruins.forgotten == ["w1"]
    assert await ruins.recover() == 0, "its journal is gone"


async def test_a_living_workers_journal_is_left_alone(ruins: Ruins):
    journal = await ruins.dead_worker("w1", [settled("req_1", 70, held_mc=100)], [])
    assert await ruins.recover() == 0
    assert await ruins.states() == {}
    journal.close(remove=False)
    assert await ruins.recover() == 1


async def test_what_was_in_the_tables_before_it_died_is_not_charged_again(ruins: Ruins):
    first, second = settled("req_1", 70, held_mc=100), settled("req_2", 30, held_mc=100)
    journal = await ruins.dead_worker("w1", [first, second], [])
    await ruins.books.turn(Turn("w1", 2, journal.end, (first, second)))
    late = settled("req_3", 5, held_mc=100)
    journal.settle(late)
    journal.close(remove=False)
    assert await ruins.recover() == 1
    assert len(await ruins.states()) == 3
    assert (await ruins.books.balance("acme")).posted_mc == 10_000 - 105


@pytest.mark.parametrize("when", [BEFORE, AFTER])
@pytest.mark.parametrize("at", range(3))
async def test_a_recovery_that_fails_anywhere_is_taken_up_again(ruins: Ruins, when: str, at: int):
    count = recovery.BATCH + 7
    done = [settled(f"req_{number}", 1, held_mc=100) for number in range(count)]
    journal = await ruins.dead_worker("w1", done, [started("lost")])
    journal.close(remove=False)
    ruins.database.failures.extend(["no"] * at)
    ruins.database.failures.append(when)
    with pytest.raises(Unavailable):
        await ruins.recover()
    assert await ruins.recover() == 1
    assert len(await ruins.states()) == count + 1
    balance = await ruins.books.balance("acme")
    assert (balance.posted_mc, balance.reserved_mc) == (10_000 - count, 0)


async def test_what_can_never_be_written_does_not_hold_up_the_rest(ruins: Ruins):
    bad = Settlement(request_row("req_1", held_mc=1, charged_mc=2), metered=True)
    journal = await ruins.dead_worker("w1", [bad, settled("req_2", 10, held_mc=100)], [])
    journal.close(remove=False)
    assert await ruins.recover() == 1
    assert await ruins.states() == {"req_2": ("settled", 10)}


async def test_two_who_recover_at_once_charge_once(ruins: Ruins):
    for number in range(3):
        journal = await ruins.dead_worker(f"w{number}", [settled(f"req_{number}", 10, held_mc=100)], [])
        journal.close(remove=False)
    assert sum(await asyncio.gather(ruins.recover(), ruins.recover())) == 3
    assert (await ruins.books.balance("acme")).posted_mc == 9_970
    assert sorted(ruins.forgotten) == ["w0", "w1", "w2"]


async def test_the_journal_of_a_worker_that_closed_in_order_charges_nothing_again(ruins: Ruins):
    """It was killed between giving everything back and removing its journal."""
    one = settled("req_1", 70, held_mc=100)
    journal = await ruins.dead_worker("w1", [one], [])
    await ruins.books.turn(Turn("w1", 2, journal.end, (one,)))
    await ruins.books.retire("w1")
    journal.close(remove=False)
    assert await ruins.recover() == 1
    assert (await ruins.books.balance("acme")).posted_mc == 9_930
