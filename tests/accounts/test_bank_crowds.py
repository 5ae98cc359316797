"""Many requests that want to be let in at once, and a bank that must ask before it can say."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from counting_house import opened_house
from neuralrouting.accounts.bank import Bank, Hold
from neuralrouting.accounts.purse import Purses, Short
from neuralrouting.errors import Unavailable
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import Batch, Database, Dialect, Row, Script
from neuralrouting.storage.journal import Journal, Started
from neuralrouting.storage.turns import Free, Turn, TurnResult, Want
from settling import new_account, new_worker, settled

pytestmark = pytest.mark.anyio

_Result = TypeVar("_Result")


def started(request_id: str, account_id: str = "acme") -> Started:
    return Started(request_id, 1, account_id, "AbCdEfGhIjKl", "/v1/chat/completions", stream=False, held_mc=10)


async def hold(bank: Bank, request_id: str, amount: int, account_id: str = "acme") -> Hold:
    return await bank.hold(((f"credits/{account_id}", amount),), started(request_id, account_id))


class MuteDatabase:
    """A database that does what it is asked and, while `mute`, never says so: the connection broke after the commit.

    While `speaks` is cleared it answers nothing at all.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.mute = False
        self.speaks = asyncio.Event()
        self.speaks.set()

    @property
    def dialect(self) -> Dialect:
        return self._database.dialect

    async def execute(self, sql: str, *args: Any) -> int:  # noqa: ANN401  what a column can hold
        return await self._database.execute(sql, *args)

    async def fetch(self, sql: str, *args: Any) -> list[Row]:  # noqa: ANN401
        return await self._database.fetch(sql, *args)

    async def write(self, batches: Sequence[Batch]) -> None:
        await self._database.write(batches)

    async def transact(self, script: Callable[[], Script[_Result]], *, durable: bool = False) -> _Result:
        result = await self._database.transact(script, durable=durable)
        await self.speaks.wait()
        if self.mute:
            raise Unavailable("the connection is gone")
        return result

    async def snapshot(self, script: Callable[[], Script[_Result]]) -> _Result:
        return await self._database.snapshot(script)

    async def close(self) -> None:
        await self._database.close()


async def test_all_who_come_first_to_a_rich_account_are_let_in(database: Database, tmp_path: Path):
    await new_account(database, credits_mc=1_000_000)
    async with opened_house(database, tmp_path) as house:
        first = asyncio.create_task(hold(house.bank, "r0", 10))
        holds = [first]
        for number in range(1, 30):  # one after the other while the first one's turn is on its way
            await asyncio.sleep(0)
            holds.append(asyncio.create_task(hold(house.bank, f"r{number}", 10)))
        for number, held in enumerate(await asyncio.gather(*holds)):
            house.bank.settle(held, settled(f"r{number}", 10))


