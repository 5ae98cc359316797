"""Everything that goes wrong at an OpenAI-compatible provider becomes one error of our tree, and never a success."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openaiish import KEY, call, chunk, collect, finishes, said, text_of, until_close

from fake_faults import CUT_AT, FAULTS, GOOD, STREAM_FAULTS, TEXT
from fake_replies import DONE, Answer, Framing, sse
from fake_upstream import CLOSE, FakeUpstream, Recorded, Reply, Script, http_reply, refused_url
from neuralrouting.errors import (
    UpstreamAuth,
    UpstreamBadResponse,
    UpstreamError,
    UpstreamInterrupted,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from neuralrouting.exchange import JsonObject
from neuralrouting.providers.base import Completion
from neuralrouting.providers.http import HttpClient
from neuralrouting.providers.openai import OpenAIProvider
from neuralrouting.providers.tally import Tally

pytestmark = pytest.mark.anyio

HANGING = {"hang before headers", "header drip", "hang in body", "hang", "hang before the first event"}
EXPECTED: dict[str, type[UpstreamError]] = {
    "reset before headers": UpstreamUnreachable,
    "close before headers": UpstreamUnreachable,
    "reset in headers": UpstreamUnreachable,
    "reset in body": UpstreamInterrupted,
    "close in body": UpstreamInterrupted,
    "429": UpstreamRateLimited,
    "429 retry-after": UpstreamRateLimited,
    "429 retry-after date": UpstreamRateLimited,
    "429 retry-after garbage": UpstreamRateLimited,
    "429 retry-after negative": UpstreamRateLimited,
    "429 retry-after huge": UpstreamRateLimited,
    "429 quota": UpstreamAuth,
    "400 context length": UpstreamRejected,
    "400": UpstreamRejected,
    "401": UpstreamAuth,
    "403": UpstreamAuth,
    "404 model": UpstreamRejected,
    "408": UpstreamTimeout,
    "413": UpstreamRejected,
    "500": UpstreamError,
    "502 html": UpstreamError,
    "503": UpstreamOverloaded,
    "504": UpstreamTimeout,
    "529": UpstreamOverloaded,
    "302": UpstreamError,
    "echoes secrets": UpstreamError,
    "error event first": UpstreamOverloaded,
    "error event later": UpstreamOverloaded,
    "cut, chunked": UpstreamInterrupted,
    "cut, length": UpstreamInterrupted,
    "cut, close": UpstreamInterrupted,
    "cut before the first event": UpstreamInterrupted,
    "reset": UpstreamInterrupted,
}
"""What is not here must be an UpstreamBadResponse."""


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


async def complete(http: HttpClient, script: Script, **fields: object) -> Completion:
    async with FakeUpstream(script) as upstream, asyncio.timeout(5):
        return await OpenAIProvider("acme", http, upstream.url, KEY).complete(call(**fields))


async def stream(
    http: HttpClient, script: Script, into: list[JsonObject] | None = None, **fields: object
) -> list[JsonObject]:
    chunks = [] if into is None else into
    async with FakeUpstream(script) as upstream, asyncio.timeout(5):
        await collect(OpenAIProvider("acme", http, upstream.url, KEY), call(**fields), chunks)
    return chunks


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", sorted(FAULTS.keys() - HANGING))
async def test_every_fault_becomes_its_error(http: HttpClient, name: str, streamed: bool):  # noqa: FBT001
    with pytest.raises(UpstreamError) as caught:
        await (stream if streamed else complete)(http, [FAULTS[name]])
    expected = EXPECTED.get(name, UpstreamBadResponse)
    assert type(caught.value) is expected or (expected is UpstreamRejected and isinstance(caught.value, expected))
    assert "CANARY" not in str(vars(caught.value))


@pytest.mark.parametrize("name", sorted(STREAM_FAULTS.keys() - HANGING))
async def test_every_fault_of_a_stream_becomes_its_error(http: HttpClient, name: str):
    with pytest.raises(EXPECTED.get(name, UpstreamBadResponse)):
        await stream(http, [STREAM_FAULTS[name]])


@pytest.mark.parametrize("name", sorted(HANGING))
async def test_a_deadline_ends_what_hangs(http: HttpClient, name: str):
    fault, chunks = {**FAULTS, **STREAM_FAULTS}[name], []
    async with FakeUpstream([fault]) as upstream:
        provider, started_s = OpenAIProvider("acme", http, upstream.url, KEY), time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await collect(provider, call(), chunks)
        assert time.monotonic() - started_s < 0.3
        await asyncio.sleep(0)  # the socket is closed on the next turn of the loop


@pytest.mark.parametrize("name", ["error event later", "cut, chunked", "cut, length", "cut, close", "reset"])
async def test_what_came_before_a_break_has_been_handed_over(http: HttpClient, name: str):
    chunks: list[JsonObject] = []
    with pytest.raises(UpstreamError):
        await stream(http, [STREAM_FAULTS[name]], chunks)
    assert text_of(chunks) == " ".join(TEXT.split()[: CUT_AT - 1]) + " "
    assert not finishes(chunks)


async def test_nobody_listening_is_unreachable(http: HttpClient):
    provider = OpenAIProvider("acme", http, refused_url(), KEY)
    with pytest.raises(UpstreamUnreachable):
        await provider.complete(call())
    with pytest.raises(UpstreamUnreachable):
        await collect(provider, call(), [])


# Cut anywhere

SMALL = Answer("Hi, you", pieces=("Hi", ", you"))


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
async def test_a_stream_cut_at_any_byte_is_whole_or_an_error(http: HttpClient, framing: Framing):
    whole = sse(SMALL.openai_events(), framing=framing)
    text, whole_from = await outcomes(http, whole, streamed=True)
    assert set(text.values()) <= {"Hi, you", None}
    # Before its finish reason has come, nothing is whole; with all its bytes, it is.
    joined = b"".join(step for step in whole.steps if isinstance(step, bytes))
    assert whole_from > joined.index(b'"finish_reason":"stop"')
    assert text[whole.size] == "Hi, you"


@pytest.mark.parametrize("told", [True, False], ids=["with length", "until close"])
async def test_a_whole_answer_cut_at_any_byte_is_an_error(http: HttpClient, told: bool):  # noqa: FBT001
    body = json.dumps(SMALL.completion()).encode()
    whole = http_reply(200, body) if told else until_close(body, kind="application/json")
    text, whole_from = await outcomes(http, whole, streamed=False)
    assert (whole_from, text[whole.size]) == (whole.size, "Hi, you")


async def outcomes(http: HttpClient, whole: Reply, *, streamed: bool) -> tuple[dict[int, str | None], int]:
    """Cut an answer after each of its bytes: the text that was taken for whole, None where there was an error."""

    def cut(request: Recorded) -> Reply:
        return whole.cut(request.json()["max_tokens"], CLOSE)

    async def outcome(size: int) -> str | None:
        asked = call(max_tokens=size)
        try:
            if not streamed:
                return (await provider.complete(asked)).data["choices"][0]["message"]["content"]
            chunks: list[JsonObject] = []
            await collect(provider, asked, chunks)
        except (UpstreamInterrupted, UpstreamBadResponse, UpstreamUnreachable):
            return None
        assert finishes(chunks) == ["stop"]
        return text_of(chunks)

    text: dict[int, str | None] = {}
    async with FakeUpstream(cut) as upstream:
        provider = OpenAIProvider("acme", http, upstream.url, KEY)
        for at in range(1, whole.size + 1, 32):
            sizes = range(at, min(at + 32, whole.size + 1))
            text.update(zip(sizes, await asyncio.gather(*map(outcome, sizes)), strict=True))
    return text, min((size for size, said in text.items() if said is not None), default=0)


@pytest.mark.parametrize(
    "begun", [chunk(said("a", "stop")), chunk(said("a", "stop"), said("b", index=1)) + b": bye\n\n"]
)
async def test_a_stream_of_which_only_one_choice_has_ended_is_not_whole(http: HttpClient, begun: bytes):
    with pytest.raises(UpstreamInterrupted):
        await stream(http, [until_close(begun, CLOSE)], n=2)


# Shapes that are no answer

BODIES: dict[str, bytes] = {
    "error object": b'{"error":{"message":"boom","type":"server_error"}}',
    "error text": b'{"error":"boom"}',
    "error beside choices": b'{"error":{"message":"boom"},"choices":[{"message":{"content":"x"}}]}',
    "html": b"<!doctype html><html>10.0.0.7</html>",
    "nothing": b"",
    "null": b"null",
    "array": b"[]",
    "number": b"17",
    "no choices": b"{}",
    "null choices": b'{"choices":null}',
    "empty choices": b'{"choices":[]}',
    "choices no list": b'{"choices":{"message":{"content":"x"}}}',
    "choice no object": b'{"choices":["x"]}',
    "choice without message": b'{"choices":[{"finish_reason":"stop"}]}',
    "message no object": b'{"choices":[{"message":"x","finish_reason":"stop"}]}',
    "content no text": b'{"choices":[{"message":{"content":{"a":1}},"finish_reason":"stop"}]}',
    "calls no list": b'{"choices":[{"message":{"tool_calls":7},"finish_reason":"stop"}]}',
    "call no object": b'{"choices":[{"message":{"tool_calls":["f"]},"finish_reason":"stop"}]}',
    "reason no text": b'{"choices":[{"message":{"content":"x"},"finish_reason":["stop"]}]}',
    "nested too deep": b'{"choices":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "invalid utf-8": b'{"choices":[{"message":{"content":"\xff"},"finish_reason":"stop"}]}',
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_is_no_answer_is_a_bad_response_and_is_not_repeated(http: HttpClient, name: str):
    with pytest.raises(UpstreamBadResponse) as caught:
        await complete(http, [http_reply(200, BODIES[name])])
    assert "10.0.0.7" not in caught.value.message


CHUNKS: dict[str, bytes] = {
    "error object": b'{"error":{"message":"boom","type":"server_error"}}',
    "error text": b'{"error":"boom"}',
    "html": b"<html>10.0.0.7</html>",
    "null": b"null",
    "array": b"[]",
    "choice no object": b'{"choices":["x"]}',
    "delta no object": b'{"choices":[{"index":0,"delta":"x"}]}',
    "content no text": b'{"choices":[{"index":0,"delta":{"content":{"a":1}}}]}',
    "calls no list": b'{"choices":[{"index":0,"delta":{"tool_calls":7}}]}',
    "call no object": b'{"choices":[{"index":0,"delta":{"tool_calls":["f"]}}]}',
    "function no object": b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":"f"}]}}]}',
    "call id no text": b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":{"a":1}}]}}]}',
    "reason no text": b'{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":["stop"]}]}',
    "index no number": b'{"choices":[{"index":[0],"delta":{"content":"x"}}]}',
    "invalid utf-8": b'{"choices":[{"index":0,"delta":{"content":"\xff"}}]}',
}


@pytest.mark.parametrize("name", CHUNKS)
async def test_an_event_that_is_no_chunk_is_a_bad_response_also_in_the_middle(http: HttpClient, name: str):
    bad = b"data: %b\n\n" % CHUNKS[name]
    for events in ([bad], [chunk(said("Hi")), 0.03, bad]):
        with pytest.raises(UpstreamBadResponse) as caught:
            await stream(http, [sse([*events, DONE])])
        assert "10.0.0.7" not in caught.value.message


@pytest.mark.parametrize("body", [b"{}", GOOD(Recorded("POST", "/chat/completions", (), b"{}", b"")).steps[0]])
@pytest.mark.parametrize("kind", ["application/json", "text/html", "text/plain"])
async def test_a_stream_that_is_no_event_stream_is_a_bad_response(http: HttpClient, kind: str, body: bytes):
    with pytest.raises(UpstreamBadResponse, match=kind):
        await stream(http, [http_reply(200, body, {"content-type": kind})])


@pytest.mark.parametrize(
    "kind", ["text/event-stream", "Text/Event-Stream;charset=UTF-8", "text/event-stream; charset=utf-8"]
)
async def test_the_type_of_a_stream_may_be_written_as_http_allows(http: HttpClient, kind: str):
    events = chunk(said("Hello", "stop")) + DONE
    assert text_of(await stream(http, [until_close(events, CLOSE, kind=kind)])) == "Hello"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "content", "index", "id"]), inner)
    ),
    max_leaves=4,
)


def one_of(**likely: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Objects with some of these members, or anything at all in their place."""
    members = {name: strategy | JSON for name, strategy in likely.items()}
    return st.fixed_dictionaries({}, optional=members) | JSON  # type: ignore[return-value]


