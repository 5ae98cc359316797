"""`/v1/admin/trail`: an owner reads who changed what in their account, and learns nothing of anybody else."""

from itertools import count
from typing import Any

import pytest
from conversation import envelope
from tenants import Tenant, new_tenant

from live_gateway import LiveGateway
from neuralrouting.exchange import Role

TRAIL = "/v1/admin/trail"
BUDGET = {"name": "all", "scope": "account", "period": "month", "limit_usd": "12.5", "action": "block"}
PLAN = {"name": "Tried", "price_cents": 100, "monthly_credits": "5", "modes": ["auto"], "force_model": False}
_numbers = count(1)


@pytest.fixture(scope="module")
def ours(gateway: LiveGateway) -> Tenant:
    return new_tenant(gateway, "trailed")


@pytest.fixture(scope="module")
def theirs(gateway: LiveGateway) -> Tenant:
    return new_tenant(gateway, "zebra")


def newest(tenant: Tenant, role: Role = "owner", **params: object) -> dict[str, Any]:
    return tenant.get(TRAIL, role, **params).json()["data"][0]


def test_an_owner_sees_what_their_own_key_has_changed(ours: Tenant):
    with ours.client("owner") as client:
        made = client.post("/v1/budgets", json=BUDGET).json()["id"]
        client.put(f"/v1/budgets/{made}", json=BUDGET | {"limit_usd": "20"})
    entry = newest(ours)
    assert (entry["action"], entry["subject"], entry["actor"]) == ("budget.change", made, f"key_{ours.owner[8:20]}")
    assert (entry["before"], entry["after"]) == ({"limit_nanousd": 12_500_000_000}, {"limit_nanousd": 20_000_000_000})


def test_whoever_is_not_of_the_account_is_the_operator_to_its_owner(ours: Tenant, theirs: Tenant):
    with theirs.client("operator") as client:
        assert client.patch(f"/v1/admin/accounts/{ours.account}", json={"name": "Renamed"}).status_code == 200
    assert newest(ours)["actor"] == "operator"
    assert newest(ours, "operator")["actor"] == f"key_{theirs.operator[8:20]}"
    assert newest(theirs, "operator", account=ours.account)["after"] == {"name": "Renamed"}


def test_a_page_goes_on_at_its_next_and_the_head_is_the_newest_entry(ours: Tenant):
    with ours.client("owner") as client:
        for mode in ("cost", "quality"):
            client.put("/v1/routing/settings", json={"mode": mode, "cascade": None, "shadow": True})
    first = ours.get(TRAIL, "owner", limit=1).json()
    second = ours.get(TRAIL, "owner", limit=1, before=first["next"]).json()
    assert [page["data"][0]["after"] for page in (first, second)] == [{"mode": "quality"}, {"mode": "cost"}]
    assert first["head"] == {name: first["data"][0][name] for name in ("seq", "hash")}
    whole = ours.get(TRAIL, "owner", limit=200).json()
    assert whole["next"] is None
    assert [entry["seq"] for entry in whole["data"]] == list(range(first["head"]["seq"], 0, -1))


def test_what_belongs_to_no_account_is_shown_to_operators(ours: Tenant):
    plan = f"trailed-{next(_numbers)}"
    with ours.client("operator") as client:
        assert client.put(f"/v1/admin/plans/{plan}", json=PLAN).status_code == 201
    entry = newest(ours, "operator", common="true")
    assert (entry["action"], entry["subject"], entry["before"]) == ("plan.put", plan, None)
    envelope(ours.get(TRAIL, "owner", common="true"), 403, "permission_denied")
    envelope(ours.get(TRAIL, "operator", common="true", account="x"), 422, "invalid_field", "common")


def test_no_entry_of_another_account_is_in_a_page(ours: Tenant, theirs: Tenant):
    with theirs.client("owner") as client:
        client.post("/v1/budgets", json=BUDGET | {"name": "zebra-budget"})
    assert "zebra" not in ours.get(TRAIL, "owner", limit=200).text


@pytest.mark.parametrize(
    "query", [{"before": "0"}, {"limit": "0"}, {"limit": "201"}, {"common": "yes"}, {"since": "1"}]
)
def test_a_question_that_cannot_be_read_is_refused(ours: Tenant, query: dict[str, str]):
    envelope(ours.get(TRAIL, "owner", **query), 422, "invalid_field", next(iter(query)))


def test_a_trail_that_is_whole_is_sound(ours: Tenant):
    with ours.client("operator") as client:
        told = client.post(f"{TRAIL}/verify").json()
    assert told == {"object": "trail.check", "sound": True, "breaches": []}
