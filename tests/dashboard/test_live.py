"""Live tails in one worker: each request once, whenever a tail begins, and an end when nobody may look any more."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from neuralrouting.dashboard.live import KEPT, MOST_BEHIND, MOST_TAILS, Live, Wanted
from neuralrouting.errors import Unavailable
from neuralrouting.storage.audit import AuditQuery
from neuralrouting.storage.database import Database
from neuralrouting.storage.requests import APPEND_REQUEST, RequestRow
from settling import request_row

pytestmark = pytest.mark.anyio

ALL = AuditQuery("acme", 0, 0)


class Looking:
    """A client that stays until it is told to leave, and may look until it is told that it may not."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.allowed = True

    async def gone(self) -> None:
        await self.left.wait()

    async def may(self) -> bool:
        return self.allowed


class Tail:
    """Reads one tail; `ids` are the requests that it was told, `places` those that it was told of."""

    def __init__(self, live: Live, after: int | None = None, query: AuditQuery = ALL) -> None:
        self.client = Looking()
        self.ids: list[str] = []
        self.places: list[int] = []
        self.missed = False
        self.ended = asyncio.Event()
        self.news = asyncio.Event()
        events = live.follow(Wanted(query, "ids", lambda row: row.request_id.encode(), after), self.client)
        self.task = asyncio.create_task(self._read(events))

    async def _read(self, events: AsyncGenerator[bytes, None]) -> None:
        async for block in events:
            for event in block.decode().split("\n\n"):
                fields = dict(line.split(": ", 1) for line in event.split("\n") if not line.startswith(":") and line)
                self.missed |= fields.get("event") == "missed"
                if fields.get("event") == "request":
                    self.ids.append(fields["data"])
                if "id" in fields:
                    self.places.append(int(fields["id"]))
            self.news.set()
        self.ended.set()

    async def when(self, seen: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not seen():
                self.news.clear()
                await self.news.wait()

    async def until(self, *ids: str) -> None:
        await self.when(lambda: len(self.ids) >= len(ids))
        assert self.ids == list(ids)


async def write(database: Database, *rows: RequestRow) -> None:
    await database.write([(APPEND_REQUEST, [row.values() for row in rows])])


@pytest.fixture
async def live(database: Database):
    made = Live(database, poll_s=0.02, beat_s=0.05)
    yield made
    await made.close()


async def test_a_tail_tells_what_is_written_from_its_beginning_on(live: Live, database: Database):
    await write(database, request_row("before"))
    tail = Tail(live, after=await live.now())
    await write(database, request_row("a"), request_row("theirs", account_id="globex"), request_row("b"))
    await tail.until("a", "b")
    assert tail.places == sorted(tail.places)


async def test_a_client_that_comes_again_goes_on_where_it_was(live: Live, database: Database):
    first = Tail(live, after=await live.now())
    await write(database, request_row("a"), request_row("b"))
    await first.until("a", "b")
    first.client.left.set()
    await asyncio.wait_for(first.ended.wait(), 10)
    await write(database, request_row("c"))
    again = Tail(live, after=first.places[-1])
    await again.until("c")
    await write(database, request_row("d"))
    await again.until("c", "d")
    assert not again.missed


async def test_tails_that_begin_at_other_places_are_told_the_same_in_the_end(live: Live, database: Database):
    start = await live.now()
    early = Tail(live, after=start)
    ids = [f"r{n}" for n in range(KEPT + 50)]
    await write(database, *(request_row(id_) for id_ in ids))
    await early.until(*ids)
    late = Tail(live, after=start)  # more than is kept: it reads for itself
    await late.until(*ids)
    await write(database, request_row("last"))
    await early.until(*ids, "last")
    await late.until(*ids, "last")


async def test_who_is_too_far_behind_is_told_that_something_is_missing(live: Live, database: Database):
    if database.dialect == "sqlite":
        await database.write([(APPEND_REQUEST, [request_row("far").values()])])
        await database.execute("UPDATE requests SET rowid = $1", MOST_BEHIND + 5)
    else:
        await database.execute("SELECT setval('requests_seq', $1)", MOST_BEHIND + 5)
    tail = Tail(live, after=2)
    foreign = Tail(live, after=10**12)
    await tail.when(lambda: tail.missed)
    await foreign.when(lambda: foreign.missed)
    await write(database, request_row("new"))
    await tail.when(lambda: "new" in tail.ids)
    await foreign.until("new")


async def test_a_place_is_told_although_nothing_fits(live: Live, database: Database):
    tail = Tail(live, query=AuditQuery("acme", 0, 0, status=599))
    await asyncio.sleep(0.1)
    await write(database, request_row("a"))
    now = await live.now()
    await tail.when(lambda: now in tail.places)
    assert tail.ids == []


@pytest.mark.parametrize("why", ["left", "not allowed", "closed"])
async def test_a_tail_ends_with_its_client_its_right_and_the_worker(live: Live, why: str):
    tail = Tail(live)
    await asyncio.sleep(0.05)
    if why == "left":
        tail.client.left.set()
    elif why == "not allowed":
        tail.client.allowed = False
    else:
        await live.close()
    await asyncio.wait_for(tail.ended.wait(), 10)


async def test_a_worker_serves_so_many_tails_and_no_more_until_one_ends(live: Live):
    tails = [Tail(live) for _ in range(MOST_TAILS)]
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable, match="live tails already"):
        live.check()
    tails[0].client.left.set()
    await asyncio.wait_for(tails[0].ended.wait(), 10)
    live.check()


async def test_nothing_is_asked_while_nobody_looks(live: Live):
    tail = Tail(live)
    await asyncio.sleep(0.05)
    assert "tails" in {task.get_name() for task in asyncio.all_tasks()}
    tail.client.left.set()
    await asyncio.wait_for(tail.ended.wait(), 10)
    await asyncio.sleep(0.1)
    assert "tails" not in {task.get_name() for task in asyncio.all_tasks()}
