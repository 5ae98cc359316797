"""The store that benches and pictures are made from: its books are right, and one seed makes the same rows."""

import sys
from pathlib import Path

import pytest

from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.verify import verify

sys.path.insert(0, str(Path(__file__).parents[2]))

from benches.million import ACCOUNTS, seed

pytestmark = pytest.mark.anyio
NOON_MS = 1_795_867_200_000
REQUESTS, DAYS = 400, 10


async def test_a_made_up_store_has_books_without_a_breach(database: Database):
    seeded = await seed(database, REQUESTS, DAYS, 7, ACCOUNTS, until_ms=NOON_MS)
    assert sum(account.requests for account in seeded.accounts) == REQUESTS
    assert await verify(database, NOON_MS) == []
    [(first_ms, last_ms)] = await database.fetch("SELECT MIN(created_ms), MAX(created_ms) FROM requests")
    assert seeded.from_ms <= first_ms <= last_ms < seeded.until_ms


async def test_one_seed_makes_the_same_store(tmp_path: Path):
    made: list[list[tuple[object, ...]]] = []
    for name in ("one", "two"):
        database = await open_database(None, tmp_path / name)
        await seed(database, REQUESTS, DAYS, 7, ACCOUNTS[:2], until_ms=NOON_MS)
        made.append(await database.fetch("SELECT request_id, end_user, deployment, cost_nanousd FROM requests"))
        await database.close()
    assert made[0] == made[1]
