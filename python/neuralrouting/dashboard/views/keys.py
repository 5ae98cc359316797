"""The page of keys and plans: which keys there are, what the plan allows, what is left of its credits."""

import time
from collections.abc import Mapping

import msgspec

from neuralrouting.accounts.budgets import standing_purse
from neuralrouting.accounts.keys import create_key
from neuralrouting.accounts.plans import cheapest_first
from neuralrouting.api import filters
from neuralrouting.api.credits import plan_fields
from neuralrouting.api.figures import credit, moment, money
from neuralrouting.api.records import entry_fields
from neuralrouting.clock import unix_ms
from neuralrouting.dashboard.page import Ask, Column, Deed, Form, Page, Shown, Table
from neuralrouting.dashboard.viewer import Viewer
from neuralrouting.errors import InvalidField, NotFound
from neuralrouting.exchange import Budget, JsonObject, Plan, Role
from neuralrouting.storage.accounts import AccountRows, no_account
from neuralrouting.storage.books import Balance, Books
from neuralrouting.storage.bounds import MOST, check_text
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.keys import KeyOptions, KeyRow, KeyRows
from neuralrouting.storage.plans import PlanRows
from neuralrouting.storage.trail import actor_of
from neuralrouting.storage.usage import UsageRows

SHOWN_ENTRIES = 20
_NANOUSD_A_CENT = 10_000_000
_LIMITS = ("requests_per_minute", "tokens_per_minute", "parallel")
_ROLES: Mapping[str, Role] = {"member": "member", "owner": "owner"}
"""What the people of an account may give; `operator` reaches every account and is given on the command line."""
_LIMIT_COLUMNS = (
    Column("requests_per_minute", "Requests/min", "count"),
    Column("tokens_per_minute", "Tokens/min", "count"),
    Column("parallel", "At once", "count"),
)
_KEYS = (
    Column("name", "Name"),
    Column("last4", "Ends in", "code"),
    Column("kind", "Kind"),
    Column("role", "Role"),
    Column("team", "Team"),
    *_LIMIT_COLUMNS,
    Column("last_used", "Last used", "time"),
)
_ENTRIES = (
    Column("seq", "Entry"),
    Column("created", "At", "time"),
    Column("kind", "Kind"),
    Column("ref", "Reference", "code"),
    Column("delta_credits", "Credits"),
    Column("cost_usd", "Cost, $"),
    Column("reason", "Why"),
)
_PLANS = (
    Column("name", "Plan"),
    Column("price_nanousd", "A month", "usd"),
    Column("monthly_credits", "Credits a month"),
    *_LIMIT_COLUMNS,
    Column("modes", "Routing modes"),
    Column("force_model", "Force model", "yes"),
    Column("current", "Yours", "yes"),
)
_BUDGETS = (
    Column("name", "Budget"),
    Column("scope", "Of"),
    Column("subject", "Which"),
    Column("period", "Period"),
    Column("limit_nanousd", "Limit", "usd"),
    Column("spent_nanousd", "Spent now", "usd"),
    Column("action", "At the limit"),
)


class KeysRows(msgspec.Struct, frozen=True):
    """Where the page reads and writes."""

    keys: KeyRows
    accounts: AccountRows
    plans: PlanRows
    books: Books
    budgets: BudgetRows
    usage: UsageRows


class KeysAndPlans:
    """What the page shows and does. `address` is where clients reach the gateway, for the examples."""

    def __init__(self, rows: KeysRows, address: str) -> None:
        self._rows = rows
        self._address = address

    def page(self) -> Page:
        """Return the page."""
        tables = {
            "keys": Table("Keys", _KEYS, lambda body: body["keys"]),
            "entries": Table("Newest entries of the ledger", _ENTRIES, lambda body: body["entries"]),
            "budgets": Table("Budgets", _BUDGETS, lambda body: body["budgets"]),
            "plans": Table("Plans", _PLANS, lambda body: body["plans"]),
        }
        return Page("keys", "Keys & plans", "see_money", self.body, tables, filters=False)

    def deeds(self) -> list[Deed]:
        """Return what can be done here."""
        return [
            Deed("/keys/create", "set_keys", self.create, "The key was made."),
            Deed("/keys/change", "set_keys", self.change, "The key was changed; gateways obey within two seconds."),
            Deed("/keys/revoke", "set_keys", self.revoke, "The key is revoked; gateways refuse it within two seconds."),
        ]

    async def body(self, ask: Ask) -> JsonObject:
        """Return keys, the account's plan beside all others, its credits, the newest entries, and its budgets."""
        account_id = ask.viewer.account_id
        account = await self._rows.accounts.find(account_id)
        if account is None:
            raise no_account(account_id)
        plans = cheapest_first(await self._rows.plans.all())
        plan = next((plan for plan in plans if plan.id == account.plan_id), None)
        used = await self._rows.usage.last_used(account_id)
        keys = await self._rows.keys.all(account_id)
        entries = await self._rows.books.entries(account_id, None, SHOWN_ENTRIES)
        return {
            "object": "page.keys",
            "account": {"id": account.id, "name": account.name, "plan": account.plan_id},
            "address": self._address,
            # Working keys first, each kind the newest first.
            "keys": [_key(row, used.get(row.id)) for row in sorted(keys, key=_age)],
            "plan": plan_fields(plan) if plan is not None else None,
            "credits": _credits(await self._rows.books.balance(account_id), plan, ask.now_ms),
            "entries": [entry_fields(entry, "member") for entry in entries],
            "budgets": await self._budgets(account_id, ask.now_ms),
            "plans": [_plan(one, account_id, current=one is plan) for one in plans],
        }

    async def create(self, viewer: Viewer, form: Form) -> Shown:
        """Make a key and show it, this once."""
        name, kind = form.get("name", ""), form.get("kind", "live")
        check_text(name, "name")
        if kind not in ("live", "test"):
            raise InvalidField("`kind` must be live or test", param="kind")
        options = _wanted(form, _role(form))
        made = await create_key(
            self._rows.keys, viewer.account_id, name, live=kind == "live", now_ms=unix_ms(),
            actor=actor_of(viewer.id), options=options,
        )  # fmt: skip
        context = {"made": made, "name": name, "role": options.role, "address": self._address}
        return Shown("keys_made.html", "Your new key", context)

    async def change(self, viewer: Viewer, form: Form) -> None:
        """Give a key another role, team, limits; what is left empty is none."""
        row = await self._own(viewer, form)
        wanted = _wanted(form, "operator" if row.role == "operator" else _role(form))
        actor = actor_of(viewer.id)
        options = await self._rows.keys.change(row.id, lambda had: _with(had, wanted), unix_ms(), actor=actor)
        if options is None:
            raise _no_key(row.id)

    async def revoke(self, viewer: Viewer, form: Form) -> Shown | None:
        """Show which key it is; revoke it for good where the form says `sure`."""
        row = await self._own(viewer, form)
        if form.get("sure") != "yes":
            used = (await self._rows.usage.last_used(viewer.account_id)).get(row.id)
            return Shown("keys_revoke.html", "Revoke a key", {"row": _key(row, used)})
        if not await self._rows.keys.revoke(row.id, unix_ms(), actor=actor_of(viewer.id)):
            raise _no_key(row.id)
        return None

    async def _own(self, viewer: Viewer, form: Form) -> KeyRow:
        """Return a key of the viewer's account that works; any other is as unknown as none."""
        key_id = form.get("id", "")
        row = await self._rows.keys.find(key_id) if key_id.isalnum() else None
        if row is None or row.account_id != viewer.account_id or row.revoked_ms is not None:
            raise _no_key(key_id)
        return row

    async def _budgets(self, account_id: str, now_ms: int) -> list[JsonObject]:
        budgets = await self._rows.budgets.of_account(account_id)
        purses = [standing_purse(budget, now_ms) for budget in budgets]
        spent = await self._rows.budgets.spent([purse for purse in purses if purse is not None])
        pairs = zip(budgets, purses, strict=True)
        return [_budget(budget, None if purse is None else spent.get(purse, 0)) for budget, purse in pairs]


