"""Budget rows: one account's never another's, what they count is fixed, removals can be followed."""

import pytest
from msgspec.structs import replace

from neuralrouting.accounts.keys import create_key
from neuralrouting.errors import InvalidField, NotFound
from neuralrouting.exchange import Budget
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.budgets import PURSES_A_QUERY, BudgetRow, BudgetRows, Window, new_budget_id
from neuralrouting.storage.database import Database
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.turns import budget_purse

pytestmark = pytest.mark.anyio
MONTH = Budget("one", "acme", "The month", "account", "", "month", 250_000_000_000, "block")
USERS = Budget("two", "acme", "Users", "user", "*", "day", 500_000_000, "downgrade", 50)
PUT_WINDOW = """
INSERT INTO budget_windows (purse, budget_id, epoch_ms, subject, spent_nanousd, reserved_nanousd)
VALUES ($1, $2, $3, $4, $5, $6)
"""


@pytest.fixture
async def rows(database: Database) -> BudgetRows:
    for account_id in ("acme", "other"):
        await AccountRows(database).ensure(account_id, account_id, 1, actor=GATEWAY)
    return BudgetRows(database)


async def _spend(database: Database, budget_id: str, epoch_ms: int, subject: str, spent: int, reserved: int = 0) -> str:
    purse = budget_purse(budget_id, epoch_ms, subject)
    await database.execute(PUT_WINDOW, purse, budget_id, epoch_ms, subject, spent, reserved)
    return purse


async def test_a_budget_comes_back_as_it_was_put(rows: BudgetRows):
    await rows.put(USERS, 1_000, actor=GATEWAY)
    await rows.put(MONTH, 1_000, actor=GATEWAY)
    assert await rows.of_account("acme") == [MONTH, USERS]
    assert await rows.find("one", "acme") == MONTH


async def test_two_accounts_never_see_or_touch_each_others_budgets(rows: BudgetRows):
    await rows.put(MONTH, 1_000, actor=GATEWAY)
    theirs = replace(MONTH, id="theirs", account_id="other")
    await rows.put(theirs, 1_000, actor=GATEWAY)
    assert await rows.of_account("acme") == [MONTH]
    assert await rows.of_account("other") == [theirs]
    assert await rows.find("one", "other") is None
    assert not await rows.remove("one", "other", 2_000, actor=GATEWAY)
    with pytest.raises(InvalidField):
        await rows.put(replace(MONTH, account_id="other", limit_nanousd=1), 2_000, actor=GATEWAY)
    assert await rows.of_account("acme") == [MONTH]


async def test_limit_action_and_name_can_be_changed_but_not_what_is_counted(rows: BudgetRows):
    await rows.put(USERS, 1_000, actor=GATEWAY)
    changed = replace(USERS, name="Each user", limit_nanousd=1, action="warn", warn_percent=100)
    await rows.put(changed, 2_000, actor=GATEWAY)
    assert await rows.of_account("acme") == [changed]
    for other in ({"scope": "feature"}, {"subject": "ada"}, {"period": "hour"}):
        with pytest.raises(InvalidField, match="remove it and set another"):
            await rows.put(replace(USERS, **other), 3_000, actor=GATEWAY)
    assert await rows.of_account("acme") == [changed]


async def test_a_removed_budget_is_gone_and_still_told_to_those_who_follow(rows: BudgetRows):
    await rows.put(MONTH, 1_000, actor=GATEWAY)
    await rows.put(USERS, 10, actor=GATEWAY)
    assert await rows.remove("one", "acme", 20, actor=GATEWAY)
    assert not await rows.remove("one", "acme", 30, actor=GATEWAY)
    assert await rows.of_account("acme") == [USERS]
    assert await rows.find("one", "acme") is None
    assert await rows.changed_since(1_001) == [
        BudgetRow(USERS, deleted=False, changed_ms=1_001),
        BudgetRow(MONTH, deleted=True, changed_ms=1_002),
    ]


async def test_an_account_that_is_not_there_gets_no_budget(rows: BudgetRows):
    with pytest.raises(NotFound, match="no account 'nobody'"):
        await rows.put(replace(MONTH, account_id="nobody"), 1_000, actor=GATEWAY)
    assert await rows.changed_since(0) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("scope", "world"), ("period", "year"), ("action", "pray"), ("subject", ""), ("subject", "a\nb"),
        ("subject", "x" * 201), ("limit_nanousd", 0), ("limit_nanousd", -1), ("limit_nanousd", 10**18 + 1),
        ("warn_percent", 0), ("warn_percent", 101),
    ],
)  # fmt: skip
async def test_a_budget_that_makes_no_sense_is_refused_and_its_field_named(rows: BudgetRows, field: str, value: object):
    with pytest.raises(InvalidField) as refused:
        await rows.put(replace(USERS, **{field: value}), 1_000, actor=GATEWAY)
    assert refused.value.param == field


async def test_a_budget_of_the_whole_account_has_no_subject(rows: BudgetRows):
    with pytest.raises(InvalidField) as refused:
        await rows.put(replace(MONTH, subject="*"), 1_000, actor=GATEWAY)
    assert refused.value.param == "subject"


async def test_a_budget_of_a_key_is_for_a_key_of_the_account(rows: BudgetRows, database: Database):
    mine, theirs = [
        await create_key(KeyRows(database), account_id, "", live=True, now_ms=1, actor=GATEWAY)
        for account_id in ("acme", "other")
    ]
    budget = replace(USERS, scope="key", subject=mine.id)
    await rows.put(budget, 1_000, actor=GATEWAY)
    await rows.put(replace(budget, id="all", subject="*"), 1_000, actor=GATEWAY)
    for unknown in (theirs.id, "typo"):
        with pytest.raises(InvalidField, match=f"the account has no key '{unknown}'"):
            await rows.put(replace(budget, id="new", subject=unknown), 1_000, actor=GATEWAY)
    assert len(await rows.of_account("acme")) == 2


async def test_windows_are_told_newest_and_highest_first(rows: BudgetRows, database: Database):
    await rows.put(USERS, 1_000, actor=GATEWAY)
    await _spend(database, "two", 100, "ada", 9, 3)
    await _spend(database, "two", 200, "ada", 5)
    await _spend(database, "two", 200, "bob/1", 7)
    await _spend(database, "elsewhere", 200, "ada", 99)
    found = await rows.windows(USERS)
    assert [(window.epoch_ms, window.subject, window.spent_nanousd) for window in found] == [
        (200, "bob/1", 7),
        (200, "ada", 5),
        (100, "ada", 9),
    ]
    assert found[-1] == Window("budget/two/100/ada", 100, "ada", 9, 3)
    assert await rows.windows(USERS, 200) == found[:2]


async def test_what_was_spent_is_told_for_many_windows_at_once(rows: BudgetRows, database: Database):
    purse = await _spend(database, "two", 100, "ada", 5)
    last = await _spend(database, "two", 100, "zoe", 6)
    unknown = [budget_purse("two", 100, f"u{place}") for place in range(2 * PURSES_A_QUERY)]
    assert await rows.spent([purse, *unknown, last]) == {purse: 5, last: 6}
    assert await rows.spent([]) == {}


def test_no_two_budgets_get_one_id():
    assert len({new_budget_id() for _ in range(500)}) == 500
