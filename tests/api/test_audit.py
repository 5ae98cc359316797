"""`GET /v1/audit`, `/v1/credits` and `/v1/budgets`: what was booked, for whom, and how much is left."""

import asyncio
import csv
import io
import time
from collections.abc import Iterator
from typing import Any

import pytest
from conversation import CHAT, ask, envelope, new_prompt, wait_until
from tenants import Tenant, new_tenant

from live_gateway import LiveGateway, running_gateway
from neuralrouting.accounts.budgets import epoch_ms
from neuralrouting.api.filters import cursor_of
from neuralrouting.storage.audit import AuditPlace
from neuralrouting.storage.books import Books
from neuralrouting.storage.turns import Settlement, budget_purse
from settling import NOON_MS, new_worker, request_row

ATTEMPTS = '[{"deployment":"a","outcome":"upstream_timeout","latency_us":9},{"deployment":"b","outcome":"ok"}]'
BUDGET = {"name": "all", "scope": "account", "period": "total", "limit_usd": "0.000002", "action": "block"}


@pytest.fixture(scope="module")
def tenant(gateway: LiveGateway) -> Tenant:
    """Five requests, of which the newest was charged."""
    tenant = new_tenant(gateway, "audit")
    tenant.settle(
        request_row(name(tenant, 0), status=502, error_code="upstream_error", cost_nanousd=0, baseline_nanousd=None),
        *(request_row(name(tenant, n), created_ms=NOON_MS + n, end_user="anna") for n in (1, 2, 3)),
        request_row(
            name(tenant, 4), created_ms=NOON_MS + 4, task="qa", complexity_tenths=72, high_risk=False,
            route_rule="premium for complexity 7.2", attempts=ATTEMPTS, held_mc=2_000, charged_mc=1_500,
            house_nanousd=7, provider_cache_nanousd=3, cached_tokens=2,
        ),
    )  # fmt: skip
    return tenant


def name(tenant: Tenant, number: int) -> str:
    return f"req_{tenant.account}_{number}"


def listed(tenant: Tenant, **params: object) -> tuple[list[str], str | None]:
    response = tenant.get("/v1/audit", **params)
    assert response.status_code == 200, response.text
    body = response.json()
    return [row["request_id"] for row in body["data"]], body["next"]


def test_requests_are_listed_newest_first_page_by_page(tenant: Tenant):
    first, cursor = listed(tenant, limit=2)
    assert first == [name(tenant, 4), name(tenant, 3)]
    second, cursor = listed(tenant, limit=2, cursor=cursor)
    assert second == [name(tenant, 2), name(tenant, 1)]
    assert listed(tenant, limit=2, cursor=cursor) == ([name(tenant, 0)], None)


def test_all_requests_come_as_csv_which_has_no_pages(tenant: Tenant):
    response = tenant.get("/v1/audit", format="csv")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="requests.csv"'
    lines = list(csv.DictReader(io.StringIO(response.text, newline="")))
    assert [line["request_id"] for line in lines] == [name(tenant, n) for n in (4, 3, 2, 1, 0)]
    assert (lines[0]["charged_mc"], lines[0]["complexity"], lines[0]["high_risk"]) == ("1500", "7.2", "false")
    anna = tenant.get("/v1/audit", format="csv", user="anna").text
    assert [line["user"] for line in csv.DictReader(io.StringIO(anna))] == ["anna"] * 3
    refused = tenant.get("/v1/audit", format="csv", limit=2)
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "limit")


@pytest.mark.parametrize(
    ("params", "numbers"),
    [
        ({"user": "anna"}, [3, 2, 1]),
        ({"status": 502}, [0]),
        ({"from_": NOON_MS + 2, "to": NOON_MS + 4}, [3, 2]),
        ({"to": "2026-11-28"}, []),
        ({"model": "gpt-4o-mini", "user": ""}, [4, 0]),
        ({"session": "s"}, []),
    ],
)
def test_filters_leave_what_they_name(tenant: Tenant, params: dict[str, object], numbers: list[int]):
    assert listed(tenant, **params)[0] == [name(tenant, n) for n in numbers]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"status": "ok"}, "status"),
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"cursor": "garbage!"}, "cursor"),
        ({"cursor": "☃"}, "cursor"),
        ({"cursor": "bm90aGluZw"}, "cursor"),
        ({"cursor": cursor_of(AuditPlace(-1, "r"))}, "cursor"),
        ({"from_": "2026-11-02", "to": "2026-11-01"}, "from"),
        ({"group_by": "day"}, "group_by"),
    ],
)
def test_a_wrong_parameter_is_named(tenant: Tenant, params: dict[str, object], param: str):
    envelope(tenant.get("/v1/audit", **params), 422, "invalid_field", param)