async def test_who_comes_while_another_account_is_asked_about_is_let_in(database: Database, tmp_path: Path):
    names = [f"acme{number}" for number in range(8)]
    for name in names:
        await new_account(database, name, credits_mc=1_000_000)
    async with opened_house(database, tmp_path) as house:
        holds: list[asyncio.Task[Hold]] = []
        for name in names:
            holds.append(asyncio.create_task(hold(house.bank, name, 10, name)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        for name, held in zip(names, await asyncio.gather(*holds), strict=True):
            house.bank.settle(held, settled(name, 10, account_id=name))


async def test_who_comes_after_a_turn_that_was_never_answered_is_not_called_poor(database: Database, tmp_path: Path):
    await new_account(database, credits_mc=1_000_000)
    muted = MuteDatabase(database)
    bank = Bank(Books(muted), Journal.create(tmp_path, "w1"), flush_s=0.01)
    await bank.start("this machine")
    muted.mute = True
    with pytest.raises(Unavailable):
        await hold(bank, "r0", 10)
    late = asyncio.create_task(hold(bank, "r1", 500_000))  # more than the turn has leased
    await asyncio.sleep(0)
    muted.mute = False
    held = await late
    bank.settle(held, settled("r1", 500_000))
    await bank.close()


async def test_what_is_at_hand_is_not_promised_again_as_what_may_come_free(database: Database, tmp_path: Path):
    await new_account(database, credits_mc=15)
    async with opened_house(database, tmp_path) as house:
        held = await hold(house.bank, "r0", 10)
        with pytest.raises(Short) as told:
            await hold(house.bank, "r1", 10)
        assert told.value.free + told.value.reserved >= 10, "the first one may cost nothing in the end"
        house.bank.settle(held, settled("r0", 10))
        with pytest.raises(Short) as told:
            await hold(house.bank, "r2", 10)
        assert (told.value.free, told.value.reserved) == (5, 0)


def test_old_news_of_a_purse_refuse_nobody():
    purses, now_s = Purses(), time.monotonic()
    parts = (("credits/acme", 10),)
    wants, _ = purses.plan([parts], now_s)
    assert purses.known_short(parts, now_s) is None, "it was asked about, and not heard of yet"
    purses.learn(Turn("w1", 1, 0, wants=wants), (), TurnResult({}, {"credits/acme": Free(3, 0)}), now_s)
    short = purses.known_short(parts, now_s)
    assert short is not None
    assert short.free == 3
    assert wants == (Want("credits/acme", 10, 90),)


async def test_who_waits_for_a_database_that_is_silent_is_refused_in_time(database: Database, tmp_path: Path):
    await new_account(database, credits_mc=1_000)
    silent = MuteDatabase(database)
    bank = Bank(Books(silent), Journal.create(tmp_path, "w1"), flush_s=0.01, wait_s=0.2)
    await bank.start("this machine")
    silent.speaks.clear()
    began_s = time.monotonic()
    with pytest.raises(Unavailable) as told:
        await hold(bank, "r0", 10)
    assert time.monotonic() - began_s < 2
    assert told.value.code == "ledger_unavailable"
    silent.speaks.set()
    held = await hold(bank, "r1", 10)
    bank.settle(held, settled("r1", 10))
    await bank.close()
    balance = await Books(database).balance("acme")
    assert (balance.posted_mc, balance.reserved_mc) == (990, 0)


async def test_what_is_on_its_way_back_is_not_lent_again(database: Database, tmp_path: Path):
    """Else the request that took it is let in on credits that another worker may have by now."""
    await new_account(database, credits_mc=100)
    silent = MuteDatabase(database)
    bank = Bank(Books(silent), Journal.create(tmp_path, "w1"), flush_s=0.01)
    await bank.start("this machine")
    bank.settle(await hold(bank, "r0", 10), settled("r0", 10))
    silent.speaks.clear()
    other = await new_worker(Books(database), "w2")
    for _ in range(100):
        await asyncio.sleep(0.02)
        if (await Books(database).balance("acme")).reserved_mc == 0:
            break  # the rest of the lease is back, and nobody has said so yet
    assert await other.lease("credits/acme", 90) == 90
    late = asyncio.create_task(hold(bank, "r1", 10))
    await asyncio.sleep(0.05)
    assert not late.done()
    silent.speaks.set()
    with pytest.raises(Short):
        await late
    await bank.close()


def test_news_that_a_lease_has_outlived_promises_nothing():
    purses, now_s = Purses(), time.monotonic()
    parts = (("credits/acme", 10),)
    wants, _ = purses.plan([parts], now_s)
    news = TurnResult({"credits/acme": 12}, {"credits/acme": Free(0, 12)})
    purses.learn(Turn("w1", 1, 0, wants=wants), (), news, now_s)
    purses.hold(parts, now_s)
    purses.resolve(parts, {"credits/acme": 10})
    _, returns = purses.plan([], now_s)
    assert returns == (("credits/acme", 2),)
    purses.learn(Turn("w1", 2, 0, returns=returns), (("credits/acme", 10),), TurnResult({}, {}), now_s)
    assert purses.known_short(parts, now_s) is None, "how the purse stands now, nobody has asked"
