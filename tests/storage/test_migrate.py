"""Migrations are applied once, in order, by one worker at a time, and never change afterwards."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from neuralrouting.errors import ConfigError
from neuralrouting.exchange import Budget, CacheEntry, Plan, SecurityEvent
from neuralrouting.storage.accounts import AccountRow
from neuralrouting.storage.audit import AuditRows
from neuralrouting.storage.books import Balance, Books
from neuralrouting.storage.database import FILE_NAME, Database, open_database
from neuralrouting.storage.keys import KeyRow, KeyRows
from neuralrouting.storage.ledger import Entry
from neuralrouting.storage.migrate import Migration, packaged, pending, statements
from neuralrouting.storage.postgres import open_postgres
from neuralrouting.storage.purges import Purge
from neuralrouting.storage.requests import RequestRow
from neuralrouting.storage.rollups import CELL_COLUMNS, ROLLUP_COLUMNS, SESSION_COLUMNS
from neuralrouting.storage.rules import RuleRow
from neuralrouting.storage.sqlite import open_sqlite
from neuralrouting.storage.trail import TrailEntry
from neuralrouting.storage.verify import verify

LOG = "SELECT number, name FROM schema_migrations ORDER BY number"
APPLIED = [
    (1, "initial"),
    (2, "shield_and_classification"),
    (3, "money"),
    (4, "semantic_cache"),
    (5, "routing"),
    (6, "people"),
    (7, "trail"),
    (8, "figures"),
    (9, "tail"),
]
TEXTS = ("request_id", "account_id", "key_id", "endpoint", "cache", "attempts", "candidates")
FIRST_FIELDS = (
    *TEXTS, "created_ms", "stream", "simulated", "status", "prompt_tokens", "completion_tokens", "cached_tokens",
    "cache_write_tokens", "reasoning_tokens", "latency_us",
)  # fmt: skip
"""What a request row of the first version had to have."""
OPEN = """
import asyncio, sys
from pathlib import Path
from neuralrouting.storage.database import open_database

async def main():
    database = await open_database(sys.argv[1] or None, Path(sys.argv[2]))
    await database.close()

