"""Who asks, under which plan and budgets, and what the headers say: known before the body is read."""

from typing import Literal

import msgspec

Mode = Literal["auto", "cost", "quality", "speed"]
ShieldMode = Literal["off", "monitor", "block"]
Role = Literal["member", "owner", "operator"]
"""What a key may do: `member` asks models and reads its account's figures, `owner` also sets its account's budgets and
routing, `operator` runs this gateway: every account, key, plan and credit."""
UserRole = Literal["owner", "member", "billing", "viewer"]
"""What a person may do in the dashboard; `dashboard/rights.py` says what that is."""


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who asks: made from an API key, before the body is read.

    `live` is false for `nr_test_` keys, which only reach simulated and local models and pay nothing. `shield_mode`
    None: as configured, `routing_mode` None: as its account's. Limits are of the key alone, None is none; those of its
    account come with the account's plan.
    """

    account_id: str
    key_id: str
    live: bool
    shield_mode: ShieldMode | None = None
    role: Role = "member"
    team: str | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel: int | None = None
    routing_mode: Mode | None = None


class Hints(msgspec.Struct, frozen=True, gc=False):
    """What the request's headers ask for, beside its body.

    `similarity` is the least cosine of a question whose answer may be given; it counts where it is above the setting.
    `cascade` None: as the body, a rule, the account or the configuration says. `traceparent` names the client's trace.
    """

    endpoint: str
    model: str | None = None
    routing_mode: str | None = None
    read_cache: bool = True
    write_cache: bool = True
    end_user: str | None = None
    feature: str | None = None
    similarity: float = 0.0
    cascade: bool | None = None
    traceparent: str | None = None


class Plan(msgspec.Struct, frozen=True, gc=False):
    """What an account may do: data, in the order of its columns.

    `monthly_mc` are the millicredits of a month, None: credits are not counted. Limits: None is none. `force_model`:
    whether X-Force-Model is obeyed.
    """

    id: str
    name: str
    price_cents: int
    monthly_mc: int | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    parallel: int | None
    modes: tuple[Mode, ...]
    force_model: bool


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """One request at the door: who asks, and under which plan.

    `started_ns` is on the monotonic clock, `created_ms` is Unix time.
    """

    request_id: str
    caller: Caller
    plan: Plan
    hints: Hints
    started_ns: int
    created_ms: int


BudgetScope = Literal["account", "key", "user", "feature", "team", "model"]
BudgetPeriod = Literal["hour", "day", "week", "month", "total"]
BudgetAction = Literal["warn", "block", "downgrade"]


class Budget(msgspec.Struct, frozen=True, gc=False):
    """A bound on what may be spent, in the order of its columns.

    `subject` is '' for the scope `account`, '*' for each value of the scope on its own, else the one value (a
    deployment's id or model for `model`). Periods begin in UTC, weeks on Monday. `warn_percent` of the limit are told.
    """

    id: str
    account_id: str
    name: str
    scope: BudgetScope
    subject: str
    period: BudgetPeriod
    limit_nanousd: int
    action: BudgetAction
    warn_percent: int = 80


class BudgetNote(msgspec.Struct, frozen=True, gc=False):
    """A budget that is worth a word: `percent` of it are spent; `spent` when a request was downgraded for it."""

    budget_id: str
    percent: int
    spent: bool = False
