"""Account rows: made with their balance, given plans that exist, every change can be followed."""

import asyncio

import pytest

from neuralrouting.errors import InvalidField, NotFound
from neuralrouting.storage.accounts import AccountRow, AccountRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.trail import GATEWAY

pytestmark = pytest.mark.anyio


@pytest.fixture
def rows(database: Database) -> AccountRows:
    return AccountRows(database)


async def test_an_account_is_made_with_an_empty_balance(rows: AccountRows, database: Database):
    assert await rows.ensure("acme", "Acme", 1_000, "starter", actor=GATEWAY)
    assert await rows.find("acme") == AccountRow("acme", "Acme", 1_000, "starter", 1_000)
    found = await database.fetch("SELECT account_id, posted_mc, reserved_mc, grant_mc, seq FROM balances")
    assert found == [("acme", 0, 0, 0, 0)]
    assert await rows.find("other") is None


async def test_an_account_stays_as_it_is(rows: AccountRows, database: Database):
    assert await rows.ensure("acme", "Acme", 1_000, "free", actor=GATEWAY)
    await database.execute("UPDATE balances SET posted_mc = 7")
    assert not await rows.ensure("acme", "Another", 2_000, "no such plan", actor=GATEWAY)
    assert await rows.all() == [AccountRow("acme", "Acme", 1_000, "free", 1_000)]
    assert await database.fetch("SELECT posted_mc FROM balances") == [(7,)]


async def test_an_account_that_is_made_by_many_at_once_is_made_once(rows: AccountRows):
    made = await asyncio.gather(*(rows.ensure("acme", "Acme", 1_000, actor=GATEWAY) for _ in range(8)))
    assert sorted(made) == [False] * 7 + [True]


@pytest.mark.parametrize("account_id", ["", "a b", "a/b", "../a", "é", "x" * 101, "a\0"])
async def test_an_id_that_cannot_stand_in_an_address_is_refused(rows: AccountRows, account_id: str):
    with pytest.raises(InvalidField):
        await rows.ensure(account_id, "Acme", 1_000, actor=GATEWAY)
    assert await rows.all() == []


async def test_no_account_is_made_with_a_plan_that_is_not_there(rows: AccountRows, database: Database):
    with pytest.raises(NotFound, match="no plan 'gold'"):
        await rows.ensure("acme", "Acme", 1_000, "gold", actor=GATEWAY)
    assert await rows.all() == []
    assert await database.fetch("SELECT * FROM balances") == []


async def test_a_plan_is_given_to_the_account_that_is_named(rows: AccountRows):
    await rows.ensure("acme", "Acme", 1_000, actor=GATEWAY)
    await rows.ensure("other", "Other", 1_001, actor=GATEWAY)
    await rows.set_plan("acme", "growth", 2_000, actor=GATEWAY)
    assert [(row.id, row.plan_id) for row in await rows.all()] == [("acme", "growth"), ("other", "unlimited")]
    with pytest.raises(NotFound, match="no plan 'gold'"):
        await rows.set_plan("acme", "gold", 3_000, actor=GATEWAY)
    with pytest.raises(NotFound, match="no account 'nobody'"):
        await rows.set_plan("nobody", "free", 3_000, actor=GATEWAY)


async def test_a_change_made_by_a_clock_that_is_behind_can_be_followed(rows: AccountRows):
    await rows.ensure("ahead", "Ahead", 9_000, actor=GATEWAY)
    await rows.ensure("behind", "Behind", 10, actor=GATEWAY)
    await rows.set_plan("ahead", "free", 20, actor=GATEWAY)
    assert [(row.id, row.plan_id, row.changed_ms) for row in await rows.changed_since(9_001)] == [
        ("behind", "unlimited", 9_001),
        ("ahead", "free", 9_002),
    ]
