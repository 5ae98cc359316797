"""What machines are granted of a limit: the arithmetic by hand, the rows on PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from neuralrouting.storage.books import Books
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.rates import COUNTED_MS, Grant, RateRows, Slice, Unused, Want, grant

NOW_MS = 1_000_000
SUBJECT = "ab" * 32


@pytest.fixture
async def tables(postgres_url: str, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Database]:
    opened = await open_database(postgres_url, tmp_path)
    yield opened
    await opened.close()


async def newcomer(tables: Database, worker_id: str, machine: str) -> RateRows:
    await Books(tables).register(worker_id, machine)
    return RateRows(tables, worker_id, machine)


def granted(limit: int, waiting: int, *slices: Slice, machines: int = 2) -> Grant:
    return grant(Want(SUBJECT, limit, waiting), slices, machines, NOW_MS)


def test_who_waits_is_served_and_a_little_more_is_lent():
    assert granted(1000, 1) == Grant(25, NOW_MS, 975, 0)
    assert granted(1000, 40) == Grant(40, NOW_MS, 960, 0)
    assert granted(3, 1, machines=4) == Grant(1, NOW_MS, 2, 0)


def test_nothing_is_granted_beyond_the_limit_and_the_wait_is_until_the_oldest_unit_is_a_window_old():
    old, new = Slice("a", 0, NOW_MS - 50_000, 2), Slice("b", 0, NOW_MS - 10_000, 7)
    assert granted(10, 5, old, new) == Grant(1, NOW_MS, 0, COUNTED_MS - 50_000)
    assert granted(9, 5, old, new) == Grant(0, NOW_MS, 0, COUNTED_MS - 50_000)
    assert granted(6, 5, old, new) == Grant(0, NOW_MS, 0, COUNTED_MS - 10_000), "a limit that was larger before"


def test_the_past_of_a_machine_counts_once_however_many_workers_tell_it():
    pasts = [Slice("a", 1, NOW_MS - 20, 5), Slice("a", 1, NOW_MS - 10, 7), Slice("b", 1, NOW_MS - 10, 1)]
    assert granted(20, 1, *pasts).free == 20 - 7 - 1 - 1
    assert granted(8, 1, *pasts) == Grant(0, NOW_MS, 0, COUNTED_MS - 10)


@pytest.mark.anyio
async def test_grants_add_up_and_what_is_given_back_is_granted_again(tables: Database):
    a, b = await newcomer(tables, "w1", "a"), await newcomer(tables, "w2", "b")
    first = await a.lease([Want(SUBJECT, 10, 8)], [], 2)
    assert first is not None
    assert (first[SUBJECT].units, first[SUBJECT].free) == (8, 2)
    second = await b.lease([Want(SUBJECT, 10, 8)], [], 2)
    assert second is not None
    assert (second[SUBJECT].units, second[SUBJECT].free) == (2, 0)
    unused = Unused(SUBJECT, first[SUBJECT].granted_ms, 3)
    third = await a.lease([Want(SUBJECT, 10, 8), Want("cd" * 32, 5, 1)], [unused], 2)
    assert third is not None
    assert (third[SUBJECT].units, third["cd" * 32].units) == (3, 1)


@pytest.mark.anyio
async def test_there_are_no_grants_while_another_machine_is_alone_and_its_past_counts_when_it_ends(tables: Database):
    a = await newcomer(tables, "w1", "a")
    assert await a.claim()
    b = await newcomer(tables, "w2", "b")
    assert not await b.claim(), "there is another"
    assert await b.lease([Want(SUBJECT, 10, 8)], [], 2) is None
    assert await a.lease([Want(SUBJECT, 10, 8)], [], 2) is None, "its own past is not told either"
    await a.join([(SUBJECT, 7)])
    grants = await b.lease([Want(SUBJECT, 10, 8)], [], 2)
    assert grants is not None
    assert grants[SUBJECT].units == 3


@pytest.mark.anyio
async def test_a_beat_keeps_an_idle_worker_among_the_living(tables: Database):
    a, b = await newcomer(tables, "w1", "a"), await newcomer(tables, "w2", "b")
    await tables.execute("UPDATE workers SET seen_ms = seen_ms - 31000")
    assert await a.beat() == ("a",)
    assert await b.beat() == ("a", "b")
    await tables.execute("UPDATE workers SET seen_ms = seen_ms - 31000")
    assert await a.lease([Want(SUBJECT, 10, 8)], [], 2) is None, "who is not seen may be thought gone"


@pytest.mark.anyio
async def test_nobody_comes_to_be_alone_within_a_window_of_what_others_were_granted(tables: Database):
    a, b = await newcomer(tables, "w1", "a"), await newcomer(tables, "w2", "b")
    assert await b.lease([Want(SUBJECT, 10, 1)], [], 2) is not None
    await Books(tables).retire("w2")
    assert not await a.claim()
    await tables.execute("UPDATE rate_slices SET granted_ms = granted_ms - $1", COUNTED_MS)
    assert await a.claim()


@pytest.mark.anyio
async def test_what_was_let_in_without_a_grant_counts_from_when_it_is_told(tables: Database):
    a = await newcomer(tables, "w1", "a")
    await a.beat((), ((SUBJECT, 6),))
    grants = await a.lease([Want(SUBJECT, 10, 8)], [], 1)
    assert grants is not None
    assert grants[SUBJECT].units == 4


@pytest.mark.anyio
async def test_a_database_clock_that_went_back_an_hour_does_not_close_the_limit_for_an_hour(tables: Database):
    a = await newcomer(tables, "w1", "a")
    await a.beat((), ((SUBJECT, 10),))
    await tables.execute("UPDATE rate_slices SET granted_ms = granted_ms + 3600000")
    grants = await a.lease([Want(SUBJECT, 10, 8)], [], 1)
    assert grants is not None
    assert grants[SUBJECT].units == 8


@pytest.mark.anyio
async def test_what_counts_no_more_is_purged(tables: Database):
    a = await newcomer(tables, "w1", "a")
    await a.beat((), ((SUBJECT, 6),))
    await a.purge()
    assert len(await tables.fetch("SELECT 1 FROM rate_slices")) == 1
    await tables.execute("UPDATE rate_slices SET granted_ms = granted_ms - $1", 2 * COUNTED_MS + 1000)
    await a.purge()
    assert await tables.fetch("SELECT 1 FROM rate_slices") == []
