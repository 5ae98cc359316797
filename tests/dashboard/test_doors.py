"""Every path of the dashboard as it is wired: without a session it opens nothing, and a role opens what it may."""

import asyncio
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from live_gateway import LiveGateway
from neuralrouting.app import gateway as opened_gateway
from neuralrouting.config import load
from neuralrouting.dashboard.rights import ROLES, UserRole
from signed_in import HERE, Person, new_person

sys.path.insert(0, str(Path(__file__).parents[2]))

from benches.pages.questions import Known
from benches.pages.screens import screens

Place = tuple[str, str]
PUBLIC = {
    ("GET", "/static/{name:path}"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/login/link/{token}"),
    ("POST", "/login/link/{token}"),
    ("GET", "/login/oidc"),
    ("GET", "/login/oidc/return"),
    ("POST", "/logout"),
}
"""What anybody may ask for: how to come in and go out, and what pages are made of."""
API = ("/v1/", "/healthz", "/readyz", "/openapi.json", "/docs", "/metrics")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> list[Place]:
    """Every method and path of the dashboard."""

    async def walk() -> list[Place]:
        environ = {"DATA_DIR": str(tmp_path_factory.mktemp("doors")), "LOCAL_ENABLED": "off"}
        async with opened_gateway(load(None, environ), os.environ | environ) as edge:
            routes = [route for route in edge._rest._app.routes if not route.path.startswith(API)]
            return [(method, route.path) for route in routes for method in sorted(route.methods - {"HEAD"})]

    return asyncio.run(walk())


@pytest.fixture(scope="module")
def people(gateway: LiveGateway) -> Mapping[UserRole, Person]:
    return {role: new_person(gateway, role) for role in ROLES}


@pytest.fixture
def nobody(gateway: LiveGateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, headers=HERE, trust_env=False, timeout=60) as client:
        yield client


def url_of(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "1", path)


def test_the_dashboard_is_there(places: list[Place]):
    assert {("GET", "/"), ("GET", "/settings"), ("POST", "/settings/password"), ("POST", "/logout")} <= set(places)


def test_every_page_is_timed_over_a_full_store(places: list[Place]):
    known = Known("acme", "req_1", "talk", "aud_1", "bud_1", "cursor", "acme")
    untimed = {path for method, path in places if method == "GET"} - set(screens(known))
    assert untimed - {path for _, path in PUBLIC} == {
        *(path for path in untimed if path.endswith(".csv")),  # what a page's rows, or a stream, are written from
        "/requests/tail", "/reports/{month}.pdf", "/reports/scheduled/{month}.pdf",
    }  # fmt: skip


def test_without_a_session_no_page_opens(places: list[Place], nobody: httpx.Client):
    for method, path in places:
        if (method, path) in PUBLIC:
            continue
        answer = nobody.request(method, url_of(path), data={} if method == "POST" else None)
        led = answer.headers.get("location", "").startswith("/login?")
        assert answer.status_code == 401 or (answer.status_code == 303 and led), (method, path, answer.text)


def test_a_cookie_that_was_made_up_opens_no_page(places: list[Place], nobody: httpx.Client):
    for name in ("nr_session", "__Host-nr_session"):
        nobody.cookies.set(name, "A" * 43)
    for method, path in places:
        if (method, path) not in PUBLIC:
            assert nobody.request(method, url_of(path)).status_code in (303, 401), (method, path)


def test_another_page_changes_nothing(places: list[Place], people: Mapping[UserRole, Person]):
    client = people["owner"].client
    for method, path in places:
        if method == "GET":
            continue
        for headers in (
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "", "origin": "http://evil.test"},
            {"sec-fetch-site": "", "origin": "null"},
            {"sec-fetch-site": ""},
        ):
            answer = client.request(method, url_of(path), headers=headers, data={})
            assert answer.status_code == 403, (method, path, headers)
    assert client.get("/settings").status_code == 200


def test_no_page_answers_to_a_name_that_is_not_ours(places: list[Place], people: Mapping[UserRole, Person]):
    for method, path in places:
        if path.startswith("/static"):
            continue
        answer = people["owner"].client.request(method, url_of(path), headers={"host": "rebound.test"})
        assert answer.status_code == 403, (method, path)
        assert "rebound" not in answer.text


@pytest.mark.parametrize("role", ROLES)
def test_only_owners_see_and_change_users(people: Mapping[UserRole, Person], role: UserRole):
    client = people[role].client
    body = client.get("/settings.json").json()
    assert bool(body["users"]) == (role == "owner")
    assert body["user"]["role"] == role
    answer = client.post("/settings/users/disable", data={"user": people["viewer"].user_id + "x"})
    assert answer.status_code == (404 if role == "owner" else 403)


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_key_reads_figures_where_it_stands_alone(gateway: LiveGateway, people: Mapping[UserRole, Person], kind: str):
    path = f"/control-center.{kind}"
    with gateway.client() as client:
        assert client.get(path).status_code == 200
        assert client.get("/").status_code == 303
        assert client.get("/settings.json").json()["users"] == []
        assert client.post("/settings/password", headers=HERE).status_code == 303
    with gateway.client(Authorization="Bearer nr_live_nobody") as client:
        assert client.get(path).status_code == 401
    answer = people["owner"].client.get(path, headers={"authorization": f"Bearer {gateway.api_key}"})
    assert answer.json()["error"]["code"] == "ambiguous_credentials"


def test_the_api_takes_no_cookie(people: Mapping[UserRole, Person]):
    assert people["owner"].client.get("/v1/usage").status_code == 401
