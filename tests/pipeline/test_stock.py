"""The stock: a worker warms up from what is stored, follows others, and obeys every purge and judgement in time."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from cache_rows import answer, scope_of, stored
from neuralrouting import Engine
from neuralrouting.errors import Unavailable
from neuralrouting.exchange import CacheEntry
from neuralrouting.layers.cache import remember
from neuralrouting.pipeline.stock import PAGE, TOLD_STEP, CacheStock
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.entries import INSERT_ENTRY, EntryRows, entry_values
from neuralrouting.storage.judgements import HitKind, Judgement, Judgements
from neuralrouting.storage.purges import Purges
from neuralrouting.storage.trail import GATEWAY
from postgres_server import PostgresServer

pytestmark = pytest.mark.anyio
PROMISE_S = 2.0
AMPLE = 1 << 30


class Shelf:
    """Stands in the engine's place: holds entries by key as the engine does, and writes down what it is told."""

    def __init__(self) -> None:
        self.entries: dict[bytes, CacheEntry] = {}
        self.taken: list[bytes] = []
        self.retired: list[tuple[bytes, bytes, float]] = []
        self.purges: list[tuple[str, int, bytes | None, bytes | None, str | None]] = []

    def take(self, entry: CacheEntry) -> bool:
        self.taken.append(entry.key)
        self.entries[entry.key] = entry
        return True

    def purge(
        self,
        *,
        account: str,
        before_s: int,
        scope: bytes | None = None,
        key: bytes | None = None,
        pattern: str | None = None,
    ) -> int:
        self.purges.append((account, before_s, scope, key, pattern))
        gone = [
            entry.key
            for entry in self.entries.values()
            if entry.account_id == account
            and entry.stored_ms // 1_000 <= before_s
            and key in (None, entry.key)
            and scope in (None, entry.scope)
        ]
        for name in gone:
            del self.entries[name]
        return len(gone)

    def retire(self, scope: bytes, key: bytes, similarity: float) -> bool:
        self.retired.append((scope, key, similarity))
        return self.entries.pop(key, None) is not None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _insert(database: Database, *entries: CacheEntry) -> None:
    await database.write([(INSERT_ENTRY, [entry_values(entry) for entry in entries])])


@asynccontextmanager
async def _following(
    database: Database, shelf: Shelf, *, memory_bytes: int = AMPLE, alone: bool = False, poll_s: float = 0.05
) -> AsyncGenerator[CacheStock]:
    stock = CacheStock(shelf, shelf.take, database, memory_bytes=memory_bytes, alone=alone, poll_s=poll_s)
    stock.start()
    try:
        yield stock
    finally:
        await stock.close()


async def _until_kept(database: Database, key: bytes) -> None:
    """Wait until the only row that is left is that of this entry."""
    deadline_s = time.monotonic() + 10
    while [entry.key for _, entry in await EntryRows(database).since(0, 10)] != [key]:
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.05)


async def _until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)


async def test_a_restarted_worker_takes_the_newest_that_fit_oldest_first(database: Database):
    await _insert(database, *(stored(name, body=b"x" * 10) for name in "abcdb"))
    shelf = Shelf()
    async with _following(database, shelf, memory_bytes=40):
        await _until(lambda: len(shelf.taken) == 4)
        await asyncio.sleep(0.2)
    assert shelf.taken == [b"b", b"c", b"d", b"b"]


async def test_many_entries_come_in_pages_and_none_is_left_out(database: Database):
    await _insert(database, *(stored(f"{number}", body=b"x") for number in range(2 * PAGE + 10)))
    shelf = Shelf()
    async with _following(database, shelf, poll_s=1.0):
        await _until(lambda: len(shelf.taken) == 2 * PAGE + 10, within_s=PROMISE_S)


async def test_what_others_store_is_taken_and_by_the_only_worker_is_not_read(database: Database):
    together, alone = Shelf(), Shelf()
    async with _following(database, together), _following(database, alone, alone=True):
        await _insert(database, stored("before"))
        await _until(lambda: b"before" in together.entries)
        await asyncio.sleep(0.2)
        await _insert(database, stored("after"))
        await _until(lambda: b"after" in together.entries)
        await asyncio.sleep(0.2)
        assert b"after" not in alone.entries


