"""`/v1/routing`: rules and settings are an account's own, a mistake is told with its line and changes nothing."""

import time
from typing import Any

import httpx
import pytest
from conversation import envelope
from tenants import Tenant, new_tenant

from live_gateway import LiveGateway
from neuralrouting.api.dry_run import signed_usd
from settling import request_row

RULES = "- name: cheap talk\n  when: {task: chat}\n  then: {mode: cost}\n"
MODEL = "simulated/gpt-4o-mini"
PREMIUM = "simulated/gpt-4o"


@pytest.fixture
def tenant(gateway: LiveGateway) -> Tenant:
    return new_tenant(gateway, "routing")


def put(tenant: Tenant, path: str, body: object, **params: str) -> httpx.Response:
    with tenant.client("owner") as client:
        return client.put(path, json=body, params=params)


def put_text(tenant: Tenant, text: str, kind: str = "text/yaml") -> httpx.Response:
    with tenant.client("owner") as client:
        return client.put("/v1/routing/rules", content=text.encode(), headers={"content-type": kind})


def shown(tenant: Tenant) -> dict[str, Any]:
    response = tenant.get("/v1/routing/rules")
    assert response.status_code == 200, response.text
    return response.json()


def test_an_account_without_rules_has_an_empty_text(tenant: Tenant):
    assert shown(tenant) == {
        "object": "routing.rules", "account": tenant.account, "rules": "", "data": [], "unreadable": None,
    }  # fmt: skip


def test_rules_are_shown_as_they_were_written_as_yaml_or_in_json(tenant: Tenant):
    assert put_text(tenant, RULES, "text/yaml; charset=utf-8").status_code == 200
    assert shown(tenant)["rules"] == RULES
    assert shown(tenant)["data"] == [{"name": "cheap talk", "line": 1, "when": "task: chat", "then": "mode: cost"}]
    assert put(tenant, "/v1/routing/rules", {"rules": f"# mine\n{RULES}"}).json() == shown(tenant)
    assert shown(tenant)["data"] == [{"name": "cheap talk", "line": 2, "when": "task: chat", "then": "mode: cost"}]
    assert put(tenant, "/v1/routing/rules", {"rules": ""}).json()["data"] == []


def test_a_mistake_is_told_with_its_line_and_changes_nothing(tenant: Tenant):
    put_text(tenant, RULES)
    refused = put_text(tenant, RULES + "- name: x\n  when: {task: poetry}\n  then: {mode: cost}\n")
    message = envelope(refused, 422, "invalid_rules", "line 5")
    assert message.startswith('line 5, column 16: unknown task "poetry"; known: qa, ')
    unknown = put_text(tenant, f"- name: x\n  then: {{model: {PREMIUM}o}}\n")
    assert f"did you mean '{PREMIUM}'?" in envelope(unknown, 422, "invalid_rules", "line 2")
    assert "'neural-router-v2' is no model" in envelope(
        put_text(tenant, "- name: x\n  then: {model: neural-router-v2}\n"), 422, "invalid_rules", "line 2"
    )
    envelope(put(tenant, "/v1/routing/rules", {"rule": RULES}), 422, "invalid_field", "rule")
    with tenant.client("owner") as client:
        latin = client.put("/v1/routing/rules", content=b"\xe9", headers={"content-type": "text/yaml"})
    envelope(latin, 400, "malformed_json")
    assert shown(tenant)["rules"] == RULES


def test_rules_belong_to_their_account_alone(gateway: LiveGateway, tenant: Tenant):
    other = new_tenant(gateway, "routing")
    put_text(tenant, RULES)
    assert shown(other)["rules"] == ""
    assert put(other, "/v1/routing/rules", {"rules": ""}, account=tenant.account).status_code == 404
    assert other.get("/v1/routing/rules", account=tenant.account).status_code == 404
    assert other.get("/v1/routing/settings", account=tenant.account).status_code == 404
    assert shown(tenant)["rules"] == RULES
    assert tenant.get("/v1/routing/rules", "operator", account=other.account).json()["account"] == other.account


def test_settings_are_replaced_as_a_whole(tenant: Tenant):
    path = "/v1/routing/settings"
    default = {"object": "routing.settings", "account": tenant.account, "mode": None, "cascade": None, "shadow": True}
    assert tenant.get(path).json() == default
    put_text(tenant, RULES)
    told = {"mode": "cost", "cascade": True, "shadow": False}
    assert put(tenant, path, told).json() == default | told
    assert tenant.get(path).json() == default | told
    envelope(put(tenant, path, {"mode": "auto", "cascade": None}), 422, "invalid_field", "shadow")
    envelope(put(tenant, path, told | {"mode": "cheap"}), 422, "invalid_field", "mode")
    assert tenant.get(path).json() == default | told
    assert shown(tenant)["rules"] == RULES


