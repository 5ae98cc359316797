"""The page that says who spends: users, features, teams, keys and models, with budgets that are edited in place."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal, get_args

import msgspec

from neuralrouting.api import filters
from neuralrouting.api.bodies import BudgetBody, form_of
from neuralrouting.api.budgets import Budgets
from neuralrouting.dashboard.page import Ask, Column, Deed, Form, Page, Table
from neuralrouting.dashboard.viewer import Viewer
from neuralrouting.dashboard.views.budget_use import NO_BUDGET, budget_row, uses
from neuralrouting.dashboard.views.over_time import period_body
from neuralrouting.dashboard.views.spenders import (
    ORDERS,
    Order,
    biggest,
    csv_of_every,
    rest_fields,
    searched,
    spender_fields,
)  # fmt: skip
from neuralrouting.errors import InvalidField
from neuralrouting.exchange import JsonObject
from neuralrouting.storage.budgets import ACTIONS, PERIODS, SCOPES, BudgetRows
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.usage import UsageRow, UsageRows, UsageSums

PAGE_ROWS = 50
By = Literal["user", "feature", "team", "key", "model"]
TABS: Mapping[str, By] = {name: name for name in get_args(By)}
_LAST = 1_000_000
_BUDGET_COLUMNS = (
    Column("name", "Name"),
    Column("scope", "Of"),
    Column("subject", "Whose"),
    Column("period", "Each"),
    Column("limit_nanousd", "Limit", "usd"),
    Column("spent_nanousd", "Spent", "usd"),
    Column("percent", "Percent", "count"),
    Column("action", "At the limit"),
)


class Wanted(msgspec.Struct, frozen=True):
    """What the page is asked for beside its bar; `search` is a part of a name, `first` the first row of the page."""

    by: By
    sort: Order
    search: str
    first: int


class AttributionRows(msgspec.Struct, frozen=True):
    """Where the page reads, and what sets budgets."""

    usage: UsageRows
    budget_rows: BudgetRows
    keys: KeyRows
    budgets: Budgets


class AttributionPage:
    """Shows who spends, and sets budgets."""

    def __init__(self, rows: AttributionRows) -> None:
        self._rows = rows

    def page(self) -> Page:
        """Return the page."""
        tables = {
            "spenders": Table("Who spends", rows=lambda body: body["data"], stream=self._every),
            "budgets": Table("Budgets", _BUDGET_COLUMNS, lambda body: body["budgets"]),
        }
        return Page("attribution", "Attribution", "see_money", self.body, tables, ("by", "sort", "search", "cursor"))

    def deeds(self) -> list[Deed]:
        """Return what can be done here."""
        return [
            Deed(
                "/attribution/budget", "set_budgets", self.set_budget, "The budget is set. It holds within two seconds."
            ),
            Deed("/attribution/budget/remove", "set_budgets", self.remove_budget, "The budget is removed."),
        ]

    async def body(self, ask: Ask) -> JsonObject:
        """Return a page of spenders with their budgets, the sums of all, and every budget of the account."""
        account_id, wanted = ask.viewer.account_id, read_wanted(ask.told)
        shown, groups, sums = await self._found(ask, wanted)
        budgets = await self._rows.budget_rows.of_account(account_id)
        subjects = [str(row.group[0]) for row in shown]
        used = await uses(self._rows.budget_rows, budgets, wanted.by, subjects, ask.now_ms)
        names = await self._key_names(account_id) if wanted.by == "key" else {}
        total = rest_fields(groups, sums)
        bodies = [budget_row(body) for body in await self._rows.budgets.of_account(account_id)]
        return {
            "object": "page.attribution",
            "period": period_body(ask.bar),
            "by": wanted.by,
            "sort": wanted.sort,
            "search": wanted.search,
            "first": wanted.first,
            "total": total,
            "next": str(wanted.first + PAGE_ROWS) if groups > wanted.first + PAGE_ROWS else None,
            "data": [
                {
                    **spender_fields(wanted.by, row),
                    "share": row.sums.cost_nanousd / total["cost_nanousd"] if total["cost_nanousd"] > 0 else None,
                    **({"key_name": names.get(str(row.group[0]))} if wanted.by == "key" else {}),
                    **used.get(str(row.group[0]), NO_BUDGET),
                }
                for row in shown
            ],
            "budgets": sorted(bodies, key=lambda row: -row["percent"]),
            "choices": {"scopes": SCOPES, "periods": PERIODS, "actions": ACTIONS},
        }

    async def set_budget(self, viewer: Viewer, form: Form) -> None:
        """Set a new budget, or change the one whose `id` the form has. Raises InvalidField, NotFound."""
        told = {name: value for name, value in form.items() if name not in ("back", "id")}
        told["limit_usd"] = told.get("limit_usd", "").strip().removeprefix("$").replace(",", "")
        told.setdefault("name", f"{told.get('scope', '')} budget")
        body = form_of(told, BudgetBody)
        if "id" in form:
            await self._rows.budgets.change(viewer.caller, viewer.account_id, form["id"], body)
        else:
            await self._rows.budgets.add(viewer.caller, viewer.account_id, body)

    async def remove_budget(self, viewer: Viewer, form: Form) -> None:
        """Take a budget back. Raises NotFound."""
        await self._rows.budgets.take_back(viewer.caller, viewer.account_id, form.get("id", ""))

    def _every(self, ask: Ask) -> AsyncIterator[bytes]:
        wanted = read_wanted(ask.told)
        return csv_of_every(self._rows.usage, ask, wanted.by, wanted.sort, wanted.search)

    async def _found(self, ask: Ask, wanted: Wanted) -> tuple[Sequence[UsageRow], int, UsageSums]:
        """Return the rows of the page, and of all that fit how many there are and what they come to."""
        usage = self._rows.usage
        if wanted.search:
            page = slice(wanted.first, wanted.first + PAGE_ROWS)
            found = await searched(usage, ask, wanted.by, wanted.sort, wanted.search, page)
        else:
            found = await biggest(usage, ask, wanted.by, wanted.sort, PAGE_ROWS, wanted.first)
        return found.rows, found.groups, found.total

    async def _key_names(self, account_id: str) -> Mapping[str, str]:
        return {key.id: key.name for key in await self._rows.keys.all(account_id)}


def read_wanted(told: filters.Told) -> Wanted:
    """Read the page's own parameters. Raises InvalidField."""
    by = TABS.get(told.get("by", "user"))
    if by is None:
        raise InvalidField(f"`by` must be one of {', '.join(TABS)}", param="by")
    sort = ORDERS.get(told.get("sort", "spent"))
    if sort is None:
        raise InvalidField(f"`sort` must be one of {', '.join(ORDERS)}", param="sort")
    first = filters.integer(told, "cursor", 0, _LAST) or 0
    return Wanted(by, sort, filters.text(told, "search") or "", first)
