"""Whether an account's plan allows what is to be set for later requests; asked when it is set, not when it is used."""

from neuralrouting.accounts.plans import allow_mode
from neuralrouting.errors import InvalidField, PlanRequired
from neuralrouting.exchange import Mode, Plan
from neuralrouting.rules import RuleSet
from neuralrouting.storage.accounts import AccountRows, no_account
from neuralrouting.storage.database import Database
from neuralrouting.storage.plans import PlanRows


class Allowance:
    """Looks plans up in the database: what is set may follow on a plan that was given a moment ago."""

    def __init__(self, database: Database) -> None:
        self._accounts = AccountRows(database)
        self._plans = PlanRows(database)

    async def check_mode(self, account_id: str, mode: Mode | None) -> None:
        """Raise PlanRequired unless the account's plan has this mode; None is always fine. NotFound: no account."""
        if mode is not None:
            plan, plans = await self._plan(account_id)
            allow_mode(plan, mode, plans)

    async def check_rules(self, account_id: str, rules: RuleSet) -> None:
        """Raise PlanRequired for the first rule with a mode that the account's plan has not; it names the line."""
        if not any(rule.then.mode for rule in rules.rules):
            return
        plan, plans = await self._plan(account_id)
        for rule in rules.rules:
            if rule.then.mode is None:
                continue
            try:
                allow_mode(plan, rule.then.mode, plans)
            except PlanRequired as error:
                line = f"line {rule.line}"
                raise PlanRequired(f"{line}: {error.message}", param=line) from None

    async def _plan(self, account_id: str) -> tuple[Plan, list[Plan]]:
        account = await self._accounts.find(account_id)
        if account is None:
            raise no_account(account_id)
        plans = await self._plans.all()
        found = next((plan for plan in plans if plan.id == account.plan_id), None)
        if found is None:
            raise InvalidField(f"the plan of account {account_id!r} does not exist; give it another", param="account")
        return found, plans