def one(tenant: Tenant, number: int, role: str = "member", **params: object) -> dict[str, Any]:
    response = tenant.get(f"/v1/audit/{name(tenant, number)}", role, **params)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_request_is_told_with_all_that_was_decided_tried_and_counted(tenant: Tenant):
    told = one(tenant, 4)
    assert (told["task"], told["complexity"], told["route_rule"]) == ("qa", 7.2, "premium for complexity 7.2")
    assert [attempt["outcome"] for attempt in told["attempts"]] == ["upstream_timeout", "ok"]
    assert told["candidates"] == ["openai/gpt-4o-mini"]
    assert (told["cost_usd"], told["baseline_usd"], told["saved_usd"]) == ("0.000000100", "0.000001000", "0.000000900")
    assert (told["house_nanousd"], told["provider_cache_nanousd"], told["cached_tokens"]) == (7, 3, 2)
    assert (told["hold_state"], told["held_credits"], told["charged_credits"]) == ("settled", "2.000", "1.500")
    assert (told["usage_source"], told["price_version"]) == ("provider", "2026-01-01")


def test_the_ledger_rows_of_a_request_add_up_to_what_it_was_charged(tenant: Tenant):
    [entry] = one(tenant, 4)["ledger"]
    assert (entry["kind"], entry["delta_mc"], entry["counter"]) == ("usage", -1_500, "revenue")
    assert entry["ref"] == name(tenant, 4)
    assert len(entry["hash"]) == 64
    assert [row["delta_mc"] for row in one(tenant, 1)["ledger"]] == [0]


def test_who_made_an_entry_is_for_operators(tenant: Tenant):
    [entry] = one(tenant, 4)["ledger"]
    assert "actor" not in entry
    assert "actor" in one(tenant, 4, "operator")["ledger"][0]
    top_ups = [e for e in tenant.get("/v1/credits").json()["entries"] if e["kind"] == "topup"]
    assert top_ups
    assert "actor" not in top_ups[0]


@pytest.mark.parametrize("request_id", ["nobodys", "%00", "%ff", "x" * 600, "' OR 1=1 --"])
def test_a_request_that_is_not_there_is_not_found(tenant: Tenant, request_id: str):
    envelope(tenant.get(f"/v1/audit/{request_id}"), 404, "not_found")


def test_no_prompt_is_told_where_none_is_stored(gateway: LiveGateway):
    tenant, prompt = new_tenant(gateway, "silent"), new_prompt()
    with tenant.client("owner") as client:
        request_id = client.post(CHAT, json=ask(prompt)).headers["x-request-id"]
        wait_until(lambda: client.get(f"/v1/audit/{request_id}").status_code == 200, 5)
        told = client.get(f"/v1/audit/{request_id}?bodies=true")
    assert (told.json()["request_body"], told.json()["response_body"]) == (None, None)
    assert prompt not in told.text


