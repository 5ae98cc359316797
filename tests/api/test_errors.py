"""Every way in which a request can be wrong: the status says what kind, the envelope what to do."""

import asyncio
import socket
import time

import httpx
import pytest
from conversation import CHAT, DISPATCH, HOT, ask, envelope, new_prompt, raw_exchange, wait_until
from staging import Stage

from live_gateway import LiveGateway
from neuralrouting.accounts.keys import create_key, mint
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.trail import GATEWAY

MIB = 1024 * 1024
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


# --- paths and methods ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/nope", "/v1", "/v1/chat", "/v1/chat/completions/", "/V1/models", "//v1/models", "/v1/%2e%2e/admin",
     "/v1/models;x=1"],
)  # fmt: skip
def test_an_unknown_path_is_a_404_that_says_where_to_look(client: httpx.Client, path: str):
    for method in ("GET", "POST"):
        assert "/docs" in envelope(client.request(method, path), 404, "not_found")


def test_a_slash_too_many_is_a_404_and_no_redirect(client: httpx.Client):
    envelope(client.get("/healthz/"), 404, "not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", HOT)
def test_the_hot_routes_take_nothing_but_post(client: httpx.Client, path: str, method: str):
    response = client.request(method, path)
    envelope(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/auto", "/healthz", "/readyz", "/openapi.json", "/docs"])
def test_the_other_routes_take_nothing_but_get(client: httpx.Client, path: str):
    for method in ("POST", "PUT", "DELETE"):
        response = client.request(method, path)
        envelope(response, 405, "method_not_allowed")
        assert "GET" in response.headers["allow"]


# --- bodies that are too large or encoded ---------------------------------------------------------------------------


def head(gateway: LiveGateway, *lines: str, path: str = CHAT) -> bytes:
    told = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {gateway.api_key}", *lines]
    return ("\r\n".join(told) + "\r\n\r\n").encode()


@pytest.mark.parametrize("path", HOT)
def test_a_body_announced_over_the_limit_is_refused_before_it_comes(gateway: LiveGateway, path: str):
    started_s = time.monotonic()
    response = raw_exchange(gateway.url, head(gateway, f"Content-Length: {20 * MIB}", path=path))
    assert "16777216 bytes" in envelope(response, 413, "body_too_large")
    assert time.monotonic() - started_s < 1


def test_a_chunked_body_is_refused_once_it_is_over_the_limit(gateway: LiveGateway):
    piece = b"%x\r\n%b\r\n" % (MIB, b" " * MIB)
    sent = [head(gateway, "Transfer-Encoding: chunked"), *[piece] * 20]
    envelope(raw_exchange(gateway.url, *sent), 413, "body_too_large")


def test_twenty_megabytes_through_an_ordinary_client_are_a_413(gateway: LiveGateway):
    with gateway.client() as client:
        envelope(client.post(CHAT, content=b" " * 20 * MIB), 413, "body_too_large")
        assert client.post(CHAT, json=ask(new_prompt())).status_code == 200


def test_a_body_just_under_the_limit_is_read(client: httpx.Client):
    body = b'{"model":"auto","messages":[{"role":"user","content":"%b"}]}' % (b"a" * (16 * MIB - 100))
    envelope(client.post(CHAT, content=body), 400, "no_capable_model")


@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_a_body_that_does_not_arrive_is_not_waited_for(stage: Stage, framing: str):
    started_s = time.monotonic()
    part = b'{"model":' if "Length" in framing else b'9\r\n{"model":\r\n'
    envelope(raw_exchange(stage.gateway.url, head(stage.gateway, framing), part), 400, "body_timeout")
    assert 0.9 < time.monotonic() - started_s < 3


def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_nothing_behind(stage: Stage):
    host, _, port = stage.gateway.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head(stage.gateway, "Content-Length: 100") + b'{"model":')
    with stage.gateway.client() as client:
        assert client.get("/healthz").status_code == 200
    assert "nobody foresaw" not in stage.gateway.log.read_text()


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "nonsense"])
def test_a_compressed_body_is_a_415(client: httpx.Client, encoding: str):
    envelope(client.post(CHAT, content=b"{}", headers={"Content-Encoding": encoding}), 415, "unsupported_encoding")


