"""A dead worker's last transaction may still be under way when its journal is already replayed."""

import asyncio
from pathlib import Path

import pytest

from neuralrouting.accounts.recovery import recover
from neuralrouting.storage.database import Script, ask, open_database
from neuralrouting.storage.journal import Journal, Started
from neuralrouting.storage.turning import take_turn
from neuralrouting.storage.turns import TurnResult
from settling import new_account, new_worker, settled

pytestmark = pytest.mark.anyio


async def forget(_worker_id: str) -> None:
    """Nobody else need know."""


def started(request_id: str) -> Started:
    return Started(request_id, 1, "acme", "AbCdEfGhIjKl", "/v1/chat/completions", stream=False, held_mc=9)


@pytest.mark.parametrize("taken", [1, 2, 3])
async def test_a_turn_that_commits_after_its_workers_death_is_not_taken_again(
    postgres_url: str, tmp_path: Path, taken: int
):
    """PostgreSQL finishes a COMMIT that was sent; SQLite's transactions die with their process."""
    database = await open_database(postgres_url, tmp_path)
    books = await new_account(database, credits_mc=1_000)
    worker = await new_worker(books, "w1")
    await worker.lease("credits/acme", 500)
    journals = tmp_path / "journals"
    journal = Journal.create(journals, "w1")
    ends: list[int] = []
    for number in range(3):
        journal.start(started(f"r{number}"))
        journal.settle(settled(f"r{number}", 7))
        ends.append(journal.end)
    journal.start(started("cut-off"))
    journal.close(remove=False)  # its lock is free: the worker is dead
    worker.journal_end = ends[taken - 1] - 100 * taken  # `next` adds a hundred for each
    last = worker.next(*(settled(f"r{number}", 7) for number in range(taken)))

    def slowly() -> Script[TurnResult]:
        result = yield from take_turn("postgres", last)
        yield ask("SELECT pg_sleep(0.5)")
        return result

    committing = asyncio.create_task(database.transact(slowly))
    await asyncio.sleep(0.2)
    assert await recover(journals, books, forget) == 1
    await committing
    rows = await database.fetch("SELECT request_id, hold_state FROM requests ORDER BY request_id")
    assert rows == [("cut-off", "expired"), ("r0", "settled"), ("r1", "settled"), ("r2", "settled")]
    balance = await books.balance("acme")
    assert (balance.posted_mc, balance.reserved_mc) == (1_000 - 3 * 7, 0)
    assert list(journals.iterdir()) == []
    await database.close()
