"""A wall clock that jumps an hour, and a worker that sleeps through its leases: nobody pays twice, nobody gets more."""

import asyncio
import os
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from arena import DEAR, FULL, OUTPUT_TOKENS, RATE, SIXTY, USAGE_TOKENS, Arena, Payer, open_arena, tell
from storm import prompt, storm_over
from test_killed_workers import RICH_MC, check_books

from many_clients import Answered, Client
from neuralrouting.accounts.keys import KeyOptions
from neuralrouting.exchange import Budget
from neuralrouting.storage.books import Books
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.trail import GATEWAY

HOUR_S = 3600
PRICE_MC = RATE[DEAR] * USAGE_TOKENS
ASLEEP_S = 45.0 if FULL else 2.5
STALE_MS = 30_000 if FULL else 1_500
FOLLOWED_S = 1.5
WITHIN_S = 0.5


class Clock:
    """The wall clock of a gateway, as far as it is off."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.be_off_by(0)

    def be_off_by(self, seconds: int) -> None:
        """Jump. The file is mapped: it is written in place."""
        with self.file.open("r+b" if self.file.exists() else "w+b", buffering=0) as file:
            file.write(struct.pack("=q", seconds))


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, compiled; a C compiler is needed to build the native core anyway."""
    compiler = shutil.which("cc")
    if compiler is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("cc is missing: apt install build-essential")
    library = tmp_path_factory.mktemp("shim") / "clock_shim.so"
    source = Path(__file__).with_name("clock_shim.c")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library


@pytest.fixture(scope="module")
def jumping(shim: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Arena, Clock]]:
    """A gateway of two workers over SQLite, which takes its time from the same clock."""
    home = tmp_path_factory.mktemp("jumping")
    clock = Clock(home / "offset")
    told = {"LD_PRELOAD": str(shim), "CLOCK_OFFSET_FILE": str(clock.file)}
    with open_arena(home / "data", 2, **told) as arena:
        yield arena, clock
        clock.be_off_by(0)


async def ask(arena: Arena, payer: Payer, many: int) -> list[Answered]:
    async with Client(arena.gateway, payer.key) as client:
        return [await client.ask(prompt(), model=DEAR, max_tokens=OUTPUT_TOKENS) for _ in range(many)]


def statuses(answers: list[Answered]) -> list[int]:
    return [answer.status for answer in answers]


def test_the_gateway_does_see_the_clock_that_jumps(jumping: tuple[Arena, Clock]):
    arena, clock = jumping
    payer = arena.new_payer(RICH_MC)
    clock.be_off_by(HOUR_S)
    asyncio.run(ask(arena, payer, 1))
    arena.wait_until_settled(payer)
    clock.be_off_by(0)
    [(created_ms,)] = arena.fetch("SELECT created_ms FROM requests WHERE account_id = $1", payer.account_id)
    assert abs(int(str(created_ms)) / 1000 - HOUR_S - time.time()) < 60
    [(seen_ms,)] = arena.fetch(
        "SELECT created_ms FROM ledger WHERE account_id = $1 AND kind = 'usage'", payer.account_id
    )
    assert abs(int(str(seen_ms)) / 1000 - HOUR_S - time.time()) < 60


def test_an_hour_to_and_fro_under_load_changes_no_sum(jumping: tuple[Arena, Clock]):
    arena, clock = jumping
    payer = arena.new_payer(RICH_MC)
    made_before = arena.answers_made()
    with storm_over(arena, payer, clients=12) as storm:
        for seconds in (HOUR_S, 0, -HOUR_S, HOUR_S, 0):
            time.sleep(0.6)
            clock.be_off_by(seconds)
        time.sleep(0.6)
    arena.wait_until_settled(payer)
    tell(f"{storm.told()}")
    assert not storm.refused
    assert storm.broken == 0
    check_books(arena, storm, arena.answers_made() - made_before)


def test_a_jump_neither_gives_nor_takes_requests_of_the_minute(jumping: tuple[Arena, Clock]):
    arena, clock = jumping
    payer = arena.new_payer(RICH_MC, SIXTY)
    seen: list[int] = []
    for seconds in (0, HOUR_S, -HOUR_S):
        clock.be_off_by(seconds)
        seen += statuses(asyncio.run(ask(arena, payer, 25)))
    clock.be_off_by(0)
    assert seen == [200] * 60 + [429] * 15


