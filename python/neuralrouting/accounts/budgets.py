"""Which budgets a request counts in, and in which window of each: pure arithmetic in UTC."""

import calendar
import time
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from neuralrouting.catalog import Deployment
from neuralrouting.exchange import Budget, BudgetPeriod
from neuralrouting.storage.turns import budget_purse

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
WEEK_MS: Final = 7 * DAY_MS
FIRST_MONDAY_MS: Final = 4 * DAY_MS
"""1970-01-05: Unix time began on a Thursday."""
EACH: Final = "*"
"""The subject that stands for each value of the scope on its own."""


class Spender(msgspec.Struct, frozen=True, gc=False):
    """Whom a request's spending is counted for, beside its account and model; None: it does not say."""

    key_id: str
    team: str | None
    end_user: str | None
    feature: str | None


class Charge(msgspec.Struct, frozen=True, gc=False):
    """One window that a request counts in. `subject` is whose it is: '' or a value of the budget's scope.

    For the scope `model` it is the budget's own subject or, for `*`, the model's bare name, so that one model is
    counted together whoever provides it; a simulated one goes by its deployment's id, as everywhere.
    """

    budget: Budget
    purse: str
    subject: str

    def counts(self, served: Deployment) -> bool:
        """Whether spending on this deployment counts here; of the charges of all candidates, that of the one served."""
        return self.budget.scope != "model" or self.subject in _names(served)


def epoch_ms(period: BudgetPeriod, now_ms: int) -> int:
    """Return when the period began that `now_ms` is in: UTC hour, day, week from Monday, month; 0 for `total`."""
    if period == "hour":
        return now_ms - now_ms % HOUR_MS
    if period == "day":
        return now_ms - now_ms % DAY_MS
    if period == "week":
        return now_ms - (now_ms - FIRST_MONDAY_MS) % WEEK_MS
    if period == "month":
        told = time.gmtime(now_ms // 1_000)
        return _month_ms(told.tm_year, told.tm_mon)
    return 0


def ends_ms(period: BudgetPeriod, epoch: int) -> int | None:
    """Return when the period that began at `epoch` ends and the next begins; None: never."""
    if period == "hour":
        return epoch + HOUR_MS
    if period == "day":
        return epoch + DAY_MS
    if period == "week":
        return epoch + WEEK_MS
    if period == "month":
        told = time.gmtime(epoch // 1_000)
        return _month_ms(told.tm_year + told.tm_mon // 12, told.tm_mon % 12 + 1)
    return None


def matching(
    budgets: Iterable[Budget], spender: Spender, models: Sequence[Deployment], now_ms: int
) -> tuple[Charge, ...]:
    """Return the windows that a request counts in, of budgets that are all its account's.

    `models` are the candidates that may serve it. A budget for a value that the request does not have is not among
    them; `*` takes whatever value it has. A budget of scope `model` gives one charge for each subject.
    """
    return tuple(
        Charge(budget, budget_purse(budget.id, epoch_ms(budget.period, now_ms), subject), subject)
        for budget in budgets
        for subject in _subjects(budget, spender, models)
    )


def standing_purse(budget: Budget, now_ms: int) -> str | None:
    """Return the one window that a budget has at this time; None where each subject has its own."""
    if budget.subject == EACH:
        return None
    return budget_purse(budget.id, epoch_ms(budget.period, now_ms), budget.subject)


def _subjects(budget: Budget, spender: Spender, models: Sequence[Deployment]) -> Iterable[str]:
    if budget.scope == "account":
        return ("",)
    if budget.scope == "model":
        if budget.subject == EACH:
            return dict.fromkeys(_names(model)[-1] for model in models)
        return (budget.subject,) if any(budget.subject in _names(model) for model in models) else ()
    value = _value(budget, spender)
    return (value,) if value and budget.subject in (EACH, value) else ()


def _value(budget: Budget, spender: Spender) -> str | None:
    if budget.scope == "key":
        return spender.key_id
    if budget.scope == "team":
        return spender.team
    return spender.end_user if budget.scope == "user" else spender.feature


def _names(model: Deployment) -> tuple[str, ...]:
    """What a budget may call a model by; a simulated one never takes the bare name of a real one."""
    return (model.id,) if model.simulated else (model.id, model.model)


def _month_ms(year: int, month: int) -> int:
    return calendar.timegm((year, month, 1, 0, 0, 0)) * 1_000
