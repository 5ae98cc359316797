"""Sums of an account's requests, from sums that are kept: never from the requests themselves."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from neuralrouting.storage.database import Database, Row
from neuralrouting.storage.figures import SPAN_MS
from neuralrouting.storage.rollups import DAY_MS, HOUR_MS
from neuralrouting.storage.usage_arms import models_sql
from neuralrouting.storage.usage_query import named_statement, sizes_statement, statement, top_statement
from neuralrouting.storage.usage_question import GROUPS, Attributed, Group, Measure, UsageQuery

__all__ = [
    "DAY_MS",
    "GROUPS",
    "HOUR_MS",
    "SIZES",
    "Attributed",
    "Group",
    "Measure",
    "SessionRow",
    "Top",
    "UsageQuery",
    "UsageRow",
    "UsageRows",
    "UsageSums",
    "statement",
]


class UsageSums(msgspec.Struct, frozen=True):
    """What some requests come to, in the order of the columns; money in nano-dollars, credits in millicredits.

    `cost_nanousd` adds what is known, `unpriced` counts the requests that it leaves out. Baseline and savings are over
    the requests that have both a cost and a baseline. `provider_cache_nanousd` is what the providers' own prompt caches
    took off, which is in the cost already; `house_nanousd` is what the gateway spent of its own.
    """

    requests: int = 0
    failed: int = 0
    blocked: int = 0
    exact_hits: int = 0
    semantic_hits: int = 0
    unpriced: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    charged_mc: int = 0
    cost_nanousd: int = 0
    baseline_nanousd: int = 0
    saved_routing_nanousd: int = 0
    saved_exact_nanousd: int = 0
    saved_semantic_nanousd: int = 0
    provider_cache_nanousd: int = 0
    house_nanousd: int = 0

    @property
    def saved_nanousd(self) -> int:
        """Savings of every cause less what the gateway spent of its own: negative where that was more."""
        return self.saved_routing_nanousd + self.saved_exact_nanousd + self.saved_semantic_nanousd - self.house_nanousd

    def plus(self, other: "UsageSums") -> "UsageSums":
        """Return the sums of both."""
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return UsageSums(*(mine + theirs for mine, theirs in pairs))

    def minus(self, other: "UsageSums") -> "UsageSums":
        """Return what is left of these sums without the other's."""
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return UsageSums(*(mine - theirs for mine, theirs in pairs))


class UsageRow(msgspec.Struct, frozen=True):
    """The sums of one group. `group` has a value for each that was asked for: '' is none, a day or hour is Unix ms."""

    group: tuple[str | int, ...]
    simulated: bool
    sums: UsageSums


class Top(msgspec.Struct, frozen=True):
    """The largest groups, the largest first; how many are left beside them, and what those come to."""

    rows: tuple[UsageRow, ...]
    left: int
    rest: UsageSums


SIZES: Mapping[Measure, Callable[[UsageRow], tuple[int, tuple[str | int, ...]]]] = {
    "cost": lambda row: (-row.sums.cost_nanousd, row.group),
    "requests": lambda row: (-row.sums.requests, row.group),
    "saved": lambda row: (-row.sums.saved_nanousd, row.group),
}
"""How rows are put into order: the largest first, of equal ones that which comes first in its own order."""


class SessionRow(msgspec.Struct, frozen=True):
    """What one session came to, in the order of the columns; times are Unix ms, money is nano-dollars."""

    simulated: bool
    first_ms: int
    last_ms: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_nanousd: int
    baseline_nanousd: int
    saved_nanousd: int


_SESSION = (
    f"SELECT {', '.join(SessionRow.__struct_fields__)} FROM sessions "  # noqa: S608  names of our own columns
    "WHERE account_id = $1 AND session_id = $2 ORDER BY simulated"
)

