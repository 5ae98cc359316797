"""The shared tier: a replica finds what another has stored, of its account and scope only, in time or not at all."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cache_rows import EMBEDDER, answer, embedding, probe, scope_of, stored
from neuralrouting.errors import Unavailable
from neuralrouting.exchange import CacheEntry
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.entries import INSERT_ENTRY, EntryRows, entry_values
from neuralrouting.storage.purges import Purges
from neuralrouting.storage.shared_tier import Reach, SharedTier
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.vectors import CROWD, Vectors, set_up_vectors
from postgres_server import PostgresServer

pytestmark = pytest.mark.anyio
NOWHERE = Path("/nonexistent")
NOW_MS = 1_000
PATIENT = Reach(floor=0.9, budget_s=10.0)
NEW_KEY = b"new"


def _nobody(_entry: CacheEntry) -> bool:
    return False


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[Database]:
    database = await open_database(postgres_url, NOWHERE)
    yield database
    await database.close()


@pytest.fixture
async def tier(postgres: Database) -> AsyncIterator[SharedTier]:
    opened = await SharedTier.open(postgres, _nobody, PATIENT)
    yield opened
    await opened.close()


async def _insert(database: Database, *entries: CacheEntry) -> None:
    await database.write([(INSERT_ENTRY, [entry_values(entry) for entry in entries])])
    await _until_done(Vectors(database).index_new)


async def _until_done(step: Callable[[], Awaitable[int | None]]) -> None:
    """Until nothing is left to do; a tier that is open may be at it as well."""
    while await step() != 0:
        pass


async def _find(
    tier: SharedTier, vector: bytes | None, *, account: str = "acme", scope: str = "s", key: bytes = NEW_KEY
) -> list[bytes]:
    asked = probe(vector) if vector is not None else None
    return [entry.key for entry in await tier.find(account, key, scope_of(scope), asked, EMBEDDER, NOW_MS)]


async def test_the_very_request_is_found_by_its_key(postgres: Database, tier: SharedTier):
    newer = msgspec.structs.replace(stored("a", scope="s"), body=answer("newer"))
    await _insert(postgres, stored("a", scope="s"), newer, stored("b", scope="s"))
    assert await tier.find("acme", b"a", scope_of("s"), probe(embedding(1)), EMBEDDER, NOW_MS) == [newer]
    assert await tier.find("acme", b"a", None, None, EMBEDDER, NOW_MS) == [newer]


async def test_the_nearest_four_of_the_scope_come_nearest_first(postgres: Database, tier: SharedTier):
    turns = (0, -10, 20, -30, 40, 50, 120)
    await _insert(postgres, *(stored(f"{turn}", scope="s", vector=embedding(100, turn)) for turn in turns))
    assert await _find(tier, embedding(100, 0)) == [b"0", b"-10", b"20", b"-30"]
    assert await _find(tier, embedding(100, 40)) == [b"40", b"50", b"20", b"0"]


async def test_what_is_not_near_enough_is_not_found(postgres: Database, tier: SharedTier):
    vectors = {"near": embedding(90, 40), "opposite": embedding(-90)}
    await _insert(postgres, *(stored(name, scope="s", vector=vector) for name, vector in vectors.items()))
    assert await _find(tier, embedding(90)) == [b"near"]  # 0.914
    assert await _find(tier, embedding(90, -10)) == []


async def test_negative_numbers_keep_their_sign(postgres: Database, tier: SharedTier):
    vector = bytes(range(256))
    await _insert(postgres, stored("a", scope="s", vector=vector))
    assert await postgres.fetch("SELECT CAST(embedding AS TEXT) FROM cache_vectors") == [
        (str([*range(128), *range(-128, 0)]).replace(" ", ""),)
    ]
    assert await _find(tier, vector) == [b"a"]


@pytest.mark.parametrize(
    "stranger",
    [
        stored("x", "zeta", scope="s"),
        stored("x", scope="t"),
        stored("x", scope="s", embedder="another"),
        stored("x", scope="s", expires_ms=NOW_MS),
        stored("x", scope="s", vector=embedding()),
        stored("x"),
    ],
    ids=["account", "scope", "embedder", "expired", "no words", "exact only"],
)
async def test_others_are_never_found(postgres: Database, tier: SharedTier, stranger: CacheEntry):
    await _insert(postgres, stranger, stored("mine", scope="s", vector=embedding(10, 1)))
    assert await _find(tier, embedding(10)) == [b"mine"]


async def test_no_words_and_no_probe_find_nothing_alike(postgres: Database, tier: SharedTier):
    await _insert(postgres, stored("a", scope="s"), stored("zero", scope="s", vector=embedding()))
    assert await _find(tier, embedding()) == []
    assert await _find(tier, None) == []
    assert await tier.find("acme", NEW_KEY, scope_of("s"), b"short", EMBEDDER, NOW_MS) == []


async def test_another_accounts_key_is_not_found(postgres: Database, tier: SharedTier):
    await _insert(postgres, stored("a", "zeta", scope="s"))
    assert await _find(tier, None, key=b"a") == []


async def test_an_entry_that_was_written_often_is_found_once_as_it_is_now(postgres: Database, tier: SharedTier):
    often = [msgspec.structs.replace(stored("a", scope="s"), body=answer(f"{number}")) for number in range(6)]
    await _insert(postgres, *often, stored("b", scope="s", vector=embedding(10, 1)))
    found = await tier.find("acme", NEW_KEY, scope_of("s"), probe(embedding(10)), EMBEDDER, NOW_MS)
    assert found == [often[-1], stored("b", scope="s", vector=embedding(10, 1))]


async def test_a_probe_of_another_make_keeps_no_row_out(postgres: Database, tier: SharedTier):
    odd = [msgspec.structs.replace(stored(f"{size}", scope="s"), probe=b"\x01" * size) for size in (0, 33, 288)]
    await _insert(postgres, *odd, msgspec.structs.replace(stored("none", scope="s"), embedder=None))
    assert await postgres.fetch("SELECT COUNT(*) FROM cache_vectors") == [(0,)]
    assert len(await EntryRows(postgres).since(0, 10)) == 4
    assert await _find(tier, None, key=b"288") == [b"288"]


async def test_what_is_deleted_is_found_no_more(postgres: Database, tier: SharedTier):
    await _insert(postgres, stored("a", scope="s"), stored("b", scope="s"))
    await Purges(postgres).purge("acme", key=b"a", now_ms=NOW_MS, actor=GATEWAY)
    assert await _find(tier, embedding(1)) == [b"b"]
    assert await postgres.fetch("SELECT COUNT(*) FROM cache_vectors") == [(1,)]


async def test_what_a_purge_covers_is_not_given(postgres: Database):
    tier = SharedTier(postgres, lambda entry: entry.key == b"late", PATIENT)
    assert await set_up_vectors(postgres)
    await _insert(postgres, stored("late", scope="s"), stored("b", scope="s"))
    assert await _find(tier, embedding(1)) == [b"b"]
    assert await _find(tier, embedding(1), key=b"late") == []
    await tier.close()


async def test_vectors_are_made_by_themselves_and_for_what_was_stored_before(postgres: Database):
    await postgres.write([(INSERT_ENTRY, [entry_values(stored("before", scope="s"))])])
    tier = await SharedTier.open(postgres, _nobody, PATIENT)
    await _eventually(lambda: _find(tier, embedding(1)), [b"before"])
    await postgres.write([(INSERT_ENTRY, [entry_values(stored("after", scope="s"))])])
    await _eventually(lambda: _find(tier, embedding(1)), [b"before", b"after"])
    await tier.close()


async def _eventually(look: Callable[[], Awaitable[list[bytes]]], wanted: list[bytes]) -> None:
    deadline_s = time.monotonic() + 10
    while (found := await look()) != wanted:
        assert time.monotonic() < deadline_s, found
        await asyncio.sleep(0.05)


async def test_a_late_commit_gets_its_vector_too(postgres: Database, postgres_url: str, tier: SharedTier):
    admin = await asyncpg.connect(postgres_url)
    try:
        late = admin.transaction()
        await late.start()
        await admin.execute(INSERT_ENTRY, *entry_values(stored("late", scope="s")))
        vectors = Vectors(postgres)
        await postgres.write([(INSERT_ENTRY, [entry_values(stored("soon", scope="s"))])])
        await _until_done(vectors.index_new)
        assert await _find(tier, embedding(1)) == [b"soon"]
        await late.commit()
        await _until_done(vectors.index_new)
        assert await _find(tier, embedding(1)) == [b"late", b"soon"]
    finally:
        await admin.close()


async def test_a_crowded_scope_is_searched_through_its_index(postgres: Database, tier: SharedTier):
    source = Random(7)
    drawn = {b"%05d" % number: source.randbytes(256) for number in range(CROWD + 300)}
    crowd = [stored(key, scope="s", body=b"{}", vector=vector) for key, vector in drawn.items()]
    await _insert(postgres, *crowd, stored("theirs", "zeta", scope="s", vector=drawn[b"00007"]))
    vectors = Vectors(postgres)
    await _until_done(vectors.find_crowds)
    assert await vectors.crowds() == frozenset()  # not before all are in
    await _until_done(vectors.sort_crowds)
    assert await vectors.crowds() == {("acme", scope_of("s"), EMBEDDER)}
    await _insert(postgres, stored("newcomer", scope="s", vector=embedding(*range(1, 100))))
    searching = await SharedTier.open(postgres, _nobody, PATIENT)
    try:
        await _eventually(lambda: _find(searching, embedding(*range(1, 100))), [b"newcomer"])
        for key in (b"00007", *source.sample(list(drawn), 20)):
            assert await _find(searching, drawn[key]) == [key]
        used = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'cache_vectors_near'"
        await _eventually(lambda: _is_positive(postgres, used), [b"yes"])
    finally:
        await searching.close()
    await Purges(postgres).purge("acme", now_ms=NOW_MS, actor=GATEWAY)
    await _until_done(vectors.find_crowds)
    assert await vectors.crowds() == frozenset()


async def _is_positive(database: Database, sql: str) -> list[bytes]:
    return [b"yes" if (await database.fetch(sql))[0][0] > 0 else b"no"]


async def test_a_neighbours_crowd_changes_nothing(postgres: Database, tier: SharedTier):
    mine = [stored(f"mine-{turn}", "zeta", scope="s", vector=embedding(100, turn)) for turn in range(-40, 50, 10)]
    await _insert(postgres, *mine)
    before = await _find(tier, embedding(100, 1), account="zeta")
    assert len(before) == 4
    near = [stored(b"%05d" % turn, scope="s", body=b"{}", vector=embedding(100, 1, turn % 9)) for turn in range(10_000)]
    await _insert(postgres, *near)
    assert await _find(tier, embedding(100, 1), account="zeta") == before
    assert all(key.isdigit() for key in await _find(tier, embedding(100, 1)))


made_vectors = st.lists(st.integers(-127, 127), min_size=1, max_size=3).map(lambda numbers: embedding(*numbers))
made_entries = st.builds(
    lambda key, account, scope, vector, embedder: stored(key, account, scope=scope, vector=vector, embedder=embedder),
    st.sampled_from([b"a", b"b", b"c", b"d"]),
    st.sampled_from(["acme", "zeta"]),
    st.sampled_from([None, scope_of("s"), scope_of("t")]),
    made_vectors,
    st.sampled_from([EMBEDDER, "another"]),
)


def test_whatever_is_stored_nobody_finds_what_is_not_of_their_account_and_scope(postgres_url: str):
    with asyncio.Runner() as loop:
        database = loop.run(open_database(postgres_url, NOWHERE))
        tier = loop.run(_opened(database))

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.lists(made_entries, max_size=12), made_entries)
        def check(entries: list[CacheEntry], asked: CacheEntry) -> None:
            loop.run(_nobody_elses(database, tier, entries, asked))

        check()
        loop.run(tier.close())
        loop.run(database.close())


async def _opened(database: Database) -> SharedTier:
    assert await set_up_vectors(database)
    return SharedTier(database, _nobody, Reach(floor=0.0, budget_s=10.0))


async def _nobody_elses(database: Database, tier: SharedTier, entries: list[CacheEntry], asked: CacheEntry) -> None:
    await database.execute("DELETE FROM cache_entries")
    await _insert(database, *entries)
    found = await tier.find(asked.account_id, asked.key, asked.scope, asked.probe, EMBEDDER, NOW_MS)
    mine = [entry for entry in entries if entry.account_id == asked.account_id]
    same = [entry for entry in mine if entry.key == asked.key]
    if same:
        assert found == same[-1:]
        return
    assert all(entry in mine and entry.scope == asked.scope and entry.embedder == EMBEDDER for entry in found)
    newest = {entry.key: entry for entry in mine}
    near = [entry for entry in newest.values() if _cosine(entry, asked) >= 0]
    assert len(found) == min(4, len(near))
    assert [round(_cosine(entry, asked), 9) for entry in found] == sorted(
        (round(_cosine(entry, asked), 9) for entry in near), reverse=True
    )[: len(found)]


def _cosine(entry: CacheEntry, asked: CacheEntry) -> float:
    """-1 also for what cannot be compared."""
    if entry.scope != asked.scope or entry.scope is None or entry.embedder != EMBEDDER:
        return -1.0
    one, other = _numbers(entry), _numbers(asked)
    lengths = sum(n * n for n in one) * sum(n * n for n in other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths**0.5 if lengths else -1.0


def _numbers(entry: CacheEntry) -> list[int]:
    assert entry.probe is not None
    return memoryview(entry.probe[33:289]).cast("b").tolist()


async def test_a_lookup_that_takes_too_long_is_a_miss_and_so_are_the_next(
    postgres: Database, postgres_url: str, caplog: pytest.LogCaptureFixture
):
    await _insert_plain(postgres, stored("a"))
    tier = SharedTier(postgres, _nobody, Reach(floor=0.9, budget_s=0.05))
    admin = await asyncpg.connect(postgres_url)
    try:
        async with admin.transaction():
            await admin.execute("LOCK TABLE cache_entries IN ACCESS EXCLUSIVE MODE")
            began_s = time.monotonic()
            assert await _find(tier, None, key=b"a") == []
            assert 0.04 < time.monotonic() - began_s < 1.0
            began_s = time.monotonic()
            assert [await _find(tier, None, key=b"a") for _ in range(100)] == [[]] * 100
            assert time.monotonic() - began_s < 0.5
    finally:
        await admin.close()
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        "lookups in the shared cache count as misses: no answer in 50 ms"
    ]
    await _eventually(lambda: _find(tier, None, key=b"a"), [b"a"])
    await tier.close()


async def _insert_plain(database: Database, *entries: CacheEntry) -> None:
    await database.write([(INSERT_ENTRY, [entry_values(entry) for entry in entries])])


async def test_a_database_that_is_away_is_a_miss(postgres_server: PostgresServer, postgres_url: str):
    database = await open_database(postgres_url, NOWHERE)
    await _insert_plain(database, stored("a"))
    tier = SharedTier(database, _nobody, PATIENT)
    assert await _find(tier, None, key=b"a") == [b"a"]
    postgres_server.stop(immediate=True)
    try:
        assert await _find(tier, None, key=b"a") == []
    finally:
        postgres_server.start()
    await _eventually(lambda: _find(tier, None, key=b"a"), [b"a"])
    await tier.close()
    await database.close()


async def test_a_broken_table_is_a_miss(postgres: Database, caplog: pytest.LogCaptureFixture):
    tier = SharedTier(postgres, _nobody, PATIENT)  # nobody has made its tables
    await _insert_plain(postgres, stored("a", scope="s"))
    assert await _find(tier, embedding(1)) == []
    assert "UndefinedTableError" in caplog.text


async def test_without_the_right_to_make_the_extension_repeated_requests_are_still_found(
    postgres_server: PostgresServer, postgres_url: str, caplog: pytest.LogCaptureFixture
):
    admin = await asyncpg.connect(postgres_url)
    await admin.execute("DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN")
    await admin.execute("GRANT CREATE, USAGE ON SCHEMA public TO plain")
    database = await open_database(postgres_url.replace("postgres@", "plain@"), NOWHERE)
    try:
        tier = await SharedTier.open(database, _nobody, PATIENT)
        await _insert_plain(database, stored("a", scope="s"))
        assert await _find(tier, embedding(1), key=b"a") == [b"a"]
        assert await _find(tier, embedding(1)) == []
        await tier.close()
        assert "Have a superuser run `CREATE EXTENSION vector`" in caplog.text
        assert "permission denied to create extension" in caplog.text
        await admin.execute("CREATE EXTENSION vector")
        tier = await SharedTier.open(database, _nobody, PATIENT)
        await _eventually(lambda: _find(tier, embedding(1)), [b"a"])
        await tier.close()
    finally:
        await database.close()
        await admin.execute("DROP OWNED BY plain; DROP ROLE plain")
        await admin.close()


async def test_many_replicas_may_set_up_at_once(postgres_url: str):
    databases = await asyncio.gather(*(open_database(postgres_url, NOWHERE) for _ in range(6)))
    tiers = await asyncio.gather(*(SharedTier.open(database, _nobody, PATIENT) for database in databases))
    await _insert(databases[0], *(stored(f"{number}", scope=f"{number}") for number in range(50)))
    for number, tier in enumerate(tiers):
        assert await _find(tier, embedding(1), scope=f"{number}") == [b"%d" % number]
    for database, tier in zip(databases, tiers, strict=True):
        await tier.close()
        await database.close()


async def test_a_server_that_is_away_is_no_lack_of_pgvector(postgres_server: PostgresServer, postgres_url: str):
    database = await open_database(postgres_url, NOWHERE)
    postgres_server.stop(immediate=True)
    try:
        with pytest.raises(Unavailable):
            await set_up_vectors(database)
    finally:
        postgres_server.start()
        await database.close()
