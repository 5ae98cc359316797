"""The directory: what one process changes, the other's memory has within two seconds."""

import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from neuralrouting.accounts.budgets import epoch_ms
from neuralrouting.accounts.directory import Directory
from neuralrouting.errors import NotFound, Unavailable
from neuralrouting.exchange import Budget, Plan
from neuralrouting.storage.accounts import AccountRow, AccountRows
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.plans import PlanRows
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.turns import budget_purse

pytestmark = pytest.mark.anyio
TEAM = Plan("team", "Team", 4_900, 100_000_000, 120, None, None, ("auto", "cost"), force_model=True)
MONTH = Budget("one", "acme", "The month", "account", "", "month", 1_000, "block")
USERS = Budget("two", "acme", "Users", "user", "*", "day", 500, "warn")
PUT_WINDOW = """
INSERT INTO budget_windows (purse, budget_id, epoch_ms, subject, spent_nanousd)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT (purse) DO UPDATE SET spent_nanousd = excluded.spent_nanousd
"""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Elsewhere:
    """The rows as another process has them: over a connection of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.plans = PlanRows(database)
        self.accounts = AccountRows(database)
        self.budgets = BudgetRows(database)

    async def spend(self, budget: Budget, subject: str, spent_nanousd: int) -> str:
        epoch = epoch_ms(budget.period, now_ms())
        purse = budget_purse(budget.id, epoch, subject)
        await self.database.execute(PUT_WINDOW, purse, budget.id, epoch, subject, spent_nanousd)
        return purse


@pytest.fixture
async def elsewhere(database_place: tuple[str | None, Path]) -> AsyncIterator[Elsewhere]:
    opened = await open_database(*database_place)
    rows = Elsewhere(opened)
    for account_id in ("acme", "other"):
        await rows.accounts.ensure(account_id, account_id, now_ms(), "free", actor=GATEWAY)
    yield rows
    await opened.close()


class AwayRows(AccountRows):
    """Rows of a database that can go away, which counts questions."""

    away = False
    asked = 0

    async def find(self, account_id: str) -> AccountRow | None:
        self.asked += 1
        if self.away:
            raise Unavailable("the database is away")
        return await super().find(account_id)

    async def changed_since(self, changed_ms: int) -> list[AccountRow]:
        if self.away:
            raise Unavailable("the database is away")
        return await super().changed_since(changed_ms)


@pytest.fixture
def accounts(database: Database) -> AwayRows:
    return AwayRows(database)


@pytest.fixture
async def directory(database: Database, elsewhere: Elsewhere, accounts: AwayRows) -> AsyncIterator[Directory]:
    """A directory that polls as it does in a worker."""
    opened = Directory(PlanRows(database), accounts, BudgetRows(database))
    await opened.start()
    yield opened
    await opened.close()


async def until(happened: Callable[[], bool]) -> None:
    """Within the two seconds that are promised."""
    deadline_s = time.monotonic() + 2.0
    while not happened():
        assert time.monotonic() < deadline_s, "it did not happen within two seconds"
        await asyncio.sleep(0.01)


def plan_id(directory: Directory, account_id: str) -> str | None:
    plan = directory.plan_of(account_id)
    return None if plan is None else plan.id


async def test_what_is_there_is_known_from_the_start(directory: Directory):
    assert plan_id(directory, "acme") == plan_id(directory, "other") == "free"
    assert [plan.id for plan in directory.plans] == ["free", "starter", "growth", "business", "unlimited"]
    assert directory.budgets_of("acme") == ()


async def test_another_plan_reaches_a_running_worker(directory: Directory, elsewhere: Elsewhere):
    await elsewhere.accounts.set_plan("acme", "growth", now_ms(), actor=GATEWAY)
    await until(lambda: plan_id(directory, "acme") == "growth")
    assert plan_id(directory, "other") == "free"


async def test_a_new_a_changed_and_a_removed_plan_reach_a_running_worker(directory: Directory, elsewhere: Elsewhere):
    await elsewhere.plans.put(TEAM, now_ms(), actor=GATEWAY)
    await until(lambda: TEAM in directory.plans)
    assert [plan.id for plan in directory.plans][2:4] == ["team", "growth"]
    changed = replace(TEAM, modes=("auto",))
    await elsewhere.plans.put(changed, now_ms(), actor=GATEWAY)
    await until(lambda: changed in directory.plans)
    await elsewhere.plans.remove("team", actor=GATEWAY)
    await until(lambda: len(directory.plans) == 5)


async def test_a_plan_given_by_a_command_reaches_a_running_worker(
    directory: Directory, database_place: tuple[str | None, Path], tmp_path: Path
):
    url, data_dir = database_place
    environ = {"PATH": os.environ["PATH"], "DATA_DIR": str(data_dir), "DATABASE_URL": url or ""}
    command = [sys.executable, "-m", "neuralrouting.cli", "accounts", "set-plan", "acme", "business"]
    await asyncio.to_thread(subprocess.run, command, check=True, env=environ, cwd=tmp_path, capture_output=True)
    await until(lambda: plan_id(directory, "acme") == "business")


async def test_a_new_plan_never_leaves_its_accounts_without_one(directory: Directory, elsewhere: Elsewhere):
    await elsewhere.plans.put(TEAM, now_ms(), actor=GATEWAY)
    await elsewhere.accounts.set_plan("acme", "team", now_ms(), actor=GATEWAY)
    seen: set[str | None] = set()
    await until(lambda: seen.add(plan_id(directory, "acme")) or "team" in seen)
    assert seen <= {"free", "team"}


async def test_an_account_made_a_moment_ago_is_asked_for_once(
    directory: Directory, elsewhere: Elsewhere, accounts: AwayRows
):
    await elsewhere.plans.put(TEAM, now_ms(), actor=GATEWAY)
    await elsewhere.accounts.ensure("new", "New", now_ms(), "team", actor=GATEWAY)
    assert (await directory.find_plan("new")) == TEAM
    assert directory.plan_of("new") == await directory.find_plan("new") == TEAM
    assert accounts.asked == 1
    with pytest.raises(NotFound):
        await directory.find_plan("nobody")


async def test_a_new_account_is_not_let_in_without_its_plan_while_the_database_is_away(
    directory: Directory, elsewhere: Elsewhere, accounts: AwayRows
):
    accounts.away = True
    await elsewhere.accounts.ensure("new", "New", now_ms(), "free", actor=GATEWAY)
    with pytest.raises(Unavailable):
        await directory.find_plan("new")
    assert (await directory.find_plan("acme")).id == "free"


async def test_an_account_whose_plan_is_gone_is_told_so(directory: Directory, elsewhere: Elsewhere):
    await elsewhere.database.execute("DELETE FROM plans WHERE id = $1", "free")
    await until(lambda: directory.plan_of("acme") is None)
    with pytest.raises(Unavailable, match="the plan of account 'acme' does not exist"):
        await directory.find_plan("acme")


async def test_a_new_a_changed_and_a_removed_budget_reach_a_running_worker(directory: Directory, elsewhere: Elsewhere):
    await elsewhere.budgets.put(MONTH, now_ms(), actor=GATEWAY)
    await elsewhere.budgets.put(USERS, now_ms(), actor=GATEWAY)
    await until(lambda: set(directory.budgets_of("acme")) == {MONTH, USERS})
    changed = replace(MONTH, limit_nanousd=7)
    await elsewhere.budgets.put(changed, now_ms(), actor=GATEWAY)
    await until(lambda: set(directory.budgets_of("acme")) == {changed, USERS})
    for budget in (MONTH, USERS):
        await elsewhere.budgets.remove(budget.id, "acme", now_ms(), actor=GATEWAY)
    await until(lambda: directory.budgets_of("acme") == ())


async def test_two_accounts_never_see_each_others_budgets(directory: Directory, elsewhere: Elsewhere):
    theirs = replace(MONTH, id="theirs", account_id="other")
    await elsewhere.budgets.put(MONTH, now_ms(), actor=GATEWAY)
    await elsewhere.budgets.put(theirs, now_ms(), actor=GATEWAY)
    await until(lambda: bool(directory.budgets_of("acme") and directory.budgets_of("other")))
    assert directory.budgets_of("acme") == (MONTH,)
    assert directory.budgets_of("other") == (theirs,)
    assert directory.budgets_of("nobody") == ()


async def test_what_was_spent_of_a_budget_is_known_before_anybody_asks(database: Database, elsewhere: Elsewhere):
    await elsewhere.budgets.put(MONTH, now_ms(), actor=GATEWAY)
    purse = await elsewhere.spend(MONTH, "", 800)
    directory = Directory(PlanRows(database), AccountRows(database), BudgetRows(database))
    await directory.start()
    try:
        assert directory.used(purse) == 800
        await elsewhere.spend(MONTH, "", 900)
        await until(lambda: directory.used(purse) == 900)
    finally:
        await directory.close()


async def test_what_one_user_spent_is_known_soon_after_somebody_asked(directory: Directory, elsewhere: Elsewhere):
    await elsewhere.budgets.put(USERS, now_ms(), actor=GATEWAY)
    ada, bob = await elsewhere.spend(USERS, "ada", 400), await elsewhere.spend(USERS, "bob", 5)
    assert directory.used(ada) == 0
    await until(lambda: directory.used(ada) == 400)
    assert directory.used(bob) == 0
    await until(lambda: directory.used(bob) == 5)


async def test_while_the_database_is_away_everything_stays_and_the_log_says_so_once(
    database: Database, elsewhere: Elsewhere, accounts: AwayRows, caplog: pytest.LogCaptureFixture
):
    await elsewhere.budgets.put(MONTH, now_ms(), actor=GATEWAY)
    purse = await elsewhere.spend(MONTH, "", 800)
    directory = Directory(PlanRows(database), accounts, BudgetRows(database), poll_s=0.02)
    await directory.start()
    try:
        with caplog.at_level(logging.WARNING):
            accounts.away = True
            await elsewhere.accounts.set_plan("acme", "growth", now_ms(), actor=GATEWAY)
            await until(lambda: "the database is away" in caplog.text)
            await asyncio.sleep(0.2)
            assert caplog.text.count("the database is away") == 1
            assert plan_id(directory, "acme") == "free"
            assert directory.budgets_of("acme") == (MONTH,)
            assert directory.used(purse) == 800
            accounts.away = False
            await until(lambda: plan_id(directory, "acme") == "growth")
            assert caplog.text.count("the database answers again") == 1
    finally:
        await directory.close()