# The newest span of a key is soon found among few, and in it the newest hour: never all hours of a year.
_HOURS = "FROM figures WHERE account_id = $1 AND axes = 'key' AND grain = 'hour'"
_LAST_USED = f"""
WITH spans AS (
    SELECT first AS key_id, MAX(start_ms) AS start_ms FROM figures
    WHERE account_id = $1 AND axes = 'key' AND grain = 'span' GROUP BY first
), used AS (
    SELECT key_id, (
        SELECT MAX(start_ms) {_HOURS}
        AND start_ms >= spans.start_ms AND start_ms < spans.start_ms + {SPAN_MS} AND first = spans.key_id
    ) AS start_ms FROM spans
    UNION ALL SELECT key_id, start_ms FROM fresh_figures WHERE account_id = $1
)
SELECT key_id, MAX(start_ms) FROM used GROUP BY key_id
"""  # noqa: S608  our own words


class UsageRows:
    """Reads the sums that are kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sums(self, query: UsageQuery, limit: int) -> list[UsageRow]:
        """Return up to `limit` groups in their own order, real and simulated requests always apart."""
        sql, values = statement(await self._known(query))
        rows = await self._database.fetch(f"{sql} LIMIT ${len(values) + 1}", *values, limit)
        # A hundred thousand rows take half a second, in which the loop is to serve others.
        return await asyncio.to_thread(lambda: [_row(row, len(query.groups)) for row in rows])

    async def top(
        self,
        query: UsageQuery,
        group: Attributed,
        order_by: Measure,
        limit: int,
        *,
        first: int = 0,
        simulated: bool = False,
    ) -> Top:
        """Return `limit` groups of one kind by size, from place `first` on, and what is left; `query` has no groups.

        Of two that are as large the one that comes first in its own order is first.
        """
        query = await self._known(query)
        sql, values = top_statement(query, group, order_by, limit, first, simulated=simulated)
        (groups, _, *whole), *found = await self._database.fetch(sql, *values)
        rows = [UsageRow((row[1],), simulated, UsageSums(*row[2:])) for row in found if row[2] is not None]
        # What is settled between the two statements is in the groups, and not in what is left.
        names = [row[1] for row in found if row[2] is None]
        rows += (await self.named(query, group, names, simulated=simulated)).values()
        rest = UsageSums(*(value or 0 for value in whole))
        for row in rows:
            rest = rest.minus(row.sums)
        return Top(tuple(sorted(rows, key=SIZES[order_by])), groups - len(rows), rest)

    async def sizes(
        self, query: UsageQuery, group: Attributed, limit: int, *, simulated: bool = False
    ) -> list[tuple[str, int, int, int]]:
        """Return up to `limit` groups in their own order: name, cost, savings (nano-dollars) and requests of each."""
        sql, values = sizes_statement(await self._known(query), group, simulated=simulated)
        found = await self._database.fetch(f"{sql} LIMIT ${len(values) + 1}", *values, limit)
        return [(name, cost, saved, requests) for name, cost, saved, requests in found]

    async def named(
        self, query: UsageQuery, group: Attributed, names: Sequence[str], *, simulated: bool = False
    ) -> dict[str, UsageRow]:
        """Return the sums of these groups by their names."""
        if not names:
            return {}
        sql, values = named_statement(await self._known(query), group, names, simulated=simulated)
        found = await self._database.fetch(sql, *values)
        return {row[0]: UsageRow((row[0],), simulated, UsageSums(*row[1:])) for row in found}

    async def session(self, account_id: str, session_id: str) -> list[SessionRow]:
        """Return what one session came to: a row for its real requests, one for its simulated ones, where any."""
        rows = await self._database.fetch(_SESSION, account_id, session_id)
        return [SessionRow(bool(row[0]), *(int(value) for value in row[1:])) for row in rows]

    async def last_used(self, account_id: str) -> dict[str, int]:
        """Return for each key of an account that was ever used the hour (Unix ms) in which it was used last."""
        rows = await self._database.fetch(_LAST_USED, account_id)
        return {key_id: int(start_ms) for key_id, start_ms in rows}

    async def _known(self, query: UsageQuery) -> UsageQuery:
        """Look up the ids that a filter by model means: only what a statement is told can be found in an index."""
        if not query.wanted.model or query.models is not None:
            return query
        values: list[Any] = []
        rows = await self._database.fetch(models_sql(query, values), *values)
        return msgspec.structs.replace(query, models=tuple(sorted(row[0] for row in rows)))


def _row(row: Row, groups: int) -> UsageRow:
    return UsageRow(tuple(row[:groups]), bool(row[groups]), UsageSums(*row[groups + 1 :]))