@pytest.fixture(scope="module")
def keeping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway that stores bodies."""
    config = 'local: {enabled: "off"}\nstore_bodies: true'
    with running_gateway(tmp_path_factory.mktemp("keeping"), config=config) as gateway:
        yield gateway


def test_bodies_that_are_stored_are_told_to_an_owner_who_asks_and_to_nobody_else(keeping: LiveGateway):
    tenant, prompt = new_tenant(keeping, "told"), new_prompt()
    with tenant.client("owner") as client:
        request_id = client.post(CHAT, json=ask(prompt)).headers["x-request-id"]
        wait_until(lambda: client.get(f"/v1/audit/{request_id}").status_code == 200, 5)
    path = f"/v1/audit/{request_id}"
    told = tenant.get(path, "owner", bodies="true").json()
    assert prompt in told["request_body"]
    assert "chat.completion" in told["response_body"]
    assert "request_body" not in tenant.get(path, "owner").json()
    assert prompt not in tenant.get(path, "owner").text + tenant.get("/v1/audit", "owner").text
    envelope(tenant.get(path, "member", bodies="true"), 403, "permission_denied")
    envelope(tenant.get(path, "owner", bodies="yes"), 422, "invalid_field", "bodies")


def test_credits_tell_the_balance_and_the_ledger_page_by_page(tenant: Tenant):
    told = tenant.get("/v1/credits", limit=2).json()
    assert (told["plan"]["id"], told["counted"], told["period"]) == ("unlimited", False, None)
    assert (told["posted_mc"], told["reserved_mc"], told["available_credits"]) == (0, 0, "0.000")
    entries = told["entries"]
    while told["next"] is not None:
        told = tenant.get("/v1/credits", limit=2, before=told["next"]).json()
        entries += told["entries"]
    assert [entry["seq"] for entry in entries] == list(range(len(entries), 0, -1))
    assert sum(entry["delta_mc"] for entry in entries) == 0
    envelope(tenant.get("/v1/credits", before="x"), 422, "invalid_field", "before")


def test_a_budget_is_set_shown_changed_and_removed(gateway: LiveGateway):
    tenant = new_tenant(gateway, "budget")
    with tenant.client("owner") as client:
        made = client.post("/v1/budgets", json=BUDGET)
        assert made.status_code == 201
        path = f"/v1/budgets/{made.json()['id']}"
        assert client.get(path).json() == made.json() == client.get("/v1/budgets").json()["data"][0]
        changed = client.put(path, json=BUDGET | {"limit_usd": "3", "action": "warn", "warn_percent": 50})
        assert changed.status_code == 200
        told = client.get(path).json()
        assert (told["limit_usd"], told["action"], told["warn_percent"]) == ("3.000000000", "warn", 50)
        assert client.delete(path).json() == {"id": told["id"], "removed": True}
        envelope(client.get(path), 404, "not_found")
        envelope(client.put(path, json=BUDGET), 404, "not_found")
        envelope(client.delete(path), 404, "not_found")


def test_a_budget_tells_what_is_spent_of_it_by_whom_and_until_when(gateway: LiveGateway):
    tenant = new_tenant(gateway, "spent")
    body = BUDGET | {"scope": "user", "subject": "*", "period": "day", "limit_usd": "0.000000300"}
    with tenant.client("owner") as client:
        budget_id = client.post("/v1/budgets", json=body).json()["id"]
        assert client.get(f"/v1/budgets/{budget_id}").json()["windows"] == []
    asyncio.run(_spend(tenant, budget_id))
    told = tenant.get(f"/v1/budgets/{budget_id}").json()
    windows = {window["subject"]: window for window in told["windows"]}
    assert set(windows) == {"anna", "bert"}
    anna = windows["anna"]
    assert (anna["spent_nanousd"], anna["reserved_nanousd"]) == (100, 0)
    assert (anna["remaining_usd"], anna["percent"]) == ("0.000000200", 33)
    assert anna["start"] < anna["end"]
    assert anna["end"].endswith("T00:00:00Z")


async def _spend(tenant: Tenant, budget_id: str) -> None:
    epoch = epoch_ms("day", int(time.time() * 1000))
    async with tenant.gateway.opened() as database:
        books = Books(database)
        worker = await new_worker(books, f"spender-{tenant.account}")
        for subject in ("anna", "bert"):
            purse = budget_purse(budget_id, epoch, subject)
            await worker.lease(purse, 100)
            row = request_row(f"{tenant.account}-{subject}", account_id=tenant.account)
            await worker.turn(Settlement(row, metered=False, spends=((purse, 100),)))
        await books.retire(worker.id)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"limit_usd": "-1"}, "limit_usd"),
        ({"limit_usd": "0"}, "limit_usd"),
        ({"limit_usd": "1.0000000001"}, "limit_usd"),
        ({"limit_usd": "1e3"}, "limit_usd"),
        ({"limit_usd": "1000000001"}, "limit_usd"),
        ({"limit_usd": 5}, "limit_usd"),
        ({"limit_usd": 0.1}, "limit_usd"),
        ({"scope": "planet"}, "scope"),
        ({"period": "year"}, "period"),
        ({"action": "panic"}, "action"),
        ({"subject": "anna"}, "subject"),
        ({"warn_percent": 0}, "warn_percent"),
        ({"limt_usd": "5"}, "limt_usd"),
        ({"name": ""}, "name"),
    ],
)
def test_a_budget_that_cannot_be_names_the_field(tenant: Tenant, change: dict[str, object], param: str):
    with tenant.client("owner") as client:
        envelope(client.post("/v1/budgets", json=BUDGET | change), 422, "invalid_field", param)


def test_what_a_budget_counts_cannot_be_changed(tenant: Tenant):
    with tenant.client("owner") as client:
        path = f"/v1/budgets/{client.post('/v1/budgets', json=BUDGET).json()['id']}"
        assert client.put(path, json=BUDGET | {"period": "day"}).status_code == 422
        assert client.get(path).json()["period"] == "total"


def test_changes_are_logged_with_who_made_them(tenant: Tenant):
    with tenant.client("owner") as client:
        made = client.post("/v1/budgets", json=BUDGET).json()["id"]
    [line] = [line for line in tenant.gateway.said("neuralrouting.changes") if made in line]
    assert 'change="budget.create"' in line
    assert f'key="{tenant.owner[8:20]}"' in line
    assert tenant.owner not in line
