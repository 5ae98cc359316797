"""Purges: what matches is gone from the table, of its account only, also where it is written after the purge."""

import asyncio
import unicodedata
from functools import partial
from pathlib import Path

import asyncpg
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_rows import answer, scope_of, stored
from neuralrouting.errors import InvalidField
from neuralrouting.exchange import CacheEntry
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.entries import INSERT_ENTRY, PURGE_ROWS, EntryRows, entry_values
from neuralrouting.storage.purges import KEPT_MS, READ_ROWS, SKEW_MS, SWEEPS_MS, Purge, Purges, record, texts_hold
from neuralrouting.storage.tombstones import Tombstones
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.turnstile import pass_through

NOW_MS = 1_000_000
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


async def _insert(database: Database, *entries: CacheEntry) -> Purges:
    await database.write([(INSERT_ENTRY, [entry_values(entry) for entry in entries])])
    return Purges(database)


async def _left(database: Database) -> list[str]:
    return [entry.key.decode() for _, entry in await EntryRows(database).since(0, 10_000)]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ({}, []),
        ({"key": b"a"}, ["b", "c", "d"]),
        ({"scope": scope_of("s")}, ["c", "d"]),
        ({"scope": scope_of("s"), "key": b"b"}, ["a", "c", "d"]),
        ({"scope": scope_of("s"), "key": b"c"}, ["a", "b", "c", "d"]),
        ({"pattern": "Answer"}, []),
        ({"pattern": "PARIS"}, ["a", "b", "d"]),
        ({"pattern": "paris", "scope": scope_of("s")}, ["a", "b", "c", "d"]),
        ({"pattern": "paris", "key": b"c"}, ["a", "b", "d"]),
        ({"pattern": "finish_reason"}, ["a", "b", "c", "d"]),
    ],
)
async def test_what_matches_all_that_is_given_is_deleted(
    database: Database, wanted: dict[str, bytes | str], left: list[str]
):
    purges = await _insert(
        database,
        stored("a", scope="s"),
        stored("b", scope="s"),
        stored("c", scope="t", body=answer("no", "It is Paris, that is my answer.")),
        stored("d"),
        stored("theirs", "zeta", scope="s", body=answer("an answer from Paris")),
    )
    deleted = await purges.purge("acme", **wanted, now_ms=NOW_MS, actor=GATEWAY)
    assert await _left(database) == [*left, "theirs"]
    assert deleted == 4 - len(left)


@pytest.mark.anyio
@pytest.mark.parametrize("pattern", [None, "answer"])
async def test_a_long_purge_goes_by_batches(database: Database, pattern: str | None):
    many = [stored(f"{number:05}") for number in range(PURGE_ROWS + 2 * READ_ROWS + 5)]
    later = stored("later", stored_ms=NOW_MS + SKEW_MS + 1)
    purges = await _insert(database, *many, later)
    assert await purges.purge("acme", pattern=pattern, now_ms=NOW_MS, actor=GATEWAY) == len(many)
    assert await _left(database) == ["later"]


@pytest.mark.anyio
async def test_an_entry_by_a_clock_that_is_ahead_is_purged_as_well(database: Database):
    purges = await _insert(
        database, stored("a", stored_ms=NOW_MS + 5_000), stored("b", "zeta", stored_ms=NOW_MS + 9_000)
    )
    assert await purges.purge("acme", now_ms=NOW_MS, actor=GATEWAY) == 1
    assert [purge.purged_ms for purge in await purges.since(0, NOW_MS)] == [NOW_MS + 5_000]


@pytest.mark.anyio
@pytest.mark.parametrize("pattern", ["", "x" * 501, "a\0b", "half \ud83d of a pair"])
async def test_a_pattern_that_cannot_be_looked_for_is_refused(database: Database, pattern: str):
    purges = await _insert(database, stored("a"))
    with pytest.raises(InvalidField) as refused:
        await purges.purge("acme", pattern=pattern, now_ms=NOW_MS, actor=GATEWAY)
    assert refused.value.param == "pattern"
    assert await _left(database) == ["a"]
    assert await purges.since(0, NOW_MS) == []


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ('He said "Yes".', 'SAID "yes"'),
        ("one\nline\tand another", "LINE\tand"),
        ("Größe und Ärger", "GRÖẞE"),
        ("Größe und ÄRGER", "ärger"),
        ("back\\slash", "K\\s"),
        ("日本語の答え", "の答"),
        ("smile \U0001f600 here", "\U0001f600 HERE"),
    ],
)
def test_a_pattern_is_found_in_what_the_json_stands_for(text: str, pattern: str):
    escaped = orjson.dumps({"choices": [{"message": {"content": text}}]}).decode()
    ascii_only = "".join(c if ord(c) < 128 else "".join(f"\\u{u:04x}" for u in _units(c)) for c in escaped)
    assert texts_hold(answer("another choice", text), pattern)
    assert texts_hold(ascii_only.encode(), pattern)
    assert not texts_hold(answer("another choice"), pattern)


def _units(char: str) -> list[int]:
    raw = char.encode("utf-16-be")
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


@given(texts, texts, texts)
def test_a_text_holds_every_part_of_itself_in_either_case(before: str, part: str, after: str):
    body = answer(before + part + after)
    assert texts_hold(body, before + part + after)
    if all(unicodedata.category(char)[0] != "L" or char.isascii() for char in before + part + after):
        assert texts_hold(body, part.upper())
        assert texts_hold(answer((before + part + after).upper()), part)


def test_what_is_no_answer_holds_no_text():
    for body in (b"", b"{", b"[]", b"{}", b'{"choices": [{}]}', b'{"choices": [{"message": {"content": null}}]}'):
        assert not texts_hold(body, "a")


