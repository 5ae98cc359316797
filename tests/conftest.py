"""Fixtures for every suite: an event loop, and both databases, empty and of one's own for each test."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from live_gateway import LiveGateway, running_gateway
from neuralrouting.storage.database import Database, open_database
from postgres_server import PostgresServer, missing, running_server


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for the whole session."""
    reason = missing()
    if reason is not None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    with running_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """An empty PostgreSQL database."""
    postgres_server.empty()
    return postgres_server.url()


@pytest.fixture(params=["sqlite", "postgres"])
def database_place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str | None, Path]:
    """Each of the two databases, empty: what `open_database` takes, as often as a test likes."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    return url, tmp_path / "data"


@pytest.fixture
async def database(database_place: tuple[str | None, Path], anyio_backend: str) -> AsyncIterator[Database]:
    """Each of the two databases, open and up to date."""
    opened = await open_database(*database_place)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway as a newcomer starts it, without the local model: every tier is simulated."""
    with running_gateway(tmp_path_factory.mktemp("gateway"), config='local: {enabled: "off"}') as running:
        yield running
