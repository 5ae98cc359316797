"""`/v1/admin`: accounts, credits, keys and plans, each change once, checked, and written down."""

import asyncio
from itertools import count
from typing import Any

import httpx
import pytest
from conversation import CHAT, ask, envelope, new_prompt
from tenants import Tenant, new_tenant

from live_gateway import LiveGateway, running_gateway
from settling import request_row

ACCOUNTS, PLANS = "/v1/admin/accounts", "/v1/admin/plans"
PLAN = {
    "name": "Team",
    "price_cents": 4_900,
    "monthly_credits": "1000.5",
    "modes": ["auto", "cost"],
    "force_model": True,
}
TOP_UP = {"kind": "topup", "credits": "12.345", "ref": "invoice 7", "reason": "paid by card"}
_numbers = count(1)


@pytest.fixture(scope="module")
def tenant(gateway: LiveGateway) -> Tenant:
    return new_tenant(gateway, "admin")


@pytest.fixture
def operator(tenant: Tenant) -> Any:  # noqa: ANN401
    with tenant.client("operator") as client:
        yield client


@pytest.fixture
def account(operator: httpx.Client) -> str:
    """The path of an account that was just made."""
    made = operator.post(ACCOUNTS, json={"id": f"made-{next(_numbers)}"})
    assert made.status_code == 201
    return f"{ACCOUNTS}/{made.json()['id']}"


def test_an_account_is_made_with_the_configured_plan_and_its_id_as_name(operator: httpx.Client):
    told = operator.post(ACCOUNTS, json={"id": "plain"}).json()
    assert (told["id"], told["name"], told["plan"]) == ("plain", "plain", "unlimited")
    assert (told["posted_mc"], told["available_credits"]) == (0, "0.000")
    assert told["id"] in {row["id"] for row in operator.get(ACCOUNTS).json()["data"]}


def test_an_account_that_is_there_stays_as_it_is(operator: httpx.Client, account: str):
    name = account.rpartition("/")[2]
    envelope(operator.post(ACCOUNTS, json={"id": name, "plan": "free"}), 409, "already_exists", "id")
    assert operator.get(account).json()["plan"] == "unlimited"


def test_name_and_plan_are_changed_together_or_not_at_all(operator: httpx.Client, account: str):
    told = operator.patch(account, json={"name": "Acme Corporation", "plan": "growth"}).json()
    assert (told["name"], told["plan"]) == ("Acme Corporation", "growth")
    envelope(operator.patch(account, json={"name": "Other", "plan": "nosuch"}), 404, "not_found")
    envelope(operator.patch(account, json={"name": "two\nlines", "plan": "free"}), 422, "invalid_field", "name")
    told = operator.get(account).json()
    assert (told["name"], told["plan"]) == ("Acme Corporation", "growth")


def test_credits_are_booked_once_for_a_reference(operator: httpx.Client, account: str):
    first = operator.post(f"{account}/credits", json=TOP_UP).json()
    again = operator.post(f"{account}/credits", json=TOP_UP).json()
    assert first["entry"] == again["entry"]
    assert (again["posted_credits"], again["entry"]["delta_mc"]) == ("12.345", 12_345)
    assert (again["entry"]["reason"], again["entry"]["kind"]) == ("paid by card", "topup")
    envelope(operator.post(f"{account}/credits", json=TOP_UP | {"credits": "13"}), 409, "reference_used", "ref")


def test_who_booked_is_kept_by_the_id_of_the_key(tenant: Tenant, operator: httpx.Client, account: str):
    assert operator.post(f"{account}/credits", json=TOP_UP).json()["entry"]["actor"] == f"key_{tenant.operator[8:20]}"