def test_a_mode_that_the_plan_does_not_have_is_refused_when_it_is_set(tenant: Tenant):
    plan = {"name": "Plain", "price_cents": 0, "monthly_credits": None, "modes": ["auto", "cost"], "force_model": False}
    with tenant.client("operator") as client:
        assert client.put(f"/v1/admin/plans/{tenant.account}", json=plan).status_code == 201
        account = f"/v1/admin/accounts/{tenant.account}"
        assert client.patch(account, json={"plan": tenant.account}).status_code == 200
        refused = client.post(f"{account}/keys", json={"routing_mode": "speed"})
        assert "routing mode 'speed' is not in the plan Plain" in envelope(refused, 403, "plan_required")
        made = client.post(f"{account}/keys", json={"routing_mode": "cost"}).json()
        assert made["routing_mode"] == "cost"
        key = f"/v1/admin/keys/{made['id']}"
        envelope(client.patch(key, json={"routing_mode": "quality"}), 403, "plan_required")
        assert client.patch(key, json={"team": "red"}).json()["routing_mode"] == "cost"
        assert client.patch(key, json={"routing_mode": None}).json()["routing_mode"] is None
    settings = {"mode": "speed", "cascade": None, "shadow": True}
    envelope(put(tenant, "/v1/routing/settings", settings), 403, "plan_required")
    assert put(tenant, "/v1/routing/settings", settings | {"mode": "cost"}).status_code == 200
    ruled = put_text(tenant, RULES + "- name: fast\n  then: {mode: speed}\n")
    assert "line 4: routing mode 'speed'" in envelope(ruled, 403, "plan_required", "line 4")
    assert put_text(tenant, RULES).status_code == 200


# --- dry run ---------------------------------------------------------------------------------------------------------


def past(tenant: Tenant, number: int, **changes: object) -> Any:  # noqa: ANN401  a row
    told: dict[str, Any] = {
        "created_ms": int(time.time() * 1000) - number - 1, "task": "chat", "complexity_tenths": 10,
        "routing_mode": "quality", "deployment": PREMIUM, "candidates": f'["{PREMIUM}", "{MODEL}"]', "simulated": True,
        "prompt_tokens": 100_000, "completion_tokens": 0, "cost_nanousd": 250_000_000,
        "decision": '{"route": {"source": "configuration"}}',
    }  # fmt: skip
    return request_row(f"{tenant.account}-{number}", **told | changes)


def tried(tenant: Tenant, rules: str = RULES, **body: object) -> dict[str, Any]:
    with tenant.client("member") as client:
        response = client.post("/v1/routing/rules/dry-run", json={"rules": rules, **body})
    assert response.status_code == 200, response.text
    return response.json()


def test_rules_are_tried_on_what_was_asked_in_the_last_seven_days(tenant: Tenant):
    week_ago_ms = 8 * 24 * 3_600_000
    tenant.settle(
        past(tenant, 1),
        past(tenant, 2, task="coding"),
        past(tenant, 3, decision=None),
        past(tenant, 4, cache="exact"),
        past(tenant, 5, created_ms=int(time.time() * 1000) - week_ago_ms),
    )
    told = tried(tenant)
    assert (told["examined"], told["judged"], told["changed"], told["examined_newest"]) == (4, 2, 1, None)
    assert {name: reason["requests"] for name, reason in told["not_judged"].items()} == {"cached": 1, "no_decision": 1}
    assert told["cost_delta_nanousd"] == 0
    assert told["simulated_cost_delta_nanousd"] < -200_000_000
    assert told["summary"] == (
        "this rule would have changed 1 of last week's 2 requests, "
        f"{signed_usd(told['simulated_cost_delta_nanousd'])} simulated; 2 more cannot be judged"
    )
    (rule,) = told["by_rule"]
    assert (rule["name"], rule["line"], rule["matched"], rule["changed"]) == ("cheap talk", 1, 1, 1)
    (example,) = told["examples"]
    assert (example["request_id"], example["served"]) == (f"{tenant.account}-1", PREMIUM)
    assert (example["would_be"], example["blocked"]) == (MODEL, False)


def test_a_dry_run_of_a_range_changes_nothing_and_sees_nobody_else(gateway: LiveGateway, tenant: Tenant):
    other = new_tenant(gateway, "routing")
    other.settle(past(other, 1))
    tenant.settle(past(tenant, 1, created_ms=1_790_000_000_000))
    assert tried(tenant)["examined"] == 0
    assert tried(tenant, **{"from": 1_789_000_000_000, "to": "2027-01-01"})["changed"] == 1
    assert shown(tenant)["rules"] == ""


def test_a_dry_run_says_what_is_wrong_with_rules_and_ranges(tenant: Tenant):
    with tenant.client("member") as client:
        path = "/v1/routing/rules/dry-run"
        envelope(client.post(path, json={"rules": "x: 1"}), 422, "invalid_rules", "line 1")
        envelope(client.post(path, json={"rules": "", "from": "soon"}), 422, "invalid_field", "from")
        envelope(client.post(path, json={"rules": "", "since": 1}), 422, "invalid_field", "since")
        envelope(client.post(path, json={"rules": ""}, params={"account": "nobody"}), 404, "not_found", "account")
