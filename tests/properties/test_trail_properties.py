"""Whatever somebody does to the rows of the trail: the check finds it, and finds nothing where nothing was done."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuralrouting.storage.database import FILE_NAME, Script, open_database
from neuralrouting.storage.findings import Findings
from neuralrouting.storage.trail import Actor, Change, check_trail, record

ENTRIES = 6
COLUMNS = ("account_id", "seq", "at_ms", "actor", "action", "subject", "before", "after", "hash")
ROWS = f"SELECT {', '.join(COLUMNS)} FROM trail ORDER BY account_id, seq"
places = st.tuples(st.sampled_from(["acme", "zeta", ""]), st.integers(1, ENTRIES))
numbers, texts = st.integers(1, 9), st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=5)
changes = st.one_of(
    st.tuples(st.just("delete"), places),
    st.tuples(st.just("swap"), places, places),
    st.tuples(st.sampled_from(["seq", "at_ms"]), places, numbers),
    st.tuples(st.sampled_from(["actor", "action", "subject", "account_id"]), places, texts),
    st.tuples(st.sampled_from(["before", "after"]), places, st.none() | texts),
    st.tuples(st.just("hash"), places, st.binary(min_size=32, max_size=32)),
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A trail of three chains as the gateway writes it, in memory and without the triggers that protect it."""
    folder = tmp_path_factory.mktemp("trail")
    asyncio.run(_write(folder))
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with sqlite3.connect(folder / FILE_NAME) as source:
        source.backup(connection)
    source.close()
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    yield connection
    connection.close()


async def _write(folder: Path) -> None:
    database = await open_database(None, folder)
    for number in range(ENTRIES):
        for account_id in ("acme", "zeta", ""):
            change = Change(account_id, Actor(f"user_{number}"), "tried", "s", {"n": number}, {"n": number + 1})
            await database.transact(lambda change=change: record("sqlite", change))
    await database.close()


def _play(connection: sqlite3.Connection, script: Script[None]) -> None:
    answer: list[Any] | None = None
    while True:
        try:
            statement = next(script) if answer is None else script.send(answer)
        except StopIteration:
            return
        answer = connection.execute(statement.sql.replace("$", "?"), statement.rows[0]).fetchall()


def _change(connection: sqlite3.Connection, change: tuple[Any, ...]) -> None:
    what, (account_id, seq), *rest = change
    if what == "delete":
        connection.execute("DELETE FROM trail WHERE account_id = ? AND seq = ?", (account_id, seq))
    elif what == "swap":
        one, other = (account_id, seq), rest[0]
        names = ("actor", "before", "after", "hash")
        find = f"SELECT {', '.join(names)} FROM trail WHERE account_id = ? AND seq = ?"
        found = [connection.execute(find, place).fetchone() for place in (one, other)]
        put = f"UPDATE trail SET {', '.join(f'{name} = ?' for name in names)} WHERE account_id = ? AND seq = ?"
        if None not in found:
            connection.execute(put, (*found[1], *one))
            connection.execute(put, (*found[0], *other))
    else:
        sql = f"UPDATE OR IGNORE trail SET {what} = ? WHERE account_id = ? AND seq = ?"
        connection.execute(sql, (rest[0], account_id, seq))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(done=st.lists(changes, max_size=4))
def test_the_check_finds_something_just_where_something_was_done(
    written: sqlite3.Connection, done: list[tuple[Any, ...]]
):
    before = written.execute(ROWS).fetchall()
    written.execute("BEGIN")
    try:
        for change in done:
            _change(written, change)
        found = Findings()
        _play(written, check_trail(found))
        assert bool(found.breaches) == (written.execute(ROWS).fetchall() != before)
    finally:
        written.execute("ROLLBACK")
