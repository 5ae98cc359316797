"""The HTTP client: what it sends, which connections it uses again, how bodies end. On both event loops."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from asking import ARRIVAL_S, GOOD, ask, ask_once, eventually, read_into

from fake_upstream import CLOSE, HANG, RESET, FakeUpstream, Reply, Step, head, http_reply
from neuralrouting.errors import ConfigError, UpstreamInterrupted, UpstreamUnreachable
from neuralrouting.providers.http import HttpClient, Url

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


async def test_a_request_is_one_post_with_its_length_and_our_headers(http: HttpClient):
    headers = (("authorization", "Bearer k"),)
    async with (
        FakeUpstream([GOOD]) as upstream,
        http.post(Url.parse(upstream.url + "/v1/x"), headers, b'{"a":1}') as answer,
    ):
        assert await answer.read() == b'{"ok":true}'
    (request,) = upstream.requests
    assert (request.method, request.path, request.body) == ("POST", "/v1/x", b'{"a":1}')
    assert request.header_lines == (
        ("host", upstream.url.removeprefix("http://")),
        ("content-type", "application/json"),
        ("accept-encoding", "identity"),
        ("user-agent", "neuralrouting"),
        ("authorization", "Bearer k"),
        ("content-length", "7"),
    )


@pytest.mark.parametrize("value", ["k\r\nx-evil: 1", "k\nx", "k\r", "k\0"])
def test_a_header_value_with_a_line_break_never_leaves(value: str):
    with pytest.raises(ConfigError, match="line break") as caught:
        HttpClient().post(Url.parse("http://127.0.0.1:1"), (("authorization", value),), b"")
    assert value not in caught.value.message


async def test_a_large_request_arrives_whole(http: HttpClient):
    body = b"x" * (8 << 20)
    async with FakeUpstream([GOOD]) as upstream:
        assert (await ask(http, upstream.url, body))[0] == 200
    assert upstream.requests[0].body == body


async def test_one_connection_serves_requests_in_turn(http: HttpClient):
    async with FakeUpstream([GOOD]) as upstream:
        for _ in range(5):
            assert await ask(http, upstream.url) == (200, b'{"ok":true}')
    assert upstream.connections == 1


async def test_requests_at_once_have_a_connection_each_and_leave_it_for_later(http: HttpClient):
    slow = Reply((0.05, *GOOD.steps))
    async with FakeUpstream([slow]) as upstream:
        for _ in range(2):
            await asyncio.gather(*(ask(http, upstream.url) for _ in range(10)))
    assert upstream.connections == 10


async def test_a_failed_answer_that_is_whole_does_not_cost_the_connection(http: HttpClient):
    async with FakeUpstream([http_reply(503, b"{}"), GOOD]) as upstream:
        assert [(await ask(http, upstream.url))[0] for _ in range(2)] == [503, 200]
    assert upstream.connections == 1


async def test_a_connection_closed_while_it_lay_idle_is_not_used(http: HttpClient):
    async with FakeUpstream([GOOD.then(CLOSE)]) as upstream:
        for _ in range(3):
            assert (await ask(http, upstream.url))[0] == 200
            await asyncio.sleep(ARRIVAL_S)
    assert (upstream.connections, len(upstream.requests)) == (3, 3)


@pytest.mark.parametrize("ending", [CLOSE, RESET])
async def test_a_pooled_connection_that_gives_no_answer_is_replaced_at_once(http: HttpClient, ending: Step):
    async with FakeUpstream([GOOD, Reply((ending,)), GOOD]) as upstream:
        assert [(await ask(http, upstream.url))[0] for _ in range(2)] == [200, 200]
    assert (upstream.connections, len(upstream.requests)) == (2, 3)


async def test_a_fresh_connection_that_gives_no_answer_is_not_asked_again(http: HttpClient):
    async with FakeUpstream([Reply((CLOSE,))]) as upstream:
        with pytest.raises(UpstreamUnreachable):
            await ask(http, upstream.url)
    assert len(upstream.requests) == 1


async def test_a_request_is_asked_again_once_and_not_for_ever(http: HttpClient):
    async with FakeUpstream([GOOD, Reply((CLOSE,))]) as upstream:
        await ask(http, upstream.url)
        with pytest.raises(UpstreamUnreachable):
            await ask(http, upstream.url)
    assert len(upstream.requests) == 3


async def test_an_answer_that_had_begun_is_not_asked_for_again(http: HttpClient):
    async with FakeUpstream([GOOD, Reply((b"HTTP/1.1 200 OK\r\nConte", ARRIVAL_S, CLOSE)), GOOD]) as upstream:
        await ask(http, upstream.url)
        with pytest.raises(UpstreamUnreachable):
            await ask(http, upstream.url)
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "reply",
    [
        http_reply(200, b"{}", {"connection": "close"}),
        http_reply(200, b"{}", version="1.0"),
        Reply((head(200, {}), b"{}", CLOSE)),
    ],
    ids=["connection: close", "http 1.0", "until close"],
)
async def test_a_connection_that_may_not_be_kept_is_not_kept(http: HttpClient, reply: Reply):
    async with FakeUpstream([reply]) as upstream:
        for _ in range(2):
            assert await ask(http, upstream.url) == (200, b"{}")
    assert upstream.connections == 2


async def test_a_connection_is_not_kept_longer_than_servers_do():
    client = HttpClient(keep_idle_s=0.05)
    async with FakeUpstream([GOOD]) as upstream:
        await asyncio.gather(*(ask(client, upstream.url) for _ in range(3)))
        await asyncio.sleep(0.1)
        await ask(client, upstream.url)
        assert upstream.connections == 4
        await client.close()


async def test_an_end_that_comes_a_moment_late_still_leaves_the_connection_usable(http: HttpClient):
    chunked = head(200, {"transfer-encoding": "chunked"}) + b"2\r\n{}\r\n"
    async with FakeUpstream([Reply((chunked, 0.02, b"0\r\n\r\n"))]) as upstream:
        for _ in range(3):
            async with http.post(Url.parse(upstream.url), (), b"") as answer:
                assert await anext(answer.chunks()) == b"{}"
            await asyncio.sleep(0.05)
    assert upstream.connections == 1


async def test_an_end_that_never_comes_costs_the_connection(http: HttpClient):
    async with FakeUpstream([Reply((head(200, {"content-length": "9"}), b"{}", HANG))]) as upstream:
        async with http.post(Url.parse(upstream.url), (), b"") as answer:
            assert await anext(answer.chunks()) == b"{}"
        left_s = time.monotonic()
        await eventually(lambda: upstream.hangups)
        assert upstream.hangups[0] - left_s < 0.3


async def test_closing_the_client_closes_what_is_pooled_and_what_is_about_to_be():
    client = HttpClient()
    never_ends = Reply((head(200, {"content-length": "9"}), b"{}", HANG))
    async with FakeUpstream([GOOD, never_ends]) as upstream:
        await ask(client, upstream.url)
        async with client.post(Url.parse(upstream.url), (), b"") as answer:
            await anext(answer.chunks())
        left_s = time.monotonic()
        await client.close()
        await eventually(lambda: upstream.hangups)
        assert upstream.hangups[0] - left_s < 0.09  # at once, not when the answer's time is up


async def test_an_answer_that_ends_after_the_client_was_closed_is_not_pooled():
    client = HttpClient()
    async with FakeUpstream([Reply((0.05, *GOOD.steps, HANG))]) as upstream:
        asking = asyncio.create_task(ask(client, upstream.url))
        await eventually(lambda: upstream.requests)
        await client.close()
        assert (await asking)[0] == 200
        await eventually(lambda: upstream.hangups)


@pytest.mark.parametrize("size", [1, 3, 64])
async def test_chunked_bodies_are_put_together_however_they_arrive(http: HttpClient, size: int):
    raw = (
        head(200, {"transfer-encoding": "chunked"})
        + b"5\r\nHello\r\n1;ext=1\r\n,\r\n6\r\n world\r\n0\r\nx-t: 1\r\n\r\n"
    )
    assert await ask_once(http, [Reply((raw,)).in_bits(size)]) == (200, b"Hello, world")


async def test_a_body_without_length_ends_with_its_connection(http: HttpClient):
    assert await ask_once(http, [Reply((head(200, {}), b"Hel", 0.02, b"lo", CLOSE))]) == (200, b"Hello")


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_that_has_no_body_is_whole(http: HttpClient, status: int):
    assert await ask_once(http, [Reply((head(status, {}),))]) == (status, b"")


CUTS: dict[str, Reply] = {
    "length, closed": Reply((head(200, {"content-length": "10"}), b"12345", ARRIVAL_S, CLOSE)),
    "length, reset": Reply((head(200, {"content-length": "10"}), b"12345", ARRIVAL_S, RESET)),
    "chunked, closed": Reply((head(200, {"transfer-encoding": "chunked"}), b"5\r\n12345\r\n", ARRIVAL_S, CLOSE)),
    "chunked, closed in the end mark": Reply(
        (head(200, {"transfer-encoding": "chunked"}), b"5\r\n12345\r\n0\r\n", ARRIVAL_S, CLOSE)
    ),
    "until close, reset": Reply((head(200, {}), b"12345", ARRIVAL_S, RESET)),
}


@pytest.mark.parametrize("cut", CUTS)
async def test_a_body_that_stops_early_is_interrupted_and_what_came_is_handed_out(http: HttpClient, cut: str):
    with pytest.raises(UpstreamInterrupted):
        await ask_once(http, [CUTS[cut]])
    received: list[bytes] = []
    async with FakeUpstream([CUTS[cut]]) as upstream:
        with pytest.raises(UpstreamInterrupted):
            await read_into(received, http, upstream.url)
    assert b"".join(received) == b"12345"


async def test_chunks_come_as_they_are_sent(http: HttpClient):
    slow = Reply((head(200, {"content-length": "3"}), b"a", 0.1, b"b", 0.1, b"c"))
    async with FakeUpstream([slow]) as upstream, http.post(Url.parse(upstream.url), (), b"") as answer:
        arrivals = [(data, time.monotonic()) async for data in answer.chunks()]
    assert [data for data, _ in arrivals] == [b"a", b"b", b"c"]
    assert arrivals[2][1] - arrivals[0][1] > 0.15
