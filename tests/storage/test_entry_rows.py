"""Cache entries: newest first within a bound, followed by their number, purged when expired."""

import msgspec
import pytest

from neuralrouting.exchange import CacheEntry
from neuralrouting.storage.database import Database
from neuralrouting.storage.entries import INSERT_ENTRY, PURGE_ROWS, EntryRows, entry_values

pytestmark = pytest.mark.anyio


def _entry(name: str, body: bytes = b"x" * 10, expires_ms: int = 1_000) -> CacheEntry:
    return CacheEntry(
        key=name.encode(),
        account_id="acme",
        body=body,
        deployment="openai/gpt-4o-mini",
        simulated=True,
        prompt_tokens=3,
        completion_tokens=4,
        stored_ms=500,
        expires_ms=expires_ms,
    )


async def _insert(database: Database, *entries: CacheEntry) -> EntryRows:
    await database.write([(INSERT_ENTRY, [entry_values(entry) for entry in entries])])
    return EntryRows(database)


async def test_an_entry_comes_back_as_it_was_written(database: Database):
    entry = _entry("a", body=bytes(range(256)))
    rows = await _insert(database, entry)
    [(_, found)] = await rows.newest(10_000)
    assert found == entry
    assert type(found.simulated) is bool


async def test_the_newest_entries_that_fit_come_first(database: Database):
    rows = await _insert(database, *(_entry(name) for name in "abcd"))
    assert [entry.key for _, entry in await rows.newest(10_000)] == [b"d", b"c", b"b", b"a"]
    assert [entry.key for _, entry in await rows.newest(29)] == [b"d", b"c"]
    assert [entry.key for _, entry in await rows.newest(30)] == [b"d", b"c", b"b"]
    assert await rows.newest(9) == []


async def test_an_entry_written_again_comes_again_and_first(database: Database):
    rows = await _insert(database, _entry("a"), _entry("b"))
    last_seq = (await rows.newest(10_000))[0][0]
    again = msgspec.structs.replace(_entry("a"), body=b"better", stored_ms=900)
    await _insert(database, again)
    assert [entry for _, entry in await rows.since(last_seq, 10)] == [again]
    assert [entry.body for _, entry in await rows.newest(10_000) if entry.key == b"a"] == [b"better", b"x" * 10]


async def test_a_number_is_never_used_twice(database: Database):
    rows = await _insert(database, _entry("a"), _entry("b"))
    await _insert(database, _entry("a"))
    last_seq = (await rows.newest(10_000))[0][0]
    assert await rows.delete(b"a")
    await _insert(database, _entry("c"))
    assert [entry.key for _, entry in await rows.since(last_seq, 10)] == [b"c"]


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
    assert [entry.key for _, entry in await rows.newest(10_000)] == [b"new"]


async def test_one_entry_is_deleted_by_its_key(database: Database):
    rows = await _insert(database, _entry("a"), _entry("b"))
    assert await rows.delete(b"a")
    assert not await rows.delete(b"a")
    assert [entry.key for _, entry in await rows.newest(10_000)] == [b"b"]
