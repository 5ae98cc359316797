"""Cache entries: the newest that fit, followed by their number, gone when expired, summed up for their account."""

import msgspec
import pytest

from cache_rows import answer, embedding, stored
from neuralrouting.exchange import CacheEntry
from neuralrouting.storage.database import Database
from neuralrouting.storage.entries import INSERT_ENTRY, PURGE_ROWS, EntryRows, entry_values

pytestmark = pytest.mark.anyio


def _entry(name: str, body: bytes = b"x" * 10, expires_ms: int = 1_000) -> CacheEntry:
    return stored(name, body=body, expires_ms=expires_ms)


async def _insert(database: Database, *entries: CacheEntry) -> EntryRows:
    await database.write([(INSERT_ENTRY, [entry_values(entry) for entry in entries])])
    return EntryRows(database)


async def _keys(rows: EntryRows, seq: int = 0) -> list[bytes]:
    return [entry.key for _, entry in await rows.since(seq, 10_000)]


async def test_an_entry_comes_back_as_it_was_written(database: Database):
    entry = _entry("a", body=bytes(range(256)))
    near = msgspec.structs.replace(stored("b", scope="s"), decider="minilm", decided=bytes(range(256)))
    rows = await _insert(database, entry, near)
    [(_, found), (_, found_near)] = await rows.since(0, 10)
    assert found == entry
    assert type(found.simulated) is bool
    assert found_near == near


async def test_the_newest_entries_that_fit_are_where_one_begins(database: Database):
    rows = await _insert(database, *(_entry(name) for name in "abcd"))
    for limit_bytes, fit in ((10_000, b"abcd"), (30, b"bcd"), (29, b"cd"), (10, b"d"), (9, b"")):
        assert b"".join(await _keys(rows, await rows.before_newest(limit_bytes))) == fit


async def test_an_empty_table_begins_at_its_beginning(database: Database):
    assert await EntryRows(database).before_newest(10_000) == 0


async def test_an_entry_written_again_comes_again_and_last(database: Database):
    rows = await _insert(database, _entry("a"), _entry("b"))
    last_seq = (await rows.since(0, 10))[-1][0]
    again = msgspec.structs.replace(_entry("a"), body=b"better", stored_ms=900)
    await _insert(database, again)
    assert [entry for _, entry in await rows.since(last_seq, 10)] == [again]
    assert [entry.body for _, entry in await rows.since(0, 10) if entry.key == b"a"] == [b"x" * 10, b"better"]


async def test_a_number_is_never_used_twice(database: Database):
    rows = await _insert(database, _entry("a"), _entry("b"))
    last_seq = (await rows.since(0, 10))[-1][0]
    await rows.drop([last_seq])
    await _insert(database, _entry("c"))
    assert await _keys(rows, last_seq) == [b"c"]


async def test_what_is_new_comes_in_pages(database: Database):
    rows = await _insert(database, *(_entry(f"{number:02}") for number in range(25)))
    seen: list[bytes] = []
    seq = 0
    while page := await rows.since(seq, 10):
        assert len(page) <= 10
        seen += [entry.key for _, entry in page]
        seq = page[-1][0]
    assert seen == [b"%02d" % number for number in range(25)]


async def test_the_expired_are_purged_and_counted(database: Database):
    expired = [_entry(f"old-{number}", expires_ms=100) for number in range(PURGE_ROWS + 5)]
    rows = await _insert(database, *expired, _entry("new", expires_ms=101))
    assert await rows.purge_expired(100) == PURGE_ROWS + 5
    assert await rows.purge_expired(100) == 0
    assert await _keys(rows) == [b"new"]


async def test_rows_are_dropped_by_their_number(database: Database):
    rows = await _insert(database, _entry("a"), _entry("b"), _entry("c"))
    seqs = [seq for seq, _ in await rows.since(0, 10)]
    await rows.drop([seqs[2], seqs[0], 1 << 40])
    assert await _keys(rows) == [b"b"]


async def test_what_is_stored_is_summed_up_for_its_account_alone(database: Database):
    other = msgspec.structs.replace(stored("c", scope="t", stored_ms=900), deployment="local/tiny")
    rows = await _insert(
        database,
        stored("a", body=b"old", scope="s", stored_ms=100),
        stored("a", body=b"newer", scope="s", stored_ms=700),  # counts instead of the first
        stored("b", body=b"1234", stored_ms=800),
        other,
        stored("d", body=b"12", scope="s", vector=embedding(), stored_ms=850),  # no words to embed
        stored("expired", scope="u", expires_ms=1_000),
        stored("theirs", "zeta", scope="v"),
    )
    size = len(answer("an answer"))
    assert await rows.statistics("acme", 1_000) == {
        "entries": 4,
        "bytes": 5 + 4 + 2 + size,
        "semantic_entries": 2,
        "scopes": 2,
        "oldest_ms": 700,
        "newest_ms": 900,
        "deployments": [
            {"deployment": "local/tiny", "entries": 1, "bytes": size},
            {"deployment": "openai/gpt-4o-mini", "entries": 3, "bytes": 11},
        ],
    }


async def test_an_account_without_answers_has_none(database: Database):
    told = await EntryRows(database).statistics("acme", 1_000)
    assert list(told.values()) == [0, 0, 0, 0, None, None, []]