@pytest.mark.anyio
@pytest.mark.parametrize("pattern", [None, "answer"])
async def test_a_row_that_is_written_after_its_purge_is_swept(database: Database, pattern: str | None):
    purges = await _insert(database)
    await purges.purge("acme", pattern=pattern, now_ms=NOW_MS, actor=GATEWAY)
    for after_ms in SWEEPS_MS:
        late, new = stored(f"late-{after_ms}"), stored(f"new-{after_ms}", stored_ms=NOW_MS + 1)
        await _insert(database, late, new)
        assert await purges.sweep(NOW_MS + after_ms - 1) == 0
        assert await purges.sweep(NOW_MS + after_ms) == 1
        assert await purges.sweep(NOW_MS + after_ms + 5_000) == 0
    assert await _left(database) == [f"new-{after_ms}" for after_ms in SWEEPS_MS]


@pytest.mark.anyio
async def test_of_many_workers_one_sweeps(database: Database):
    purges = await _insert(database)
    await purges.purge("acme", now_ms=NOW_MS, actor=GATEWAY)
    await _insert(database, stored("late"))
    swept = await asyncio.gather(*(purges.sweep(NOW_MS + SWEEPS_MS[0]) for _ in range(4)))
    assert sorted(swept) == [0, 0, 0, 1]


@pytest.mark.anyio
async def test_purges_are_told_in_order_and_forgotten_after_a_week(database: Database):
    purges = await _insert(database)
    await purges.purge("acme", now_ms=NOW_MS, actor=GATEWAY)
    await purges.purge("zeta", scope=scope_of("s"), key=b"k", pattern="ä", now_ms=NOW_MS + 1, actor=GATEWAY)
    first, second = await purges.since(0, NOW_MS)
    assert first == Purge(first.seq, "acme", None, None, None, NOW_MS)
    assert second == Purge(second.seq, "zeta", scope_of("s"), b"k", "ä", NOW_MS + 1)
    assert await purges.since(first.seq, NOW_MS) == [second]
    assert await purges.since(0, NOW_MS, limit=1) == [first]
    assert await purges.since(0, NOW_MS + KEPT_MS) == [second]
    await purges.sweep(NOW_MS + KEPT_MS)
    assert await purges.since(0, NOW_MS) == [second]
    await purges.purge("zeta", now_ms=NOW_MS, actor=GATEWAY)
    assert (await purges.since(second.seq, NOW_MS))[0].seq > second.seq


@pytest.mark.anyio
async def test_who_follows_by_number_misses_no_purge_that_is_committed_late(postgres_url: str, tmp_path: Path):
    """The first has drawn its number and is not committed yet: the second waits, so that it cannot be seen before."""
    database, other = [await open_database(postgres_url, tmp_path) for _ in range(2)]
    drawn, committed = asyncio.Event(), asyncio.Event()
    admin = await asyncpg.connect(postgres_url)
    try:
        holding = asyncio.create_task(_hold(admin, drawn, committed))
        await drawn.wait()
        second = asyncio.create_task(Purges(other).purge("zeta", now_ms=NOW_MS, actor=GATEWAY))
        done, _ = await asyncio.wait([second], timeout=0.3)
        assert not done
        assert await Purges(database).since(0, NOW_MS) == []
        committed.set()
        await holding
        await second
        assert [purge.account_id for purge in await Purges(database).since(0, NOW_MS)] == ["acme", "zeta"]
    finally:
        await admin.close()
        await database.close()
        await other.close()


async def _hold(connection: "asyncpg.Connection", drawn: asyncio.Event, committed: asyncio.Event) -> None:
    """What a purge does in its transaction, slowly."""
    async with connection.transaction():
        for script in (pass_through("postgres"), record(("acme", None, None, None, NOW_MS))):
            sql, rows, _ = next(script)
            await connection.fetch(sql, *rows[0])
        drawn.set()
        await committed.wait()


purge_times = st.integers(0, 3)
wanted_scopes = st.sampled_from([None, scope_of("s"), scope_of("t")])
wanted_keys = st.sampled_from([None, b"a", b"b"])
wanted_texts = st.sampled_from([None, "an", "other"])
made_purges = st.lists(
    st.builds(
        partial(Purge, 1),
        st.sampled_from(["acme", "zeta"]),
        wanted_scopes,
        wanted_keys,
        wanted_texts,
        purge_times,
    ),
    max_size=6,
)
made_entries = st.builds(
    lambda key, account, scope, text, at: stored(key, account, scope=scope, body=answer(text), stored_ms=at),
    st.sampled_from([b"a", b"b", b"c"]),
    st.sampled_from(["acme", "zeta", "none"]),
    wanted_scopes,
    st.sampled_from(["an answer", "ANOTHER one", "words"]),
    purge_times,
)


def _covered(purge: Purge, entry: CacheEntry) -> bool:
    """What a purge means, word by word."""
    return (
        purge.account_id == entry.account_id
        and entry.stored_ms <= purge.purged_ms
        and (purge.scope is None or purge.scope == entry.scope)
        and (purge.key is None or purge.key == entry.key)
        and (purge.pattern is None or texts_hold(entry.body, purge.pattern))
    )


@given(made_purges, made_entries, purge_times)
def test_tombstones_cover_what_any_purge_covers(purges: list[Purge], entry: CacheEntry, before_ms: int):
    tombstones = Tombstones()
    for purge in purges:
        tombstones.add(purge)
    assert tombstones.cover(entry) == any(_covered(purge, entry) for purge in purges)
    tombstones.forget(before_ms)
    assert tombstones.cover(entry) == any(_covered(p, entry) for p in purges if p.purged_ms >= before_ms)
