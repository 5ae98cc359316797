"""Plans, the plan of every account, and budgets with what was spent of them: in memory, kept up to date."""

import asyncio
import logging
import time

from neuralrouting.accounts.budgets import standing_purse
from neuralrouting.accounts.marks import Mark
from neuralrouting.accounts.plans import cheapest_first
from neuralrouting.background import Background, Complaints
from neuralrouting.clock import unix_ms
from neuralrouting.errors import Unavailable
from neuralrouting.exchange import Budget, Plan
from neuralrouting.storage.accounts import AccountRows, no_account
from neuralrouting.storage.budgets import BudgetRow, BudgetRows
from neuralrouting.storage.plans import PlanRows

POLL_S = 0.5
"""A changed plan or budget holds within this, plus the time of three queries; the promise is 2 s."""
SPENT_POLL_S = 1.0
ASKED_S = 60.0
"""How long a window is followed after it was last asked about."""

_log = logging.getLogger("neuralrouting.accounts")


class Directory:
    """What accounts may do and spend, answered from memory.

    A database that is away leaves what was known last, and the log says so once.
    """

    def __init__(
        self, plan_rows: PlanRows, account_rows: AccountRows, budget_rows: BudgetRows, *, poll_s: float = POLL_S
    ) -> None:
        self._plan_rows = plan_rows
        self._account_rows = account_rows
        self._budget_rows = budget_rows
        self._poll_s = poll_s
        self._plans: dict[str, Plan] = {}
        self._sorted: tuple[Plan, ...] = ()
        self._plan_ids: dict[str, str] = {}
        self._accounts_mark = Mark()
        self._budgets: dict[str, tuple[Budget, ...]] = {}
        self._budgets_mark = Mark()
        self._asked: dict[str, float] = {}
        self._spent: dict[str, int] = {}
        self._spent_due_s = 0.0
        self._complaints = Complaints(_log)
        self._background = Background()

    async def start(self) -> None:
        """Load everything and begin to follow changes. Raises Unavailable when the database is away."""
        await self._look()
        self._background.start(directory=self._follow())

    async def close(self) -> None:
        """Stop to follow changes."""
        await self._background.close()

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Every plan, cheapest first."""
        return self._sorted

    def plan_of(self, account_id: str) -> Plan | None:
        """Return an account's plan from memory. None: account or plan was made a moment ago; then ask `find_plan`."""
        return self._plans.get(self._plan_ids.get(account_id, ""))

    async def find_plan(self, account_id: str) -> Plan:
        """Return an account's plan, asking the database about what is not in memory.

        Raises Unavailable when it is needed and away, or the account's plan is gone; NotFound for no such account.
        Only callers with a good key come here, and those have an account: no flood of questions to fend off.
        """
        known = self.plan_of(account_id)
        if known is not None:
            return known
        account = await self._account_rows.find(account_id)
        if account is None:
            raise no_account(account_id)
        plan = await self._plan_rows.find(account.plan_id)
        if plan is None:
            raise Unavailable(f"the plan of account {account_id!r} does not exist; give it another")
        self._plan_ids[account_id], self._plans[plan.id] = plan.id, plan
        return plan

    def budgets_of(self, account_id: str) -> tuple[Budget, ...]:
        """Return the budgets of an account; most have none."""
        return self._budgets.get(account_id, ())

    def used(self, purse: str) -> int:
        """Return the nano-dollars spent in a window, as last read: for warnings, never to enforce anything.

        Of a budget for each value (`*`) a window is read from the second after it was first asked about; until then
        it is 0.
        """
        self._asked[purse] = time.monotonic()
        return self._spent.get(purse, 0)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self._look()
            except Unavailable as error:
                self._complaints.say("database", f"plans and budgets stay as they were last known: {error.message}")
            else:
                if self._complaints.settle("database"):
                    _log.warning("the database answers again; plans and budgets are up to date")

    async def _look(self) -> None:
        """Read what has changed. Accounts before plans: then an account's plan, made before it, is among those read."""
        now_s = time.monotonic()
        accounts = await self._account_rows.changed_since(self._accounts_mark.since_ms(now_s))
        plans = await self._plan_rows.all()
        budgets = await self._budget_rows.changed_since(self._budgets_mark.since_ms(now_s))
        self._plans, self._sorted = {plan.id: plan for plan in plans}, tuple(cheapest_first(plans))
        for account in accounts:
            self._plan_ids[account.id] = account.plan_id
            self._accounts_mark.see(account.changed_ms, now_s)
        for row in budgets:
            self._learn(row)
        if now_s >= self._spent_due_s:
            await self._read_spent()

    def _learn(self, row: BudgetRow) -> None:
        self._budgets_mark.see(row.changed_ms, time.monotonic())
        account_id = row.budget.account_id
        kept = tuple(budget for budget in self.budgets_of(account_id) if budget.id != row.budget.id)
        if not row.deleted:
            kept = (*kept, row.budget)
        if kept:
            self._budgets[account_id] = kept
        else:
            self._budgets.pop(account_id, None)

    async def _read_spent(self) -> None:
        """Read the windows of today's budgets, and those of each subject that somebody asked about."""
        now_s, now_ms = time.monotonic(), unix_ms()
        self._spent_due_s = now_s + SPENT_POLL_S
        self._asked = {purse: asked_s for purse, asked_s in self._asked.items() if now_s - asked_s < ASKED_S}
        purses = dict.fromkeys(self._asked)
        for budgets in self._budgets.values():
            purses.update((purse, None) for budget in budgets if (purse := standing_purse(budget, now_ms)) is not None)
        self._spent = await self._budget_rows.spent(tuple(purses))
