"""The page of keys and plans: keys made, shown once, changed and revoked; the plan and what is left of its credits."""

import csv
import io
import re
import time

import httpx
import pytest
from looking import application, person, visiting

from neuralrouting.accounts.keys import create_key, parse
from neuralrouting.api.figures import moment
from neuralrouting.dashboard.rights import ROLES, UserRole, may
from neuralrouting.dashboard.views.keys import KeysAndPlans, KeysRows
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.books import Books
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.keys import KeyOptions, KeyRow, KeyRows
from neuralrouting.storage.plans import PlanRows
from neuralrouting.storage.trail import GATEWAY, Trail
from neuralrouting.storage.usage import UsageRows
from settling import NOON_MS, new_account, new_budget, new_worker, settled

pytestmark = pytest.mark.anyio
ADDRESS = "http://127.0.0.1:8080"
KEY = re.compile(r"nr_(?:live|test)_\w{12}_\w{43}_[0-9a-f]{8}")


def keys_and_plans(database: Database) -> KeysAndPlans:
    rows = KeysRows(
        KeyRows(database), AccountRows(database), PlanRows(database), Books(database), BudgetRows(database),
        UsageRows(database),
    )  # fmt: skip
    return KeysAndPlans(rows, ADDRESS)


def keys_page(database: Database, role: UserRole = "owner", account_id: str = "acme") -> httpx.AsyncClient:
    keys = keys_and_plans(database)
    return visiting(application([keys.page()], keys.deeds(), viewer=person(role, account_id)))


@pytest.fixture
async def acme(database: Database) -> Database:
    """Two accounts, the first with a plan that counts credits."""
    for account_id in ("acme", "zeta"):
        await AccountRows(database).ensure(account_id, account_id, 1, "starter", actor=GATEWAY)
    return database


async def made(database: Database, account_id: str = "acme", name: str = "laptop", **options: object) -> KeyRow:
    told = KeyOptions(**options)  # type: ignore[arg-type]
    minted = await create_key(KeyRows(database), account_id, name, live=True, now_ms=1, actor=GATEWAY, options=told)
    row = await KeyRows(database).find(minted.id)
    assert row is not None
    return row


async def test_a_key_is_shown_once_with_a_request_that_is_ready_to_send(acme: Database):
    form = {"name": "<b>laptop</b>", "role": "owner", "team": "red", "parallel": "3", "kind": "test"}
    async with keys_page(acme) as client:
        answer = await client.post("/keys/create", data=form)
        later = await client.get("/keys")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    [key] = set(KEY.findall(answer.text))
    assert f"curl {ADDRESS}/v1/chat/completions -H &#34;Authorization: Bearer {key}&#34;" in answer.text
    assert "<b>" not in answer.text + later.text
    assert key not in later.text
    assert key[-4:] in later.text
    parsed = parse(key)
    assert parsed is not None
    row = await KeyRows(acme).find(parsed[1])
    assert row is not None
    assert (row.account_id, row.live, row.secret_sha256) == ("acme", False, parsed[2])
    assert row.options == KeyOptions(role="owner", team="red", parallel=3)


