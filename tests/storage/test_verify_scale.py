"""The check of the books on a PostgreSQL that knows nothing of its tables yet: no statistics, as after a crash."""

from pathlib import Path

import pytest

from neuralrouting.storage.database import open_database
from neuralrouting.storage.verify import verify
from settling import NOON_MS, new_account, new_worker, settled

pytestmark = pytest.mark.anyio
REQUESTS, A_TURN = 8_000, 500


@pytest.mark.timeout(30)
async def test_thousands_of_requests_are_checked_before_anybody_has_analysed_the_tables(
    postgres_url: str, tmp_path: Path
):
    """Whatever plan is chosen for it, no statement may come near the limit of five seconds."""
    database = await open_database(postgres_url, tmp_path)
    worker = await new_worker(await new_account(database, credits_mc=10**9))
    for first in range(0, REQUESTS, A_TURN):
        numbers = range(first, first + A_TURN)
        await worker.turn(*(settled(f"r{number:06d}", 7, created_ms=NOON_MS + number) for number in numbers))
    assert await verify(database, NOON_MS) == []
    await database.close()
