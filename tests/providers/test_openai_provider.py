"""An OpenAI-compatible provider against a real socket: what it sends, and what it makes of answers."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from asking import eventually
from openaiish import KEY, call, chunk, collect, finishes, said, text_of, until_close

from fake_faults import FAULTS, GOOD, ODDITIES, TEXT, USAGE_LIES, slow_stream
from fake_replies import DONE, Answer, sse
from fake_upstream import CLOSE, FakeUpstream, Recorded, Script, http_reply
from neuralrouting.exchange import JsonObject, PlainChunk
from neuralrouting.providers.base import Completion, usage_of
from neuralrouting.providers.http import HttpClient
from neuralrouting.providers.openai import OpenAIProvider, Quirks

pytestmark = pytest.mark.anyio

ODD_REQUEST = (
    b'{"model":"auto","messages":[{"role":"user","content":"Hi \\u2028 \xe2\x80\xa8"}],'
    b'"seed":12345678901234567890123456,"temperature":0.10,"logit_bias":{"50256":-1e2},"vendor":{"deep":[1.0,1e5,18446744073709551616,"\\/"]},'
    b'"parallel_tool_calls":false,"reasoning_effort":"low"}'
)


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


async def complete(http: HttpClient, script: Script, **fields: object) -> Completion:
    async with FakeUpstream(script) as upstream:
        return await OpenAIProvider("acme", http, upstream.url, KEY).complete(call(**fields))


async def stream(http: HttpClient, script: Script, **fields: object) -> list[JsonObject]:
    chunks: list[JsonObject] = []
    async with FakeUpstream(script) as upstream:
        await collect(OpenAIProvider("acme", http, upstream.url, KEY), call(**fields), chunks)
    return chunks


async def asked(
    http: HttpClient, raw: bytes | None = None, *, quirks: Quirks | None = None, **fields: object
) -> list[Recorded]:
    """What a provider is sent for a whole answer and for a stream."""
    async with FakeUpstream([GOOD]) as upstream:
        provider = OpenAIProvider("acme", http, upstream.url + "/v1/", KEY, quirks)
        await provider.complete(call(raw, **fields))
        await collect(provider, call(raw, **fields), [])
    return upstream.requests


# Requests


async def test_the_request_goes_to_chat_completions_with_the_key(http: HttpClient):
    for request in await asked(http):
        assert (request.method, request.path) == ("POST", "/v1/chat/completions")
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.json()["model"] == "m-1-upstream"


async def test_without_a_key_there_is_no_authorization(http: HttpClient):
    async with FakeUpstream([GOOD]) as upstream:
        await OpenAIProvider("local", http, upstream.url, None).complete(call())
    assert "authorization" not in upstream.requests[0].headers


async def test_fields_pass_byte_for_byte_whatever_they_are(http: HttpClient):
    for request in await asked(http, ODD_REQUEST):
        _, _, rest = ODD_REQUEST.partition(b'"messages"')
        for member in rest.removesuffix(b"}").split(b',"'):
            assert member in request.body


async def test_our_own_fields_are_not_passed_on(http: HttpClient):
    for request in await asked(http, routing_mode="cost", session_id="s-1", feature="f"):
        assert not {"routing_mode", "session_id", "feature"} & request.json().keys()
        assert b"s-1" not in request.body


@pytest.mark.parametrize(
    "told", [{}, {"stream": False}, {"stream": True}, {"stream": True, "stream_options": {"include_usage": False}}]
)
async def test_usage_of_streams_is_always_asked_for_and_the_caller_decides_what_streams(
    http: HttpClient, told: dict[str, object]
):
    whole, streamed = await asked(http, **told)
    assert not whole.json().get("stream")
    assert "stream_options" not in whole.json()
    assert streamed.json()["stream"] is True
    assert streamed.json()["stream_options"]["include_usage"] is True


async def test_other_stream_options_are_kept(http: HttpClient):
    _, streamed = await asked(http, stream=True, stream_options={"include_obfuscation": False})
    assert streamed.json()["stream_options"] == {"include_obfuscation": False, "include_usage": True}


async def test_quirks_rename_and_drop_top_level_fields_only(http: HttpClient):
    quirks = Quirks(
        rename=(("max_completion_tokens", "max_tokens"), ("seed", "random_seed")), drop=("logit_bias", "user")
    )
    nested = {"seed": 1, "logit_bias": 2}
    fields = {"max_completion_tokens": 9, "seed": 7, "logit_bias": {"1": 2}, "user": "ada", "vendor": nested}
    for request in await asked(http, quirks=quirks, **fields):
        body = request.json()
        assert (body["max_tokens"], body["random_seed"], body["vendor"]) == (9, 7, nested)
        assert not {"max_completion_tokens", "seed", "logit_bias", "user"} & body.keys()


@pytest.mark.parametrize("field", ["base_url", "api_base", "api_key", "user_config", "extra_headers", "proxy"])
async def test_no_field_of_a_request_changes_where_it_goes_or_with_which_key(http: HttpClient, field: str):
    hostile = {field: "http://169.254.169.254/"}
    plain = await asked(http)
    for request, expected in zip(await asked(http, **hostile), plain, strict=True):
        ours = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
        assert ours == {n: v for n, v in expected.headers.items() if n not in ("host", "content-length")}


# Answers


async def test_a_whole_answer_passes_as_the_bytes_it_came_in(http: HttpClient):
    body = (
        b' {"choices": [{"message": {"content":"x"}, "finish_reason":"stop"}],  "n": 1234567890123456789012, "f":1.0}\n'
    )
    completion = await complete(http, [http_reply(200, body)])
    assert completion.body == body
    assert completion.data["choices"][0]["message"]["content"] == "x"


async def test_a_stream_says_the_text_and_its_usage(http: HttpClient):
    chunks = await stream(http, [GOOD])
    assert (text_of(chunks), finishes(chunks)) == (TEXT, ["stop"])
    usage = usage_of(chunks[-1])
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.source) == (11, 7, "provider")


async def test_tool_calls_pass_in_both_forms(http: HttpClient):
    answer = Answer(calls=(("f", '{"a": 1}'), ("g", "{}")), finish="tool_calls")
    whole = (await complete(http, [answer])).data["choices"][0]["message"]["tool_calls"]
    assert [call["function"]["arguments"] for call in whole] == ['{"a": 1}', "{}"]
    deltas = [choice["delta"] for chunk in await stream(http, [answer]) for choice in chunk["choices"]]
    parts = [part for delta in deltas for part in delta.get("tool_calls", [])]
    assert "".join(part["function"]["arguments"] for part in parts if part["index"] == 0) == '{"a": 1}'
    assert {part["index"] for part in parts} == {0, 1}


@pytest.mark.parametrize("name", ODDITIES)
async def test_odd_but_right_answers_are_understood(http: HttpClient, name: str):
    completion = await complete(http, [ODDITIES[name]])
    chunks = await stream(http, [ODDITIES[name]])
    assert text_of(chunks) == completion.data["choices"][0]["message"]["content"]
    assert finishes(chunks) == ["stop"]


async def test_line_separators_of_unicode_are_text_in_both_forms(http: HttpClient):
    text = "a\u2028b\u2029c\u0085d\x0be\x1c"
    assert (await complete(http, [Answer(text)])).data["choices"][0]["message"]["content"] == text
    assert text_of(await stream(http, [Answer(text, pieces=tuple(text))])) == text


@pytest.mark.parametrize("name", ["several data lines", "crlf", "cr", "line separators in text"])
async def test_a_chunk_that_is_passed_on_as_it_came_is_one_line(http: HttpClient, name: str):
    async with FakeUpstream([ODDITIES[name]]) as upstream:
        batches = [batch async for batch in OpenAIProvider("acme", http, upstream.url, KEY).stream(call())]
    plain = [chunk for batch in batches for chunk in batch if isinstance(chunk, PlainChunk)]
    assert bool(plain) == (name != "several data lines")
    assert not any(end in chunk.body for chunk in plain for end in (b"\n", b"\r"))


async def test_usage_that_lies_is_marked(http: HttpClient):
    told = usage_of((await complete(http, [USAGE_LIES])).data)
    streamed = usage_of((await stream(http, [USAGE_LIES]))[-1])
    assert told == streamed
    assert told is not None
    assert (told.prompt_tokens, told.source) == (0, "capped")


async def test_pieces_come_as_they_are_sent_and_not_at_the_end(http: HttpClient):
    async with FakeUpstream([slow_stream(0.03)]) as upstream:
        provider = OpenAIProvider("acme", http, upstream.url, KEY)
        arrivals_s = [time.monotonic() async for _ in provider.stream(call())]
    assert arrivals_s[-1] - arrivals_s[0] > 0.15


# The end of a stream


@pytest.mark.parametrize(
    "ending", [b"", b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\n\n", b"data:[DONE]\r\r", b": bye\n\n"]
)
async def test_a_finish_reason_is_end_enough_with_or_without_the_mark(http: HttpClient, ending: bytes):
    events = chunk(said("Hello")) + chunk(said("", "stop")) + ending
    chunks = await stream(http, [until_close(events, CLOSE)])
    assert (text_of(chunks), finishes(chunks)) == ("Hello", ["stop"])


async def test_nothing_after_the_end_mark_is_read(http: HttpClient):
    events = [chunk(said("Hello", "stop")), DONE, chunk(said(" evil")), b'data: {"error":{"message":"no"}}\n\n']
    assert text_of(await stream(http, [sse(events)])) == "Hello"
    assert text_of(await stream(http, [until_close(b"".join(events), CLOSE)])) == "Hello"


async def test_a_stream_of_several_choices_is_whole_when_each_has_ended(http: HttpClient):
    both = chunk(said("a"), said("b", index=1)) + chunk(said("", "stop")) + chunk(said("", "length", index=1))
    chunks = await stream(http, [until_close(both, CLOSE)], n=2)
    assert (text_of(chunks), text_of(chunks, 1), finishes(chunks)) == ("a", "b", ["stop", "length"])


@pytest.mark.parametrize("late_s", [0.0, 0.02])
async def test_connections_are_used_again_after_streams_and_whole_answers(http: HttpClient, late_s: float):
    """Also when the end of the HTTP body comes a moment after the end mark."""

    def script(request: Recorded) -> object:
        if not request.stream or not late_s:
            return GOOD(request)
        return sse([*GOOD.events("openai")], ending=(late_s, b"0\r\n\r\n"))

    async with FakeUpstream(script) as upstream:  # type: ignore[arg-type]
        provider = OpenAIProvider("acme", http, upstream.url, KEY)
        for _ in range(4):
            await collect(provider, call(), [])
            await asyncio.sleep(0.01 + 2 * late_s)
            await provider.complete(call())
    assert upstream.connections == 1


async def test_an_end_of_body_that_never_comes_is_not_waited_for(http: HttpClient):
    async with FakeUpstream([ODDITIES["no end of body"]]) as upstream:
        provider = OpenAIProvider("acme", http, upstream.url, KEY)
        started_s = time.monotonic()
        await collect(provider, call(), [])
        assert time.monotonic() - started_s < 0.09
        await eventually(lambda: upstream.hangups)
        assert upstream.hangups[0] - started_s < 0.4


async def test_leaving_a_stream_closes_its_connection_and_leaves_no_task(http: HttpClient):
    before = asyncio.all_tasks()
    async with FakeUpstream([slow_stream(0.05)]) as upstream:
        batches = OpenAIProvider("acme", http, upstream.url, KEY).stream(call())
        await anext(batches)
        left_s = time.monotonic()
        await batches.aclose()
        assert asyncio.all_tasks() == before
        await eventually(lambda: upstream.hangups)
        assert upstream.hangups[0] - left_s < 0.1


@pytest.mark.parametrize("streamed", [False, True])
async def test_cancelling_closes_the_connection(http: HttpClient, streamed: bool):  # noqa: FBT001
    async with FakeUpstream([slow_stream(0.05) if streamed else FAULTS["header drip"]]) as upstream:
        provider = OpenAIProvider("acme", http, upstream.url, KEY)
        work = collect(provider, call(), []) if streamed else provider.complete(call())
        asking = asyncio.ensure_future(work)
        await eventually(lambda: upstream.sent and len(upstream.sent[0]) > 2)
        asking.cancel()
        left_s = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await eventually(lambda: upstream.hangups)
        assert upstream.hangups[0] - left_s < 0.1
