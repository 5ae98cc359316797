"""Limits over several machines on a real PostgreSQL: what is let in never exceeds the plan, whoever comes and goes."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from machines import Floor, caller, limited, opened_floor, until
from neuralrouting.accounts.rates import SharedPermit, rate_headers
from neuralrouting.engine import Permit
from neuralrouting.errors import RateLimited, Unavailable
from neuralrouting.exchange import Caller
from postgres_server import PostgresServer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def floor(postgres_url: str, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Floor]:
    async with opened_floor(postgres_url, tmp_path) as opened:
        yield opened


async def test_one_machine_asks_nobody(floor: Floor):
    workers = [await floor.worker("a", beat_s=60) for _ in range(2)]
    before = [worker.database.calls for worker in workers]
    admitted = [await worker.admits(15, limited(20), caller()) for worker in workers]
    assert admitted == [15, 5]
    assert [worker.database.calls for worker in workers] == before
    assert all(isinstance(entry, Permit) for worker in workers for entry in worker.entries)


async def test_an_unlimited_plan_asks_nobody_even_beside_other_machines(floor: Floor):
    workers = [await floor.worker(name, beat_s=60) for name in ("a", "b")]
    before = [worker.database.calls for worker in workers]
    assert [await worker.admits(50, limited(None), caller()) for worker in workers] == [50, 50]
    assert [worker.database.calls for worker in workers] == before


@pytest.mark.parametrize("machines", [2, 4])
async def test_a_flood_on_several_machines_gets_the_plan_and_no_more(floor: Floor, machines: int):
    workers = await floor.together(*(f"m{n}" for n in range(machines)))
    until_s = time.monotonic() + 2.0
    admitted = 0
    while time.monotonic() < until_s:
        admitted += sum(await asyncio.gather(*(worker.admits(10, limited(20), caller()) for worker in workers)))
        await asyncio.sleep(random.uniform(0, 0.3))
    assert 20 - machines <= admitted <= 20
    await floor.age(61_000)
    await until(lambda: all(len(worker.sharing.machines) == machines for worker in workers))
    await asyncio.sleep(1.0)  # a refusal is believed for a second
    again = sum([await worker.admits(10, limited(20), caller("acme")) for worker in workers])
    assert again > 0, (
        "the first minute is over for the database, and for the machines that had let in less than the plan"
    )


async def test_the_workers_of_a_machine_and_other_machines_share_one_limit(floor: Floor):
    workers = [*await floor.together("a", "b"), await floor.worker("a"), await floor.worker("b")]
    admitted = 0
    for _ in range(2):  # what a worker that was held up did not use in time is there for the second round
        admitted += sum(await asyncio.gather(*(worker.admits(300, limited(250), caller()) for worker in workers)))
        await asyncio.sleep(1.2)
    assert 250 - 4 * (250 // 40) <= admitted <= 250


async def test_requests_that_wait_together_wait_for_one_question(floor: Floor):
    await floor.together("b", "c")
    a = await floor.worker("a", beat_s=60)
    before = a.database.calls
    assert await a.admits(40, limited(100), caller()) == 40
    assert a.database.calls == before + 1


async def test_a_machine_that_joins_late_knows_what_was_let_in_before(floor: Floor):
    a = await floor.worker("a")
    assert await a.admits(15, limited(20), caller()) == 15
    b = await floor.worker("b")
    assert await b.admits(40, limited(20), caller()) == 5
    assert not a.sharing.alone
    assert await a.admits(5, limited(20), caller()) == 0


async def test_a_newcomer_waits_until_all_workers_of_the_first_machine_have_told(floor: Floor):
    fast, slow = await floor.worker("a"), await floor.worker("a", beat_s=0.7)
    assert await fast.admits(5, limited(20), caller()) == 5
    b = await floor.worker("b")
    newcomer = asyncio.create_task(b.admits(40, limited(20), caller()))
    await until(lambda: not fast.sharing.alone)
    assert slow.sharing.alone, "it has not looked yet, and counts alone"
    assert await slow.admits(10, limited(20), caller()) == 10
    assert await newcomer == 5


async def test_a_crowd_that_arrives_while_machines_come_and_go_never_exceeds_the_plan(floor: Floor):
    random_ = random.Random(7)
    workers = [await floor.worker("m0")]
    admitted = 0
    for nth in range(1, 9):
        counts = await asyncio.gather(
            *(worker.admits(random_.randrange(8), limited(30), caller()) for worker in workers)
        )
        admitted += sum(counts)
        if nth % 2:
            workers.append(await floor.worker(f"m{nth}"))
        elif len(workers) > 1:
            await workers.pop(random_.randrange(len(workers))).stop()
    admitted += sum([await worker.admits(40, limited(30), caller()) for worker in workers])
    assert 30 - 9 <= admitted <= 30


async def test_a_machine_that_ends_in_order_leaves_its_count_to_the_next(floor: Floor):
    a = await floor.worker("a")
    assert await a.admits(15, limited(20), caller()) == 15
    await a.stop()
    b = await floor.worker("b")
    assert not b.sharing.alone
    assert await b.admits(40, limited(20), caller()) == 5
    await floor.age(62_000)
    await until(lambda: b.sharing.alone)


async def test_a_lone_machine_that_died_holds_up_limited_requests_until_its_count_is_old(floor: Floor):
    a = await floor.worker("a")
    assert await a.admits(20, limited(20), caller()) == 20
    await a.die()
    b = await floor.worker("b")
    assert await b.admits(5, limited(None), caller()) == 5
    with pytest.raises(Unavailable) as refused:
        await b.rates.enter(caller(), limited(20))
    assert refused.value.code == "limits_unavailable"
    await floor.age(77_000)
    assert await b.admits(40, limited(20), caller()) == 20


async def test_what_a_dead_worker_let_in_is_told_by_its_machine(floor: Floor):
    dead, other = await floor.worker("a"), await floor.worker("a")
    assert await dead.admits(15, limited(20), caller()) == 15
    await dead.die()
    b = await floor.worker("b")
    await until(lambda: not other.sharing.alone)
    await other.sharing.bury(dead.id)
    assert await b.admits(40, limited(20), caller()) == 5


async def test_units_of_a_machine_that_died_count_for_a_minute_and_no_longer(floor: Floor):
    a, b = await floor.together("a", "b")
    assert await a.admits(15, limited(1000), caller()) == 15
    await a.die()
    lent = await floor.units()
    assert lent >= 15
    assert await b.admits(1200, limited(1000), caller()) == 1000 - lent
    await floor.age(61_100)
    await asyncio.sleep(1.0)  # a refusal is believed for a second
    assert await b.admits(1200, limited(1000), caller()) == lent, "all but what it let in itself, by its own clock"


async def test_what_is_not_used_goes_back(floor: Floor):
    a, b = await floor.together("a", "b")
    assert await a.admits(1, limited(1000), caller()) == 1
    assert await floor.units() == 1000 // 40
    await asyncio.sleep(1.1)
    assert await floor.units() == 1
    assert await b.admits(1000, limited(1000), caller()) == 999


async def test_a_refusal_here_does_not_use_up_what_all_share(floor: Floor):
    a, _ = await floor.together("a", "b")
    plan = limited(1000, parallel=4)
    assert await a.admits(20, plan, caller()) == 2, "half of the places: the other half is the other machine's"
    for entry in a.entries:
        entry.leave()
    await asyncio.sleep(1.1)
    assert await floor.units() == 2


async def test_a_request_that_is_cancelled_while_it_waits_uses_nothing(floor: Floor):
    a, _ = await floor.together("a", "b")
    waiting = [asyncio.create_task(a.rates.enter(caller(), limited(20))) for _ in range(10)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    await asyncio.sleep(1.2)
    assert await a.admits(40, limited(20), caller()) == 20


async def test_a_request_that_is_held_up_until_its_unit_is_too_old_asks_again(floor: Floor):
    await floor.together("b", "c")
    a = await floor.worker("a", beat_s=60)
    before, loop = a.database.calls, asyncio.get_running_loop()
    a.database.after = lambda: loop.call_soon(time.sleep, 1.0)  # before the request hears of its unit
    assert await a.admits(1, limited(20), caller()) == 1
    assert a.database.calls == before + 2
    assert await floor.units() == 1, "the first unit went back"
    before = a.database.calls
    a.database.after = lambda: time.sleep(1.0)  # before the unit is looked at
    assert await a.admits(3, limited(20), caller("other")) == 3
    assert a.database.calls == before + 2
    assert await floor.units() == 1 + 3


async def test_the_key_and_its_account_are_both_counted(floor: Floor):
    a, b = await floor.together("a", "b")
    narrow = caller(requests_per_minute=4)
    assert await a.admits(3, limited(10), narrow) + await b.admits(3, limited(10), narrow) == 4
    await asyncio.sleep(1.1)  # what the account's plan had lent for the refused goes back
    assert await a.admits(10, limited(10), Caller("acme", "another key", live=True)) == 6


async def test_headers_tell_what_is_left_for_all_machines(floor: Floor):
    a, b = await floor.together("a", "b")
    assert await a.admits(12, limited(20), caller()) == 12
    entry = await b.rates.enter(caller(), limited(20))
    assert isinstance(entry, SharedPermit)
    assert rate_headers(entry)[:2] == (("x-ratelimit-limit-requests", "20"), ("x-ratelimit-remaining-requests", "7"))
    assert await b.admits(7, limited(20), caller()) == 7
    with pytest.raises(RateLimited) as refused:
        await b.rates.enter(caller(), limited(20))
    assert refused.value.retry_after_s is not None
    assert 55 < refused.value.retry_after_s <= 61
    assert dict(refused.value.headers)["x-ratelimit-remaining-requests"] == "0"


async def test_tokens_a_minute_are_split(floor: Floor):
    a, _ = await floor.together("a", "b")
    plan = limited(None, tokens=1000)
    entry = await a.rates.enter(caller(), plan)
    a.rates.take_tokens(entry, caller(), plan, 500)
    assert entry.remaining_tokens == 0
    with pytest.raises(RateLimited, match="500 tokens a minute, its part on each of 2 machines"):
        a.rates.take_tokens(entry, caller(), plan, 1)
    entry.leave(0)


async def test_a_machine_that_is_alone_again_has_the_whole_plan(floor: Floor):
    a, b = await floor.together("a", "b")
    assert await b.admits(15, limited(20), caller()) == 15
    await b.stop()
    await until(lambda: a.sharing.machines == ("a",))
    assert not a.sharing.alone, "what the other let in still counts"
    assert await a.admits(20, limited(20), caller()) == 5
    await floor.age(61_000)
    await until(lambda: a.sharing.alone)
    assert await a.admits(20, limited(20), caller()) == 15


async def test_without_the_database_each_machine_lets_its_part_in_and_tells_of_it_later(
    floor: Floor, postgres_server: PostgresServer
):
    workers = await floor.together("m0", "m1", "m2")
    assert await workers[0].admits(1, limited(20), caller()) == 1
    postgres_server.stop(immediate=True)
    try:
        admitted = await asyncio.gather(*(worker.admits(40, limited(20), caller()) for worker in workers))
        assert admitted == [6, 7, 6], "one of the first's seven was let in before"
        with pytest.raises(RateLimited, match="7 requests a minute, its part on each of 3 machines"):
            await workers[1].rates.enter(caller(), limited(20))
        with pytest.raises(Unavailable):
            await workers[2].rates.enter(caller("small"), limited(2))
    finally:
        postgres_server.start()
    await until(lambda: not any(worker.sharing.is_apart for worker in workers), 20)
    assert await floor.units() >= 20
    assert sum([await worker.admits(40, limited(20), caller()) for worker in workers]) == 0


async def test_a_machine_that_was_alone_when_the_database_went_stays_alone(
    floor: Floor, postgres_server: PostgresServer
):
    a = await floor.worker("a")
    postgres_server.stop(immediate=True)
    try:
        await asyncio.sleep(0.2)
        assert await a.admits(40, limited(20), caller()) == 20
    finally:
        postgres_server.start()
    b = await floor.worker("b")
    assert await b.admits(40, limited(20), caller()) == 0
