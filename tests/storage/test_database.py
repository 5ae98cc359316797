"""Both databases keep the one promise of the port."""

import asyncio
from pathlib import Path

import pytest

from neuralrouting.errors import ConfigError
from neuralrouting.storage.database import Database, RowError, Script, ask, open_database, run

pytestmark = pytest.mark.anyio
INSERT = "INSERT INTO pairs (name, number) VALUES ($1, $2)"


@pytest.fixture
async def pairs(database: Database) -> Database:
    await database.execute("CREATE TABLE pairs (name TEXT NOT NULL PRIMARY KEY, number BIGINT)")
    return database


async def test_what_was_written_is_read_back(pairs: Database):
    await pairs.write([(INSERT, [("a", 1), ("b", None)]), (INSERT, [("c", 2**62)])])
    assert await pairs.fetch("SELECT name, number FROM pairs ORDER BY name") == [("a", 1), ("b", None), ("c", 2**62)]


async def test_placeholders_may_repeat_and_come_in_any_order(pairs: Database):
    await pairs.write([(INSERT, [(name, number) for number, name in enumerate("abcdefghijklm")])])
    sql = "SELECT name FROM pairs WHERE number >= $2 AND (name = $1 OR number < $3) AND number >= $2 ORDER BY name"
    assert await pairs.fetch(sql, "m", 3, 5) == [("d",), ("e",), ("m",)]


async def test_a_statement_tells_how_many_rows_it_changed(pairs: Database):
    assert await pairs.execute(INSERT, "a", 1) == 1
    assert await pairs.execute(INSERT, "b", 1) == 1
    assert await pairs.execute("UPDATE pairs SET number = 2 WHERE number = $1", 1) == 2
    assert await pairs.execute("DELETE FROM pairs WHERE name = $1", "nobody") == 0


async def test_a_write_that_fails_half_way_leaves_nothing(pairs: Database):
    with pytest.raises(RowError):
        await pairs.write([(INSERT, [("a", 1)]), (INSERT, [("b", 2), ("a", 3)])])
    assert await pairs.fetch("SELECT COUNT(*) FROM pairs") == [(0,)]
    await pairs.write([(INSERT, [("a", 1)])])
    assert await pairs.fetch("SELECT COUNT(*) FROM pairs") == [(1,)]


@pytest.mark.parametrize(
    "row", [("secret-word", "secret-number"), (None, 1), ("secret-word", 2**70), ("secret-\ud800", 1)]
)
async def test_a_refused_row_is_told_without_its_values(pairs: Database, row: tuple[object, ...]):
    if pairs.dialect == "sqlite" and row[1] == "secret-number":
        await pairs.execute("DROP TABLE pairs")
        await pairs.execute("CREATE TABLE pairs (name TEXT NOT NULL PRIMARY KEY, number INTEGER) STRICT")
    with pytest.raises(RowError) as refused:
        await pairs.write([(INSERT, [row])])
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


async def test_text_with_a_nul_is_kept_as_well_as_the_database_can(pairs: Database):
    await pairs.write([(INSERT, [("before", 1), ("a\0b", 2), ("after", 3)])])
    names = [row[0] for row in await pairs.fetch("SELECT name FROM pairs ORDER BY number")]
    assert names == ["before", "a\0b" if pairs.dialect == "sqlite" else "a\ufffdb", "after"]


async def test_a_query_sees_every_write_that_was_awaited(pairs: Database):
    for number in range(50):
        await pairs.execute(INSERT, str(number), number)
        assert await pairs.fetch("SELECT COUNT(*) FROM pairs") == [(number + 1,)]


@pytest.mark.parametrize("url", ["mysql://user:hunter2@host/name", "hunter2", "sqlite:///hunter2.db"])
async def test_an_address_of_another_kind_is_refused_without_showing_it(tmp_path: Path, url: str):
    with pytest.raises(ConfigError, match="postgresql://") as refused:
        await open_database(url, tmp_path)
    assert "hunter2" not in refused.value.message
    assert refused.value.param == "database_url"


async def test_a_snapshot_sees_one_state_and_holds_up_no_writer(pairs: Database):
    seen: list[int] = []

    def script() -> Script[int]:
        [(before,)] = yield ask("SELECT COUNT(*) FROM pairs")
        seen.append(before)
        for _ in range(200):
            [(now,)] = yield ask("SELECT COUNT(*) FROM pairs")
            seen.append(now)
        return before

    async def write() -> None:
        for number in range(50):
            await pairs.execute(INSERT, str(number), number)

    await pairs.execute(INSERT, "first", 1)
    await asyncio.gather(pairs.snapshot(script), write())
    assert set(seen) in ({number} for number in range(1, 52))
    assert await pairs.fetch("SELECT COUNT(*) FROM pairs") == [(51,)]


async def test_a_snapshot_cannot_write(pairs: Database):
    def script() -> Script[None]:
        yield ask(INSERT, "a", 1)

    with pytest.raises(Exception, match=r"(?i)read-?only|readonly"):
        await pairs.snapshot(script)
    assert await pairs.fetch("SELECT COUNT(*) FROM pairs") == [(0,)]


@pytest.mark.parametrize("durable", [False, True])
async def test_a_script_is_one_transaction(pairs: Database, *, durable: bool):
    def script(*, fail: bool) -> Script[int]:
        yield run(INSERT, [(str(number), number) for number in range(20)])
        [(count,)] = yield ask("SELECT COUNT(*) FROM pairs")
        if fail:
            raise KeyError("ours")
        return count

    with pytest.raises(KeyError, match="ours"):
        await pairs.transact(lambda: script(fail=True), durable=durable)
    assert await pairs.fetch("SELECT COUNT(*) FROM pairs") == [(0,)]
    assert await pairs.transact(lambda: script(fail=False), durable=durable) == 20
    assert await pairs.fetch("SELECT COUNT(*) FROM pairs") == [(20,)]
