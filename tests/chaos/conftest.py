"""Fixtures of the chaos: one arena for each database and number of workers, shared by all that can share it."""

from collections.abc import Iterator

import pytest
from arena import Arena, open_arena

from postgres_server import PostgresServer, running_server


@pytest.fixture(scope="session")
def ledger_server(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """A PostgreSQL of our own: it is stopped and started, and not emptied between two tests."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="session", params=["sqlite-1", "sqlite-2", "postgres-1", "postgres-2"])
def arena(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """A gateway over this database with so many workers."""
    database, _, workers = request.param.partition("-")
    server = request.getfixturevalue("ledger_server") if database == "postgres" else None
    with open_arena(tmp_path_factory.mktemp(request.param), int(workers), server) as running:
        yield running
