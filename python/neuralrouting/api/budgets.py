"""`/v1/budgets`: the bounds that an account sets to its own spending, and what is spent of each."""

from collections.abc import Iterable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.accounts.budgets import ends_ms, epoch_ms, standing_purse
from neuralrouting.api import filters
from neuralrouting.api.access import AccountBook, account_of
from neuralrouting.api.answers import json_response
from neuralrouting.api.bodies import USD_PLACES, BudgetBody, amount, body_of
from neuralrouting.api.changelog import changed
from neuralrouting.api.figures import moment, money
from neuralrouting.clock import unix_ms
from neuralrouting.errors import InvalidField, NotFound
from neuralrouting.exchange import Budget, Caller, JsonObject
from neuralrouting.storage.budgets import MOST_NANOUSD, BudgetRows, Window, new_budget_id
from neuralrouting.storage.trail import actor_of


class Budgets:
    """Shows, sets and takes back the budgets of an account."""

    def __init__(self, rows: BudgetRows, accounts: AccountBook) -> None:
        self._rows = rows
        self._accounts = accounts

    async def all(self, request: Request, caller: Caller) -> Response:
        """List the budgets, each with its present window, or one for each subject that has spent."""
        account_id = await self._account(request, caller)
        data = await self.of_account(account_id)
        return json_response({"object": "list", "account": account_id, "data": data})

    async def one(self, request: Request, caller: Caller) -> Response:
        """Show one budget."""
        account_id = await self._account(request, caller)
        [shown] = await self._shown([await self._found(request.path_params["id"], account_id)])
        return json_response(shown)

    async def create(self, request: Request, caller: Caller) -> Response:
        """Set a new budget. Its id is ours to give: one of a client's choice would tell whether another has it."""
        account_id = await self._account(request, caller)
        return json_response(await self.add(caller, account_id, await body_of(request, BudgetBody)), 201)

    async def replace(self, request: Request, caller: Caller) -> Response:
        """Change name, limit, action and warning of a budget; what it counts stays."""
        account_id = await self._account(request, caller)
        budget = await self._found(request.path_params["id"], account_id)
        return json_response(await self.change(caller, account_id, budget.id, await body_of(request, BudgetBody)))

    async def remove(self, request: Request, caller: Caller) -> Response:
        """Take a budget back."""
        account_id = await self._account(request, caller)
        return json_response(await self.take_back(caller, account_id, request.path_params["id"]))

    async def of_account(self, account_id: str) -> list[JsonObject]:
        """Return every budget of an account as it is shown."""
        return await self._shown(await self._rows.of_account(account_id))

    async def add(self, caller: Caller, account_id: str, told: BudgetBody) -> JsonObject:
        """Set a new budget; return it as it is shown. Raises InvalidField."""
        budget = _budget(new_budget_id(), account_id, told)
        await self._rows.put(budget, unix_ms(), actor=actor_of(caller.key_id))
        changed(caller, "budget.create", account=account_id, budget=budget.id, limit_nanousd=budget.limit_nanousd)
        return (await self._shown([budget]))[0]

    async def change(self, caller: Caller, account_id: str, budget_id: str, told: BudgetBody) -> JsonObject:
        """Change one budget; return it as it is shown. Raises InvalidField, NotFound."""
        budget = _budget((await self._found(budget_id, account_id)).id, account_id, told)
        await self._rows.put(budget, unix_ms(), actor=actor_of(caller.key_id))
        changed(caller, "budget.change", account=account_id, budget=budget.id, limit_nanousd=budget.limit_nanousd)
        return (await self._shown([budget]))[0]

    async def take_back(self, caller: Caller, account_id: str, budget_id: str) -> JsonObject:
        """Take a budget back; return that it is. Raises NotFound."""
        budget = await self._found(budget_id, account_id)
        await self._rows.remove(budget.id, account_id, unix_ms(), actor=actor_of(caller.key_id))
        changed(caller, "budget.remove", account=account_id, budget=budget.id)
        return {"id": budget.id, "removed": True}

    async def _account(self, request: Request, caller: Caller) -> str:
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, ("account",))
        return await account_of(caller, told.get("account"), self._accounts)

    async def _found(self, budget_id: str, account_id: str) -> Budget:
        budget = await self._rows.find(budget_id, account_id) if "\0" not in budget_id else None
        if budget is None:
            raise NotFound(f"no budget {budget_id[:64]!r}")
        return budget

    async def _shown(self, budgets: Sequence[Budget]) -> list[JsonObject]:
        now_ms = unix_ms()
        standing = {purse for budget in budgets if (purse := standing_purse(budget, now_ms)) is not None}
        known = {window.purse: window for window in await self._rows.windows_of(sorted(standing))}
        return [budget_body(budget, await self._windows(budget, known, now_ms)) for budget in budgets]

    async def _windows(self, budget: Budget, known: Mapping[str, Window], now_ms: int) -> list[Window]:
        epoch, purse = epoch_ms(budget.period, now_ms), standing_purse(budget, now_ms)
        if purse is not None:
            return [known.get(purse, Window(purse, epoch, budget.subject, 0, 0))]
        return [w for w in await self._rows.windows(budget, epoch) if w.epoch_ms == epoch]


def budget_body(budget: Budget, windows: Iterable[Window]) -> JsonObject:
    """Return a budget as it is shown, with what is spent of it in windows of its present period."""
    return {
        "object": "budget",
        "id": budget.id,
        "name": budget.name,
        "scope": budget.scope,
        "subject": budget.subject,
        "period": budget.period,
        **money("limit", budget.limit_nanousd),
        "action": budget.action,
        "warn_percent": budget.warn_percent,
        "windows": [window_body(budget, window) for window in windows],
    }


def window_body(budget: Budget, window: Window) -> JsonObject:
    """Return what one subject has of a budget."""
    ends = ends_ms(budget.period, window.epoch_ms)
    spent, reserved = window.spent_nanousd, window.reserved_nanousd
    return {
        "subject": window.subject,
        "start": moment(window.epoch_ms) if budget.period != "total" else None,
        "end": moment(ends) if ends is not None else None,
        **money("spent", spent),
        **money("reserved", reserved),
        **money("remaining", budget.limit_nanousd - spent - reserved),
        "percent": spent * 100 // budget.limit_nanousd,
    }


def _budget(budget_id: str, account_id: str, told: BudgetBody) -> Budget:
    limit_nanousd = amount(told.limit_usd, USD_PLACES, "limit_usd")
    if not 0 < limit_nanousd <= MOST_NANOUSD:
        raise InvalidField("`limit_usd` must be above 0 and at most 1,000,000,000", param="limit_usd")
    return Budget(
        budget_id,
        account_id,
        told.name,
        told.scope,
        told.subject,
        told.period,
        limit_nanousd,
        told.action,
        told.warn_percent,
    )
