"""Whatever two workers' banks go through, in whatever order: no hold leaks and every settlement counts once."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from neuralrouting.accounts.bank import Bank, Hold
from neuralrouting.accounts.purse import Part, Short
from neuralrouting.accounts.recovery import recover
from neuralrouting.errors import Unavailable
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import open_database
from neuralrouting.storage.journal import Journal, Started
from neuralrouting.storage.turns import Settlement, budget_purse, credits_purse
from neuralrouting.storage.verify import verify
from postgres_server import PostgresServer
from settling import new_account, new_budget, settled
from unsteady import AFTER, BEFORE, UnsteadyDatabase

GIVEN_MC = {"acme": 1_000, "zeta": 300}
BUDGET, LIMIT = budget_purse("b1", 0, ""), 700
T = TypeVar("T")
workers = st.integers(0, 1)


@dataclass
class Request:
    """One request: what it holds or waits for, of whom."""

    id: str
    account: str
    held_mc: int
    parts: tuple[Part, ...]
    task: "asyncio.Task[Hold]"


@dataclass
class Worker:
    """One process: its bank, its journal, and the requests that it has."""

    bank: Bank
    journal: Journal
    task: "asyncio.Task[Any]"
    requests: list[Request] = field(default_factory=list)


class Counters(RuleBasedStateMachine):
    """Two workers over one database that fails now and then, and an operator who tops up."""

    server: PostgresServer | None = None

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="nr-bank-"))
        if self.server is not None:
            self.server.empty()
        url = self.server.url() if self.server is not None else None
        self.database = UnsteadyDatabase(self.wait(open_database(url, self.folder / "data")))
        self.books = Books(self.database)
        self.workers: list[Worker] = []
        self.count = 0
        self.expected: dict[str, tuple[str, int]] = {}
        """Of each request that was let in: how its hold ended, and what it was charged."""
        self.spent = 0
        self.given_mc = dict(GIVEN_MC)

    def wait(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(doing)

    @initialize()
    def begin(self) -> None:
        for account, mc in GIVEN_MC.items():
            self.wait(new_account(self.database, account, mc))
        self.wait(new_budget(self.database, "b1", LIMIT))
        self.workers = [self.wait(self.new_worker()) for _ in range(2)]

    async def new_worker(self) -> Worker:
        self.count += 1
        journal = Journal.create(self.folder / "journals", f"w{self.count}", segment_bytes=4_096)
        bank = Bank(self.books, journal, flush_s=0.001)
        before = asyncio.all_tasks()
        await bank.start("here")
        [task] = asyncio.all_tasks() - before
        return Worker(bank, journal, task)

    @rule(
        who=workers,
        account=st.sampled_from(sorted(GIVEN_MC)),
        amount=st.integers(1, 400),
        budget=st.none() | st.integers(1, 300),
    )
    def ask(self, who: int, account: str, amount: int, budget: int | None) -> None:
        """A request comes; it may have to wait for a lease."""

        async def begin() -> None:
            self.count += 1
            name = f"req_{self.count}"
            credit = (credits_purse(account), amount)
            parts = ((BUDGET, budget), credit) if budget is not None else (credit,)
            started = Started(name, 1, account, "AbCdEfGhIjKl", "/v1/dispatch", stream=False, held_mc=amount)
            task = asyncio.create_task(self.workers[who].bank.hold(parts, started))
            self.workers[who].requests.append(Request(name, account, amount, parts, task))
            await asyncio.sleep(0)

        self.wait(begin())

    @rule(who=workers, place=st.integers(0, 5), steps=st.integers(0, 40))
    def leave(self, who: int, place: int, steps: int) -> None:
        """A client leaves, at any moment of its waiting."""

        async def cancel() -> None:
            for _ in range(steps):
                await asyncio.sleep(0)
            if place < len(self.workers[who].requests):
                self.workers[who].requests[place].task.cancel()
                await asyncio.sleep(0)

        self.wait(cancel())

    @rule(ms=st.integers(0, 20))
    def pass_time(self, ms: int) -> None:
        self.wait(asyncio.sleep(0.001 * ms))

    @rule(who=workers, place=st.integers(0, 5), percent=st.none() | st.integers(0, 100))
    def finish(self, who: int, place: int, percent: int | None) -> None:
        """A request that was let in ends: it cost a part of what it holds, or nothing (None)."""

        async def settle() -> None:
            worker = self.workers[who]
            ready = [one for one in worker.requests if one.task.done()]
            if place < len(ready):
                worker.requests.remove(ready[place])
                self.end(worker, ready[place], percent)

        self.wait(settle())

    def end(self, worker: Worker, request: Request, percent: int | None) -> None:
        if request.task.cancelled() or request.task.exception() is not None:
            assert request.task.cancelled() or isinstance(request.task.exception(), Short | Unavailable)
            return
        charged_mc = 0 if percent is None else request.held_mc * percent // 100
        state = "voided" if percent is None else "settled"
        row = settled(request.id, charged_mc, account_id=request.account, held_mc=request.held_mc, hold_state=state).row
        spends = tuple((name, amount * (percent or 0) // 100) for name, amount in request.parts if name == BUDGET)
        worker.bank.settle(request.task.result(), Settlement(row, metered=True, spends=spends))
        self.expected[request.id] = (state, charged_mc)
        self.spent += sum(amount for _, amount in spends)

    @rule(failures=st.lists(st.sampled_from([BEFORE, AFTER]), min_size=1, max_size=3))
    def fail(self, failures: list[str]) -> None:
        """The next transactions fail, before they begin or after they are committed."""
        self.database.failures.extend(failures[: 3 - len(self.database.failures)])

    @rule(account=st.sampled_from(sorted(GIVEN_MC)), mc=st.integers(1, 200))
    def top_up(self, account: str, mc: int) -> None:
        self.database.failures.clear()
        self.count += 1
        self.wait(self.books.top_up(account, mc, f"paid_{self.count}", "tests", "paid"))
        self.given_mc[account] += mc

    @rule(who=workers)
    def die(self, who: int) -> None:
        """A worker is killed where it stands; its journal is replayed, and another one comes."""

        async def kill() -> None:
            worker = self.workers[who]
            worker.task.cancel()
            await asyncio.wait([worker.task])
            worker.journal.close(remove=False)
            for request in worker.requests:
                if request.task.done() and not request.task.cancelled() and request.task.exception() is None:
                    self.expected[request.id] = ("expired", 0)
                request.task.cancel()
            await asyncio.gather(*(request.task for request in worker.requests), return_exceptions=True)
            self.database.failures.clear()
            assert await recover(self.folder / "journals", self.books, _forget) == 1
            self.workers[who] = await self.new_worker()

        self.wait(kill())

    @invariant()
    def leases_never_exceed_what_there_is(self) -> None:
        sql = "SELECT account_id, posted_mc, reserved_mc FROM balances"
        for account, posted, reserved in self.wait(self.database.fetch(sql)):
            assert 0 <= reserved <= posted <= self.given_mc[account]
        rows = self.wait(self.database.fetch("SELECT spent_nanousd, reserved_nanousd FROM budget_windows"))
        assert all(spent + reserved <= LIMIT for spent, reserved in rows)

    def teardown(self) -> None:
        try:
            if self.workers:
                self.wait(self.finish_all())
        finally:
            self.wait(self.database.close())
            self.runner.close()
            shutil.rmtree(self.folder)

    async def finish_all(self) -> None:
        """Everything ends; then all of it was counted once, and all that is left can be held by any one worker."""
        for worker in self.workers:
            await asyncio.wait([one.task for one in worker.requests] or [asyncio.create_task(asyncio.sleep(0))])
            for request in worker.requests:
                self.end(worker, request, 50)
            await worker.bank.flush()
        self.database.failures.clear()
        first, second = self.workers
        await second.bank.close()
        await self.hold_everything(first)
        await first.bank.close()
        assert await verify(self.database, time.time_ns() // 1_000_000) == []
        rows = await self.database.fetch("SELECT request_id, hold_state, charged_mc FROM requests")
        assert {row[0]: (row[1], row[2]) for row in rows} == self.expected
        for account, given_mc in self.given_mc.items():
            balance = await self.books.balance(account)
            refs = [entry.ref for entry in await self.books.entries(account, None, 10_000) if entry.kind == "usage"]
            assert len(refs) == len(set(refs)), "no request is charged twice"
            assert balance.posted_mc == given_mc - sum(self.expected[ref][1] for ref in refs)
            assert balance.reserved_mc == 0
        charged = sum(mc for _, mc in self.expected.values())
        posted = sum([(await self.books.balance(account)).posted_mc for account in self.given_mc])
        assert posted == sum(self.given_mc.values()) - charged
        windows = await self.database.fetch("SELECT spent_nanousd, reserved_nanousd FROM budget_windows")
        assert sum(spent for spent, _ in windows) == self.spent
        assert not any(reserved for _, reserved in windows)
        assert list((self.folder / "journals").iterdir()) == []

    async def hold_everything(self, worker: Worker) -> None:
        await asyncio.sleep(0.11)  # older news than this refuse nobody
        rows = await self.database.fetch("SELECT account_id, posted_mc FROM balances ORDER BY account_id")
        everything = [(BUDGET, LIMIT - self.spent), *((credits_purse(account), posted) for account, posted in rows)]
        parts = [part for part in everything if part[1]]
        started = Started("all", 1, "acme", "AbCdEfGhIjKl", "/v1/dispatch", stream=False, held_mc=0)
        async with asyncio.timeout(10):
            hold = await worker.bank.hold(tuple(parts), started)
        worker.bank.settle(hold, started.lost("tests", "voided"))
        self.expected["all"] = ("voided", 0)


async def _forget(worker_id: str) -> None:
    """Nothing else of the worker is kept here."""


QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def test_no_hold_leaks_and_everything_counts_once_on_sqlite():
    run_state_machine_as_test(Counters, settings=settings(max_examples=40, stateful_step_count=30, **QUIET))


@pytest.mark.usefixtures("postgres_url")
def test_no_hold_leaks_and_everything_counts_once_on_postgres(postgres_server: PostgresServer):
    class OnPostgres(Counters):
        server = postgres_server

    run_state_machine_as_test(OnPostgres, settings=settings(max_examples=8, stateful_step_count=20, **QUIET))
