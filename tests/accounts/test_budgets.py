"""Periods in UTC as the calendar has them, and the windows that a request counts in."""

import calendar
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from neuralrouting.accounts.budgets import Spender, ends_ms, epoch_ms, matching, standing_purse
from neuralrouting.catalog import Capabilities, Deployment
from neuralrouting.exchange import Budget, BudgetPeriod, BudgetScope

PERIODS: tuple[BudgetPeriod, ...] = ("hour", "day", "week", "month")
FIRST, LAST = datetime(1970, 1, 5, tzinfo=UTC), datetime(2199, 12, 31, tzinfo=UTC)
MOMENTS = st.datetimes(FIRST.replace(tzinfo=None), LAST.replace(tzinfo=None), timezones=st.just(UTC))
NOW_MS = 1_795_874_400_123
"""2026-11-28T14:00:00.123Z, a Saturday."""
MONTH_MS = 1_793_491_200_000
"""2026-11-01."""
ADA = Spender("key1", "search", "ada", "chat")


def _ms(moment: datetime) -> int:
    return calendar.timegm(moment.utctimetuple()) * 1_000 + moment.microsecond // 1_000


def _began(period: BudgetPeriod, moment: datetime) -> datetime:
    hour = moment.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    return {
        "hour": hour,
        "day": day,
        "week": day - timedelta(days=day.weekday()),
        "month": day.replace(day=1),
    }[period]


def _next(period: BudgetPeriod, began: datetime) -> datetime:
    if period == "month":
        return (began + timedelta(days=32)).replace(day=1)
    return began + {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}[period]


@given(period=st.sampled_from(PERIODS), moment=MOMENTS)
def test_a_period_begins_and_ends_where_the_calendar_says(period: BudgetPeriod, moment: datetime):
    began = _began(period, moment)
    epoch = epoch_ms(period, _ms(moment))
    assert epoch == _ms(began)
    assert ends_ms(period, epoch) == _ms(_next(period, began))


@given(period=st.sampled_from(PERIODS), moment=MOMENTS)
def test_periods_follow_each_other_without_gap_or_overlap(period: BudgetPeriod, moment: datetime):
    epoch = epoch_ms(period, _ms(moment))
    end = ends_ms(period, epoch)
    assert end is not None
    assert epoch <= _ms(moment) < end
    assert epoch_ms(period, epoch) == epoch_ms(period, end - 1) == epoch
    assert epoch_ms(period, end) == end


def test_a_total_has_neither_beginning_nor_end():
    assert epoch_ms("total", NOW_MS) == 0
    assert ends_ms("total", 0) is None


def test_the_figures_at_the_top_of_this_file_are_those_of_the_calendar():
    assert epoch_ms("month", NOW_MS) == MONTH_MS == _ms(datetime(2026, 11, 1, tzinfo=UTC))


# --- which windows --------------------------------------------------------------------------------------------------


def _budget(scope: BudgetScope, subject: str, period: BudgetPeriod = "month", id_: str = "b") -> Budget:
    return Budget(id_, "acme", "n", scope, subject, period, 1_000, "block")


def _model(id_: str, model: str, *, simulated: bool = False) -> Deployment:
    provider = id_.partition("/")[0]
    can = Capabilities()
    return Deployment(id_, model, provider, model, "premium", 1, 1, can, None, simulated=simulated)


GPT = _model("openai/gpt-4o", "gpt-4o")
GPT_TOO = _model("azure/gpt-4o", "gpt-4o")
MINI = _model("openai/gpt-4o-mini", "gpt-4o-mini")
PRETENDED = _model("simulated/gpt-4o", "gpt-4o", simulated=True)


def _subjects(budget: Budget, spender: Spender = ADA, models: tuple[Deployment, ...] = ()) -> list[str]:
    return [charge.subject for charge in matching([budget], spender, models, NOW_MS)]


def test_every_request_counts_in_the_budget_of_its_account():
    (charge,) = matching([_budget("account", "")], Spender("k", None, None, None), (), NOW_MS)
    assert (charge.purse, charge.subject) == (f"budget/b/{MONTH_MS}/", "")


