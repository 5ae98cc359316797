"""A process that stands still with locks in its hands, as one that was stopped or swapped out does."""

import asyncio
import threading
import time
from pathlib import Path

import pytest

from neuralrouting.errors import Unavailable
from neuralrouting.storage.database import Script, ask, open_database
from neuralrouting.storage.postgres import IDLE_TIMEOUT_MS
from settling import new_account

pytestmark = pytest.mark.anyio
STILL_S = IDLE_TIMEOUT_MS / 1000 + 2
TOUCH = "UPDATE balances SET seq = seq WHERE account_id = 'acme'"


async def test_who_stands_still_in_a_transaction_loses_it_and_its_locks(postgres_url: str, tmp_path: Path):
    database = await open_database(postgres_url, tmp_path)
    await new_account(database, credits_mc=1_000)
    locked = threading.Event()
    told: list[str] = []

    def standing_still() -> Script[None]:
        yield ask(TOUCH)
        locked.set()
        time.sleep(STILL_S)  # the whole process: its loop too
        yield ask(TOUCH)

    async def stand_still() -> None:
        own = await open_database(postgres_url, tmp_path)
        try:
            await own.transact(standing_still)
        except Unavailable as error:
            told.append(error.message)
        finally:
            await own.close()

    thread = threading.Thread(target=lambda: asyncio.run(stand_still()))
    thread.start()
    await asyncio.to_thread(locked.wait)
    began_s = time.monotonic()
    while True:
        try:
            await database.execute(TOUCH)
            break
        except Unavailable:  # it waits as long as a statement may
            assert time.monotonic() - began_s < STILL_S
    assert time.monotonic() - began_s < STILL_S - 1
    await asyncio.to_thread(thread.join)
    assert told, "it must hear of it"
    await database.close()