def test_an_identity_encoding_is_none(client: httpx.Client):
    assert client.post(CHAT, json=ask(new_prompt()), headers={"Content-Encoding": "identity"}).status_code == 200


# --- credentials ----------------------------------------------------------------------------------------------------

PATHS = [*(("POST", path) for path in HOT), ("GET", "/v1/models"), ("GET", "/v1/models/auto")]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_without_a_key_nothing_is_served(gateway: LiveGateway, method: str, path: str):
    response = httpx.request(method, gateway.url + path, trust_env=False)
    assert "neuralrouting keys create" in envelope(response, 401, "invalid_api_key")
    assert response.json()["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_wrong_key_serves_nothing_either(gateway: LiveGateway, method: str, path: str):
    last = "a" if gateway.api_key[-1] != "a" else "b"
    nearly = [mint(live=True).key, gateway.api_key[:-1] + last, gateway.api_key[:-1], gateway.api_key.swapcase()]
    malformed = ["sk-1234567890", "nr_live_", "x" * 5000, "' OR 1=1 --", "nr_live_\xe9"]
    with httpx.Client(base_url=gateway.url, trust_env=False) as client:
        for key in [*nearly, *malformed]:
            response = client.request(method, path, headers={"Authorization": f"Bearer {key}".encode("latin-1")})
            message = envelope(response, 401, "invalid_api_key")
            assert key not in nearly or key[20:60] not in message


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Token x", "Bearer \x80\xff"])
def test_a_header_that_holds_no_key_is_a_401(gateway: LiveGateway, value: str):
    sent = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nAuthorization: {value}\r\n\r\n"
    envelope(raw_exchange(gateway.url, sent.encode("latin-1")), 401, "invalid_api_key")


def test_either_header_carries_the_key_in_any_case(gateway: LiveGateway):
    key = gateway.api_key
    for name, value in [("x-api-key", key), ("X-API-KEY", key), ("authorization", f"bearer {key}"),
                        ("Authorization", f"BEARER  {key}")]:  # fmt: skip
        response = httpx.post(gateway.url + CHAT, json=ask(new_prompt()), headers={name: value}, trust_env=False)
        assert response.status_code == 200, name


def test_the_same_key_twice_is_one_key_and_two_keys_are_ambiguous(gateway: LiveGateway):
    key, other = gateway.api_key, gateway.test_key
    with httpx.Client(base_url=gateway.url, trust_env=False) as client:
        same = {"Authorization": f"Bearer {key}", "X-API-Key": key}
        assert client.post(CHAT, json=ask(new_prompt()), headers=same).status_code == 200
        different = [
            [("Authorization", f"Bearer {key}"), ("X-API-Key", other)],
            [("Authorization", f"Bearer {key}"), ("Authorization", f"Bearer {other}")],
            [("X-API-Key", key), ("X-API-Key", other)],
        ]
        for headers in different:
            envelope(client.post(CHAT, json=ask(new_prompt()), headers=headers), 400, "ambiguous_credentials")
            envelope(client.get("/v1/models", headers=headers), 400, "ambiguous_credentials")


def test_a_revoked_key_is_refused_within_two_seconds(gateway: LiveGateway):
    async def with_rows(do):  # noqa: ANN001, ANN202
        async with gateway.opened() as database:
            return await do(KeyRows(database))

    now_ms = int(time.time() * 1000)
    minted = asyncio.run(
        with_rows(lambda rows: create_key(rows, "default", "brief", live=True, now_ms=now_ms, actor=GATEWAY))
    )
    headers = {"Authorization": f"Bearer {minted.key}"}
    with httpx.Client(base_url=gateway.url, headers=headers, trust_env=False) as client:
        assert client.post(CHAT, json=ask(new_prompt())).status_code == 200, "a new key works at once"
        asyncio.run(with_rows(lambda rows: rows.revoke(minted.id, int(time.time() * 1000), actor=GATEWAY)))
        wait_until(lambda: client.post(CHAT, json=ask(new_prompt())).status_code == 401, 2.0)
        envelope(client.post(CHAT, json=ask(new_prompt())), 401, "invalid_api_key")


# --- fields ---------------------------------------------------------------------------------------------------------

WRONG = [
    ({"messages": []}, "messages"),
    ({"messages": "Hi"}, "messages"),
    ({"messages": None}, "messages"),
    ({"messages": ["Hi"]}, "messages[0]"),
    ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": 7}]}, "messages[1].content"),
    ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages[0].content[0]"),
    ({"model": 7}, "model"),
    ({"model": ""}, "model"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": 1}, "stream_options"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ({"n": 0}, "n"),
    ({"n": 9}, "n"),
    ({"n": True}, "n"),
    ({"n": 1.0}, "n"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 1e25}, "max_tokens"),
    ({"max_completion_tokens": "many"}, "max_completion_tokens"),
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"top_p": -0.1}, "top_p"),
    ({"seed": 1.5}, "seed"),
    ({"tools": {}}, "tools"),
    ({"tool_choice": 1}, "tool_choice"),
    ({"stop": [1]}, "stop"),
    ({"logprobs": 1}, "logprobs"),
    ({"response_format": "json"}, "response_format"),
    ({"routing_mode": "cheap"}, "routing_mode"),
    ({"user": 7}, "user"),
    ({"session_id": {}}, "session_id"),
    ({"feature": []}, "feature"),
]