def test_refunds_and_adjustments_never_take_more_than_there_is(operator: httpx.Client, account: str):
    book = f"{account}/credits"
    operator.post(book, json=TOP_UP)
    told = operator.post(book, json=TOP_UP | {"kind": "refund", "credits": "2.345"}).json()
    assert told["posted_credits"] == "10.000"
    told = operator.post(book, json=TOP_UP | {"kind": "adjustment", "credits": "-4", "ref": "a1"}).json()
    assert told["posted_credits"] == "6.000"
    told = operator.post(book, json=TOP_UP | {"kind": "adjustment", "credits": "0.5", "ref": "a2"}).json()
    assert told["posted_credits"] == "6.500"
    response = operator.post(book, json=TOP_UP | {"kind": "refund", "credits": "100", "ref": "too much"})
    assert (response.status_code, response.json()["error"]["code"]) == (402, "insufficient_credits")
    assert operator.get(account).json()["posted_credits"] == "6.500"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"kind": "gift"}, "kind"),
        ({"credits": 5}, "credits"),
        ({"credits": "1.0005"}, "credits"),
        ({"credits": "-1"}, "credits"),
        ({"credits": "0"}, "credits"),
        ({"kind": "adjustment", "credits": "0"}, "credits"),
        ({"credits": "9999999999999999"}, "credits"),
        ({"credits": "\N{ARABIC-INDIC DIGIT ONE}"}, "credits"),
        ({"ref": ""}, "ref"),
        ({"ref": "x" * 201}, "ref"),
        ({"reason": "nul\0"}, "reason"),
        ({"amount": "5"}, "amount"),
    ],
)
def test_credits_that_cannot_be_booked_name_the_field(
    operator: httpx.Client, account: str, change: dict[str, object], param: str
):
    envelope(operator.post(f"{account}/credits", json=TOP_UP | change), 422, "invalid_field", param)


def test_a_missing_field_is_named(operator: httpx.Client, account: str):
    told = envelope(operator.post(f"{account}/credits", json={"kind": "topup"}), 422, "invalid_field", "credits")
    assert "required" in told
    envelope(operator.post(ACCOUNTS, json={}), 422, "invalid_field", "id")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"id":'])
def test_a_body_that_is_no_json_is_refused(operator: httpx.Client, body: bytes):
    envelope(operator.post(ACCOUNTS, content=body), 400, "malformed_json")


@pytest.mark.parametrize("body", [b"[]", b'"id"', b"1", b"null"])
def test_a_body_that_is_no_object_is_refused(operator: httpx.Client, body: bytes):
    envelope(operator.post(ACCOUNTS, content=body), 422, "invalid_field")


def test_a_key_is_shown_once_and_works_at_once(tenant: Tenant, operator: httpx.Client, account: str):
    fields = {"name": "laptop", "role": "owner", "team": "red", "requests_per_minute": 9, "shield_mode": "monitor"}
    response = operator.post(f"{account}/keys", json=fields)
    assert response.headers["cache-control"] == "no-store"
    made = response.json()
    assert {name: made[name] for name in fields} == fields
    listed = operator.get(f"{account}/keys")
    assert listed.json()["data"] == [{name: value for name, value in made.items() if name != "key"}]
    assert made["key"] not in listed.text
    with tenant.gateway.client(Authorization=f"Bearer {made['key']}") as client:
        assert client.get("/v1/credits").json()["account"] == account.rpartition("/")[2]
        assert client.post(CHAT, json=ask(new_prompt())).status_code == 200


def test_a_change_of_a_key_leaves_what_it_does_not_name(operator: httpx.Client, account: str):
    made = operator.post(f"{account}/keys", json={"team": "red", "parallel": 3}).json()
    told = operator.patch(f"/v1/admin/keys/{made['id']}", json={"role": "owner", "parallel": None}).json()
    assert (told["team"], told["parallel"], told["role"]) == ("red", None, "owner")
    assert operator.patch(f"/v1/admin/keys/{made['id']}", json={}).json() == told


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"role": "king"}, "role"),
        ({"role": None}, "role"),
        ({"parallel": 0}, "parallel"),
        ({"requests_per_minute": 1.5}, "requests_per_minute"),
        ({"team": ""}, "team"),
        ({"live": False}, "live"),
    ],
)
def test_a_key_cannot_be_changed_into_what_no_key_is(
    operator: httpx.Client, account: str, change: dict[str, object], param: str
):
    made = operator.post(f"{account}/keys", json={}).json()
    envelope(operator.patch(f"/v1/admin/keys/{made['id']}", json=change), 422, "invalid_field", param)


def test_a_revoked_key_is_gone_for_good(tenant: Tenant, operator: httpx.Client, account: str):
    made = operator.post(f"{account}/keys", json={}).json()
    path = f"/v1/admin/keys/{made['id']}"
    assert operator.delete(path).json() == {"id": made["id"], "revoked": True}
    envelope(operator.delete(path), 404, "not_found")
    envelope(operator.patch(path, json={"team": "red"}), 404, "not_found")
    [row] = operator.get(f"{account}/keys").json()["data"]
    assert row["revoked"] is not None


