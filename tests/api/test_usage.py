"""`GET /v1/usage`: exact figures, JSON and CSV alike, and plain words about a parameter that is wrong."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conversation import CHAT, ask, envelope, new_prompt, raw_exchange
from tenants import Tenant, new_tenant

from live_gateway import LiveGateway
from settling import NOON_MS, request_row

HOUR_MS = 3_600_000
DAY = {"from_": "2026-11-28", "to": "2026-11-29"}
PREMIUM = "simulated/gpt-4o"
ROWS = (
    request_row("a", end_user="anna", feature="mail", cost_nanousd=120, baseline_nanousd=1_000, held_mc=2_000,
                charged_mc=1_500),
    request_row("b", end_user="bert", cost_nanousd=3_000, baseline_nanousd=1_000, house_nanousd=400),
    request_row("c", end_user="anna", cost_nanousd=None, created_ms=NOON_MS + HOUR_MS),
    request_row("d", cost_nanousd=0, baseline_nanousd=5, cache="exact", session_id="talk"),
    request_row("e", cost_nanousd=10**12, baseline_nanousd=1, simulated=True, deployment=PREMIUM, session_id="talk"),
    request_row("f", end_user="=1+1", feature="@SUM(A1)", created_ms=NOON_MS - 24 * HOUR_MS),
)  # fmt: skip


@pytest.fixture(scope="module")
def tenant(gateway: LiveGateway) -> Tenant:
    tenant = new_tenant(gateway, "usage")
    tenant.settle(*(_named(row, tenant) for row in ROWS))
    return tenant


def _named(row: Any, tenant: Tenant) -> Any:  # noqa: ANN401
    return request_row(f"{tenant.account}-{row.request_id}", **{
        name: getattr(row, name) for name in row.__struct_fields__ if name != "request_id"
    })  # fmt: skip


def told(tenant: Tenant, **params: object) -> dict[str, Any]:
    response = tenant.get("/v1/usage", **params)
    assert response.status_code == 200, response.text
    return response.json()


def test_totals_are_whole_nanodollars_and_the_same_as_decimal_text(tenant: Tenant):
    real = told(tenant, **DAY)["totals"]["real"]
    assert (real["requests"], real["unpriced"], real["exact_hits"]) == (4, 1, 1)
    assert (real["cost_nanousd"], real["cost_usd"]) == (3_120, "0.000003120")
    assert (real["baseline_nanousd"], real["baseline_usd"]) == (2_005, "0.000002005")
    assert (real["saved_routing_nanousd"], real["saved_exact_cache_nanousd"]) == (-1_120, 5)
    assert (real["house_nanousd"], real["saved_nanousd"], real["saved_usd"]) == (400, -1_515, "-0.000001515")
    assert (real["charged_mc"], real["charged_credits"]) == (1_500, "1.500")


def test_simulated_money_stands_apart(tenant: Tenant):
    totals = told(tenant, **DAY)["totals"]
    assert totals["simulated"]["cost_usd"] == "1000.000000000"
    assert totals["simulated"]["requests"] == 1
    rows = told(tenant, **DAY, group_by="endpoint")["data"]
    assert [(row["simulated"], row["requests"]) for row in rows] == [(False, 4), (True, 1)]


def test_no_money_is_ever_a_float(tenant: Tenant):
    body = told(tenant, **DAY, group_by="user,model")
    for row in [*body["totals"].values(), *body["data"]]:
        assert not [name for name, value in row.items() if isinstance(value, float)]


def test_rows_are_apart_by_each_group_in_the_order_asked_for(tenant: Tenant):
    rows = told(tenant, group_by="day,user", from_="2026-11-27", to="2026-11-29")["data"]
    places = [(row["day"], row["user"], row["simulated"]) for row in rows]
    assert places == [
        ("2026-11-27", "=1+1", False),
        ("2026-11-28", None, False),
        ("2026-11-28", None, True),
        ("2026-11-28", "anna", False),
        ("2026-11-28", "bert", False),
    ]
    hours = told(tenant, group_by="hour", user="anna", **DAY)["data"]
    assert [row["hour"] for row in hours] == ["2026-11-28T12:00:00Z", "2026-11-28T13:00:00Z"]


@pytest.mark.parametrize(
    ("params", "requests"),
    [
        ({"user": "anna"}, 2),
        ({"user": ""}, 1),
        ({"feature": "mail", "user": "anna"}, 1),
        ({"model": "gpt-4o-mini"}, 4),
        ({"model": "openai/gpt-4o-mini"}, 4),
        ({"key": "AbCdEfGhIjKl"}, 4),
        ({"endpoint": "/v1/dispatch"}, 0),
        ({"team": "red"}, 0),
        ({"from_": "2026-11-28T13:00:00Z"}, 1),
        ({"from_": "2026-11-28T14:00:00+01:00", "to": "2026-11-28T15:00+01:00"}, 1),
        ({"from_": NOON_MS, "to": NOON_MS + HOUR_MS}, 3),
        ({"from_": "2026-11-27"}, 5),
    ],
)
def test_filters_and_ranges_leave_what_they_name(tenant: Tenant, params: dict[str, object], requests: int):
    assert told(tenant, **(DAY | params))["totals"]["real"]["requests"] == requests


def test_the_range_is_the_month_we_are_in_unless_told(tenant: Tenant):
    now, body = datetime.now(UTC), told(tenant)
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    after = (first + timedelta(days=32)).replace(day=1)
    assert (body["from"], body["to"]) == (f"{first:%Y-%m-%dT%H:%M:%SZ}", f"{after:%Y-%m-%dT%H:%M:%SZ}")
    assert told(tenant, to="2026-03-01")["from"] == "2026-02-01T00:00:00Z"


def test_csv_has_the_figures_of_the_json(tenant: Tenant):
    params = {**DAY, "group_by": "user,model"}
    response = tenant.get("/v1/usage", format="csv", **params)
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="usage.csv"'
    rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    data = told(tenant, **params)["data"]
    assert len(rows) == len(data)
    for row, expected in zip(rows, data, strict=True):
        assert row == {name: _cell(value) for name, value in expected.items()}


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def test_csv_is_asked_for_by_the_accept_header_too(tenant: Tenant):
    with tenant.client("member") as client:
        response = client.get("/v1/usage", headers={"Accept": "text/csv"})
        assert response.headers["content-type"].startswith("text/csv")
        response = client.get("/v1/usage?format=json", headers={"Accept": "text/csv"})
        assert response.headers["content-type"] == "application/json"


def test_a_cell_that_would_be_a_formula_is_made_text(tenant: Tenant):
    response = tenant.get("/v1/usage", format="csv", group_by="user,feature", from_="2026-11-27", to="2026-11-28")
    head, line, rest = response.text.split("\r\n")
    assert head.startswith("user,feature,simulated,requests,")
    assert line.startswith("'=1+1,'@SUM(A1),false,1,")
    assert rest == ""


def test_a_negative_amount_stays_a_number_in_csv(tenant: Tenant):
    response = tenant.get("/v1/usage", format="csv", **DAY)
    row = next(csv.DictReader(io.StringIO(response.text, newline="")))
    assert row["saved_usd"] == "-0.000001515"


def test_a_session_is_told_real_and_simulated_apart(tenant: Tenant):
    body = told(tenant, session="talk")
    assert (body["object"], body["session"]) == ("usage.session", "talk")
    assert body["totals"]["real"]["saved_usd"] == "0.000000005"
    assert body["totals"]["simulated"]["cost_nanousd"] == 10**12
    assert told(tenant, session="talk", account=tenant.account) == body
    envelope(tenant.get("/v1/usage", session="silence"), 404, "not_found", "session")


@pytest.mark.parametrize(
    ("params", "param", "hint"),
    [
        ({"form": "2026-11-01"}, "form", "allowed: account, endpoint"),
        ({"from_": "yesterday"}, "from", "2026-11-01T13:00:00Z"),
        ({"from_": "99999999999999999999"}, "from", "Unix milliseconds"),
        ({"from_": "-5"}, "from", "a date"),
        ({"from_": "2026-11-02", "to": "2026-11-01"}, "from", "before `to`"),
        ({"from_": "2026-11-01", "to": "2026-11-01"}, "from", "exclusive"),
        ({"from_": "2026-11-01T12:30"}, "from", "full hour"),
        ({"to": "2026-11-01T12:00:01"}, "to", "full hour"),
        ({"from_": "2020-01-01"}, "from", "three years"),
        ({"from_": "2026-09-01", "to": "2026-11-01", "group_by": "hour"}, "group_by", "31 days"),
        ({"from_": "2026-09-01T01:00", "to": "2026-11-01"}, "from", "31 days"),
        ({"group_by": "colour"}, "group_by", "day, hour, user, feature, team, model, key, endpoint"),
        ({"group_by": "day,hour"}, "group_by", "not both"),
        ({"group_by": "user,user"}, "group_by", "twice"),
        ({"format": "xml"}, "format", "json or csv"),
        ({"user": "x" * 513}, "user", "512"),
        ({"user": "nul\0"}, "user", "NUL"),
        ({"session": "s", "group_by": "day"}, "group_by", "`session`"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_allowed(tenant: Tenant, params: dict[str, str], param: str, hint: str):
    assert hint in envelope(tenant.get("/v1/usage", **params), 422, "invalid_field", param)


def test_a_parameter_told_twice_is_refused(tenant: Tenant):
    with tenant.client("member") as client:
        envelope(client.get("/v1/usage?user=anna&user=bert"), 422, "invalid_field", "user")


def test_a_name_is_found_however_the_client_writes_it(tenant: Tenant):
    tenant.settle(request_row(f"{tenant.account}-snow", end_user="☃ é", created_ms=NOON_MS - 48 * HOUR_MS))
    for query in ("user=%E2%98%83%20%C3%A9", "user=☃+é"):
        head = f"GET /v1/usage?from=2026-11-26&to=2026-11-27&{query} HTTP/1.1\r\nHost: gateway\r\n"
        sent = f"{head}Authorization: Bearer {tenant.member}\r\nConnection: close\r\n\r\n"
        response = raw_exchange(tenant.gateway.url, sent.encode())
        assert response.json()["totals"]["real"]["requests"] == 1, query


def test_premium_answers_are_told_with_the_cheapest_capable_model_and_nothing_is_called_proven(gateway: LiveGateway):
    tenant = new_tenant(gateway, "premium")
    with tenant.client("member") as client:
        for mode in ("quality", "quality", "cost"):
            response = client.post(CHAT, json=ask(new_prompt(), routing_mode=mode))
            assert response.status_code == 200
    body = _premium(tenant)
    [row] = body["data"]
    assert (row["requests"], row["simulated"], row["proven"], row["evidence"]) == (2, True, False, None)
    assert row["saving_nanousd"] == row["cost_nanousd"] - row["alternative_nanousd"] > 0
    assert row["model"] != row["alternative"]
    assert "shadow audits" in body["note"]
    assert body["examined_newest"] is None
    assert _premium(tenant, to="2026-01-01")["data"] == []
    envelope(tenant.get("/v1/usage/premium-not-needed", group_by="day"), 422, "invalid_field", "group_by")


def _premium(tenant: Tenant, **params: object) -> dict[str, Any]:
    tenant.gateway.rows(account_id=tenant.account)  # waits for the writer
    response = tenant.get("/v1/usage/premium-not-needed", **params)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_forced_model_is_nobodys_choice_but_the_clients(gateway: LiveGateway):
    tenant = new_tenant(gateway, "forced")
    with tenant.client("member") as client:
        assert client.post(CHAT, json=ask(new_prompt(), model=PREMIUM)).status_code == 200
    assert _premium(tenant)["data"] == []


def test_the_biggest_groups_come_first_and_totals_are_of_all(tenant: Tenant):
    everything = told(tenant, **DAY, group_by="user")
    body = told(tenant, **DAY, group_by="user", sort="cost", limit=1)
    assert [(row["user"], row["simulated"]) for row in body["data"]] == [("bert", False), (None, True)]
    assert body["data"][0] in everything["data"]
    assert body["left"] == {"real": 2, "simulated": 0}
    assert body["totals"] == everything["totals"]
    assert told(tenant, **DAY, group_by="user", sort="requests")["data"][0]["user"] == "anna"


@pytest.mark.parametrize(
    ("param", "params"),
    [
        ("sort", {"group_by": "user", "sort": "name"}),
        ("sort", {"group_by": "user", "sort": "cost", "format": "csv"}),
        ("limit", {"group_by": "user", "limit": 5}),
        ("limit", {"group_by": "user", "sort": "cost", "limit": 201}),
        ("group_by", {"group_by": "day", "sort": "cost"}),
        ("group_by", {"group_by": "user,model", "sort": "cost"}),
        ("group_by", {"sort": "cost"}),
    ],
)
def test_a_question_for_the_biggest_that_makes_no_sense_is_refused(
    tenant: Tenant, param: str, params: dict[str, object]
):
    envelope(tenant.get("/v1/usage", **DAY, **params), 422, "invalid_field", param)