async def test_the_key_is_nowhere_but_on_that_page(acme: Database, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG")
    async with keys_page(acme) as client:
        [key] = set(KEY.findall((await client.post("/keys/create", data={"name": "laptop"})).text))
    secret = key[21:64]
    assert secret not in caplog.text
    for table in ("trail", "api_keys"):
        assert secret not in repr(await acme.fetch(f"SELECT * FROM {table}"))


@pytest.mark.parametrize(
    ("form", "param"),
    [({}, "name"), ({"name": "two\nlines"}, "name"), ({"name": "a", "role": "operator"}, "role"),
     ({"name": "a", "kind": "real"}, "kind"), ({"name": "a", "parallel": "0"}, "parallel"),
     ({"name": "a", "tokens_per_minute": "many"}, "tokens_per_minute"), ({"name": "a", "team": "a\nb"}, "team")],
)  # fmt: skip
async def test_a_key_that_cannot_be_is_not_made(acme: Database, form: dict[str, str], param: str):
    async with keys_page(acme) as client:
        answer = await client.post("/keys/create", data=form)
    assert answer.status_code == 422
    assert param in answer.text
    assert await KeyRows(acme).all("acme") == []


async def test_limits_are_changed_and_what_is_left_empty_is_taken_away(acme: Database):
    row = await made(acme, team="red", parallel=3, shield_mode="monitor")
    async with keys_page(acme) as client:
        answer = await client.post(
            "/keys/change", data={"id": row.id, "role": "owner", "parallel": "", "back": "/keys"}
        )
    assert (answer.status_code, answer.headers["location"]) == (303, "/keys?done=%2Fkeys%2Fchange")
    found = await KeyRows(acme).find(row.id)
    assert found is not None
    assert found.options == KeyOptions(role="owner", shield_mode="monitor")
    [entry, *_] = await Trail(acme).page("acme", None, 1)
    assert (entry.action, entry.actor, entry.subject) == ("key.change", "user_owner", row.id)


async def test_a_key_of_an_operator_stays_one(acme: Database):
    row = await made(acme, role="operator")
    async with keys_page(acme) as client:
        await client.post("/keys/change", data={"id": row.id, "role": "member", "parallel": "2"})
    found = await KeyRows(acme).find(row.id)
    assert found is not None
    assert found.options == KeyOptions(role="operator", parallel=2)


async def test_a_key_is_revoked_only_once_somebody_is_sure(acme: Database):
    row = await made(acme)
    async with keys_page(acme) as client:
        asked = await client.post("/keys/revoke", data={"id": row.id})
        assert "laptop" in asked.text
        assert row.last4 in asked.text
        assert await KeyRows(acme).find(row.id) == row
        done = await client.post("/keys/revoke", data={"id": row.id, "sure": "yes", "back": "/keys"})
        assert done.status_code == 303
        assert "The key is revoked" in (await client.get(done.headers["location"])).text
        assert (await client.post("/keys/revoke", data={"id": row.id, "sure": "yes"})).status_code == 404
    found = await KeyRows(acme).find(row.id)
    assert found is not None
    assert found.revoked_ms is not None


@pytest.mark.parametrize("path", ["/keys/change", "/keys/revoke"])
async def test_a_key_of_another_account_is_like_none(acme: Database, path: str):
    theirs = await made(acme, "zeta")
    async with keys_page(acme) as client:
        answers = [
            (answer.status_code, answer.text.replace(key_id, "ID"))
            for key_id in (theirs.id, "0aB3dE6fG9hJ")
            for answer in [await client.post(path, data={"id": key_id, "sure": "yes"})]
        ]
        assert "zeta" not in (await client.get("/keys")).text
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert await KeyRows(acme).find(theirs.id) == theirs


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_sees_keys_and_changes_them_as_it_may(acme: Database, role: UserRole):
    row = await made(acme)
    async with keys_page(acme, role) as client:
        page = await client.get("/keys")
        assert page.status_code == 200
        assert row.last4 in page.text
        assert ('action="/keys/create"' in page.text) == may(role, "set_keys")
        assert ('action="/keys/revoke"' in page.text) == may(role, "set_keys")
        for path in ("/keys/create", "/keys/change", "/keys/revoke"):
            answer = await client.post(path, data={"id": row.id, "name": "x"})
            assert (answer.status_code == 403) != may(role, "set_keys")


async def test_an_account_without_keys_is_taught_how_to_make_one(acme: Database):
    async with keys_page(acme) as client:
        text = (await client.get("/keys")).text
    assert "neuralrouting keys create --account acme" in text
    assert f"curl {ADDRESS}/v1/chat/completions" in text


async def test_credits_of_the_month_are_told_with_what_is_used_of_them(acme: Database):
    books, month = Books(acme), time.strftime("%Y-%m", time.gmtime())
    plan = await PlanRows(acme).find("starter")
    assert plan is not None
    assert plan.monthly_mc is not None
    async with keys_page(acme) as client:
        assert (await client.get("/keys.json")).json()["credits"]["used_share"] is None
        assert "about to be granted" in (await client.get("/keys")).text
        await books.renew("acme", month, plan.monthly_mc)
        worker = await new_worker(books)
        await worker.turn(settled("r1", plan.monthly_mc // 4))
        told = (await client.get("/keys.json")).json()["credits"]
        text = (await client.get("/keys")).text
    assert (told["used_mc"], told["used_share"], told["period"]) == (plan.monthly_mc // 4, 0.25, month)
    assert told["posted_mc"] == told["grant_mc"] == plan.monthly_mc - plan.monthly_mc // 4
    assert f'<progress aria-labelledby="month" value="{told["used_mc"]}" max="{plan.monthly_mc}">' in text


async def test_entries_budgets_and_plans_are_told_alike_on_page_json_and_csv(acme: Database):
    await Books(acme).top_up("acme", 5_000, "=invoice", GATEWAY, "paid")
    await new_budget(acme, "b1", 12_000_000_000)
    async with keys_page(acme) as client:
        told = (await client.get("/keys.json")).json()
        text = (await client.get("/keys")).text
        tables = {
            name: list(csv.DictReader(io.StringIO((await client.get("/keys.csv", params={"table": name})).text)))
            for name in ("entries", "budgets", "plans")
        }
    [entry], [budget] = told["entries"], told["budgets"]
    assert (entry["delta_credits"], tables["entries"][0]["delta_credits"]) == ("5.000", "5.000")
    assert "actor" not in entry
    assert tables["entries"][0]["ref"] == "'=invoice"
    assert (budget["limit_nanousd"], budget["spent_nanousd"]) == (12_000_000_000, 0)
    assert tables["budgets"][0]["limit_usd"] == budget["limit_usd"] == "12.000000000"
    assert [plan["id"] for plan in told["plans"] if plan["current"]] == ["starter"]
    assert [row["command"] for row in tables["plans"]] == [plan["command"] for plan in told["plans"]]
    assert "neuralrouting accounts set-plan acme growth" in text
    assert 'href="/attribution"' in text


async def test_a_key_tells_the_hour_of_its_last_request(database: Database):
    worker = await new_worker(await new_account(database, credits_mc=10_000))
    row = await made(database)
    await worker.turn(
        settled("r1", 0, key_id=row.id, created_ms=NOON_MS - 7_200_000), settled("r2", 0, key_id=row.id, end_user="ann")
    )
    async with keys_page(database) as client:
        [told] = (await client.get("/keys.json")).json()["keys"]
    assert told["last_used"] == moment(NOON_MS)
    assert await UsageRows(database).last_used("zeta") == {}
