"""Reads the report of a month out of the database."""

from collections.abc import Sequence
from typing import Final

from neuralrouting.api.confidence import cells_of
from neuralrouting.api.premium import Evidence, needless, premium_ids
from neuralrouting.catalog import Catalog
from neuralrouting.evidence.matrix import MatrixSettings
from neuralrouting.exchange import Budget
from neuralrouting.layers.confidence import Learned
from neuralrouting.pipeline.building import read_learned
from neuralrouting.reports.calendar import DAY_MS, Month, month_of
from neuralrouting.reports.month import (
    LISTED,
    RANKED,
    Audited,
    BudgetUse,
    Day,
    Line,
    Method,
    MonthFigures,
    MonthlyReport,
    Proofs,
    Ranking,
    Shielded,
    added,
    less,
)
from neuralrouting.storage.accounts import AccountRows, no_account
from neuralrouting.storage.attribution import ANYTHING, Attribution
from neuralrouting.storage.audit import EXAMINED_ROWS, AuditQuery, AuditRows
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.confidence import ConfidenceRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.months import BudgetSpent, Highest, MonthRows
from neuralrouting.storage.usage import Group, UsageQuery, UsageRow, UsageRows, UsageSums

MONTHS_SHOWN: Final = 12
SUBJECTS: Final = 50
"""Subjects of one budget that are read, those that spent most."""
_VERDICTS = ("win", "tie", "lose", None)


class Reports:
    """Reads reports. `settings` is what counts as proof in the confidence matrix."""

    def __init__(self, database: Database, catalog: Catalog, settings: MatrixSettings) -> None:
        self._months = MonthRows(database)
        self._accounts = AccountRows(database)
        self._usage = UsageRows(database)
        self._budgets = BudgetRows(database)
        self._calls = AuditRows(database)
        self._confidence = ConfidenceRows(database)
        self._catalog = catalog
        self._settings = settings

    async def month(self, account_id: str, month: Month, now_ms: int, wanted: Attribution = ANYTHING) -> MonthlyReport:
        """Read the report of a month. Raises NotFound where there is no such account."""
        account = await self._accounts.find(account_id)
        if account is None:
            raise no_account(account_id)
        earlier = month.on(-1)
        sums = await self._months.sums(
            UsageQuery(account_id, month.from_ms, month.to_ms, wanted),
            UsageQuery(account_id, earlier.from_ms, earlier.to_ms, wanted),
            RANKED,
            LISTED,
        )
        total = _sum(sums.days, simulated=False)
        learned, proofs = await self._proofs(account_id)
        asked = AuditQuery(account_id, month.from_ms, month.to_ms)
        calls, more = await self._calls.unforced_calls(asked, premium_ids(self._catalog))
        budgets = await self._spent(account_id, month)
        return MonthlyReport(
            account_id=account_id,
            account_name=account.name,
            month=month,
            made_ms=now_ms,
            wanted=wanted,
            total=total,
            simulated=_sum(sums.days, simulated=True),
            before=_sum(sums.before, simulated=False),
            days=_days(month, sums.days),
            rankings={group: _ranking(group, total, found, budgets) for group, found in sums.highest.items()},
            budgets=budgets,
            audits=await self._audits(account_id, month),
            audit_cost_nanousd=await self._months.audit_cost(account_id, month.from_ms, month.to_ms),
            proofs=proofs,
            needless=tuple(needless(calls, self._catalog, _Proven(learned), account_id)),
            examined=EXAMINED_ROWS if more else None,
            shielded=Shielded(
                await self._months.actions(account_id, month.from_ms, month.to_ms),
                await self._months.rules(account_id, month.from_ms, month.to_ms),
            ),
            method=await self._method(account_id, month),
        )

    async def months(self, account_id: str, now_ms: int, wanted: Attribution = ANYTHING) -> list[MonthFigures]:
        """Return the last `MONTHS_SHOWN` months, newest first, without those before the first request."""
        newest = month_of(now_ms)
        oldest = newest.on(1 - MONTHS_SHOWN)
        query = UsageQuery(account_id, oldest.from_ms, newest.to_ms, wanted, ("day",))
        days = await self._usage.sums(query, 2 * 31 * MONTHS_SHOWN)
        found: list[MonthFigures] = []
        for back in range(MONTHS_SHOWN):
            month = newest.on(-back)
            own = [row for row in days if month.from_ms <= int(row.group[0]) < month.to_ms]
            found.append(MonthFigures(month, _sum(own, simulated=False), _sum(own, simulated=True)))
        while len(found) > 1 and not found[-1].real.requests and not found[-1].simulated.requests:
            found.pop()
        return found

    async def active(self, month: Month) -> list[str]:
        """Return the accounts that have requests in a month."""
        return await self._months.active(month.from_ms, month.to_ms)

    async def _proofs(self, account_id: str) -> tuple[Learned | None, Proofs]:
        reference = self._catalog.reference.id if self._catalog.reference is not None else None
        row = await self._confidence.find(account_id)
        if row is None:
            return None, Proofs(reference, None)
        try:
            learned = read_learned(row.matrix)
        except ValueError:
            return None, Proofs(reference, None)
        # Cells that are about another reference prove nothing of today's.
        if reference is not None and learned.reference != reference:
            return None, Proofs(reference, None)
        return learned, Proofs(learned.reference, row.built_ms, tuple(cells_of(learned)))

    async def _audits(self, account_id: str, month: Month) -> tuple[Audited, ...]:
        found = await self._months.audits(account_id, month.from_ms, month.to_ms)
        audited = [
            Audited(model, *(counts.get(verdict, 0) for verdict in _VERDICTS)) for model, counts in found.items()
        ]
        return tuple(sorted(audited, key=lambda one: (-one.judged, one.model)))

    async def _spent(self, account_id: str, month: Month) -> tuple[BudgetUse, ...]:
        """Return what was used of each budget, the highest share first."""
        uses: list[BudgetUse] = []
        for budget in await self._budgets.of_account(account_id):
            # The only window of a budget without a period begins at 0.
            from_ms, to_ms = (0, 1) if budget.period == "total" else (month.from_ms, month.to_ms)
            spent = await self._months.budget(budget.id, from_ms, to_ms, SUBJECTS)
            if not spent and budget.subject != "*":
                spent = [BudgetSpent(budget.subject, 0, 0, 0)]
            uses += [BudgetUse(budget, one) for one in spent]
        return tuple(sorted(uses, key=lambda use: (-use.percent, use.budget.name, use.spent.subject, use.budget.id)))

    async def _method(self, account_id: str, month: Month) -> Method:
        baseline = self._catalog.baseline
        assert baseline.price is not None  # noqa: S101  the catalog takes no other
        tables = await self._months.price_tables(account_id, month.from_ms, month.to_ms)
        return Method(baseline.id, baseline.price, tuple(tables), self._settings.margin)


