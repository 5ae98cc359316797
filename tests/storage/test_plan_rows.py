"""Plan rows: built in, defined by the operator, checked, and never taken from under an account."""

import asyncio

import pytest
from msgspec.structs import replace

from neuralrouting.errors import InvalidField
from neuralrouting.exchange import Plan
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database, RowError
from neuralrouting.storage.plans import PlanRows
from neuralrouting.storage.trail import GATEWAY

pytestmark = pytest.mark.anyio
TEAM = Plan("team", "Team", 4_900, 100_000_000, 120, 50_000, 8, ("auto", "cost"), force_model=True)


@pytest.fixture
def rows(database: Database) -> PlanRows:
    return PlanRows(database)


async def test_the_plans_of_the_price_list_are_there(rows: PlanRows):
    every = ("auto", "cost", "quality", "speed")
    assert {plan.id: plan for plan in await rows.all()} == {
        "free": Plan("free", "Free", 0, 5_000_000, 3, None, None, ("auto",), force_model=False),
        "starter": Plan("starter", "Starter", 2_900, 50_000_000, 60, None, None, ("auto", "cost"), force_model=True),
        "growth": Plan("growth", "Growth", 8_900, 200_000_000, 250, None, None, every, force_model=True),
        "business": Plan("business", "Business", 34_900, 1_000_000_000, 1_000, None, None, every, force_model=True),
        "unlimited": Plan("unlimited", "Unlimited", 0, None, None, None, None, every, force_model=True),
    }


async def test_a_plan_comes_back_as_it_was_put_and_can_be_replaced(rows: PlanRows):
    await rows.put(TEAM, 1_000, actor=GATEWAY)
    assert await rows.find("team") == TEAM
    changed = replace(TEAM, monthly_mc=None, requests_per_minute=None, modes=("auto",), force_model=False)
    await rows.put(changed, 2_000, actor=GATEWAY)
    assert await rows.find("team") == changed
    assert await rows.find("teams") is None
    assert len(await rows.all()) == 6


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""), ("id", "a b"), ("id", "-a"), ("id", "x" * 101), ("name", " "), ("name", "two\nlines"),
        ("price_cents", -1), ("monthly_mc", -1), ("monthly_mc", 2**62), ("requests_per_minute", 0),
        ("tokens_per_minute", -5), ("parallel", 0), ("modes", ()), ("modes", ("cost",)), ("modes", ("auto", "auto")),
        ("modes", ("auto", "fast")),
    ],
)  # fmt: skip
async def test_a_plan_that_makes_no_sense_is_refused_and_its_field_named(rows: PlanRows, field: str, value: object):
    with pytest.raises(InvalidField) as refused:
        await rows.put(replace(TEAM, **{field: value}), 1_000, actor=GATEWAY)
    assert refused.value.param == field
    assert len(await rows.all()) == 5


async def test_a_plan_is_removed_once_no_account_has_it(rows: PlanRows, database: Database):
    accounts = AccountRows(database)
    await rows.put(TEAM, 1_000, actor=GATEWAY)
    await accounts.ensure("acme", "Acme", 1_000, "team", actor=GATEWAY)
    with pytest.raises(RowError, match="that of 1 account: give them another first"):
        await rows.remove("team", actor=GATEWAY)
    assert await rows.find("team") == TEAM
    await accounts.set_plan("acme", "free", 2_000, actor=GATEWAY)
    assert await rows.remove("team", actor=GATEWAY)
    assert not await rows.remove("team", actor=GATEWAY)
    assert await rows.find("team") is None


async def test_no_account_is_left_with_a_plan_that_is_removed_at_that_moment(rows: PlanRows, database: Database):
    accounts = AccountRows(database)
    for turn in range(30):
        await rows.put(TEAM, 1_000, actor=GATEWAY)
        made = [accounts.ensure(f"{turn}-{place}", "A", 1_000, "team", actor=GATEWAY) for place in range(2)]
        await asyncio.gather(made[0], rows.remove("team", actor=GATEWAY), made[1], return_exceptions=True)
        left = await database.fetch("SELECT id FROM accounts WHERE plan_id NOT IN (SELECT id FROM plans)")
        assert left == []
        await database.execute("UPDATE accounts SET plan_id = $1", "free")
