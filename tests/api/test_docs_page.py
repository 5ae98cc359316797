"""`/openapi.json` and `/docs`: the interface described, without a script and without the network."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from conversation import CHAT, DISPATCH, ask, new_prompt
from test_access import CALLS

from live_gateway import LiveGateway

METHODS = {"get", "post", "put", "delete", "patch", "head", "options"}
SCHEMA_TYPES = {"string", "number", "integer", "boolean", "array", "object", "null"}


@pytest.fixture(scope="module")
def described(gateway: LiveGateway) -> dict[str, Any]:
    response = httpx.get(f"{gateway.url}/openapi.json", trust_env=False)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    return response.json()


@pytest.fixture(scope="module")
def page(gateway: LiveGateway) -> httpx.Response:
    return httpx.get(f"{gateway.url}/docs", trust_env=False)


def nodes(value: object) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


def resolved(document: dict[str, Any], ref: str) -> dict[str, Any]:
    assert ref.startswith("#/")
    found = document
    for step in ref[2:].split("/"):
        found = found[step]
    return found


def test_the_document_has_the_parts_that_openapi_requires(described: dict[str, Any]):
    assert described["openapi"] == "3.1.0"
    assert {"title", "version"} <= set(described["info"])
    for path, item in described["paths"].items():
        assert path.startswith("/")
        assert set(item) <= METHODS | {"parameters"}
        for operation in (value for name, value in item.items() if name in METHODS):
            assert operation["responses"]
            assert all("description" in response for response in operation["responses"].values())
            assert all(re.fullmatch(r"[1-5](\d\d|XX)|default", code) for code in operation["responses"])


def test_every_path_parameter_is_declared(described: dict[str, Any]):
    for path, item in described["paths"].items():
        for operation in item.values():
            declared = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path" and p["required"]}
            assert declared == set(re.findall(r"\{(\w+)\}", path))


def test_every_reference_leads_somewhere(described: dict[str, Any]):
    refs = [node["$ref"] for node in nodes(described) if "$ref" in node]
    assert refs
    for ref in refs:
        assert resolved(described, ref)


def test_every_security_requirement_is_defined_and_probes_need_none(described: dict[str, Any]):
    schemes = described["components"]["securitySchemes"]
    used = {name for node in nodes(described) for need in node.get("security", ()) for name in need}
    assert used == set(schemes) == {"bearer", "apiKey"}
    for path in ("/healthz", "/readyz"):
        assert described["paths"][path]["get"]["security"] == []


def test_types_and_required_fields_are_sound(described: dict[str, Any]):
    for schema in nodes(described["components"]["schemas"]):
        told = schema.get("type")
        if isinstance(told, str | list) and not isinstance(schema.get("properties", {}).get("type"), str):
            assert {told} if isinstance(told, str) else set(told) <= SCHEMA_TYPES
        if isinstance(schema.get("required"), list):
            assert set(schema["required"]) <= set(schema["properties"])


def test_every_described_path_is_served(described: dict[str, Any], client: httpx.Client):
    for path, item in described["paths"].items():
        for method in item:
            response = client.request(method, re.sub(r"\{\w+\}", "auto", path), content=b"")
            unserved = "no such path" in response.text or response.status_code == 405
            assert not unserved, (method, path)


def test_every_served_path_is_described(described: dict[str, Any]):
    served = {path.replace("{name:path}", "{id}") for _, path in CALLS}
    assert served - set(described["paths"]) == {"/docs", "/openapi.json"}
    assert set(described["paths"]) <= served


@pytest.mark.parametrize(("path", "schema"), [(CHAT, "ChatCompletion"), (DISPATCH, "DispatchAnswer")])
def test_answers_have_the_fields_that_are_described(
    described: dict[str, Any], client: httpx.Client, path: str, schema: str
):
    told = described["components"]["schemas"][schema]
    body = client.post(path, json=ask(new_prompt())).json()
    assert set(told["required"]) <= set(body)
    of_openai = {"created", "model", "system_fingerprint", "usage"}
    assert set(body) - of_openai <= set(told["properties"]) | {"finish_reason"}


class Outside(HTMLParser):
    """Collects what a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "img", "link", "object", "embed", "base", "form"):
            self.found.append(tag)
        self.found += [f"{name}={value}" for name, value in attrs if name.startswith("on") or name in ("src", "style")]
        self.found += [value or "" for name, value in attrs if name == "href" and not (value or "").startswith("/")]


def test_the_page_fetches_and_runs_nothing(page: httpx.Response):
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    outside = Outside()
    outside.feed(page.text)
    assert outside.found == []
    own = str(page.url).removesuffix("/docs")
    assert [url for url in re.findall(r"https?://[^\s<'\"]+", page.text) if not url.startswith(own)] == []
    assert "url(" not in page.text
    assert "@import" not in page.text


def test_the_page_forbids_everything_but_its_own_style(page: httpx.Response):
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"


def test_the_page_names_every_path_and_field(page: httpx.Response, described: dict[str, Any]):
    for path in described["paths"]:
        assert path in page.text
    for field in described["components"]["schemas"]["ChatRequest"]["properties"]:
        assert f"<code>{field}</code>" in page.text


def test_a_hostile_host_header_stays_text(gateway: LiveGateway):
    headers = {"Host": 'x"><script>alert(1)</script>'}
    response = httpx.get(f"{gateway.url}/docs", headers=headers, trust_env=False)
    assert "<script" not in response.text
