"""Whatever bytes come in: an answer or a 4xx in bounded time, never a 5xx, and the gateway serves on."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from conversation import CHAT, HOT, ask, envelope, new_prompt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from live_gateway import LiveGateway

BOUND_S = 2.0
"""For one small body, on a machine that does other things too; it takes milliseconds."""
MIB = 1024 * 1024
quickly = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True, scope="module")
def still_serving(gateway: LiveGateway) -> Iterator[None]:
    """After all of this the same worker answers, and nothing unforeseen was logged."""
    yield
    with gateway.client() as client:
        assert client.post(CHAT, json=ask(new_prompt())).status_code == 200
    log = gateway.log.read_text()
    for trouble in ("Traceback", "nobody foresaw", "panic"):
        assert trouble not in log
    assert log.count("Spawning worker-") == 1, "no worker had to be started again"


def refused_or_served(client: httpx.Client, body: bytes, path: str = CHAT, bound_s: float = BOUND_S) -> httpx.Response:
    started_s = time.monotonic()
    response = client.post(path, content=body)
    assert time.monotonic() - started_s < bound_s
    if response.status_code != 200:
        assert 400 <= response.status_code < 500, (body[:200], response.text)
        error = response.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert len(error["message"]) < 2_000, "an error is for a reader"
    return response


# --- one kind of wrong at a time ------------------------------------------------------------------------------------

KINDS = {
    "nothing": (b"", "malformed_json"),
    "blanks": (b"  \n ", "malformed_json"),
    "an array": (b"[]", "malformed_json"),
    "a number": (b"1", "malformed_json"),
    "NaN": (b'{"temperature":NaN}', "malformed_json"),
    "Infinity": (b'{"temperature":-Infinity}', "malformed_json"),
    "a lone surrogate": (b'{"model":"\\ud83d"}', "malformed_json"),
    "surrogates the wrong way round": (b'{"model":"\\ude00\\ud83d"}', "malformed_json"),
    "a NUL in a name": (b'{"mo\\u0000del":1}', "malformed_json"),
    "a control character": (b'{"model":"a\nb"}', "malformed_json"),
    "a comment": (b'{"model":"a" /* x */}', "malformed_json"),
    "a trailing comma": (b'{"model":"a",}', "malformed_json"),
    "single quotes": (b"{'model':'a'}", "malformed_json"),
    "two documents": (b"{}{}", "malformed_json"),
    "the same name twice": (b'{"model":"a","model":"b"}', "duplicate_key"),
    "the same name escaped": (b'{"model":"a","\\u006dodel":"b"}', "duplicate_key"),
    "the same name deep inside": (b'{"model":"a","messages":[{"x":{"y":1,"y":1}}]}', "duplicate_key"),
    "a long number": (b'{"x":' + b"9" * 40 + b"}", "number_too_long"),
    "bytes that are no UTF-8": (b'{"model":"\xff\xfe"}', "not_utf8"),
    "an overlong encoding": (b'{"model":"\xc0\xaf"}', "not_utf8"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "unexpected_bom"),
    "UTF-16": ('{"model":"a"}'.encode("utf-16"), "not_utf8"),
    "deep arrays": (b'{"x":' + b"[" * 65 + b"]" * 65 + b"}", "too_deep"),
    "deep objects": (b'{"x":' * 65 + b"1" + b"}" * 65, "too_deep"),
}


@pytest.mark.parametrize(("body", "code"), KINDS.values(), ids=KINDS.keys())
def test_a_body_that_is_no_acceptable_json_is_a_400(client: httpx.Client, body: bytes, code: str):
    for path in HOT:
        envelope(refused_or_served(client, body, path), 400, code)


HUGE = {
    "opened arrays": b"[" * 16 * MIB,
    "arrays side by side": b"[" + b"[]," * (5 * MIB) + b"[]]",
    "opened objects": b'{"a":' * (3 * MIB),
    "blanks": b" " * 16 * MIB,
    "quotes": b'"' * 16 * MIB,
    "backslashes": b'{"model":"' + b"\\" * (16 * MIB - 20),
    "one number": b'{"n":' + b"1" * (16 * MIB - 20),
    "one name": b'{"' + b"a" * (16 * MIB - 20),
    "noughts": bytes(16 * MIB),
}


@pytest.mark.parametrize("body", HUGE.values(), ids=HUGE.keys())
def test_sixteen_megabytes_of_nonsense_are_refused_in_bounded_time(client: httpx.Client, body: bytes):
    assert len(body) <= 16 * MIB
    response = refused_or_served(client, body, bound_s=3.0)
    assert response.status_code == 400, response.text


def test_others_are_served_while_megabytes_of_nonsense_are_read(gateway: LiveGateway, client: httpx.Client):
    with gateway.client() as hostile, ThreadPoolExecutor(1) as pool:
        for body in (HUGE["opened arrays"], HUGE["blanks"], HUGE["backslashes"]):
            sending = pool.submit(refused_or_served, hostile, body, bound_s=3.0)
            while not sending.done():
                started_s = time.monotonic()
                assert client.post(CHAT, json=ask(new_prompt())).status_code == 200
                assert time.monotonic() - started_s < 1.0
            assert sending.result().status_code == 400


# --- generated ------------------------------------------------------------------------------------------------------

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20) | st.sampled_from(["auto", "user", "", "\x00", "\u2028", "1e25", 10**30, -1, 1e308])
)  # fmt: skip
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
FIELDS = [
    "model", "messages", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "temperature",
    "top_p", "presence_penalty", "frequency_penalty", "seed", "stop", "tools", "tool_choice", "parallel_tool_calls",
    "functions", "function_call", "response_format", "logprobs", "top_logprobs", "logit_bias", "user", "metadata",
    "modalities", "routing_mode", "session_id", "feature", "audio", "prediction", "service_tier", "store",
    "reasoning_effort", "api_base", "base_url", "extra_headers",
]  # fmt: skip
MESSAGE_FIELDS = ["role", "content", "name", "tool_calls", "tool_call_id", "refusal", "function_call"]
messages = st.lists(
    st.dictionaries(st.sampled_from(MESSAGE_FIELDS), anything, max_size=4)
    | st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "assistant", "tool"]), "content": anything}),
    max_size=3,
)
bodies = st.fixed_dictionaries(
    {}, optional={name: messages if name == "messages" else anything for name in FIELDS}
)  # fmt: skip


@quickly
@given(body=bodies, path=st.sampled_from(HOT))
def test_any_json_at_any_known_field(client: httpx.Client, body: dict[str, object], path: str):
    refused_or_served(client, json.dumps(body).encode(), path)


@pytest.mark.parametrize("field", FIELDS)
def test_each_known_field_bears_every_type(client: httpx.Client, field: str):
    values = [None, True, 0, -1, 10**30, 1.5, 1e308, "", "x", "\ud83d\ude00" * 50, [], [1], [[]], [None], {}, {"a": {}}]
    for value in values:
        refused_or_served(client, json.dumps({**ask(new_prompt()), field: value}).encode())


@quickly
@given(body=st.binary(max_size=300), path=st.sampled_from(HOT))
def test_random_bytes(client: httpx.Client, body: bytes, path: str):
    assert refused_or_served(client, body, path).status_code in {400, 422}, "422 for `{}`, which is JSON"


WHOLE = json.dumps(
    ask("Grüße \U0001f98a", tools=[{"type": "function", "function": {"name": "f"}}], stop=["\n"], temperature=0.5)
).encode()


@pytest.mark.parametrize("path", HOT)
def test_a_body_cut_at_every_byte(client: httpx.Client, path: str):
    for size in range(len(WHOLE)):
        envelope(refused_or_served(client, WHOLE[:size], path), 400, "malformed_json")


@quickly
@given(at=st.integers(0, len(WHOLE) - 1), byte=st.integers(0, 255))
def test_a_body_with_any_byte_changed(client: httpx.Client, at: int, byte: int):
    refused_or_served(client, WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :])


@quickly
@given(inner=anything, depth=st.integers(0, 200), brackets=st.sampled_from([("[", "]"), ('{"a":', "}")]))
def test_any_nesting(client: httpx.Client, inner: object, depth: int, brackets: tuple[str, str]):
    opening, closing = brackets
    nested = opening * depth + json.dumps(inner) + closing * depth
    whole = json.dumps(ask("Hi"))[:-1] + f',"x_nested":{nested}}}'
    response = refused_or_served(client, whole.encode())
    if depth > 64:
        envelope(response, 400, "too_deep")


@quickly
@given(pairs=st.lists(st.tuples(st.sampled_from(FIELDS), anything), min_size=2, max_size=8))
def test_a_name_that_stands_twice_is_refused_whatever_it_holds(client: httpx.Client, pairs: list[tuple[str, object]]):
    body = "{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs) + "}"
    response = refused_or_served(client, body.encode())
    if len({name for name, _ in pairs}) < len(pairs):
        assert response.status_code == 400


@quickly
@given(number=st.from_regex(r"-?[0-9]{1,60}(\.[0-9]{1,60})?([eE][+-]?[0-9]{1,20})?", fullmatch=True),
       field=st.sampled_from(["n", "max_tokens", "temperature", "seed", "top_p", "x_unknown"]))  # fmt: skip
def test_any_number_literal(client: httpx.Client, number: str, field: str):
    refused_or_served(client, (json.dumps(ask("Hi"))[:-1] + f',"{field}":{number}}}').encode())


# --- headers --------------------------------------------------------------------------------------------------------

header_text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40)


@quickly
@given(name=st.sampled_from(["X-Force-Model", "X-Routing-Mode", "Cache-Control", "X-NR-User", "X-NR-Feature",
                             "X-API-KEY", "Content-Encoding", "Content-Type"]), value=header_text)  # fmt: skip
def test_any_text_in_our_headers(client: httpx.Client, name: str, value: str):
    headers = {name: value.strip().encode("latin-1")}
    response = client.post(CHAT, json=ask("Hi"), headers=headers)
    assert response.status_code < 500
    if response.status_code != 200:
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
