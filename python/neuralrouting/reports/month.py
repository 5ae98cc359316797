"""What a monthly report says, as one value: every figure is a whole number, nothing is written out yet."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from neuralrouting.api.premium import Needless
from neuralrouting.catalog import Price
from neuralrouting.evidence.matrix import Cell
from neuralrouting.exchange import Budget
from neuralrouting.reports.calendar import Month
from neuralrouting.storage.attribution import ANYTHING, Attribution
from neuralrouting.storage.months import BudgetSpent
from neuralrouting.storage.usage import Group, UsageSums

LISTED: Final = 15
"""Models, features and users that are listed by name; the others are one line together."""
RANKED: Final[tuple[Group, ...]] = ("model", "feature", "user")


class Day(msgspec.Struct, frozen=True):
    """The real requests of one UTC day; `start_ms` is Unix time."""

    start_ms: int
    sums: UsageSums


class BudgetUse(msgspec.Struct, frozen=True):
    """What one subject of a budget spent in windows that began in the month; of `total` until the report was made."""

    budget: Budget
    spent: BudgetSpent

    @property
    def percent(self) -> int:
        """Share of the limit that the dearest window spent, rounded down as budgets are everywhere."""
        return self.spent.spent_nanousd * 100 // self.budget.limit_nanousd


class Line(msgspec.Struct, frozen=True):
    """One model, feature or user; the name '' is requests without one. `budget` is its budget of the month, if any."""

    name: str
    sums: UsageSums
    budget: BudgetUse | None = None


class Ranking(msgspec.Struct, frozen=True):
    """Who cost most, first. `others` is the sum of the `unlisted` that are not among `lines`."""

    lines: tuple[Line, ...]
    others: UsageSums
    unlisted: int


class Audited(msgspec.Struct, frozen=True):
    """How the answers of one model did against the reference's in the month; `undecided`: nobody could tell."""

    model: str
    better: int
    equal: int
    worse: int
    undecided: int

    @property
    def judged(self) -> int:
        """Audits that came to a verdict."""
        return self.better + self.equal + self.worse

    @property
    def not_worse(self) -> int:
        """Audits in which the answer was as good or better."""
        return self.better + self.equal


class Proofs(msgspec.Struct, frozen=True):
    """What the confidence matrix says when the report is made; `built_ms` None: there is none yet."""

    reference: str | None
    built_ms: int | None
    cells: tuple[Cell, ...] = ()


class Shielded(msgspec.Struct, frozen=True):
    """Prompts that the shield had something to say about: by what it did, and by rule, most first."""

    actions: Mapping[str, int]
    rules: Mapping[str, int]


class Method(msgspec.Struct, frozen=True):
    """How the figures were made. `baseline` is the deployment that savings are against, at `price` of today.

    `tables` are the versions of the price list by which the first and the last requests were priced. `margin`
    is how much worse a model may be and still count as good, from 0 to 1.
    """

    baseline: str
    price: Price
    tables: tuple[str, ...]
    margin: float


class MonthlyReport(msgspec.Struct, frozen=True):
    """The report of one account and month, made at `made_ms` (Unix time). All sums but `simulated` are real requests'.

    `wanted` narrows the sums; budgets, audits, findings of the shield and premium that was not needed are always of the
    whole account. `examined` is how many requests, the newest, the latter looked at; None: all of them.
    `audit_cost_nanousd` is what audits cost, which no other sum has in it.
    """

    account_id: str
    account_name: str
    month: Month
    made_ms: int
    wanted: Attribution
    total: UsageSums
    simulated: UsageSums
    before: UsageSums
    days: tuple[Day, ...]
    rankings: Mapping[Group, Ranking]
    budgets: tuple[BudgetUse, ...]
    audits: tuple[Audited, ...]
    audit_cost_nanousd: int
    proofs: Proofs
    needless: tuple[Needless, ...]
    examined: int | None
    shielded: Shielded
    method: Method

    @property
    def over(self) -> bool:
        """Whether the month had ended when the report was made; else its figures are so far."""
        return self.made_ms >= self.month.to_ms

    @property
    def narrowed(self) -> bool:
        """Whether its sums leave anything out."""
        return self.wanted != ANYTHING


class MonthFigures(msgspec.Struct, frozen=True):
    """One month of a list: its sums, real and simulated apart."""

    month: Month
    real: UsageSums
    simulated: UsageSums


def added(sums: Sequence[UsageSums]) -> UsageSums:
    """Add sums up."""
    whole = UsageSums()
    for one in sums:
        whole = whole.plus(one)
    return whole


def less(whole: UsageSums, part: UsageSums) -> UsageSums:
    """Return what is left of sums without a part of them."""
    pairs = zip(msgspec.structs.astuple(whole), msgspec.structs.astuple(part), strict=True)
    return UsageSums(*(one - other for one, other in pairs))


def saved_permille(sums: UsageSums) -> int | None:
    """Return what was saved in thousandths of the baseline, rounded half away from zero; None without a baseline."""
    if not sums.baseline_nanousd:
        return None
    saved, baseline = sums.saved_nanousd, sums.baseline_nanousd
    share = (abs(saved) * 2000 + baseline) // (2 * baseline)
    return share if saved >= 0 else -share
