"""The tail of the requests: each told once, in the order in which it was written, and none lost to a slow writer."""

import asyncio
from pathlib import Path

import pytest

from neuralrouting.storage.attribution import Attribution
from neuralrouting.storage.audit import AuditQuery
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.requests import APPEND_REQUEST, RequestRow
from neuralrouting.storage.tail import STEP, RequestTail
from settling import NOON_MS, request_row

pytestmark = pytest.mark.anyio

ALL = AuditQuery("acme", 0, 0)


async def write(database: Database, *rows: RequestRow) -> None:
    await database.write([(APPEND_REQUEST, [row.values() for row in rows])])


async def told(tail: RequestTail, query: AuditQuery, after: int, limit: int = 100) -> tuple[list[str], int]:
    """Everything behind a place, and the place that this reaches."""
    settled, found = await tail.now(), []
    while after < settled:
        onward = await tail.onward(query, after, settled, limit)
        found += [one.row.request_id for one in onward.written]
        after = onward.reached
    return found, after


async def test_requests_are_told_in_the_order_in_which_they_were_written_whenever_they_began(database: Database):
    tail = RequestTail(database)
    start = await tail.now()
    await write(database, request_row("quick", created_ms=NOON_MS + 5))
    found, place = await told(tail, ALL, start)
    assert found == ["quick"]
    await write(database, request_row("began long ago", created_ms=NOON_MS - 600_000), request_row("next"))
    assert (await told(tail, ALL, place))[0] == ["began long ago", "next"]


async def test_what_comes_in_parts_is_told_once_and_whole(database: Database):
    tail = RequestTail(database)
    start = await tail.now()
    await write(database, *(request_row(f"r{n}") for n in range(7)))
    assert (await told(tail, ALL, start, limit=2))[0] == [f"r{n}" for n in range(7)]


async def test_what_was_there_before_is_not_told_and_nobody_sees_another_account(database: Database):
    await write(database, request_row("before"))
    tail = RequestTail(database)
    start = await tail.now()
    await write(database, request_row("theirs", account_id="globex"), request_row("ours"))
    assert (await told(tail, ALL, start))[0] == ["ours"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (AuditQuery("acme", 0, 0, Attribution(user="anna", model="gpt-4o")), ["a"]),
        (AuditQuery("acme", 0, 0, status=402), ["b"]),
        (AuditQuery("acme", 0, 0, session_id="s"), ["b"]),
        (AuditQuery("acme", 0, 0, task="coding"), ["a"]),
        (AuditQuery("acme", 0, 0, cache="exact"), ["b"]),
        (AuditQuery("acme", 0, 0, simulated=True), ["sim_1"]),
        (AuditQuery("acme", 0, 0, simulated=False), ["a", "b"]),
        (AuditQuery("acme", 0, 0, search="sim_"), ["sim_1"]),
        (AuditQuery("acme", 0, 0, search="si%"), []),
        (AuditQuery("acme", 0, 0, search="anna"), ["a"]),
        (AuditQuery("acme", 0, 0, search="insufficient_credits"), ["b"]),
    ],
)
async def test_filters_are_those_of_the_audit_trail(database: Database, query: AuditQuery, expected: list[str]):
    tail = RequestTail(database)
    start = await tail.now()
    await write(
        database,
        request_row("a", end_user="anna", deployment="openai/gpt-4o", task="coding"),
        request_row("b", status=402, session_id="s", cache="exact", error_code="insufficient_credits"),
        request_row("sim_1", simulated=True),
    )
    assert (await told(tail, query, start))[0] == expected


async def test_a_filter_that_fits_nothing_is_looked_at_in_steps(database: Database):
    tail = RequestTail(database)
    start = await tail.now()
    await write(database, *(request_row(f"r{n}", created_ms=NOON_MS + n) for n in range(STEP + 10)))
    settled = await tail.now()
    onward = await tail.onward(AuditQuery("acme", 0, 0, status=599), start, settled, 10)
    assert (onward.written, onward.reached) == ((), start + STEP)


async def test_nobody_is_told_of_a_request_before_one_that_drew_its_number_earlier(postgres_url: str, tmp_path: Path):
    """Two writers on PostgreSQL: the slow one draws the lower number and commits last."""
    database = await open_database(postgres_url, tmp_path)
    slow_wrote, may_commit = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        async with database._connection() as connection, connection.transaction():
            await connection.executemany(APPEND_REQUEST, [request_row("slow").values()])
            slow_wrote.set()
            await may_commit.wait()

    try:
        tail = RequestTail(database)
        start = await tail.now()
        writing = asyncio.create_task(slowly())
        await slow_wrote.wait()
        await write(database, request_row("quick"))
        assert await tail.settled() == start
        assert (await tail.onward(ALL, start, await tail.settled(), 10)).written == ()
        may_commit.set()
        await writing
        assert (await told(tail, ALL, start))[0] == ["slow", "quick"]
    finally:
        await database.close()


async def test_many_writers_and_two_followers_lose_and_repeat_nothing(database_place: tuple[str | None, Path]):
    databases = [await open_database(*database_place) for _ in range(3)]
    tails = [RequestTail(databases[0]), RequestTail(databases[1])]
    starts = [await tail.now() for tail in tails]
    ids = [[f"w{writer}-{n}" for n in range(60)] for writer in range(3)]

    async def work(writer: int) -> None:
        for first in range(0, 60, 4):
            await write(databases[writer], *(request_row(id_) for id_ in ids[writer][first : first + 4]))

    async def follow(tail: RequestTail, after: int) -> list[str]:
        found: list[str] = []
        while len(found) < 180:
            onward = await tail.onward(ALL, after, await tail.settled(), 50)
            found += [one.row.request_id for one in onward.written]
            after = onward.reached
        return found

    async with asyncio.timeout(30):
        results = await asyncio.gather(
            *(work(n) for n in range(3)), *(follow(*one) for one in zip(tails, starts, strict=True))
        )
    for found in results[3:]:
        assert sorted(found) == sorted(id_ for part in ids for id_ in part)
    for opened in databases:
        await opened.close()