def test_an_hourly_budget_is_that_of_the_hour_that_the_clock_tells(jumping: tuple[Arena, Clock]):
    arena, clock = jumping
    payer = arena.new_payer(RICH_MC, options=KeyOptions())
    cost_nanousd = 248 * 10_000 + 40 * 20_000
    budget = Budget(
        f"hourly-{payer.account_id}", payer.account_id, "h", "account", "", "hour", 3 * cost_nanousd, "block"
    )
    arena.within(lambda database: BudgetRows(database).put(budget, time.time_ns() // 1_000_000, actor=GATEWAY))
    time.sleep(FOLLOWED_S)
    seen: list[list[int]] = []
    for seconds in (0, HOUR_S, 0):
        clock.be_off_by(seconds)
        seen.append(statuses(asyncio.run(ask(arena, payer, 4))))
        time.sleep(WITHIN_S)
    this_hour, next_hour, back = seen
    assert this_hour == next_hour == [200, 200, 402, 402]
    assert back == [402] * 4, "the hour that was spent stays spent"
    windows = arena.within(lambda database: BudgetRows(database).windows(budget))
    assert [window.spent_nanousd for window in windows] == [2 * cost_nanousd] * 2
    assert arena.breaches() == []


@pytest.mark.parametrize("arena", ["postgres-1"], indirect=True)
def test_a_worker_that_slept_through_its_leases_charges_what_is_there_and_writes_the_rest_off(arena: Arena):
    """Another machine takes the leases of a worker that stands still; it wakes up with an answer to settle."""
    payer = arena.new_payer(2 * PRICE_MC)
    [pid] = arena.worker_ids().values()

    async def journey() -> list[Answered]:
        async with arena.gateway.opened() as database, Client(arena.gateway, payer.key) as client:
            books = Books(database)
            under_way = asyncio.create_task(client.ask(prompt(), model=DEAR, stream=True, max_tokens=OUTPUT_TOKENS))
            for _ in range(1_000):
                if (await books.balance(payer.account_id)).reserved_mc:
                    break
                await asyncio.sleep(0.002)
            os.kill(pid, signal.SIGSTOP)  # let in, and not answered yet
            try:
                await asyncio.sleep(ASLEEP_S)
                assert len(await books.reap("another machine", STALE_MS)) == 1
                balance = await books.balance(payer.account_id)
                assert balance.reserved_mc == 0
                # Meanwhile its credits are spent elsewhere, all but a few.
                left_mc = 700 - balance.posted_mc
                await books.adjust(payer.account_id, left_mc, "elsewhere", "chaos", "spent at another machine")
            finally:
                os.kill(pid, signal.SIGCONT)
            return [await under_way, *(await asyncio.gather(*(client_asks() for _ in range(4))))]

    async def client_asks() -> Answered:
        async with Client(arena.gateway, payer.key) as client:
            return await client.ask(prompt(), model=DEAR, max_tokens=OUTPUT_TOKENS)

    first, *later = asyncio.run(journey())
    assert first.status == 200
    assert statuses(later) == [402] * 4
    arena.wait_until_settled(payer)
    rows = arena.fetch(
        "SELECT delta_mc, loss_mc FROM ledger WHERE account_id = $1 AND kind = 'usage'", payer.account_id
    )
    assert rows == [(-700, PRICE_MC - 700)]
    assert arena.balance(payer).posted_mc == 0
    assert arena.breaches() == []


@pytest.mark.parametrize("arena", ["postgres-2"], indirect=True)
def test_a_ledger_clock_that_jumps_ahead_has_living_workers_reaped_and_nobody_pays_twice(arena: Arena):
    """For another machine everybody is an hour late then: it takes leases under requests that are on their way."""
    payer = arena.new_payer(RICH_MC)
    made_before = arena.answers_made()

    def reap() -> int:
        return len(arena.within(lambda database: Books(database).reap("another machine", 30_000 - HOUR_S * 1000)))

    with storm_over(arena, payer, clients=12) as storm:
        reaped = 0
        for _ in range(6):
            time.sleep(0.4)
            reaped += reap()
    arena.wait_until_settled(payer)
    tell(f"{reaped} times a living worker was reaped; {storm.told()}")
    assert reaped > 0
    assert storm.broken == 0
    check_books(arena, storm, arena.answers_made() - made_before)
