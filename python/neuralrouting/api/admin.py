"""`/v1/admin/accounts`, `/v1/admin/plans` and the checks: what the operator of a gateway sets."""

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api import filters
from neuralrouting.api.answers import json_response
from neuralrouting.api.bodies import (
    CREDIT_PLACES,
    AccountChange,
    CreditChange,
    NewAccount,
    PlanBody,
    amount,
    body_of,
    line,
)
from neuralrouting.api.changelog import changed
from neuralrouting.api.credits import plan_fields
from neuralrouting.api.figures import credit, moment
from neuralrouting.api.records import entry_fields
from neuralrouting.clock import unix_ms
from neuralrouting.errors import AlreadyExists, InvalidField, NotFound, Unavailable
from neuralrouting.exchange import Caller, JsonObject, Plan
from neuralrouting.storage.accounts import AccountRow, AccountRows
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import RowError
from neuralrouting.storage.findings import Breach
from neuralrouting.storage.plans import PlanRows
from neuralrouting.storage.trail import actor_of

_REF_CHARS = _NAME_CHARS = 200
_REASON_CHARS = 1_000


class Accounts:
    """Makes and changes accounts, and books their credits."""

    def __init__(self, rows: AccountRows, books: Books, default_plan: str) -> None:
        self._rows = rows
        self._books = books
        self._default_plan = default_plan

    async def all(self, request: Request, _caller: Caller) -> Response:
        """List every account, oldest first."""
        no_parameters(request)
        return json_response({"object": "list", "data": [_account_fields(row) for row in await self._rows.all()]})

    async def create(self, request: Request, caller: Caller) -> Response:
        """Make an account; one that is there already is a 409."""
        no_parameters(request)
        told = await body_of(request, NewAccount)
        plan = told.plan or self._default_plan
        if not await self._rows.ensure(told.id, told.name or told.id, unix_ms(), plan, actor=actor_of(caller.key_id)):
            raise AlreadyExists(f"there is an account {told.id!r} already", param="id")
        changed(caller, "account.create", account=told.id, plan=plan)
        return json_response(await self._shown(told.id), 201)

    async def one(self, request: Request, _caller: Caller) -> Response:
        """Show one account with its balance."""
        no_parameters(request)
        return json_response(await self._shown(path_id(request)))

    async def change(self, request: Request, caller: Caller) -> Response:
        """Give an account another name, plan, or both."""
        no_parameters(request)
        account_id, told = path_id(request), await body_of(request, AccountChange)
        if told.name is not None:
            line(told.name, "name", _NAME_CHARS)  # before anything is changed
        await self._shown(account_id)
        if told.plan is not None:
            await self._rows.set_plan(account_id, told.plan, unix_ms(), actor=actor_of(caller.key_id))
        if told.name is not None:
            await self._rows.rename(account_id, told.name, unix_ms(), actor=actor_of(caller.key_id))
        changed(caller, "account.change", account=account_id, name=told.name, plan=told.plan)
        return json_response(await self._shown(account_id))

    async def book(self, request: Request, caller: Caller) -> Response:
        """Book credits under a reference of the operator's; the same one again books nothing and tells the entry."""
        no_parameters(request)
        account_id, told = path_id(request), await body_of(request, CreditChange)
        millicredits = amount(told.credits, CREDIT_PLACES, "credits")
        ref, reason = line(told.ref, "ref", _REF_CHARS), line(told.reason, "reason", _REASON_CHARS)
        await self._shown(account_id)
        if millicredits == 0 or (millicredits < 0 and told.kind != "adjustment"):
            raise InvalidField("`credits` must be above 0; only an adjustment may be below", param="credits")
        book = {"topup": self._books.top_up, "refund": self._books.refund, "adjustment": self._books.adjust}[told.kind]
        entry = await book(account_id, millicredits, ref, actor_of(caller.key_id), reason)
        changed(caller, f"credits.{told.kind}", account=account_id, millicredits=millicredits, ref=ref, seq=entry.seq)
        return json_response({**await self._shown(account_id), "entry": entry_fields(entry, caller.role)})

    async def _shown(self, account_id: str) -> JsonObject:
        row = await self._rows.find(account_id)
        if row is None:
            raise NotFound(f"no account {account_id!r}")
        balance = await self._books.balance(account_id)
        return {
            **_account_fields(row),
            **credit("posted", balance.posted_mc),
            **credit("reserved", balance.reserved_mc),
            **credit("available", balance.posted_mc - balance.reserved_mc),
        }