class _Proven:
    """Proofs of one account's matrix as it was read."""

    def __init__(self, learned: Learned | None) -> None:
        self._cells = learned.matrix.cells if learned is not None else {}

    def evidence(self, account_id: str, model: str, task: str) -> Evidence | None:  # noqa: ARG002  of one account
        """Return what audits have shown of a deployment at a task, None where there are none."""
        cell = self._cells.get(model, {}).get(task)
        return None if cell is None else Evidence(int(cell.n), cell.low, cell.high, cell.state == "proven")


def _sum(rows: Sequence[UsageRow], *, simulated: bool) -> UsageSums:
    return added([row.sums for row in rows if row.simulated == simulated])


def _days(month: Month, rows: Sequence[UsageRow]) -> tuple[Day, ...]:
    real = {row.group[0]: row.sums for row in rows if not row.simulated}
    starts = range(month.from_ms, month.to_ms, DAY_MS)
    return tuple(Day(start_ms, real.get(start_ms, UsageSums())) for start_ms in starts)


def _ranking(group: Group, total: UsageSums, found: Highest, budgets: Sequence[BudgetUse]) -> Ranking:
    lines = [Line(str(row.group[0]), row.sums, _budget_of(group, str(row.group[0]), budgets)) for row in found.rows]
    others = less(total, added([line.sums for line in lines]))
    return Ranking(tuple(lines), others, found.groups - len(lines))


def _budget_of(group: Group, name: str, budgets: Sequence[BudgetUse]) -> BudgetUse | None:
    """Return the budget of the month that is nearest its limit, of those that are about this name alone."""
    return next((use for use in budgets if name and _is_about(use.budget, use.spent.subject, group, name)), None)


def _is_about(budget: Budget, subject: str, group: Group, name: str) -> bool:
    """A budget for a model counts whichever provider serves it: then it says more than one line, and is left out."""
    return budget.scope == group and budget.period == "month" and subject == name