def _age(row: KeyRow) -> tuple[bool, int]:
    return row.revoked_ms is not None, -row.created_ms


def _key(row: KeyRow, used_ms: int | None) -> JsonObject:
    """Return what is shown of a key; `last_used` is the hour."""
    return {
        "id": row.id,
        "name": row.name or "unnamed",
        "last4": row.last4,
        "kind": "live" if row.live else "test",
        "role": row.role,
        "team": row.team,
        **{name: getattr(row, name) for name in _LIMITS},
        "shield_mode": row.shield_mode,
        "routing_mode": row.routing_mode,
        "created": moment(row.created_ms),
        "last_used": moment(used_ms) if used_ms is not None else None,
        "revoked": moment(row.revoked_ms) if row.revoked_ms is not None else None,
    }


def _credits(balance: Balance, plan: Plan | None, now_ms: int) -> JsonObject:
    """Return what there is, and which share of the month's credits is used; None before the month's are granted."""
    monthly = plan.monthly_mc if plan is not None else None
    this_month = balance.period == time.strftime("%Y-%m", time.gmtime(now_ms // 1_000))
    used = max(0, monthly - balance.grant_mc) if monthly and this_month else None
    return {
        "counted": monthly is not None,
        **credit("posted", balance.posted_mc),
        **credit("reserved", balance.reserved_mc),
        **credit("available", balance.posted_mc - balance.reserved_mc),
        **credit("grant", balance.grant_mc),
        **credit("monthly", monthly),
        **credit("used", used),
        "used_share": used / monthly if used is not None and monthly else None,
        "period": balance.period or None,
    }


def _plan(plan: Plan, account_id: str, *, current: bool) -> JsonObject:
    fields = plan_fields(plan)
    return fields | {
        "price_nanousd": plan.price_cents * _NANOUSD_A_CENT,
        "monthly_credits": fields["monthly_credits"] or "not counted",
        "modes": ", ".join(plan.modes),
        "current": current,
        "command": f"neuralrouting accounts set-plan {account_id} {plan.id}",
    }


def _budget(budget: Budget, spent_nanousd: int | None) -> JsonObject:
    """Return a budget; of one for each value nothing is spent as such."""
    return {
        "id": budget.id,
        "name": budget.name,
        "scope": budget.scope,
        "subject": budget.subject or "all",
        "period": budget.period,
        **money("limit", budget.limit_nanousd),
        **money("spent", spent_nanousd),
        "action": budget.action,
    }


def _role(form: Form) -> Role:
    role = _ROLES.get(form.get("role", "member"))
    if role is None:
        raise InvalidField(f"`role` must be one of {', '.join(_ROLES)}", param="role")
    return role


def _wanted(form: Form, role: Role) -> KeyOptions:
    """Return what a form says of a key; how the shield and the router treat it is not for it to say."""
    requests, tokens, parallel = (filters.integer(form, name, 1, MOST) for name in _LIMITS)
    team = form.get("team")
    return KeyOptions(role=role, team=team, requests_per_minute=requests, tokens_per_minute=tokens, parallel=parallel)


def _with(had: KeyOptions, wanted: KeyOptions) -> KeyOptions:
    return msgspec.structs.replace(wanted, shield_mode=had.shield_mode, routing_mode=had.routing_mode)


def _no_key(key_id: str) -> NotFound:
    return NotFound(f"no key {key_id[:64]!r} that is not revoked")
