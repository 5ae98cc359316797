"""The HTTP client against a hostile server or a slow reader: every direction has its bound. On both event loops."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from asking import ARRIVAL_S, GOOD, ask, ask_once, eventually, read_into

from fake_faults import FAULTS
from fake_upstream import HANG, FakeUpstream, Reply, head, http_reply
from neuralrouting.errors import UpstreamBadResponse
from neuralrouting.providers.connection import READ_AHEAD_BYTES
from neuralrouting.providers.http import HttpClient, Url

pytestmark = pytest.mark.anyio
ENDLESS = b"v" * (300 * 1024)
"""More than any bound on what is not a body, and more than one read."""


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


BROKEN: dict[str, Reply] = {
    "1xx flood": FAULTS["1xx flood"](None),  # type: ignore[arg-type]
    "headers over 64 KiB": FAULTS["header flood"](None),  # type: ignore[arg-type]
    "not http": FAULTS["not http"](None),  # type: ignore[arg-type]
    "two lengths": FAULTS["two lengths"](None),  # type: ignore[arg-type]
    "length and chunks": Reply((head(200, {"content-length": "2", "transfer-encoding": "chunked"}), b"{}", HANG)),
    "a header without end": Reply((b"HTTP/1.1 200 OK\r\nx: ", ENDLESS, HANG)),
    "1xx headers without end": Reply((b"HTTP/1.1 103 Early Hints\r\nx: ", ENDLESS, HANG)),
    "a chunk extension without end": Reply((head(200, {"transfer-encoding": "chunked"}), b"1;", ENDLESS, HANG)),
    "a trailer without end": Reply((head(200, {"transfer-encoding": "chunked"}), b"0\r\nx: ", ENDLESS, HANG)),
    "switching protocols": Reply((head(101, {"upgrade": "x", "connection": "upgrade"}), HANG)),
    "a length that is no number": Reply((head(200, {"content-length": "0x2"}), b"{}", HANG)),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_breaks_the_protocol_is_a_bad_response_at_once(
    http: HttpClient, name: str, caplog: pytest.LogCaptureFixture
):
    async with FakeUpstream([BROKEN[name]]) as upstream:
        started_s = time.monotonic()
        with pytest.raises(UpstreamBadResponse):
            await ask(http, upstream.url)
        assert time.monotonic() - started_s < 2
        await eventually(lambda: upstream.hangups or name in ("not http", "two lengths"))
    assert not caplog.records  # the event loop logs exceptions that no one caught


@pytest.mark.parametrize(
    ("name", "reason"),
    [("1xx flood", "a flood of 1xx answers"), ("headers over 64 KiB", "headers over 64 KiB"), ("not http", "HTTP/1.1")],
)
async def test_the_message_says_what_broke(http: HttpClient, name: str, reason: str):
    with pytest.raises(UpstreamBadResponse, match=reason):
        await ask_once(http, [BROKEN[name]])


async def test_early_hints_before_the_answer_are_passed_over(http: HttpClient):
    hints = head(103, {"content-encoding": "gzip"}) + head(100, {})
    assert await ask_once(http, [Reply((hints, *GOOD.steps))]) == (200, b'{"ok":true}')


async def test_trailers_do_not_pass_for_headers(http: HttpClient):
    raw = head(200, {"transfer-encoding": "chunked"}) + b"2\r\n{}\r\n0\r\nRetry-After: 9\r\n\r\n"
    async with FakeUpstream([Reply((raw,))]) as upstream, http.post(Url.parse(upstream.url), (), b"") as answer:
        await answer.read()
        assert answer.headers == {"transfer-encoding": "chunked"}


@pytest.mark.parametrize("size", [10_001, 5_000_000])
async def test_a_body_over_the_bound_is_refused_and_not_read_to_its_end(size: int):
    client = HttpClient(max_answer_bytes=10_000)
    async with FakeUpstream([Reply((head(200, {"content-length": str(size)}), b"x" * size, HANG))]) as upstream:
        with pytest.raises(UpstreamBadResponse, match="over 10000 bytes"):
            await ask(client, upstream.url)
        await eventually(lambda: upstream.hangups)
        with pytest.raises(UpstreamBadResponse, match="over 10000 bytes"):
            await read_into([], client, upstream.url)
        await eventually(lambda: len(upstream.hangups) == 2)
    await client.close()


async def test_a_body_just_at_the_bound_is_taken():
    client = HttpClient(max_answer_bytes=10_000)
    assert await ask_once(client, [http_reply(200, b"x" * 10_000)]) == (200, b"x" * 10_000)
    await client.close()


async def test_a_compressed_answer_is_refused_since_it_was_not_asked_for(http: HttpClient):
    async with FakeUpstream([FAULTS["gzip"], GOOD]) as upstream:
        with pytest.raises(UpstreamBadResponse, match="identity"):
            await ask(http, upstream.url)
        assert (await ask(http, upstream.url))[0] == 200
    assert upstream.connections == 2


AFTERMATH = [b"junk", b"\0", b"HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\nevil", GOOD.steps[0]]


@pytest.mark.parametrize("pause", [(), (ARRIVAL_S,)], ids=["in one piece", "later"])
@pytest.mark.parametrize("after", AFTERMATH, ids=["junk", "nul", "another answer", "the same answer"])
async def test_bytes_after_the_answer_discard_the_connection_and_not_the_answer(
    http: HttpClient, after: bytes, pause: tuple[float, ...]
):
    whole = GOOD.steps[0]
    assert isinstance(whole, bytes)
    reply = Reply((whole, *pause, after) if pause else (whole + after,))
    async with FakeUpstream([reply, GOOD]) as upstream:
        async with http.post(Url.parse(upstream.url), (), b"") as answer:
            assert await answer.read() == b'{"ok":true}'
        await asyncio.sleep(2 * ARRIVAL_S)
        assert answer.status == 200
        assert (await ask(http, upstream.url)) == (200, b'{"ok":true}')
    assert upstream.connections == 2


@pytest.mark.parametrize("reads", ["chunks", "whole"])
async def test_a_slow_reader_slows_the_provider_and_not_our_memory(reads: str):
    size, piece = 24 << 20, b"x" * (1 << 20)
    client = HttpClient(max_answer_bytes=size)
    large = Reply((head(200, {"content-length": str(size)}), *[piece] * 24))
    async with (
        asyncio.timeout(10),
        FakeUpstream([large]) as upstream,
        client.post(Url.parse(upstream.url), (), b"") as answer,
    ):
        await asyncio.sleep(0.3)
        # Unread: our bound, one read over it, and what the two socket buffers take (at most some megabytes).
        assert len(upstream.sent[0]) < size - (4 << 20)
        if reads == "whole":
            assert len(await answer.read()) == size
        else:
            sizes = [len(data) async for data in answer.chunks()]
            assert sum(sizes) == size
            assert max(sizes) <= READ_AHEAD_BYTES + 512 * 1024
    await client.close()


@pytest.mark.parametrize(
    "reply",
    [Reply((HANG,)), Reply((b"HTTP/1.1 200 OK\r\n", HANG)), Reply((head(200, {"content-length": "9"}), b"1", HANG))],
    ids=["before the headers", "in the headers", "in the body"],
)
async def test_cancelling_closes_the_connection_to_the_provider_at_once(http: HttpClient, reply: Reply):
    async with FakeUpstream([reply]) as upstream:
        asking = asyncio.create_task(ask(http, upstream.url))
        await eventually(lambda: upstream.sent and len(upstream.sent[0]) >= reply.size)
        await asyncio.sleep(0.02)
        asking.cancel()
        left_s = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await eventually(lambda: upstream.hangups)
        assert upstream.hangups[0] - left_s < 0.1


async def test_an_error_while_reading_closes_the_connection(http: HttpClient):
    async with FakeUpstream([GOOD]) as upstream:
        with pytest.raises(KeyError):
            async with http.post(Url.parse(upstream.url), (), b""):
                raise KeyError
        await ask(http, upstream.url)
    assert upstream.connections == 2
