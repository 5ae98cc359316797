"""Whatever two workers and an operator do, in whatever order and however often: the books are right after each step."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from neuralrouting.errors import InsufficientCredits
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.turns import Settlement, Turn, Want, budget_purse, credits_purse
from neuralrouting.storage.verify import verify
from postgres_server import PostgresServer
from settling import Worker, new_account, new_budget, new_worker, settled

ACCOUNTS = ("acme", "zeta")
BUDGETS = (budget_purse("b1", 0, ""), budget_purse("b1", 3_600_000, "ann"))
STATES = ("settled", "voided", "expired", "none")
T = TypeVar("T")
workers = st.integers(0, 1)
accounts = st.sampled_from(ACCOUNTS)
amounts = st.integers(0, 400)
purses = st.sampled_from([*map(credits_purse, ACCOUNTS), *BUDGETS])


class Ledger(RuleBasedStateMachine):
    """Two workers, one of another machine, each with holds that it has not settled yet."""

    server: PostgresServer | None = None

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="nr-books-"))
        if self.server is not None:
            self.server.empty()
        url = self.server.url() if self.server is not None else None
        self.database: Database = self.wait(open_database(url, self.folder))
        self.books = Books(self.database)
        self.workers: list[Worker] = []
        self.last: list[Turn | None] = [None, None]
        self.holds: list[list[tuple[str, int]]] = [[], []]
        self.given_mc = dict.fromkeys(ACCOUNTS, 0)
        self.charged_mc = dict.fromkeys(ACCOUNTS, 0)
        self.lost_mc = 0
        self.spent = dict.fromkeys(BUDGETS, 0)
        self.count = 0

    def wait(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(doing)

    def teardown(self) -> None:
        self.wait(self.database.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    def ref(self) -> str:
        self.count += 1
        return f"ref-{self.count}"

    def take(self, who: int, turn: Turn) -> None:
        result = self.wait(self.books.turn(turn))
        self.last[who] = turn
        self.lost_mc += result.lost_mc
        for one in turn.settlements:
            self.charged_mc[one.row.account_id] += one.row.charged_mc
            for purse, amount in one.spends:
                self.spent[purse] += amount

    @initialize()
    def begin(self) -> None:
        for account in ACCOUNTS:
            self.wait(new_account(self.database, account))
        self.wait(new_budget(self.database, "b1", 900))
        self.workers = [self.wait(new_worker(self.books, f"w{n}", f"machine-{n}")) for n in (0, 1)]

    @rule(who=workers, purse=purses, need=amounts, wish=amounts)
    def lease(self, who: int, purse: str, need: int, wish: int) -> None:
        self.take(who, self.workers[who].next(wants=(Want(purse, need, wish),)))

    @rule(who=workers, account=accounts, held=amounts)
    def hold(self, who: int, account: str, held: int) -> None:
        """Admission leases nothing by itself: what a hold takes may be leased, reaped meanwhile, or never there."""
        self.holds[who].append((account, held))

    @precondition(lambda self: any(self.holds))
    @rule(who=workers, data=st.data())
    def settle(self, who: int, data: st.DataObject) -> None:
        done = [self._settlement(hold, data) for hold in self.holds[who]]
        self.holds[who] = []
        returns = data.draw(st.lists(st.tuples(purses, amounts), max_size=2))
        wants = data.draw(st.lists(st.builds(Want, purses, amounts, amounts), max_size=2))
        self.take(who, self.workers[who].next(*done, returns=tuple(returns), wants=tuple(wants)))

    def _settlement(self, hold: tuple[str, int], data: st.DataObject) -> Settlement:
        account, held = hold
        state = data.draw(st.sampled_from(STATES))
        charged = data.draw(st.integers(0, held)) if state == "settled" else 0
        spends = data.draw(st.lists(st.tuples(st.sampled_from(BUDGETS), amounts), max_size=2))
        cost = data.draw(st.none() | st.integers(0, 10**6))
        user = data.draw(st.sampled_from([None, "ann", "a\0b"]))
        one = settled(
            self.ref(), charged, account_id=account, held_mc=held, hold_state=state, cost_nanousd=cost, end_user=user,
            session_id=user, created_ms=self.count * 1_800_000,
        )  # fmt: skip
        return Settlement(one.row, metered=True, spends=tuple(spends))

    @precondition(lambda self: any(self.last))
    @rule(who=workers, apart=st.booleans())
    def hear_again(self, who: int, *, apart: bool) -> None:
        """The answer of the last turn was lost."""
        turn = self.last[who]
        if turn is not None:
            self.wait(self.books.turn_apart(turn) if apart else self.books.turn(turn))

    @rule(account=accounts, mc=st.integers(1, 1_000), again=st.booleans())
    def top_up(self, account: str, mc: int, *, again: bool) -> None:
        ref = self.ref()
        for _ in range(1 + again):
            self.wait(self.books.top_up(account, mc, ref, "tests", "paid"))
        self.given_mc[account] += mc

    @rule(account=accounts, mc=st.integers(1, 500), refund=st.booleans())
    def take_back(self, account: str, mc: int, *, refund: bool) -> None:
        ref = self.ref()
        try:
            if refund:
                self.wait(self.books.refund(account, mc, ref, "tests", "paid back"))
            else:
                self.wait(self.books.adjust(account, -mc, ref, "tests", "was wrong"))
        except InsufficientCredits:
            return
        self.given_mc[account] -= mc

    @rule(account=accounts, month=st.integers(1, 12), mc=st.none() | amounts)
    def renew(self, account: str, month: int, mc: int | None) -> None:
        before = self.wait(self.books.balance(account)).posted_mc
        self.wait(self.books.renew(account, f"2026-{month:02}", mc))
        self.given_mc[account] += self.wait(self.books.balance(account)).posted_mc - before

    @rule(machine=st.sampled_from(["machine-0", "machine-1", "machine-2"]))
    def reap(self, machine: str) -> None:
        self.wait(self.books.reap(machine, -60_000))

    @rule(who=workers)
    def retire(self, who: int) -> None:
        """It ends, and begins anew under another name."""
        self.wait(self.books.retire(self.workers[who].id))
        self.wait(self.books.retire(self.workers[who].id))
        self.workers[who] = self.wait(new_worker(self.books, None, f"machine-{who}"))
        self.last[who] = None

    @invariant()
    def the_books_are_right(self) -> None:
        assert self.wait(verify(self.database, time.time_ns() // 1_000_000)) == []

    @invariant()
    def everything_is_where_it_went(self) -> None:
        """What was given is still there or was charged, but for what was lost."""
        posted = {account: self.wait(self.books.balance(account)).posted_mc for account in ACCOUNTS}
        assert all(mc >= 0 for mc in posted.values())
        given, charged = sum(self.given_mc.values()), sum(self.charged_mc.values())
        assert sum(posted.values()) == given - charged + self.lost_mc
        rows = self.wait(self.database.fetch("SELECT purse, spent_nanousd FROM budget_windows"))
        assert {**dict.fromkeys(BUDGETS, 0), **dict(rows)} == self.spent


QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def test_books_are_right_whatever_happens_on_sqlite():
    run_state_machine_as_test(Ledger, settings=settings(max_examples=40, stateful_step_count=30, **QUIET))


@pytest.mark.usefixtures("postgres_url")
def test_books_are_right_whatever_happens_on_postgres(postgres_server: PostgresServer):
    class OnPostgres(Ledger):
        server = postgres_server

    run_state_machine_as_test(OnPostgres, settings=settings(max_examples=8, stateful_step_count=20, **QUIET))