def test_a_plan_is_made_replaced_and_removed(operator: httpx.Client):
    path = f"{PLANS}/team"
    assert operator.put(path, json=PLAN).status_code == 201
    told = operator.put(path, json=PLAN | {"parallel": 4}).json()
    assert (told["monthly_mc"], told["monthly_credits"], told["parallel"]) == (1_000_500, "1000.500", 4)
    assert told in operator.get(PLANS).json()["data"]
    assert operator.delete(path).json() == {"id": "team", "removed": True}
    envelope(operator.delete(path), 404, "not_found")


def test_a_plan_that_an_account_has_is_not_removed(operator: httpx.Client, account: str):
    operator.put(f"{PLANS}/used", json=PLAN | {"monthly_credits": None})
    operator.patch(account, json={"plan": "used"})
    assert "1 account" in envelope(operator.delete(f"{PLANS}/used"), 409, "in_use")
    operator.patch(account, json={"plan": "free"})
    assert operator.delete(f"{PLANS}/used").status_code == 200


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"modes": ["cost"]}, "modes"),
        ({"modes": ["auto", "psychic"]}, "modes[1]"),
        ({"price_cents": -1}, "price_cents"),
        ({"monthly_credits": "-5"}, "monthly_credits"),
        ({"monthly_credits": 5}, "monthly_credits"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"name": ""}, "name"),
        ({"id": "other"}, "id"),
    ],
)
def test_a_plan_that_makes_no_sense_names_the_field(operator: httpx.Client, change: dict[str, object], param: str):
    envelope(operator.put(f"{PLANS}/senseless", json=PLAN | change), 422, "invalid_field", param)


@pytest.mark.parametrize("path", ["", "/credits", "/keys"])
def test_an_account_that_is_not_there_is_not_found(operator: httpx.Client, path: str):
    for name in ("nobody", "%00", "x" * 600):
        body = {"/credits": TOP_UP, "/keys": {}}.get(path, {"name": "x"})
        method = "POST" if path else "PATCH"
        envelope(operator.request(method, f"{ACCOUNTS}/{name}{path}", json=body), 404, "not_found")


def test_a_query_where_none_is_taken_is_refused(operator: httpx.Client, account: str):
    envelope(operator.get(f"{account}?account=other"), 422, "invalid_field", "account")


def test_a_sound_ledger_is_called_sound_and_a_broken_row_is_named(tmp_path_factory: pytest.TempPathFactory):
    with running_gateway(tmp_path_factory.mktemp("books"), config='local: {enabled: "off"}') as gateway:
        tenant = new_tenant(gateway, "books")
        tenant.settle(request_row("charged", held_mc=2_000, charged_mc=2_000))
        with tenant.client("operator") as client:
            told = client.post("/v1/admin/ledger/verify").json()
            assert (told["sound"], told["breaches"]) == (True, [])
            asyncio.run(_steal(tenant))
            told = client.post("/v1/admin/ledger/verify").json()
        assert told["sound"] is False
        assert "I2" in {breach["invariant"] for breach in told["breaches"]}
        assert any(tenant.account in breach["row"] for breach in told["breaches"])


async def _steal(tenant: Tenant) -> None:
    async with tenant.gateway.opened() as database:
        await database.execute("UPDATE balances SET posted_mc = posted_mc + 5 WHERE account_id = $1", tenant.account)


def test_every_change_is_logged_and_no_secret_with_it(tenant: Tenant, operator: httpx.Client, account: str):
    name = account.rpartition("/")[2]
    operator.patch(account, json={"name": "Logged"})
    operator.post(f"{account}/credits", json=TOP_UP)
    made = operator.post(f"{account}/keys", json={}).json()
    operator.patch(f"/v1/admin/keys/{made['id']}", json={"team": "red"})
    operator.delete(f"/v1/admin/keys/{made['id']}")
    operator.put(f"{PLANS}/logged", json=PLAN)
    operator.delete(f"{PLANS}/logged")
    log = tenant.gateway.log.read_text()
    lines = tenant.gateway.said("neuralrouting.changes")
    for what, whose in (
        ("account.create", name), ("account.change", name), ("credits.topup", name), ("key.create", made["id"]),
        ("key.change", made["id"]), ("key.revoke", made["id"]), ("plan.put", "logged"), ("plan.remove", "logged"),
    ):  # fmt: skip
        found = [line for line in lines if f'change="{what}"' in line and f'"{whose}"' in line]
        assert found, what
        assert f'key="{tenant.operator[8:20]}"' in found[0]
    assert made["key"] not in log
    assert tenant.operator not in log