FUNCTION = one_of(name=st.text(max_size=3), arguments=st.text(max_size=3))
CALLS = st.lists(one_of(index=st.integers(0, 3), id=st.sampled_from(["a", "b", ""]), function=FUNCTION), max_size=3)
SAID = {"role": st.just("assistant"), "content": st.text(max_size=3), "tool_calls": CALLS, "refusal": st.none()}
CHOICE = {"index": st.integers(0, 2), "finish_reason": st.sampled_from(["stop", "length", "", "eos", None])}
USAGE = one_of(prompt_tokens=st.integers(), completion_tokens=st.integers(), prompt_tokens_details=JSON)
CHUNK = one_of(choices=st.lists(one_of(delta=one_of(**SAID), **CHOICE), max_size=3), usage=USAGE, error=st.none())
WHOLE = one_of(choices=st.lists(one_of(message=one_of(**SAID), **CHOICE), max_size=3), usage=USAGE, error=st.none())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(whole=WHOLE, chunks=st.lists(CHUNK, max_size=4))
async def test_whatever_json_comes_it_is_an_answer_or_an_error_of_our_tree(whole: object, chunks: list[object]):
    """An answer is one that the rest of the gateway can bill and store without another look at its shape."""
    client = HttpClient()
    events = [b"data: %b\n\n" % json.dumps(each).encode() for each in chunks]
    async with FakeUpstream([http_reply(200, json.dumps(whole).encode()), sse([*events, DONE])]) as upstream:
        provider, tally = OpenAIProvider("acme", client, upstream.url, KEY), Tally(5)
        try:
            completion = await provider.complete(call())
            assert isinstance(completion.data["choices"][0]["message"], dict)
        except UpstreamError:
            pass
        try:
            async for batch in provider.stream(call()):
                tally.see(batch)
        except UpstreamError:
            pass
        assert tally.usage().completion_tokens >= 0
        assert tally.completion_bytes()
        await client.close()