@pytest.mark.parametrize(
    ("scope", "value"), [("key", "key1"), ("team", "search"), ("user", "ada"), ("feature", "chat")]
)
def test_a_budget_of_one_value_takes_that_value_only(scope: BudgetScope, value: str):
    assert _subjects(_budget(scope, value)) == [value]
    assert _subjects(_budget(scope, "another")) == []
    assert _subjects(_budget(scope, "*")) == [value]


@pytest.mark.parametrize("scope", ["team", "user", "feature"])
def test_a_request_without_the_value_counts_in_no_such_budget(scope: BudgetScope):
    for absent in (None, ""):
        nobody = Spender("key1", absent, absent, absent)
        assert _subjects(_budget(scope, "*"), nobody) == []
        assert _subjects(_budget(scope, "ada"), nobody) == []


def test_each_user_has_a_window_of_their_own():
    bob = replace(ADA, end_user="bob/1")
    purses = [matching([_budget("user", "*")], who, (), NOW_MS)[0].purse for who in (ADA, bob)]
    assert purses == [f"budget/b/{MONTH_MS}/ada", f"budget/b/{MONTH_MS}/bob/1"]


def test_a_model_is_meant_by_its_name_or_by_its_deployment():
    everything = (GPT, GPT_TOO, MINI)
    assert _subjects(_budget("model", "gpt-4o"), models=everything) == ["gpt-4o"]
    assert _subjects(_budget("model", "azure/gpt-4o"), models=everything) == ["azure/gpt-4o"]
    assert _subjects(_budget("model", "azure/gpt-4o"), models=(GPT, MINI)) == []
    assert _subjects(_budget("model", "llama"), models=everything) == []


def test_each_model_has_one_window_whoever_provides_it():
    assert _subjects(_budget("model", "*"), models=(GPT, GPT_TOO, MINI)) == ["gpt-4o", "gpt-4o-mini"]


def test_a_simulated_model_never_counts_for_the_real_one():
    assert _subjects(_budget("model", "gpt-4o"), models=(PRETENDED,)) == []
    assert _subjects(_budget("model", "*"), models=(PRETENDED, GPT)) == ["simulated/gpt-4o", "gpt-4o"]
    assert _subjects(_budget("model", "simulated/gpt-4o"), models=(PRETENDED,)) == ["simulated/gpt-4o"]


def test_only_the_charge_of_the_model_that_served_counts():
    each = matching([_budget("model", "*")], ADA, (GPT, GPT_TOO, MINI), NOW_MS)
    assert [charge.subject for charge in each if charge.counts(GPT_TOO)] == ["gpt-4o"]
    assert [charge.subject for charge in each if charge.counts(MINI)] == ["gpt-4o-mini"]
    (one,) = matching([_budget("model", "azure/gpt-4o")], ADA, (GPT, GPT_TOO), NOW_MS)
    assert one.counts(GPT_TOO)
    assert not one.counts(GPT)
    (user,) = matching([_budget("user", "*")], ADA, (GPT,), NOW_MS)
    assert user.counts(GPT)


def test_a_request_counts_in_every_budget_that_it_matches():
    budgets = [
        _budget("account", "", "total", "1"),
        _budget("user", "bob", "day", "2"),
        _budget("user", "*", "day", "3"),
        _budget("model", "*", "hour", "4"),
    ]
    found = matching(budgets, ADA, (GPT, MINI), NOW_MS)
    assert [(charge.budget.id, charge.subject) for charge in found] == [
        ("1", ""), ("3", "ada"), ("4", "gpt-4o"), ("4", "gpt-4o-mini"),
    ]  # fmt: skip
    assert found[0].purse == "budget/1/0/"
    assert matching([], ADA, (GPT,), NOW_MS) == ()


def test_a_budget_for_each_value_has_no_one_window():
    assert standing_purse(_budget("user", "*"), NOW_MS) is None
    assert standing_purse(_budget("user", "ada"), NOW_MS) == f"budget/b/{MONTH_MS}/ada"
    assert standing_purse(_budget("account", ""), NOW_MS) == f"budget/b/{MONTH_MS}/"
