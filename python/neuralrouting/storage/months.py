"""What a month of an account held: its sums on one state of the database, audits, findings of the shield, budgets."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from neuralrouting.storage.database import Database, Row, Script, Statement, ask
from neuralrouting.storage.usage import Group, UsageQuery, UsageRow, UsageSums, statement

PRICED_ROWS: Final = 200
"""Requests at either end of a month whose price table is looked up: all of a month would be read for a line of text."""
_SUMS = UsageSums.__struct_fields__
_AUDITS = """
SELECT candidate, COALESCE(human, verdict), COUNT(*) FROM shadow_audits
WHERE account_id = $1 AND judged_ms >= $2 AND judged_ms < $3 AND kind = 'answer' AND simulated = 0
GROUP BY 1, 2 ORDER BY 1, 2
"""
_AUDIT_COST = """
SELECT COALESCE(CAST(SUM(cost_nanousd) AS BIGINT), 0) FROM shadow_audits
WHERE account_id = $1 AND judged_ms >= $2 AND judged_ms < $3 AND simulated = 0
"""
_ACTIONS = """
SELECT action, COUNT(*) FROM security_events WHERE account_id = $1 AND created_ms >= $2 AND created_ms < $3
GROUP BY action ORDER BY action
"""
_RULES = """
SELECT rule_ids, COUNT(*) FROM security_events
WHERE account_id = $1 AND created_ms >= $2 AND created_ms < $3 AND action <> 'unscanned' GROUP BY rule_ids
"""
_WINDOWS = """
SELECT w.subject, CAST(MAX(w.spent_nanousd) AS BIGINT), COUNT(*),
    CAST(SUM(CASE WHEN w.spent_nanousd >= b.limit_nanousd THEN 1 ELSE 0 END) AS BIGINT)
