"""Rules of accounts: one text each, and every change can be followed, taking back included."""

import pytest

from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.rules import RuleRow, RuleRows
from neuralrouting.storage.trail import GATEWAY

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rows(database: Database) -> RuleRows:
    for account_id in ("acme", "other"):
        await AccountRows(database).ensure(account_id, account_id, 1, actor=GATEWAY)
    return RuleRows(database)


async def test_an_account_has_the_rules_that_it_was_given_last(rows: RuleRows):
    assert await rows.find("acme") == ""
    assert await rows.put("acme", "first", 1_000, actor=GATEWAY)
    assert await rows.put("acme", "second", 2_000, actor=GATEWAY)
    assert await rows.find("acme") == "second"
    assert await rows.find("other") == ""


async def test_an_account_that_does_not_exist_gets_none(rows: RuleRows):
    assert not await rows.put("nobody", "rules", 1_000, actor=GATEWAY)
    assert await rows.changed_since(0) == []


async def test_every_change_is_newer_than_the_last_even_by_a_clock_that_is_behind(rows: RuleRows):
    await rows.put("acme", "a", 9_000, actor=GATEWAY)
    await rows.put("other", "b", 10, actor=GATEWAY)
    await rows.put("acme", "", 20, actor=GATEWAY)
    assert await rows.changed_since(9_001) == [RuleRow("other", "b", 9_001), RuleRow("acme", "", 9_002)]