@pytest.mark.parametrize(("fields", "param"), WRONG, ids=[f"{param} {i}" for i, (_, param) in enumerate(WRONG)])
def test_a_wrong_field_is_a_422_that_names_it(client: httpx.Client, fields: dict[str, object], param: str):
    for path in HOT:
        assert param in envelope(client.post(path, json=ask("Hi", **fields)), 422, "invalid_field", param)


@pytest.mark.parametrize(
    ("name", "value", "param"),
    [
        ("X-Routing-Mode", "cheap", "X-Routing-Mode"),
        ("X-Force-Model", "m" * 257, "X-Force-Model"),
        ("X-Force-Model", "", "x-force-model"),
        ("X-NR-User", "u" * 513, "x-nr-user"),
    ],
)
def test_a_wrong_header_is_a_422_that_names_it(client: httpx.Client, name: str, value: str, param: str):
    envelope(client.post(CHAT, json=ask("Hi"), headers={name: value}), 422, "invalid_field", param)


# --- models ---------------------------------------------------------------------------------------------------------


def test_an_unknown_model_is_a_404_with_the_nearest_name(client: httpx.Client):
    for path in HOT:
        message = envelope(client.post(path, json=ask("Hi", model="gpt-4oo")), 404, "model_not_found", "model")
        assert "did you mean 'gpt-4o'?" in message
    response = client.post(DISPATCH, json=ask("Hi"), headers={"X-Force-Model": "gpt-4oo"})
    envelope(response, 404, "model_not_found", "model")


def test_a_request_that_no_model_can_serve_is_a_400_that_says_what_is_missing(client: httpx.Client):
    sound = {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]}
    message = envelope(client.post(CHAT, json=ask("", messages=[sound])), 400, "no_capable_model")
    assert "audio" in message
    long = ask("word " * 3_000_000)
    assert "context" in envelope(client.post(CHAT, json=long), 400, "no_capable_model")


def test_a_forced_model_that_cannot_is_not_replaced_by_one_that_can(client: httpx.Client):
    looks = ask("", model="llama-3.1-8b", messages=[{"role": "user", "content": [IMAGE]}])
    assert "images" in envelope(client.post(CHAT, json=looks), 400, "no_capable_model")
    assert client.post(CHAT, json={**looks, "model": "auto"}).status_code == 200
