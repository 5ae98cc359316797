"""PostgreSQL: what an operator reads when it is away, and coming back without a restart."""

import asyncio
import time
from pathlib import Path

import asyncpg
import pytest

from neuralrouting.errors import ConfigError, Unavailable
from neuralrouting.storage.database import open_database
from postgres_server import PostgresServer

pytestmark = pytest.mark.anyio
NOWHERE = Path("/nonexistent")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
async def test_both_spellings_of_the_scheme_are_understood(postgres_url: str, scheme: str):
    database = await open_database(postgres_url.replace("postgresql", scheme, 1), NOWHERE)
    assert await database.fetch("SELECT MIN(number) FROM schema_migrations") == [(1,)]
    await database.close()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://user:hunter2@127.0.0.1:1/name", "127.0.0.1:1/name"),
        ("postgresql://user:hunter2@does-not-exist.invalid/name", "does-not-exist.invalid/name"),
        ("postgresql://user:hunter2@/name?host=/nonexistent/socket", "/nonexistent/socket/name"),
    ],
)
async def test_a_server_that_is_not_there_is_told_without_the_password(url: str, told: str):
    with pytest.raises(Unavailable, match="Check that the server runs") as away:
        await open_database(url, NOWHERE)
    assert told in away.value.message
    assert "hunter2" not in away.value.message


@pytest.mark.parametrize("password", ["hun#ter2", "hun/ter2", "hun?ter2", "12#hunter2", "12/hunter2", "h@unter2/3"])
async def test_a_password_that_breaks_the_address_is_not_shown(password: str):
    with pytest.raises(ConfigError, match="written as %2F") as refused:
        await open_database(f"postgresql://user:{password}@127.0.0.1:1/name", NOWHERE)
    assert "hun" not in refused.value.message
    assert "12" not in refused.value.message.replace("127.0.0.1", "")


async def test_a_database_that_does_not_exist_is_told(postgres_server: PostgresServer):
    with pytest.raises(Unavailable, match='database "nowhere" does not exist'):
        await open_database(postgres_server.url("nowhere"), NOWHERE)


async def test_a_user_who_may_not_make_tables_is_told(postgres_server: PostgresServer, postgres_url: str):
    admin = await asyncpg.connect(postgres_url)
    await admin.execute("DROP ROLE IF EXISTS reader")
    await admin.execute("CREATE ROLE reader LOGIN")
    await admin.close()
    with pytest.raises(Unavailable, match="permission denied for schema public"):
        await open_database(postgres_url.replace("postgres@", "reader@"), NOWHERE)


async def test_cut_connections_are_replaced(postgres_url: str):
    database = await open_database(postgres_url, NOWHERE)
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'neuralrouting'"
    )
    await admin.close()
    deadline_s = time.monotonic() + 5
    while True:
        try:
            assert await database.fetch("SELECT 1") == [(1,)]
            break
        except Unavailable:
            assert time.monotonic() < deadline_s
    await database.close()


async def test_a_statement_that_never_ends_is_ended(postgres_url: str):
    database = await open_database(postgres_url, NOWHERE)
    assert await database.fetch("SHOW statement_timeout") == [("5s",)]
    await database.close()


async def test_more_callers_than_connections_take_turns(postgres_url: str):
    database = await open_database(postgres_url, NOWHERE)
    await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.005)") for _ in range(40)))
    mine = "application_name = 'neuralrouting' AND datname = current_database()"
    assert 1 < (await database.fetch(f"SELECT COUNT(*) FROM pg_stat_activity WHERE {mine}"))[0][0] <= 4
    await database.close()