# What an error may say


@pytest.mark.parametrize("status", [200, 400, 401, 404, 408, 422, 429, 500, 503, 529])
@pytest.mark.parametrize(
    "text", ["your key {key} is odd", "Authorization: Bearer {key}", "{key}", "'{key}'.", "at https://x/?k={key}"]
)
async def test_the_key_never_appears_in_an_error(http: HttpClient, status: int, text: str):
    script = [http_reply(status, {"error": {"message": text.format(key=KEY), "type": "t", "code": "c"}})]
    for ask in (complete, stream):
        with pytest.raises(UpstreamError) as caught:
            await ask(http, script)
        assert KEY not in f"{caught.value!r} {vars(caught.value)} {caught.value.envelope()}"


async def test_the_key_never_appears_in_an_error_inside_a_stream(http: HttpClient):
    bad = b'data: {"error":{"message":"key %b is revoked"}}\n\n' % KEY.encode()
    with pytest.raises(UpstreamError) as caught:
        await stream(http, [sse([chunk(said("Hi")), 0.03, bad])])
    assert KEY not in f"{caught.value!r} {caught.value.envelope()}"


async def test_a_refusal_by_policy_is_told_as_one(http: HttpClient):
    refusal = {"error": {"message": "flagged", "type": "invalid_request_error", "code": "content_filter"}}
    with pytest.raises(UpstreamRefused) as caught:
        await complete(http, [http_reply(400, refusal)])
    assert (caught.value.status, caught.value.code, caught.value.failover) == (400, "content_filter", False)
