"""Of whom figures come: the biggest users, features, models, keys or endpoints of a period, and all of them as CSV."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Literal, get_args

import msgspec

from neuralrouting.api.figures import CSV_BLOCK_ROWS, group_fields, money, sums_fields
from neuralrouting.api.filters import Group
from neuralrouting.dashboard.page import Ask
from neuralrouting.dashboard.tables import csv_head, csv_rows
from neuralrouting.exchange import JsonObject
from neuralrouting.storage.usage import SIZES, Attributed, UsageRow, UsageRows, UsageSums
from neuralrouting.storage.usage_question import Measure

MOST_GROUPS = 100_000
"""As many as `/v1/usage` writes as CSV."""
Order = Literal["spent", "requests", "saved"]
_MEASURE: Mapping[Order, Measure] = {"spent": "cost", "requests": "requests", "saved": "saved"}
ORDERS: Mapping[str, Order] = {name: name for name in get_args(Order)}


class Biggest(msgspec.Struct, frozen=True):
    """The biggest groups of a period, how many there are in all, and what all of them come to."""

    rows: tuple[UsageRow, ...]
    groups: int
    total: UsageSums


async def biggest(rows: UsageRows, ask: Ask, group: Attributed, order: Order, limit: int, first: int = 0) -> Biggest:
    """Return `limit` groups of a page's period, the biggest first, from place `first` on."""
    query, simulated = ask.bar.usage(ask.viewer.account_id), ask.bar.simulated
    found = await rows.top(query, group, _MEASURE[order], limit, first=first, simulated=simulated)
    return Biggest(found.rows, len(found.rows) + found.left, added(found.rows).plus(found.rest))


async def searched(rows: UsageRows, ask: Ask, group: Attributed, order: Order, search: str, page: slice) -> Biggest:
    """Return a page of the groups whose names have `search` in them, the biggest first; the total is of all of those.

    It has cost, savings and requests only. Letters are compared as Unicode folds them, which no database does alike.
    """
    query, simulated, wanted = ask.bar.usage(ask.viewer.account_id), ask.bar.simulated, search.casefold()
    found = await rows.sizes(query, group, MOST_GROUPS, simulated=simulated)
    fits = [
        UsageRow((name,), simulated, UsageSums(requests=requests, cost_nanousd=cost, saved_routing_nanousd=saved))
        for name, cost, saved, requests in found
        if wanted in name.casefold()
    ]
    fits.sort(key=SIZES[_MEASURE[order]])
    shown = [str(row.group[0]) for row in fits[page]]
    named = await rows.named(query, group, shown, simulated=simulated)
    # What is settled just now can only add to a group; none goes away.
    return Biggest(tuple(named[name] for name in shown if name in named), len(fits), added(fits))


async def every(rows: UsageRows, ask: Ask, group: Group, order: Order, search: str = "") -> list[UsageRow]:
    """Return all groups whose names have `search` in them, in the same order."""
    found = await rows.sums(ask.bar.usage(ask.viewer.account_id, group), MOST_GROUPS)
    wanted = search.casefold()
    fits = [
        row for row in found if row.simulated == ask.bar.simulated and wanted in str(row.group[0]).casefold()
    ]  # fmt: skip
    return sorted(fits, key=SIZES[_MEASURE[order]])


def added(rows: Iterable[UsageRow]) -> UsageSums:
    """Return what rows come to."""
    sums = UsageSums()
    for row in rows:
        sums = sums.plus(row.sums)
    return sums


def spender_fields(group: Group, row: UsageRow) -> JsonObject:
    """Return the figures of one group, flat."""
    sums = row.sums
    return {
        **group_fields((group,), row),
        "requests": sums.requests,
        **money("cost", sums.cost_nanousd),
        **money("baseline", sums.baseline_nanousd),
        **money("saved", sums.saved_nanousd),
    }


def rest_fields(groups: int, sums: UsageSums) -> JsonObject:
    """Return what so many groups come to together."""
    told = sums_fields(sums)
    wanted = ("requests", "cost_nanousd", "cost_usd", "saved_nanousd", "saved_usd")
    return {"groups": groups, **{name: told[name] for name in wanted}}


async def csv_of_every(
    rows: UsageRows, ask: Ask, group: Group, order: Order = "spent", search: str = ""
) -> AsyncIterator[bytes]:
    """Yield all groups as CSV."""
    found = await every(rows, ask, group, order, search)
    yield csv_head(list(spender_fields(group, UsageRow(("",), simulated=False, sums=UsageSums()))))
    for first in range(0, len(found), CSV_BLOCK_ROWS):
        told = [spender_fields(group, row) for row in found[first : first + CSV_BLOCK_ROWS]]
        yield csv_rows(list(told[0]), told)
