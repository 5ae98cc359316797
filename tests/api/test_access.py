"""Who may call what: every route declares it and holds to it, and two accounts learn nothing of each other."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx
import pytest
from conversation import CHAT, HOT, ask, new_prompt
from tenants import Tenant, new_tenant

from live_gateway import LiveGateway
from neuralrouting.api.schema import document
from neuralrouting.app import gateway as opened_gateway
from neuralrouting.config import load
from settling import request_row

Json = dict[str, Any]
_numbers = count(1)
BUDGET = {"name": "all", "scope": "account", "period": "month", "limit_usd": "12.5", "action": "block"}
PLAN = {"name": "Tried", "price_cents": 100, "monthly_credits": "5", "modes": ["auto"], "force_model": False}
RULES = "- name: cheap\n  when: {task: chat}\n  then: {mode: cost}\n"
ROLES = ("member", "owner", "operator")


@dataclass(frozen=True)
class Scene:
    """Two accounts: one that calls, and one that is not to be seen. Both have a request that is written down."""

    ours: Tenant
    theirs: Tenant

    def made(self, path: str, body: Json, tenant: Tenant | None = None) -> str:
        """Make something for this one call; return its id."""
        with (tenant or self.ours).client("operator") as client:
            response = client.post(path, json=body)
            assert response.status_code == 201, response.text
            return response.json()["id"]


@pytest.fixture(scope="module")
def scene(gateway: LiveGateway) -> Scene:
    ours, theirs = new_tenant(gateway, "ours"), new_tenant(gateway, "zebra")
    ours.settle(request_row(f"req_{ours.account}", end_user="anna", session_id="s"))
    theirs.settle(request_row(f"req_{theirs.account}", end_user="zebra-user", session_id="zebra-session"))
    return Scene(ours, theirs)


@dataclass(frozen=True)
class Call:
    """One way to call a route that works for whoever may: `url` and `body` make what it needs, afresh for each call."""

    url: Callable[[Scene], str]
    body: Callable[[Scene], Json] | None = None
    status: int = 200
    query: Mapping[str, str] = field(default_factory=dict)

    def send(self, client: httpx.Client, method: str, scene: Scene, **params: str) -> httpx.Response:
        body = self.body(scene) if self.body is not None else None
        return client.request(method, self.url(scene), json=body, params={**self.query, **params})


def _at(path: str, body: Json | None = None, status: int = 200) -> Call:
    return Call(lambda _: path, (lambda _: body) if body is not None else None, status)


def _budget(scene: Scene) -> str:
    return f"/v1/budgets/{scene.made('/v1/budgets', BUDGET)}"


def _key(scene: Scene) -> str:
    return f"/v1/admin/keys/{scene.made(_account(scene, '/keys'), {'name': 'tried'})}"


def _plan(scene: Scene) -> str:
    path = f"/v1/admin/plans/tried-{next(_numbers)}"
    with scene.ours.client("operator") as client:
        assert client.put(path, json=PLAN).status_code == 201
    return path


def _account(scene: Scene, rest: str = "") -> str:
    return f"/v1/admin/accounts/{scene.ours.account}{rest}"


def _top_up(_scene: Scene) -> Json:
    return {"kind": "topup", "credits": "1", "ref": f"ref-{next(_numbers)}", "reason": "tried"}


def _audited(scene: Scene) -> str:
    return f"/v1/shadow/audits/{scene.ours.audited()}"


def _judgement(scene: Scene) -> Json:
    return {"entry": scene.ours.stored().hex(), "agreed": True}


def _feedback(scene: Scene) -> Json:
    return {"request_id": f"req_{scene.ours.account}", "thumbs": "up"}


CALLS: Mapping[tuple[str, str], Call] = {
    **{("POST", path): Call(lambda _, path=path: path, lambda _: ask(new_prompt())) for path in HOT},
    ("POST", "/v1/route/explain"): Call(lambda _: "/v1/route/explain", lambda _: ask(new_prompt())),
    ("GET", "/v1/models"): _at("/v1/models"),
    ("GET", "/v1/models/{name:path}"): _at("/v1/models/auto"),
    ("GET", "/healthz"): _at("/healthz"),
    ("GET", "/readyz"): _at("/readyz"),
    ("GET", "/openapi.json"): _at("/openapi.json"),
    ("GET", "/docs"): _at("/docs"),
    ("GET", "/metrics"): _at("/metrics"),
    ("GET", "/v1/usage"): _at("/v1/usage"),
    ("GET", "/v1/usage/premium-not-needed"): _at("/v1/usage/premium-not-needed"),
    ("GET", "/v1/credits"): _at("/v1/credits"),
    ("GET", "/v1/budgets"): _at("/v1/budgets"),
    ("POST", "/v1/budgets"): _at("/v1/budgets", BUDGET, 201),
    ("GET", "/v1/budgets/{id}"): Call(_budget),
    ("PUT", "/v1/budgets/{id}"): Call(_budget, lambda _: BUDGET),
    ("DELETE", "/v1/budgets/{id}"): Call(_budget),
    ("GET", "/v1/audit"): _at("/v1/audit"),
    ("GET", "/v1/audit/{request_id}"): Call(lambda scene: f"/v1/audit/req_{scene.ours.account}"),
    ("GET", "/v1/cache"): _at("/v1/cache"),
    ("DELETE", "/v1/cache"): Call(lambda _: "/v1/cache", query={"all": "true"}),
    ("POST", "/v1/feedback"): Call(lambda _: "/v1/feedback", _feedback, 201),
    ("GET", "/v1/routing/matrix"): _at("/v1/routing/matrix"),
    ("POST", "/v1/routing/matrix/rebuild"): Call(lambda _: "/v1/routing/matrix/rebuild"),
    ("POST", "/v1/cache/judgements"): Call(lambda _: "/v1/cache/judgements", _judgement, 201),
    ("GET", "/v1/routing/rules"): _at("/v1/routing/rules"),
    ("PUT", "/v1/routing/rules"): _at("/v1/routing/rules", {"rules": RULES}),
    ("POST", "/v1/routing/rules/dry-run"): _at("/v1/routing/rules/dry-run", {"rules": RULES}),
    ("GET", "/v1/routing/settings"): _at("/v1/routing/settings"),
    ("PUT", "/v1/routing/settings"): _at("/v1/routing/settings", {"mode": None, "cascade": None, "shadow": True}),
    ("GET", "/v1/shadow"): _at("/v1/shadow"),
    ("GET", "/v1/shadow/audits"): _at("/v1/shadow/audits"),
    ("GET", "/v1/shadow/audits/{id}"): Call(_audited),
    ("PUT", "/v1/shadow/audits/{id}/verdict"): Call(
        lambda scene: f"{_audited(scene)}/verdict", lambda _: {"verdict": "tie"}
    ),
    ("GET", "/v1/admin/accounts"): _at("/v1/admin/accounts"),
    ("POST", "/v1/admin/accounts"): Call(
        lambda _: "/v1/admin/accounts", lambda _: {"id": f"tried-{next(_numbers)}"}, 201
    ),
    ("GET", "/v1/admin/accounts/{id}"): Call(_account),
    ("PATCH", "/v1/admin/accounts/{id}"): Call(_account, lambda _: {"name": "tried"}),
    ("POST", "/v1/admin/accounts/{id}/credits"): Call(lambda scene: _account(scene, "/credits"), _top_up),
    ("GET", "/v1/admin/accounts/{id}/keys"): Call(lambda scene: _account(scene, "/keys")),
    ("POST", "/v1/admin/accounts/{id}/keys"): Call(lambda scene: _account(scene, "/keys"), lambda _: {}, 201),
    ("PATCH", "/v1/admin/keys/{id}"): Call(_key, lambda _: {"team": "red"}),
    ("DELETE", "/v1/admin/keys/{id}"): Call(_key),
    ("GET", "/v1/admin/plans"): _at("/v1/admin/plans"),
    ("PUT", "/v1/admin/plans/{id}"): Call(_plan, lambda _: PLAN),
    ("DELETE", "/v1/admin/plans/{id}"): Call(_plan),
    ("POST", "/v1/admin/ledger/verify"): _at("/v1/admin/ledger/verify"),
    ("GET", "/v1/admin/trail"): _at("/v1/admin/trail"),
    ("POST", "/v1/admin/trail/verify"): _at("/v1/admin/trail/verify"),
}
OPEN = ("/healthz", "/readyz", "/openapi.json", "/docs", "/metrics")
EACH = pytest.mark.parametrize(("method", "path"), CALLS, ids=[" ".join(place) for place in CALLS])
KEYED = [place for place in CALLS if place[1] not in OPEN]
_FIGURES = (
    "/v1/usage",
    "/v1/credits",
    "/v1/budgets",
    "/v1/audit",
    "/v1/cache",
    "/v1/routing/rules",
    "/v1/routing/settings",
    "/v1/routing/matrix",
    "/v1/shadow",
    "/v1/admin/trail",
)
OF_AN_ACCOUNT = [place for place in KEYED if place[1].startswith(_FIGURES) and not place[1].endswith("/verify")]
OBJECTS = {
    "/v1/budgets/{id}": lambda scene: scene.made("/v1/budgets", BUDGET, scene.theirs),
    "/v1/audit/{request_id}": lambda scene: f"req_{scene.theirs.account}",
    "/v1/shadow/audits/{id}": lambda scene: scene.theirs.audited(),
    "/v1/shadow/audits/{id}/verdict": lambda scene: scene.theirs.audited(),
}
"""What belongs to one account and is asked for by its id: one of theirs, of each kind."""


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """Every method of every route of the application, with who may call it."""

    async def walk() -> dict[tuple[str, str], str]:
        environ = {"DATA_DIR": str(tmp_path_factory.mktemp("census")), "LOCAL_ENABLED": "off"}
        async with opened_gateway(load(None, environ), os.environ | environ) as edge:
            # Pages are for people: tests/dashboard/test_doors.py tries each of them.
            served = [route for route in edge._rest._app.routes if hasattr(route, "allowed") or _is_api(route.path)]
            routes = [(route.path, route) for route in served] + list(edge._hot.items())
            return {(method, path): who for path, route in routes for method, who in _declared(path, route).items()}

    return asyncio.run(walk())


def _is_api(path: str) -> bool:
    return path.startswith("/v1/") or path in OPEN


def _declared(path: str, route: Any) -> Mapping[str, str]:  # noqa: ANN401  routes of two kinds
    allowed = getattr(route, "allowed", None)
    assert allowed, f"{path} does not declare who may call it"
    answered = getattr(route, "methods", None)
    assert answered is None or answered - {"HEAD"} == set(allowed), f"{path} answers to more than it declares"
    return allowed


def test_every_route_declares_who_may_call_it_and_is_called_below(declared: dict[tuple[str, str], str]):
    assert set(declared) == set(CALLS)
    assert set(declared.values()) == {"anyone", *ROLES}


def test_the_openapi_document_tells_the_role_that_each_route_declares(declared: dict[tuple[str, str], str]):
    told = {
        (method.upper(), path): operation["x-access"]
        for path, item in document("0")["paths"].items()
        for method, operation in item.items()
        if "x-access" in operation
    }
    assert told.items() <= declared.items()
    assert {place for place in declared if "/v1/models" not in place[1] and place[1].startswith("/v1/")} - set(
        told
    ) == {("POST", path) for path in HOT}


@EACH
def test_a_route_is_called_by_whoever_may_and_by_nobody_else(
    declared: dict[tuple[str, str], str], scene: Scene, method: str, path: str
):
    call, allowed = CALLS[method, path], declared[method, path]
    with httpx.Client(base_url=scene.ours.gateway.url, trust_env=False, timeout=60) as nobody:
        assert call.send(nobody, method, scene).status_code == (call.status if allowed == "anyone" else 401)
    for rank, role in enumerate(ROLES):
        with scene.ours.client(role) as client:
            response = call.send(client, method, scene)
            may = allowed == "anyone" or rank >= ROLES.index(allowed)
            assert response.status_code == (call.status if may else 403), (role, response.text)
            if not may:
                assert response.json()["error"]["code"] == "permission_denied"


@pytest.mark.parametrize(("method", "path"), KEYED)
def test_a_key_that_is_not_known_opens_nothing(scene: Scene, method: str, path: str):
    with scene.ours.gateway.client(Authorization="Bearer nr_live_nobody") as client:
        assert CALLS[method, path].send(client, method, scene).status_code == 401


@pytest.mark.parametrize(("method", "path"), OF_AN_ACCOUNT)
def test_naming_another_account_is_like_naming_none_that_exists(scene: Scene, method: str, path: str):
    call = CALLS[method, path]
    with scene.ours.client("owner") as client:
        answers = [_told(client, call, method, scene, name) for name in (scene.theirs.account, "nobody-at-all")]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404


def _told(client: httpx.Client, call: Call, method: str, scene: Scene, name: str) -> tuple[int, str]:
    response = call.send(client, method, scene, account=name)
    return response.status_code, response.text.replace(name, "NAME")


@pytest.mark.parametrize(("method", "path"), [place for place in CALLS if place[1] in OBJECTS])
@pytest.mark.parametrize("role", ["member", "owner"])
def test_what_another_account_has_is_like_what_nobody_has(scene: Scene, method: str, path: str, role: str):
    theirs = OBJECTS[path](scene)
    body = CALLS[method, path].body
    answers: list[tuple[int, str]] = []
    with scene.ours.client(role) as client:
        for name in (theirs, "nobodys"):
            url = path.replace("{id}", name).replace("{request_id}", name)
            response = client.request(method, url, json=body(scene) if body is not None else None)
            answers.append((response.status_code, response.text.replace(name, "NAME")))
    assert answers[0] == answers[1]
    assert answers[0][0] in (403, 404)
    with scene.theirs.client("owner") as client:
        assert (
            client.get(
                path.removesuffix("/verdict").replace("{id}", theirs).replace("{request_id}", theirs)
            ).status_code
            == 200
        )


@pytest.mark.parametrize("path", [path for method, path in CALLS if method == "GET" and "/admin/" not in path])
@pytest.mark.parametrize("role", ["member", "owner"])
def test_no_answer_names_another_account_or_anything_of_its(scene: Scene, path: str, role: str):
    scene.made("/v1/budgets", BUDGET | {"name": "zebra-budget"}, scene.theirs)
    with scene.ours.client(role) as client:
        response = CALLS["GET", path].send(client, "GET", scene)
    assert response.status_code == 200
    assert "zebra" not in response.text


def test_another_accounts_users_and_sessions_are_not_found(scene: Scene):
    assert scene.ours.get("/v1/usage", user="zebra-user").json()["totals"]["real"]["requests"] == 0
    assert scene.ours.get("/v1/usage", session="zebra-session").status_code == 404
    assert scene.ours.get("/v1/audit", user="zebra-user").json()["data"] == []
    assert scene.theirs.get("/v1/usage", user="zebra-user").json()["totals"]["real"]["requests"] == 1


def test_an_operator_sees_the_account_it_names(scene: Scene):
    for path in _FIGURES:
        response = scene.ours.get(path, "operator", account=scene.theirs.account)
        assert response.json()["account"] == scene.theirs.account, path
        assert scene.ours.get(path, "operator", account="nobody-at-all").status_code == 404


def test_a_head_is_let_in_like_the_get_that_it_stands_for(scene: Scene):
    with scene.ours.client("member") as client:
        assert client.head("/v1/usage").status_code == 200
        assert client.head("/v1/admin/accounts").status_code == 403


def test_a_key_that_was_made_a_member_again_is_refused_within_two_seconds(scene: Scene):
    with scene.ours.client("operator") as operator:
        made = operator.post(_account(scene, "/keys"), json={"role": "operator"}).json()
        with scene.ours.gateway.client(Authorization=f"Bearer {made['key']}") as client:
            assert client.get("/v1/admin/plans").status_code == 200
            operator.patch(f"/v1/admin/keys/{made['id']}", json={"role": "member"})
            until_s = time.monotonic() + 2
            while client.get("/v1/admin/plans").status_code == 200:
                assert time.monotonic() < until_s
                time.sleep(0.05)
            assert client.get("/v1/admin/plans").status_code == 403
            assert client.post(CHAT, json=ask(new_prompt())).status_code == 200
