"""Sums of an account's requests, from the rollups that the writer keeps: never from the requests themselves."""

import asyncio
from typing import Any, Literal, get_args

import msgspec

from neuralrouting.storage.attribution import ANYTHING, COLUMNS, Attribution, conditions
from neuralrouting.storage.database import Database, Row

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

Grain = Literal["hour", "day"]
Group = Literal["day", "hour", "user", "feature", "team", "model", "key", "endpoint"]
GROUPS: tuple[Group, ...] = get_args(Group)


class UsageQuery(msgspec.Struct, frozen=True):
    """Which sums are wanted: from `from_ms` on and before `to_ms` (Unix time), apart by each of `groups`.

    Both are on hours; where both are on days and no hours are asked for, the daily sums are read.
    """

    account_id: str
    from_ms: int
    to_ms: int
    wanted: Attribution = ANYTHING
    groups: tuple[Group, ...] = ()

    @property
    def grain(self) -> Grain:
        """Which of the sums are read."""
        on_days = self.from_ms % DAY_MS == 0 and self.to_ms % DAY_MS == 0
        return "day" if on_days and "hour" not in self.groups else "hour"


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


class UsageRow(msgspec.Struct, frozen=True):
    """The sums of one group. `group` has a value for each that was asked for: '' is none, a day or hour is Unix ms."""

    group: tuple[str | int, ...]
    simulated: bool
    sums: UsageSums


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


_SUMS = UsageSums.__struct_fields__
_GROUP_SQL: dict[Group, str] = {
    "day": f"rollups.start_ms - rollups.start_ms % {DAY_MS}",
    "hour": "rollups.start_ms",
    **{name: f"cells.{column}" for name, column in COLUMNS.items()},  # pyright: ignore[reportAssignmentType]
}
_SESSION = (
    f"SELECT {', '.join(SessionRow.__struct_fields__)} FROM sessions "  # noqa: S608  names of our own columns
    "WHERE account_id = $1 AND session_id = $2 ORDER BY simulated"
)


class UsageRows:
    """Reads the sums that the writer keeps."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sums(self, query: UsageQuery, limit: int) -> list[UsageRow]:
        """Return up to `limit` groups in their own order, real and simulated requests always apart."""
        sql, values = statement(query)
        rows = await self._database.fetch(f"{sql} LIMIT ${len(values) + 1}", *values, limit)
        # A hundred thousand rows take half a second, in which the loop is to serve others.
        return await asyncio.to_thread(lambda: [_row(row, len(query.groups)) for row in rows])

    async def session(self, account_id: str, session_id: str) -> list[SessionRow]:
        """Return what one session came to: a row for its real requests, one for its simulated ones, where any."""
        rows = await self._database.fetch(_SESSION, account_id, session_id)
        return [SessionRow(bool(row[0]), *(int(value) for value in row[1:])) for row in rows]


def statement(query: UsageQuery) -> tuple[str, list[Any]]:
    """Return the query's SQL, without a limit, and its values."""
    texts, values = conditions(query.wanted, 5)
    told = [*(_GROUP_SQL[name] for name in query.groups), "cells.simulated"]
    places = ", ".join(str(place) for place in range(1, len(told) + 1))
    sums = [f"CAST(SUM(rollups.{name}) AS BIGINT)" for name in _SUMS]
    where = [
        "cells.account_id = $1",
        "rollups.grain = $2",
        "rollups.start_ms >= $3",
        "rollups.start_ms < $4",
        *texts,
    ]
    sql = (
        f"SELECT {', '.join([*told, *sums])} "  # noqa: S608  our own words; every value has a placeholder
        "FROM cells JOIN rollups ON rollups.cell_id = cells.id "
        f"WHERE {' AND '.join(where)} GROUP BY {places} ORDER BY {places}"
    )
    return sql, [query.account_id, query.grain, query.from_ms, query.to_ms, *values]


def _row(row: Row, groups: int) -> UsageRow:
    return UsageRow(tuple(row[:groups]), bool(row[groups]), UsageSums(*(int(value) for value in row[groups + 1 :])))
