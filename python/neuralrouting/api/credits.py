"""`GET /v1/credits`: an account's plan, what it has left, and every entry of its ledger."""

from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api import filters
from neuralrouting.api.access import account_of
from neuralrouting.api.answers import json_response
from neuralrouting.api.figures import credit
from neuralrouting.api.records import entry_fields
from neuralrouting.errors import NotFound
from neuralrouting.exchange import Caller, JsonObject, Plan
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.books import Books
from neuralrouting.storage.plans import PlanRows

_MOST_ENTRIES = 2**62


class Credits:
    """Tells what an account has."""

    def __init__(self, books: Books, accounts: AccountRows, plans: PlanRows) -> None:
        self._books = books
        self._accounts = accounts
        self._plans = plans

    async def show(self, request: Request, caller: Caller) -> Response:
        """Tell plan, balance and the newest entries; `next` is the `before` of the page behind, null at the end."""
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, ("account", "before", "limit"))
        account_id = await account_of(caller, told.get("account"), self._accounts)
        before, limit = filters.integer(told, "before", 1, _MOST_ENTRIES), filters.page_size(told)
        account = await self._accounts.find(account_id)
        if account is None:
            raise NotFound(f"no account {account_id!r}")
        plan = await self._plans.find(account.plan_id)
        balance = await self._books.balance(account_id)
        entries = await self._books.entries(account_id, before, limit + 1)
        shown = entries[:limit]
        body: JsonObject = {
            "object": "credits",
            "account": account_id,
            "plan": plan_fields(plan) if plan is not None else None,
            "counted": plan is not None and plan.monthly_mc is not None,
            **credit("posted", balance.posted_mc),
            **credit("reserved", balance.reserved_mc),
            **credit("available", balance.posted_mc - balance.reserved_mc),
            **credit("grant", balance.grant_mc),
            "period": balance.period or None,
            "entries": [entry_fields(entry, caller.role) for entry in shown],
            "next": shown[-1].seq if len(entries) > limit else None,
        }
        return json_response(body)


def plan_fields(plan: Plan) -> JsonObject:
    """Return a plan as it is shown; null credits are not counted, a null limit is none."""
    return {
        "id": plan.id,
        "name": plan.name,
        "price_cents": plan.price_cents,
        **credit("monthly", plan.monthly_mc),
        "requests_per_minute": plan.requests_per_minute,
        "tokens_per_minute": plan.tokens_per_minute,
        "parallel": plan.parallel,
        "modes": list(plan.modes),
        "force_model": plan.force_model,
    }
