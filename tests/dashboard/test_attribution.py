"""Attribution: who spends what, with budgets that are set in place by whoever may, as the API would set them."""

import csv
import io

import httpx
import pytest
from looking import application, person, visiting

from neuralrouting.accounts.budgets import epoch_ms
from neuralrouting.api.budgets import Budgets
from neuralrouting.dashboard.rights import ROLES, UserRole, may
from neuralrouting.dashboard.views.attribution import AttributionPage, AttributionRows
from neuralrouting.exchange import Budget, BudgetScope
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.trail import Actor
from neuralrouting.storage.turns import budget_purse
from neuralrouting.storage.usage import DAY_MS, UsageRows
from settling import NOON_MS, Worker, new_account, new_worker, spending

pytestmark = pytest.mark.anyio
RANGE = {"from": str(NOON_MS - NOON_MS % DAY_MS), "to": str(NOON_MS - NOON_MS % DAY_MS + DAY_MS)}
EVIL = '<script>alert(1)</script>{{ 7*7 }}=cmd|"'
SET = {"scope": "user", "subject": "anna", "period": "month", "limit_usd": "$1,000.5", "action": "block"}
DOLLAR = 1_000_000_000


def attribution_page(database: Database, role: UserRole = "owner", account_id: str = "acme") -> httpx.AsyncClient:
    budgets = BudgetRows(database)
    rows = AttributionRows(UsageRows(database), budgets, KeyRows(database), Budgets(budgets, AccountRows(database)))
    page = AttributionPage(rows)
    return visiting(application([page.page()], page.deeds(), viewer=person(role, account_id)))


async def budget(database: Database, id_: str, limit: int, subject: str = "*", scope: BudgetScope = "user") -> None:
    made = Budget(id_, "acme", f"budget {id_}", scope, subject, "total", limit, "block")
    await BudgetRows(database).put(made, 1, actor=Actor("test"))


def purse(budget_id: str, subject: str) -> str:
    return budget_purse(budget_id, epoch_ms("total", NOON_MS), subject)


@pytest.fixture
async def worker(database: Database) -> Worker:
    return await new_worker(await new_account(database))


@pytest.fixture
async def spent(database: Database, worker: Worker) -> Database:
    """Three users: one over a budget of its own, one near that of everybody, one whose name is hostile."""
    await budget(database, "own", 100, "anna")
    await budget(database, "each", 1_000)
    await worker.turn(
        spending("r1", (purse("own", "anna"), 150), (purse("each", "anna"), 150), end_user="anna", cost_nanousd=150),
        spending("r2", (purse("each", "bert"), 850), end_user="bert", cost_nanousd=850, baseline_nanousd=900),
        spending("r3", end_user=EVIL, cost_nanousd=10, baseline_nanousd=5_000),
        spending("r4", end_user=None, cost_nanousd=1),
    )
    return database


async def test_page_json_and_csv_tell_the_same_spenders(spent: Database):
    async with attribution_page(spent) as client:
        body = (await client.get("/attribution.json", params=RANGE)).json()
        page = (await client.get("/attribution", params=RANGE)).text
        lines = (await client.get("/attribution.csv", params={**RANGE, "table": "spenders"})).text
    assert [row["user"] for row in body["data"]] == ["bert", "anna", EVIL, None]
    assert (body["total"]["groups"], body["total"]["cost_nanousd"]) == (4, 1_011)
    rows = list(csv.DictReader(io.StringIO(lines)))
    assert [row["cost_usd"] for row in rows] == [row["cost_usd"] for row in body["data"]]
    assert all(f'value="{row["cost_usd"]}"' in page for row in rows)


async def test_everyone_is_shown_the_budget_of_which_most_is_used(spent: Database):
    async with attribution_page(spent) as client:
        body = (await client.get("/attribution.json", params=RANGE)).json()
        page = (await client.get("/attribution", params=RANGE)).text
    used = {row["user"]: (row["budget_id"], row["budget_percent"], row["budget_state"]) for row in body["data"]}
    assert used["anna"] == ("own", 150, "over")
    assert used["bert"] == ("each", 85, "near")
    assert used[EVIL] == ("each", 0, "within")
    assert used[None] == (None, None, None)
    assert all(word in page for word in (">over<", ">near the limit<", ">within<"))


async def test_budgets_are_listed_with_the_window_of_which_most_is_used(spent: Database):
    async with attribution_page(spent) as client:
        body = (await client.get("/attribution.json", params=RANGE)).json()
        lines = (await client.get("/attribution.csv", params={**RANGE, "table": "budgets"})).text
    own, each = body["budgets"]
    assert (own["id"], own["percent"], own["state"]) == ("own", 150, "over")
    assert (each["id"], each["highest"], each["percent"], each["subjects"]) == ("each", "bert", 85, 2)
    assert [row["limit_usd"] for row in csv.DictReader(io.StringIO(lines))] == ["0.000000100", "0.000001000"]


@pytest.mark.parametrize(("sort", "first"), [("spent", "bert"), ("requests", "anna"), ("saved", EVIL)])
async def test_the_biggest_come_first_by_what_is_asked_for(spent: Database, worker: Worker, sort: str, first: str):
    await worker.turn(spending("again", end_user="anna", cost_nanousd=0, baseline_nanousd=0))
    async with attribution_page(spent) as client:
        body = (await client.get("/attribution.json", params={**RANGE, "sort": sort})).json()
    assert body["data"][0]["user"] == first


async def test_a_name_is_found_by_a_part_of_it(spent: Database):
    async with attribution_page(spent) as client:
        body = (await client.get("/attribution.json", params={**RANGE, "search": "ANN"})).json()
        page = (await client.get("/attribution", params={**RANGE, "search": "<b>nobody"})).text
    assert [row["user"] for row in body["data"]] == ["anna"]
    assert "&lt;b&gt;nobody" in page
    assert "Nobody with such a name" in page


