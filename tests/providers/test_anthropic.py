"""The Anthropic provider against a real socket: what it sends, what it makes of answers and of faults."""

import asyncio
import time
from collections.abc import AsyncIterator

import orjson
import pytest

from fake_faults import FAULTS, GOOD, ODDITIES, STREAM_FAULTS, TEXT, USAGE_LIES, slow_stream
from fake_replies import Answer
from fake_upstream import CLOSE, FakeUpstream, Reply, Script, refused_url
from neuralrouting.catalog import Capabilities, Deployment
from neuralrouting.engine import Engine
from neuralrouting.errors import (
    UpstreamAuth,
    UpstreamBadResponse,
    UpstreamError,
    UpstreamInterrupted,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from neuralrouting.exchange import JsonObject
from neuralrouting.providers.anthropic import AnthropicProvider
from neuralrouting.providers.base import Call, Completion, usage_of
from neuralrouting.providers.http import HttpClient

pytestmark = pytest.mark.anyio

KEY = "sk-ant-CANARY-0123456789abcdef"
CLAUDE = Deployment(
    id="anthropic/claude-sonnet-4-5",
    model="claude-sonnet-4-5",
    provider="anthropic",
    upstream_model="claude-sonnet-4-5-20250929",
    tier="premium",
    context_tokens=200_000,
    max_output_tokens=8192,
    capabilities=Capabilities(tools=True),
    price=None,
)
HANGING = {"hang before headers", "header drip", "hang in body", "hang", "hang before the first event"}
PATIENCE_S = 0.3


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


def call(**fields: object) -> Call:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return Call(CLAUDE, Engine().inspect(orjson.dumps(body), "tenant"), time.monotonic() + 5)


async def complete(http: HttpClient, script: Script) -> Completion:
    async with FakeUpstream(script) as upstream:
        return await AnthropicProvider("anthropic", http, upstream.url, KEY).complete(call())


async def collect(provider: AnthropicProvider, into: list[JsonObject]) -> None:
    async for batch in provider.stream(call(stream=True)):
        into += batch


async def stream(http: HttpClient, script: Script) -> list[JsonObject]:
    chunks: list[JsonObject] = []
    async with FakeUpstream(script) as upstream:
        await collect(AnthropicProvider("anthropic", http, upstream.url, KEY), chunks)
    return chunks


def text_of(chunks: list[JsonObject]) -> str:
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])


async def test_the_request_goes_to_messages_with_key_and_version(http: HttpClient):
    async with FakeUpstream([GOOD]) as upstream:
        await AnthropicProvider("anthropic", http, upstream.url + "/", KEY).complete(call(max_tokens=9))
    (request,) = upstream.requests
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert request.headers["x-api-key"] == KEY
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.headers["accept-encoding"] == "identity"
    assert "authorization" not in request.headers
    assert request.json() == {
        "model": "claude-sonnet-4-5-20250929",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hi"}],
    }


async def test_a_base_url_may_end_in_v1(http: HttpClient):
    async with FakeUpstream([GOOD]) as upstream:
        await AnthropicProvider("anthropic", http, upstream.url + "/v1", KEY).complete(call())
    assert upstream.requests[0].path == "/v1/messages"