@pytest.mark.parametrize("alone", [True, False])
async def test_a_purge_from_outside_is_obeyed_within_two_seconds(database: Database, *, alone: bool):
    await _insert(database, stored("a", scope="s"), stored("b"), stored("theirs", "zeta"))
    shelves = [Shelf(), Shelf()]
    async with _following(database, shelves[0], alone=alone, poll_s=1.0), _following(database, shelves[1], poll_s=1.0):
        await _until(lambda: all(len(shelf.entries) == 3 for shelf in shelves))
        await Purges(database).purge("acme", now_ms=_now_ms(), actor=GATEWAY)
        await _until(lambda: all(set(shelf.entries) == {b"theirs"} for shelf in shelves), within_s=PROMISE_S)


async def test_a_purge_says_to_the_engine_what_it_says_to_the_table(database: Database):
    shelf, now_ms = Shelf(), _now_ms()
    async with _following(database, shelf) as stock:
        await Purges(database).purge(
            "acme", scope=scope_of("s"), key=b"k", pattern="Word", now_ms=now_ms, actor=GATEWAY
        )
        await stock.apply_now()
        assert shelf.purges == [("acme", now_ms // 1_000, scope_of("s"), b"k", "Word")]
        await stock.apply_now()
        await asyncio.sleep(0.2)
        assert len(shelf.purges) == 1  # what was stored since then stays


async def test_the_worker_that_purged_obeys_before_it_answers(database: Database):
    await _insert(database, stored("a"))
    shelf = Shelf()
    async with _following(database, shelf, poll_s=60.0) as stock:
        await _until(lambda: b"a" in shelf.entries)
        await Purges(database).purge("acme", now_ms=_now_ms(), actor=GATEWAY)
        await stock.apply_now()
        assert shelf.entries == {}


@pytest.mark.parametrize("kind", ["semantic", "canonical", "exact"])
async def test_a_wrong_answer_is_retired_on_every_worker_and_after_a_restart(database: Database, kind: HitKind):
    await _insert(database, stored("a", scope="s"), stored("b", scope="s"))
    shelf, later = Shelf(), Shelf()
    async with _following(database, shelf):
        await _until(lambda: len(shelf.entries) == 2)
        judgement = Judgement("acme", b"a", kind, 0.95, agreed=False, source="feedback")
        await Judgements(database).judge(judgement, _now_ms(), actor=GATEWAY)
        await _until(lambda: set(shelf.entries) == {b"b"}, within_s=PROMISE_S)
        await _until(lambda: bool(shelf.retired) or kind != "semantic", within_s=PROMISE_S)
    await _insert(database, stored("a", scope="s"))  # it waited in a queue
    async with _following(database, later):
        await _until(lambda: b"b" in later.entries)
        await asyncio.sleep(0.1)
    assert set(later.entries) == {b"b"}
    lesson = [(scope_of("s"), b"a", 0.95 + TOLD_STEP)] if kind == "semantic" else []
    assert shelf.retired == later.retired == lesson


async def test_what_was_purged_does_not_come_back_with_a_row_that_is_written_late(database: Database):
    shelf, restarted = Shelf(), Shelf()
    async with _following(database, shelf) as stock:
        await Purges(database).purge("acme", pattern="paris", now_ms=_now_ms(), actor=GATEWAY)
        late = stored("late", body=answer("It is Paris."))
        await _insert(database, late, stored("other"))
        await _until(lambda: b"other" in shelf.entries)
        assert stock.covers(late)
        assert not stock.covers(stored("other"))
        assert set(shelf.entries) == {b"other"}
    async with _following(database, restarted):
        await _until(lambda: b"other" in restarted.entries)
        await _until_kept(database, b"other")
    assert restarted.taken == [b"other"]


async def test_an_answer_whose_request_came_before_the_purge_is_covered(database: Database):
    shelf, now_ms = Shelf(), _now_ms()
    async with _following(database, shelf) as stock:
        await Purges(database).purge("acme", now_ms=now_ms, actor=GATEWAY)
        await stock.apply_now()
        assert stock.covers(stored("a", stored_ms=now_ms))
        assert not stock.covers(stored("a", stored_ms=now_ms + 1))
        assert not stock.covers(stored("a", "zeta", stored_ms=now_ms))


async def test_what_came_after_its_purge_is_swept_and_what_has_expired_goes(database: Database):
    await _insert(database, stored("expired", expires_ms=1))
    await Purges(database).purge("acme", now_ms=_now_ms() - 20_000, actor=GATEWAY)
    await _insert(database, stored("late"), stored("new", stored_ms=_now_ms()))
    # `late` lies before what fits, so that it is only swept.
    async with _following(database, Shelf(), memory_bytes=len(answer("an answer"))):
        await _until_kept(database, b"new")


async def test_a_failing_engine_does_not_end_the_following(database: Database, caplog: pytest.LogCaptureFixture):
    class Failing(Shelf):
        def take(self, entry: CacheEntry) -> bool:
            if not self.taken:
                self.taken.append(b"")
                raise RuntimeError("once")
            return super().take(entry)

    await _insert(database, stored("a"))
    shelf = Failing()
    async with _following(database, shelf):
        await _until(lambda: b"a" in shelf.entries)
    assert "trying again" in caplog.text


async def test_a_database_that_was_away_is_caught_up_with(
    postgres_server: PostgresServer, postgres_url: str, caplog: pytest.LogCaptureFixture
):
    database, other = [await open_database(postgres_url, Path("/nonexistent")) for _ in range(2)]
    await _insert(database, stored("a"), stored("b"))
    shelf = Shelf()
    async with _following(database, shelf):
        await _until(lambda: len(shelf.entries) == 2)
        postgres_server.stop(immediate=True)
        await _until(lambda: "stored answers cannot be followed" in caplog.text)
        assert set(shelf.entries) == {b"a", b"b"}
        postgres_server.start()
        await _again(partial(_insert, other, stored("c")))
        await _again(partial(Purges(other).purge, "acme", key=b"a", now_ms=_now_ms(), actor=GATEWAY))
        await _until(lambda: set(shelf.entries) == {b"b", b"c"})
        assert shelf.taken == [b"a", b"b", b"c"]
    assert caplog.text.count("stored answers cannot be followed") <= 6  # once a kind of refusal and task
    await database.close()
    await other.close()


async def _again(write: Callable[[], Awaitable[object]]) -> None:
    """Until the server's cut connections are noticed."""
    for _ in range(20):
        try:
            await write()
        except Unavailable:
            await asyncio.sleep(0.1)
        else:
            return


async def test_the_loop_is_not_held_while_a_large_purge_runs(database: Database):
    class Slow(Shelf):
        def purge(self, **_told: object) -> int:
            time.sleep(0.5)
            return 0

    shelf = Slow()
    async with _following(database, shelf, poll_s=60.0) as stock:
        await Purges(database).purge("acme", now_ms=_now_ms(), actor=GATEWAY)
        applying = asyncio.create_task(stock.apply_now())
        turns = 0
        while not applying.done():
            await asyncio.sleep(0.01)
            turns += 1
        assert turns > 10


async def test_the_native_engine_forgets_what_is_purged_and_judged_wrong(database: Database):
    engine = Engine()
    kept = stored(bytes(31) + b"\x01", body=answer("A word kept."), stored_ms=_now_ms() - 5_000)
    entries = [
        kept,
        stored(bytes(31) + b"\x02", body=answer('Größe "x"\nÄrger'), stored_ms=kept.stored_ms),
        stored(bytes(31) + b"\x03", stored_ms=kept.stored_ms),
        stored(bytes(31) + b"\x04", stored_ms=kept.stored_ms),
    ]
    await _insert(database, *entries)
    stock = CacheStock(engine, partial(remember, engine), database, memory_bytes=AMPLE, alone=False, poll_s=0.05)
    stock.start()
    try:
        await _until(lambda: engine.cache_entries == 4)
        assert await Purges(database).purge("acme", pattern='GRÖẞE "X"\nä', now_ms=_now_ms(), actor=GATEWAY) == 1
        await stock.apply_now()
        assert engine.cache_entries == 3
        await Purges(database).purge("acme", key=entries[2].key, now_ms=_now_ms(), actor=GATEWAY)
        await Judgements(database).judge(
            Judgement("acme", entries[3].key, "exact", 1.0, agreed=False, source="operator"), _now_ms(), actor=GATEWAY
        )
        await stock.apply_now()
        assert engine.cache_entries == 1
        await Purges(database).purge("acme", now_ms=_now_ms(), actor=GATEWAY)
        await stock.apply_now()
        assert engine.cache_entries == 0
    finally:
        await stock.close()