asyncio.run(main())
"""


def _record(migration: Migration) -> tuple[int, str, str]:
    return migration.number, migration.name, migration.sha256


FIRST, SECOND = Migration(1, "first", "CREATE TABLE a (b TEXT);\n"), Migration(2, "second", "DROP TABLE a;\n")


def test_only_what_was_not_applied_is_pending():
    assert pending([], [FIRST, SECOND]) == (FIRST, SECOND)
    assert pending([_record(FIRST)], [FIRST, SECOND]) == (SECOND,)
    assert pending([_record(FIRST), _record(SECOND)], [FIRST, SECOND]) == ()


def test_a_migration_that_changed_after_it_was_applied_is_refused():
    with pytest.raises(ConfigError, match="0001_first differs from the one that was applied"):
        pending([_record(FIRST)], [Migration(1, "first", "CREATE TABLE a (b TEXT, c TEXT);\n"), SECOND])


def test_a_database_from_a_newer_version_is_refused():
    with pytest.raises(ConfigError, match=r"has migration 0002_second.*up to 0001 only"):
        pending([_record(FIRST), _record(SECOND)], [FIRST])


def test_both_dialects_have_the_same_migrations():
    names = {dialect: [(m.number, m.name) for m in packaged(dialect)] for dialect in ("sqlite", "postgres")}
    assert names["sqlite"] == names["postgres"]
    assert [number for number, _ in names["sqlite"]] == list(range(1, len(names["sqlite"]) + 1))


def test_a_migration_splits_into_its_statements():
    assert statements("-- why; because\nCREATE TABLE a (b TEXT);\n\nCREATE TABLE c (\n  d TEXT\n);\n") == [
        "-- why; because\nCREATE TABLE a (b TEXT)",
        "\nCREATE TABLE c (\n  d TEXT\n)",
    ]


async def _columns(database: Database, table: str) -> list[str]:
    if database.dialect == "sqlite":
        rows = await database.fetch(f"SELECT name FROM pragma_table_info('{table}') ORDER BY cid")
    else:
        sql = "SELECT column_name::text FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position"
        rows = await database.fetch(sql, table)
    return [row[0] for row in rows]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("table", "fields"),
    [
        ("requests", RequestRow.__struct_fields__),
        ("api_keys", KeyRow.__struct_fields__),
        ("cache_entries", ("seq", *CacheEntry.__struct_fields__)),
        ("accounts", AccountRow.__struct_fields__),
        ("security_events", SecurityEvent.__struct_fields__),
        ("shield_rules", RuleRow.__struct_fields__),
        ("plans", (*Plan.__struct_fields__, "changed_ms")),
        ("budgets", (*Budget.__struct_fields__, "deleted", "changed_ms")),
        ("ledger", Entry.__struct_fields__),
        ("cache_purges", (*Purge.__struct_fields__, "swept_ms")),
        ("cells", CELL_COLUMNS),
        ("rollups", ROLLUP_COLUMNS),
        ("sessions", SESSION_COLUMNS),
        ("trail", TrailEntry.__struct_fields__),
    ],
)
async def test_a_table_has_the_columns_of_its_rows(database: Database, table: str, fields: tuple[str, ...]):
    # Whoever follows requests goes by the rowid on SQLite.
    order = ["seq"] if (table, database.dialect) == ("requests", "postgres") else []
    assert await _columns(database, table) == [*fields, *order]


@pytest.mark.anyio
async def test_opening_twice_applies_each_migration_once(database: Database, database_place: tuple[str | None, Path]):
    again = await open_database(*database_place)
    try:
        assert await again.fetch(LOG) == APPLIED
    finally:
        await again.close()


@pytest.mark.anyio
async def test_a_database_of_the_first_version_keeps_its_keys_and_requests_and_gets_what_is_new(
    database_place: tuple[str | None, Path],
):
    url, data_dir = database_place
    dialect = "sqlite" if url is None else "postgres"
    first = packaged(dialect)[:1]
    data_dir.mkdir(parents=True)
    old = await (open_sqlite(data_dir / FILE_NAME, first) if url is None else open_postgres(url, first))
    await old.execute("INSERT INTO accounts (id, name, created_ms) VALUES ($1, $2, $3)", "acme", "Acme", 1)
    columns = "id, account_id, name, live, secret_sha256, last4, created_ms, changed_ms"
    await old.execute(
        f"INSERT INTO api_keys ({columns}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        "one", "acme", "laptop", 1, bytes(32), "9f3a", 1, 1,
    )  # fmt: skip
    values = ["x" if field in TEXTS else 1 for field in FIRST_FIELDS]
    places = ", ".join(f"${place}" for place in range(1, len(values) + 1))
    await old.execute(f"INSERT INTO requests ({', '.join(FIRST_FIELDS)}) VALUES ({places})", *values)
    await old.close()
    opened = await open_database(url, data_dir)
    try:
        assert await opened.fetch(LOG) == APPLIED
        [key] = await KeyRows(opened).all("acme")
        assert (key.id, key.shield_mode) == ("one", None)
        row = await AuditRows(opened).find("x", "x")
        assert row is not None
        assert (row.status, row.task, row.complexity_tenths, row.high_risk, row.risk_domain) == (1, *[None] * 4)
        assert (row.team, row.hold_state, row.held_mc, row.charged_mc) == (None, None, 0, 0)
        assert await opened.fetch("SELECT plan_id FROM accounts") == [("unlimited",)]
        assert await opened.fetch("SELECT account_id, seq, hash FROM balances") == [("acme", 0, bytes(32))]
        assert await Books(opened).balance("acme") == Balance()
        assert await verify(opened, 1) == []
    finally:
        await opened.close()


@pytest.mark.anyio
async def test_a_tampered_database_is_not_opened(database: Database, database_place: tuple[str | None, Path]):
    await database.execute("UPDATE schema_migrations SET sha256 = $1", "0" * 64)
    with pytest.raises(ConfigError, match="0001_initial differs"):
        await open_database(*database_place)


@pytest.mark.anyio
async def test_many_workers_may_open_a_new_database_at_once(database_place: tuple[str | None, Path]):
    opened = await asyncio.gather(*(open_database(*database_place) for _ in range(8)))
    try:
        for database in opened:
            assert await database.fetch(LOG) == APPLIED
    finally:
        for database in opened:
            await database.close()


def test_many_processes_may_open_a_new_database_at_once(database_place: tuple[str | None, Path]):
    url, data_dir = database_place
    command = [sys.executable, "-c", OPEN, url or "", str(data_dir)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    told = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0], told