async def test_a_whole_answer_is_openais_in_bytes_and_parsed(http: HttpClient):
    completion = await complete(http, [Answer("Hello", calls=(("f", '{"a": 1}'),), finish="tool_calls")])
    assert orjson.loads(completion.body) == completion.data
    message = completion.data["choices"][0]["message"]
    assert message["content"] == "Hello"
    assert message["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert abs(completion.data["created"] - time.time()) < 5


async def test_a_stream_says_the_text_and_its_usage(http: HttpClient):
    chunks = await stream(http, [GOOD])
    assert text_of(chunks) == TEXT
    usage = usage_of(chunks[-1])
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (11, 7)


async def test_pieces_come_as_they_are_sent_and_not_at_the_end(http: HttpClient):
    async with FakeUpstream([slow_stream(0.05)]) as upstream:
        provider = AnthropicProvider("anthropic", http, upstream.url, KEY)
        arrivals_s = [time.monotonic() async for _ in provider.stream(call(stream=True))]
    assert arrivals_s[-1] - arrivals_s[0] > 0.2


async def test_connections_are_used_again(http: HttpClient):
    async with FakeUpstream([GOOD]) as upstream:
        provider = AnthropicProvider("anthropic", http, upstream.url, KEY)
        for _ in range(3):
            await provider.complete(call())
            await collect(provider, [])
            await asyncio.sleep(0.02)  # the last HTTP chunk may come a moment after the last event
    assert upstream.connections == 1


async def test_leaving_a_stream_closes_its_connection(http: HttpClient):
    async with FakeUpstream([slow_stream(0.05)]) as upstream:
        batches = AnthropicProvider("anthropic", http, upstream.url, KEY).stream(call(stream=True))
        await anext(batches)
        left_s = time.monotonic()
        await batches.aclose()
        while not upstream.hangups:
            assert time.monotonic() - left_s < 2
            await asyncio.sleep(0.005)
        assert upstream.hangups[0] - left_s < 0.1


@pytest.mark.parametrize("name", ODDITIES)
async def test_odd_but_right_answers_are_understood(http: HttpClient, name: str):
    completion = await complete(http, [ODDITIES[name]])
    chunks = await stream(http, [ODDITIES[name]])
    assert text_of(chunks) == completion.data["choices"][0]["message"]["content"]
    assert chunks[-1 if name == "no usage" else -2]["choices"][0]["finish_reason"] == "stop"


async def test_an_answer_without_usage_has_none(http: HttpClient):
    assert "usage" not in (await complete(http, [ODDITIES["no usage"]])).data
    assert all(chunk["choices"] for chunk in await stream(http, [ODDITIES["no usage"]]))


async def test_usage_that_lies_is_not_believed(http: HttpClient):
    assert "usage" not in (await complete(http, [USAGE_LIES])).data
    assert all(chunk["choices"] for chunk in await stream(http, [USAGE_LIES]))


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
    "error in 200": UpstreamError,
    "echoes secrets": UpstreamError,
    "error event first": UpstreamOverloaded,
    "error event later": UpstreamInterrupted,
    "cut, chunked": UpstreamInterrupted,
    "cut, length": UpstreamInterrupted,
    "cut, close": UpstreamInterrupted,
    "cut before the first event": UpstreamInterrupted,
    "reset": UpstreamInterrupted,
}
"""What is not here must be an UpstreamBadResponse."""


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", sorted(FAULTS.keys() - HANGING))
async def test_every_fault_becomes_its_error(http: HttpClient, name: str, streamed: bool):  # noqa: FBT001
    with pytest.raises(EXPECTED.get(name, UpstreamBadResponse)) as caught:
        async with asyncio.timeout(5):
            await (stream if streamed else complete)(http, [FAULTS[name]])
    assert KEY not in caught.value.message
    assert "CANARY" not in caught.value.message


@pytest.mark.parametrize("name", sorted(STREAM_FAULTS.keys() - HANGING))
async def test_every_fault_of_a_stream_becomes_its_error(http: HttpClient, name: str):
    with pytest.raises(EXPECTED.get(name, UpstreamBadResponse)):
        async with asyncio.timeout(5):
            await stream(http, [STREAM_FAULTS[name]])


@pytest.mark.parametrize("name", sorted(HANGING))
async def test_a_deadline_ends_what_hangs(http: HttpClient, name: str):
    fault = {**FAULTS, **STREAM_FAULTS}[name]
    started_s = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            await stream(http, [fault])
    assert time.monotonic() - started_s < PATIENCE_S + 0.3


async def test_what_came_before_a_cut_has_been_handed_over(http: HttpClient):
    chunks: list[JsonObject] = []
    async with FakeUpstream([STREAM_FAULTS["cut, chunked"]]) as upstream:
        with pytest.raises(UpstreamInterrupted):
            await collect(AnthropicProvider("anthropic", http, upstream.url, KEY), chunks)
    assert text_of(chunks)
    assert TEXT.startswith(text_of(chunks))


@pytest.mark.parametrize("cut_at", range(1, len(b"".join(GOOD.anthropic_events())), 37))
async def test_a_stream_cut_anywhere_is_never_taken_for_whole(http: HttpClient, cut_at: int):
    whole = b"".join(GOOD.anthropic_events())
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    with pytest.raises((UpstreamInterrupted, UpstreamBadResponse)):
        await stream(http, [Reply((head + whole[:cut_at], CLOSE))])


async def test_a_stream_that_is_no_stream_is_a_bad_response(http: HttpClient):
    with pytest.raises(UpstreamBadResponse):
        await stream(http, [FAULTS["html"]])


async def test_nobody_listening_is_unreachable(http: HttpClient):
    with pytest.raises(UpstreamUnreachable):
        await AnthropicProvider("anthropic", http, refused_url(), KEY).complete(call())


async def test_a_request_that_cannot_be_translated_never_leaves(http: HttpClient):
    async with FakeUpstream([GOOD]) as upstream:
        with pytest.raises(UpstreamRejected):
            await AnthropicProvider("anthropic", http, upstream.url, KEY).complete(call(n=2))
        assert not upstream.requests
        assert not upstream.connections