class Plans:
    """Shows and sets plans."""

    def __init__(self, rows: PlanRows) -> None:
        self._rows = rows

    async def all(self, request: Request, _caller: Caller) -> Response:
        """List every plan, cheapest first."""
        no_parameters(request)
        return json_response({"object": "list", "data": [plan_fields(plan) for plan in await self._rows.all()]})

    async def put(self, request: Request, caller: Caller) -> Response:
        """Make a plan, or put it in the place of the one with its id."""
        no_parameters(request)
        told = await body_of(request, PlanBody)
        fields = msgspec.structs.asdict(told)
        monthly: str | None = fields.pop("monthly_credits")
        monthly_mc = None if monthly is None else amount(monthly, CREDIT_PLACES, "monthly_credits")
        if monthly_mc is not None and monthly_mc < 0:
            raise InvalidField("`monthly_credits` must not be below 0", param="monthly_credits")
        plan = Plan(id=path_id(request), monthly_mc=monthly_mc, **fields)
        new = await self._rows.find(plan.id) is None
        await self._rows.put(plan, unix_ms(), actor=actor_of(caller.key_id))
        changed(caller, "plan.put", plan=plan.id, monthly_mc=monthly_mc, price_cents=plan.price_cents)
        return json_response(plan_fields(plan), 201 if new else 200)

    async def remove(self, request: Request, caller: Caller) -> Response:
        """Remove a plan that no account has."""
        no_parameters(request)
        plan_id = path_id(request)
        try:
            found = await self._rows.remove(plan_id, actor=actor_of(caller.key_id))
        except RowError as error:
            raise AlreadyExists(str(error), code="in_use") from None
        if not found:
            raise NotFound(f"no plan {plan_id!r}")
        changed(caller, "plan.remove", plan=plan_id)
        return json_response({"id": plan_id, "removed": True})


class Check:
    """Checks one thing (`of`: ledger, trail) when asked, one check at a time."""

    def __init__(self, of: str, look: Callable[[], Awaitable[list[Breach]]]) -> None:
        self._of = of
        self._look = look
        self._running = False

    async def run(self, request: Request, caller: Caller) -> Response:
        """Check everything and tell which row breaks what. Raises Unavailable while another check runs."""
        no_parameters(request)
        if self._running:
            raise Unavailable(f"a check of the {self._of} is running already", retry_after_s=10)
        self._running = True
        try:
            breaches = await self._look()
        finally:
            self._running = False
        changed(caller, f"{self._of}.verify", breaches=len(breaches))
        told = [msgspec.structs.asdict(breach) for breach in breaches]
        return json_response({"object": f"{self._of}.check", "sound": not told, "breaches": told})


def no_parameters(request: Request) -> None:
    """Raise InvalidField for any query parameter."""
    filters.refuse_unknown(filters.parameters(request.query_params.multi_items()), ())


def path_id(request: Request) -> str:
    """Return the id in the path; one that no database could hold is as unknown as any other."""
    found: str = request.path_params["id"]
    if "\0" in found or len(found) > filters.MAX_TEXT:
        raise NotFound("nothing has such an id")
    return found


def _account_fields(row: AccountRow) -> JsonObject:
    return {"object": "account", "id": row.id, "name": row.name, "plan": row.plan_id, "created": moment(row.created_ms)}
