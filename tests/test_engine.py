"""The native core as Python sees it: refusals, findings, keys, the exact cache, bodies for providers."""

import hashlib
import json
import re
import threading
import time
import tomllib
from pathlib import Path

import pytest

from neuralrouting import Engine, estimate_tokens
from neuralrouting.engine import CachedReply, Inspection, RejectedBody, rejection, version
from neuralrouting.errors import InvalidField, MalformedBody

PLAIN = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}


def body(**members: object) -> bytes:
    return json.dumps({**PLAIN, **members}).encode()


def inspect(**members: object) -> Inspection:
    return Engine().inspect(body(**members), "tenant")


def refusal(raw: bytes, **hints: str) -> RejectedBody:
    with pytest.raises(RejectedBody) as caught:
        Engine().inspect(raw, "tenant", **hints)
    return caught.value


def test_the_version_is_that_of_the_crate() -> None:
    manifest = tomllib.loads((Path(__file__).parents[1] / "Cargo.toml").read_text())
    assert version() == manifest["package"]["version"]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "malformed_json"),
        (b"[1]", "malformed_json"),
        (b'{"messages":', "malformed_json"),
        (b'{"temperature":NaN}', "malformed_json"),
        (b'{"a":"\\ud800"}', "malformed_json"),
        (b'{"a\\u0000":1}', "malformed_json"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "too_deep"),
        (b"[" + b"[]," * 60_000 + b"[]]", "too_complex"),
        (b'{"a":' + b"1" * 33 + b"}", "number_too_long"),
        (b'{"a":"\xff"}', "not_utf8"),
        (b"\xef\xbb\xbf{}", "unexpected_bom"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_400_with_its_own_code(raw: bytes, code: str) -> None:
    error = refusal(raw)
    status, got, message, param = error.args
    assert (status, got, param) == (400, code, None)
    assert message
    assert isinstance(error, ValueError)
    assert isinstance(rejection(error), MalformedBody)
    assert rejection(error).code == code


def test_a_wrong_field_is_a_422_that_names_it() -> None:
    error = refusal(body(messages=[{"role": "user", "content": "a"}, {"role": "user", "content": 7}]))
    assert error.args[0] == 422
    assert error.args[1] == "invalid_field"
    assert error.args[3] == "messages[1].content"
    mapped = rejection(error)
    assert isinstance(mapped, InvalidField)
    assert mapped.param == "messages[1].content"


def test_a_wrong_header_is_named_as_a_header() -> None:
    assert refusal(body(), routing_mode="fast").args[3] == "X-Routing-Mode"
    assert refusal(body(), model="").args[3] == "X-Force-Model"


def test_sixteen_megabytes_of_nothing_are_refused_in_bounded_time() -> None:
    size = 16 << 20
    hostile = [
        b"[" + b"[]," * (size // 3) + b"[]]",
        b"[" * size,
        b" " * size,
        b'{"messages":"' + b"\\u0041" * (size // 6),
        b"[" + b'{"' * (size // 2),
    ]
    for raw in hostile:
        started_s = time.thread_time()
        refusal(raw)
        # Of this thread alone, since the machine is shared: 5 ms per MiB is the bound, doubled for slow machines.
        assert time.thread_time() - started_s < 16 * 0.005 * 2


def test_all_findings_of_a_full_request() -> None:
    found = inspect(
        messages=[
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                    {"type": "text", "text": "this?"},
                ],
            },
        ],
        stream=True,
        stream_options={"include_usage": True},
        user="ada",
        session_id="s-1",
        metadata={"feature": "search"},
        n=2,
        max_completion_tokens=50,
        tools=[{"type": "function", "function": {"name": "look"}}],
        response_format={"type": "json_object"},
        logprobs=True,
        routing_mode="cost",
    )
    assert (found.model, found.routing_mode) == ("auto", "cost")
    assert (found.stream, found.include_usage, found.logprobs) == (True, True, True)
    assert (found.user, found.session_id, found.feature) == ("ada", "s-1", "search")
    assert (found.n, found.max_output_tokens, found.message_count) == (2, 50, 2)
    assert (found.has_tools, found.has_images, found.has_audio) == (True, True, False)
    assert found.json_mode == "object"
    assert found.last_user_text == "What is\nthis?"
    assert found.prompt_tokens > 765
    assert len(found.key) == 32
    assert found.hit is None


def test_what_a_small_request_does_not_say_is_none_or_its_default() -> None:
    found = inspect()
    assert (found.routing_mode, found.user, found.session_id, found.feature) == (None, None, None, None)
    assert (found.n, found.max_output_tokens, found.json_mode) == (1, None, "none")
    assert not any((found.stream, found.include_usage, found.has_tools, found.has_images, found.has_audio))


def test_the_body_is_kept_as_the_same_object() -> None:
    raw = body()
    assert Engine().inspect(raw, "tenant").body is raw


def test_findings_cannot_be_changed_or_made_by_hand() -> None:
    with pytest.raises(AttributeError):
        inspect().stream = True  # type: ignore[misc]
    for kind in (Inspection, CachedReply):
        with pytest.raises(TypeError):
            kind()


def test_a_stored_answer_is_given_to_its_tenant_only() -> None:
    engine = Engine()
    key = engine.inspect(body(), "tenant").key
    stored = engine.store(
        key, b"answer", deployment="openai/gpt-4o", simulated=True, prompt_tokens=3, completion_tokens=5
    )
    assert stored
    hit = engine.inspect(body(), "tenant").hit
    assert hit is not None
    assert (hit.body, hit.deployment, hit.simulated) == (b"answer", "openai/gpt-4o", True)
    assert (hit.prompt_tokens, hit.completion_tokens) == (3, 5)
    assert abs(hit.stored_at_s - time.time()) < 5
    assert engine.inspect(body(), "another").hit is None
    assert engine.inspect(body(), "tenant", read_cache=False).hit is None
    assert engine.inspect(body(), "tenant", model="gpt-4o").hit is None
    assert engine.inspect(body(stream=True, user="eve"), "tenant").hit is not None


def test_an_answer_can_be_forgotten() -> None:
    engine = Engine()
    key = engine.inspect(body(), "tenant").key
    engine.store(key, b"answer", deployment="a/b")
    assert engine.cache_entries == 1
    assert engine.forget(key)
    assert not engine.forget(key)
    assert (engine.cache_entries, engine.cache_used_bytes) == (0, 0)


def test_age_counts_from_the_first_storing() -> None:
    engine = Engine(cache_ttl_s=60)
    key = engine.inspect(body(), "tenant").key
    assert not engine.store(key, b"answer", deployment="a/b", stored_at_s=int(time.time()) - 61)
    assert engine.store(key, b"answer", deployment="a/b", stored_at_s=int(time.time()) - 30)


def test_the_cache_stays_within_its_bytes() -> None:
    engine = Engine(cache_bytes=1 << 20)
    for nth in range(500):
        engine.store(hashlib.sha256(bytes([nth % 256, nth >> 8])).digest(), bytes(10_000), deployment="a/b")
        assert engine.cache_used_bytes <= 1 << 20
    assert 50 < engine.cache_entries < 105
    assert not engine.store(bytes(32), bytes(1 << 20), deployment="a/b")


def test_a_key_of_another_length_is_refused() -> None:
    for call in (lambda: Engine().forget(b"short"), lambda: Engine().store(b"short", b"", deployment="a/b")):
        with pytest.raises(ValueError, match=r"32 bytes, this one has 5"):
            call()


def test_a_provider_gets_the_clients_own_bytes() -> None:
    raw = b'{"model":"auto", "big":123456789012345678901234567890, "x": {"\\u00e9" :1.0}, "session_id":"s",'
    raw += b'"messages":[{"role":"user","content":"Hi"}] ,"stream":true,"max_completion_tokens":9,"seed":1}'
    found = Engine().inspect(raw, "tenant")
    sent = found.upstream_body("gpt-4o", stream=True, rename=[("max_completion_tokens", "max_tokens")], drop=["seed"])
    assert sent == (
        b'{"model":"gpt-4o","big":123456789012345678901234567890,"x":{"\\u00e9" :1.0},'
        b'"messages":[{"role":"user","content":"Hi"}],"max_tokens":9,'
        b'"stream":true,"stream_options":{"include_usage":true}}'
    )
    assert b"stream" not in found.upstream_body("gpt-4o", stream=False)


def test_the_answer_is_bounded_under_the_name_the_client_or_the_provider_uses() -> None:
    asked, silent = inspect(max_tokens=500), inspect()
    rename = [("max_completion_tokens", "max_tokens")]
    assert json.loads(asked.upstream_body("gpt-4o", stream=False, max_output_tokens=64))["max_tokens"] == 64
    assert json.loads(asked.upstream_body("gpt-4o", stream=False, max_output_tokens=501))["max_tokens"] == 500
    assert json.loads(silent.upstream_body("gpt-4o", stream=False, max_output_tokens=64))["max_completion_tokens"] == 64
    sent = json.loads(silent.upstream_body("llama", stream=True, rename=rename, max_output_tokens=64))
    assert sent["max_tokens"] == 64
    assert "max_completion_tokens" not in sent
    assert b"max_" not in silent.upstream_body("gpt-4o", stream=False, max_output_tokens=None)


def test_bodies_of_any_size_work_from_many_threads_at_once() -> None:
    engine = Engine()
    raws = [body(messages=[{"role": "user", "content": f"{size} " * size}]) for size in (1, 100, 20_000)]
    keys = [engine.inspect(raw, "tenant").key for raw in raws]
    wrong: list[bytes] = []

    def work() -> None:
        for _ in range(20):
            for raw, key in zip(raws, keys, strict=True):
                found = engine.inspect(raw, "tenant")
                engine.store(found.key, raw, deployment="a/b")
                if found.key != key or (found.hit is not None and found.hit.body != raw):
                    wrong.append(raw)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert engine.cache_entries == 3


def test_a_large_body_leaves_the_interpreter_to_others() -> None:
    # Enough work to be seen running beside the inspection, on one core or on two.
    raw = body(messages=[{"role": "user", "content": "It was a dark and stormy night. " * 500_000}])
    engine, done, counted = Engine(), threading.Event(), 0
    thread = threading.Thread(target=lambda: (engine.inspect(raw, "tenant"), done.set()))
    thread.start()
    while not done.is_set():
        counted += 1
    thread.join()
    assert counted > 1_000


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("Hi", 1), ("The quick brown fox jumps over the lazy dog.", 10), ("12345678", 3)],
)
def test_tokens_are_estimated_closely(text: str, tokens: int) -> None:
    assert abs(estimate_tokens(text) - tokens) <= 1


def test_text_that_is_no_unicode_has_no_tokens() -> None:
    with pytest.raises(UnicodeEncodeError):
        estimate_tokens("\ud800")


def test_a_refusal_never_repeats_the_prompt() -> None:
    secret = "correct horse battery staple"
    bodies = [
        body(messages=[{"role": secret, "content": secret}]),
        body(temperature=secret, messages=[{"role": "user", "content": secret}]),
        body()[:-1] + f',"x":"{secret}"'.encode(),
        body(model=secret * 20),
    ]
    for raw in bodies:
        assert not re.search("horse", str(refusal(raw)))