FROM budget_windows AS w JOIN budgets AS b ON b.id = w.budget_id
WHERE w.budget_id = $1 AND w.epoch_ms >= $2 AND w.epoch_ms < $3
GROUP BY w.subject ORDER BY 2 DESC, 1 LIMIT $4
"""
_ACTIVE = """
SELECT DISTINCT cells.account_id FROM cells JOIN rollups ON rollups.cell_id = cells.id
WHERE rollups.grain = 'day' AND rollups.start_ms >= $1 AND rollups.start_ms < $2 ORDER BY 1
"""


class Highest(msgspec.Struct, frozen=True):
    """The groups of real requests that cost most, and how many groups there are in all."""

    rows: tuple[UsageRow, ...]
    groups: int


class MonthSums(msgspec.Struct, frozen=True):
    """Sums that belong together, because they were read on one state of the database.

    `days` and `before` (the range before) are by UTC day, real and simulated apart.
    """

    days: tuple[UsageRow, ...]
    before: tuple[UsageRow, ...]
    highest: Mapping[Group, Highest]


class BudgetSpent(msgspec.Struct, frozen=True):
    """What a subject spent of a budget in the dearest of its `windows` in a range; `over` of them reached the limit."""

    subject: str
    spent_nanousd: int
    windows: int
    over: int


class MonthRows:
    """Reads what reports ask and nobody else. Times are Unix ms, `to_ms` is exclusive."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sums(self, query: UsageQuery, before: UsageQuery, groups: Sequence[Group], most: int) -> MonthSums:
        """Return the days of both ranges and, of the first, the `most` groups of each kind that cost most."""

        def script() -> Script[MonthSums]:
            days = yield _asked(_with(query, "day"))
            earlier = yield _asked(_with(before, "day"))
            highest: dict[Group, Highest] = {}
            for group in groups:
                narrowed = _with(query, group)
                rows = yield _highest(narrowed, most)
                [(count,)] = yield _counted(narrowed)
                highest[group] = Highest(tuple(_row(row) for row in rows), int(count))
            return MonthSums(tuple(_row(row) for row in days), tuple(_row(row) for row in earlier), highest)

        return await self._database.snapshot(script)

    async def highest(self, query: UsageQuery, group: Group, most: int) -> Highest:
        """Return the `most` groups of one kind that cost most."""
        nothing = msgspec.structs.replace(query, to_ms=query.from_ms)
        return (await self.sums(query, nothing, (group,), most)).highest[group]

    async def audits(self, account_id: str, from_ms: int, to_ms: int) -> dict[str, dict[str | None, int]]:
        """Count the audits of answers by candidate and verdict; a person's word counts before the judge's.

        None is a comparison that nobody could decide. Simulated ones are left out.
        """
        found: dict[str, dict[str | None, int]] = {}
        for candidate, verdict, count in await self._database.fetch(_AUDITS, account_id, from_ms, to_ms):
            found.setdefault(candidate, {})[verdict] = int(count)
        return found

    async def audit_cost(self, account_id: str, from_ms: int, to_ms: int) -> int:
        """Return what audits of every kind have cost, their judges included, in nano-dollars."""
        [(cost,)] = await self._database.fetch(_AUDIT_COST, account_id, from_ms, to_ms)
        return int(cost)

    async def actions(self, account_id: str, from_ms: int, to_ms: int) -> dict[str, int]:
        """Count what the shield did, by action."""
        rows = await self._database.fetch(_ACTIONS, account_id, from_ms, to_ms)
        return {action: int(count) for action, count in rows}

    async def rules(self, account_id: str, from_ms: int, to_ms: int) -> dict[str, int]:
        """Count the prompts in which each rule of the shield was met, most first."""
        counts: dict[str, int] = {}
        for told, count in await self._database.fetch(_RULES, account_id, from_ms, to_ms):
            for rule in msgspec.json.decode(told, type=tuple[str, ...]):
                counts[rule] = counts.get(rule, 0) + int(count)
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    async def budget(self, budget_id: str, from_ms: int, to_ms: int, most: int) -> list[BudgetSpent]:
        """Return what was spent of a budget in the windows that began in a range, by subject, most first."""
        rows = await self._database.fetch(_WINDOWS, budget_id, from_ms, to_ms, most)
        return [BudgetSpent(row[0], *(int(value) for value in row[1:])) for row in rows]

    async def price_tables(self, account_id: str, from_ms: int, to_ms: int) -> list[str]:
        """Return which versions of the price list the first and the last requests of a range were priced by."""
        found: set[str] = set()
        for direction in ("ASC", "DESC"):
            rows = await self._database.fetch(
                "SELECT DISTINCT price_version FROM ("  # noqa: S608  our own words
                "SELECT price_version FROM requests WHERE account_id = $1 AND created_ms >= $2 AND created_ms < $3 "
                f"ORDER BY created_ms {direction} LIMIT {PRICED_ROWS}) AS picked WHERE price_version IS NOT NULL",
                account_id, from_ms, to_ms,
            )  # fmt: skip
            found.update(row[0] for row in rows)
        return sorted(found)

    async def active(self, from_ms: int, to_ms: int) -> list[str]:
        """Return the accounts that have requests in a range of whole UTC days."""
        return [row[0] for row in await self._database.fetch(_ACTIVE, from_ms, to_ms)]


def _with(query: UsageQuery, group: Group) -> UsageQuery:
    return msgspec.structs.replace(query, groups=(group,))


def _asked(query: UsageQuery) -> Statement:
    sql, values = statement(query)
    return ask(sql, *values)


def _highest(query: UsageQuery, most: int) -> Statement:
    """Order by what was spent, then by requests, then by name: columns 1 and 2 are the name and whether simulated."""
    sql, values = statement(query)
    cost, requests = (_SUMS.index(name) + 3 for name in ("cost_nanousd", "requests"))
    order = f"ORDER BY {cost} DESC, {requests} DESC, 1 LIMIT ${len(values) + 1}"
    return ask(f"SELECT * FROM ({sql}) AS grouped WHERE simulated = 0 {order}", *values, most)  # noqa: S608  our own


def _counted(query: UsageQuery) -> Statement:
    sql, values = statement(query)
    return ask(f"SELECT COUNT(*) FROM ({sql}) AS grouped WHERE simulated = 0", *values)  # noqa: S608  our own words


def _row(row: Row) -> UsageRow:
    return UsageRow(tuple(row[:1]), bool(row[1]), UsageSums(*(int(value) for value in row[2:])))