async def test_models_are_held_by_budgets_under_either_of_their_names(database: Database, worker: Worker):
    await budget(database, "bare", 100, "gpt-4o-mini", "model")
    await budget(database, "each", 1_000, "*", "model")
    await worker.turn(
        spending("r1", (purse("bare", "gpt-4o-mini"), 90), (purse("each", "gpt-4o-mini"), 90), cost_nanousd=90)
    )
    async with attribution_page(database) as client:
        body = (await client.get("/attribution.json", params={**RANGE, "by": "model"})).json()
    [row] = body["data"]
    assert (row["model"], row["budget_id"], row["budget_percent"]) == ("openai/gpt-4o-mini", "bare", 90)


async def test_many_users_come_page_by_page(database: Database, worker: Worker):
    await worker.turn(*(spending(f"r{n}", end_user=f"u{n:03}", cost_nanousd=n) for n in range(120)))
    seen: list[str] = []
    async with attribution_page(database) as client:
        cursor: str | None = "0"
        while cursor is not None:
            body = (await client.get("/attribution.json", params={**RANGE, "cursor": cursor})).json()
            seen += [row["user"] for row in body["data"]]
            assert body["total"]["groups"] == 120
            cursor = body["next"]
    assert seen == [f"u{n:03}" for n in range(119, -1, -1)]


async def test_a_budget_is_set_changed_and_removed_in_place(database: Database, worker: Worker):
    rows = BudgetRows(database)
    async with attribution_page(database, "billing") as client:
        answer = await client.post("/attribution/budget", data={**SET, "back": "/attribution?by=user"})
        [made] = await rows.of_account("acme")
        await client.post("/attribution/budget", data={**SET, "id": made.id, "limit_usd": "20", "name": "less"})
        [less] = await rows.of_account("acme")
        gone = await client.post("/attribution/budget/remove", data={"id": made.id})
    assert answer.headers["location"] == "/attribution?by=user&done=%2Fattribution%2Fbudget"
    assert (made.subject, made.limit_nanousd, made.warn_percent) == ("anna", 1_000_500_000_000, 80)
    assert (less.id, less.name, less.limit_nanousd) == (made.id, "less", 20 * DOLLAR)
    assert gone.status_code == 303
    assert await rows.of_account("acme") == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"limit_usd": "much"}, "limit_usd"),
        ({"limit_usd": "0"}, "limit_usd"),
        ({"scope": "planet"}, "scope"),
        ({"warn_percent": "101"}, "warn_percent"),
        ({"subject": ""}, "subject"),
        ({"surprise": "1"}, "surprise"),
    ],
)
async def test_a_form_that_is_wrong_names_the_field_and_changes_nothing(
    database: Database, worker: Worker, wrong: dict[str, str], field: str
):
    async with attribution_page(database) as client:
        answer = await client.post("/attribution/budget", data={**SET, **wrong})
    assert answer.status_code == 422
    assert f"<code>{field}</code>" in answer.text
    assert await BudgetRows(database).of_account("acme") == []


@pytest.mark.parametrize("role", ROLES)
async def test_only_who_may_sets_budgets(spent: Database, role: UserRole):
    async with attribution_page(spent, role) as client:
        page = await client.get("/attribution", params=RANGE)
        answer = await client.post("/attribution/budget", data=SET)
        gone = await client.post("/attribution/budget/remove", data={"id": "own"})
    assert page.status_code == 200
    assert ("Set this budget" in page.text) is may(role, "set_budgets")
    assert answer.status_code == gone.status_code == (303 if may(role, "set_budgets") else 403)


async def test_budgets_of_another_account_are_neither_seen_nor_changed(spent: Database):
    await new_account(spent, "other")
    async with attribution_page(spent, account_id="other") as client:
        body = (await client.get("/attribution.json", params=RANGE)).json()
        changed = await client.post("/attribution/budget", data={**SET, "id": "own"})
        gone = await client.post("/attribution/budget/remove", data={"id": "own"})
    assert (body["data"], body["budgets"]) == ([], [])
    assert changed.status_code == gone.status_code == 404
    assert [one.id for one in await BudgetRows(spent).of_account("acme")] == ["each", "own"]


async def test_names_of_others_are_text_in_rows_and_forms(spent: Database):
    async with attribution_page(spent) as client:
        page = (await client.get("/attribution", params=RANGE)).text
        lines = (await client.get("/attribution.csv", params=RANGE)).text
    assert "<script>alert" not in page
    assert "{{ 7*7 }}" in page
    assert f'"{EVIL.replace(chr(34), chr(34) * 2)}"' in lines


@pytest.mark.parametrize("wrong", [{"by": "planet"}, {"sort": "name"}, {"cursor": "-1"}, {"search": "x" * 513}])
async def test_what_cannot_be_asked_for_is_told(database: Database, wrong: dict[str, str]):
    async with attribution_page(database) as client:
        page = await client.get("/attribution", params=wrong)
        answer = await client.get("/attribution.json", params=wrong)
    assert page.status_code == answer.status_code == 422
    assert answer.json()["error"]["param"] == next(iter(wrong))


@pytest.mark.parametrize(("by", "word"), [("user", "anna"), ("feature", "X-NR-Feature"), ("team", "--team")])
async def test_an_empty_page_teaches_what_fills_it(database: Database, worker: Worker, by: str, word: str):
    async with attribution_page(database) as client:
        page = (await client.get("/attribution", params={"by": by})).text
    assert word in page
    assert "No budget is set." in page
