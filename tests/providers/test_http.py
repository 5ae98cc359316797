"""The HTTP client against a hostile server: what it reuses, what it bounds, what it refuses. On both event loops."""

import asyncio
import contextlib
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from fake_faults import FAULTS
from fake_upstream import CLOSE, HANG, RESET, FakeUpstream, Reply, Script, Step, head, http_reply, refused_url
from neuralrouting.errors import (
    ConfigError,
    UpstreamBadResponse,
    UpstreamError,
    UpstreamInterrupted,
    UpstreamUnreachable,
)
from neuralrouting.providers.connection import READ_AHEAD_BYTES
from neuralrouting.providers.http import HttpClient, Url

pytestmark = pytest.mark.anyio

GOOD = http_reply(200, b'{"ok":true}')
ARRIVAL_S = 0.05
ENDLESS = b"v" * (300 * 1024)
"""More than any bound on what is not a body, and more than one read."""
Answered = tuple[int, bytes]


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


async def ask(http: HttpClient, url: str, body: bytes = b"{}") -> Answered:
    async with asyncio.timeout(5), http.post(Url.parse(url), (), body) as answer:
        return answer.status, await answer.read()


async def ask_once(http: HttpClient, script: Script) -> Answered:
    async with FakeUpstream(script) as upstream:
        return await ask(http, upstream.url)


async def eventually(true: Callable[[], object], within_s: float = 2.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.005)


# What is sent


async def test_a_request_is_one_post_with_its_length_and_our_headers(http: HttpClient):
    async with FakeUpstream([GOOD]) as upstream:
        async with http.post(Url.parse(upstream.url + "/v1/x"), (("authorization", "Bearer k"),), b'{"a":1}') as answer:
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


# Reuse


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


# Bodies


@pytest.mark.parametrize("size", [1, 3, 64])
async def test_chunked_bodies_are_put_together_however_they_arrive(http: HttpClient, size: int):
    raw = head(200, {"transfer-encoding": "chunked"}) + b"5\r\nHello\r\n1;ext=1\r\n,\r\n6\r\n world\r\n0\r\nx-t: 1\r\n\r\n"
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
    received = b""
    with pytest.raises(UpstreamInterrupted):
        async with FakeUpstream([CUTS[cut]]) as upstream, http.post(Url.parse(upstream.url), (), b"") as answer:
            async for data in answer.chunks():
                received += data
    assert received == b"12345"


async def test_chunks_come_as_they_are_sent(http: HttpClient):
    async with FakeUpstream([Reply((head(200, {"content-length": "3"}), b"a", 0.1, b"b", 0.1, b"c"))]) as upstream:
        async with http.post(Url.parse(upstream.url), (), b"") as answer:
            arrivals = [(data, time.monotonic()) async for data in answer.chunks()]
    assert [data for data, _ in arrivals] == [b"a", b"b", b"c"]
    assert arrivals[2][1] - arrivals[0][1] > 0.15


# Bounds


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
            async with client.post(Url.parse(upstream.url), (), b"") as answer:
                async for _ in answer.chunks():
                    pass
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
    async with FakeUpstream([Reply((head(200, {"content-length": str(size)}), *[piece] * 24))]) as upstream:
        async with asyncio.timeout(10), client.post(Url.parse(upstream.url), (), b"") as answer:
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


# Leaving


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


# Connecting


async def test_nobody_listening_is_unreachable_and_the_message_says_where(http: HttpClient):
    url = refused_url()
    with pytest.raises(UpstreamUnreachable, match=url.removeprefix("http://")) as caught:
        await ask(http, url)
    assert "refused" in caught.value.message.lower() or "connect" in caught.value.message.lower()


async def test_a_host_that_does_not_exist_is_unreachable(http: HttpClient):
    with pytest.raises(UpstreamUnreachable, match="no-such-host.invalid"):
        await ask(http, "http://no-such-host.invalid/v1")


async def test_a_host_that_does_not_answer_is_given_up_in_time():
    client = HttpClient(connect_timeout_s=0.2)
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # a queue of connections that nobody accepts drops what comes next
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        started_s = time.monotonic()
        with pytest.raises(UpstreamUnreachable, match=r"no connection within 0\.2 s"):
            await ask(client, f"http://127.0.0.1:{full.getsockname()[1]}")
        assert time.monotonic() - started_s < 0.5


async def test_a_server_that_resets_whoever_comes_is_unreachable_and_never_hangs(http: HttpClient):
    async with FakeUpstream([GOOD], accepting=False) as upstream:
        for _ in range(50):
            with pytest.raises(UpstreamUnreachable):
                await ask(http, upstream.url)


async def test_a_server_that_speaks_before_it_is_asked_is_not_waited_for(http: HttpClient):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Url.parse(f"http://127.0.0.1:{server.getsockname()[1]}")
        connection = await http.connect(address)
        spoken, _ = server.accept()
        with spoken:
            spoken.sendall(b"220 mail.example ESMTP\r\n")
            await asyncio.sleep(ARRIVAL_S)
            answer = connection.send(b"POST / HTTP/1.1\r\ncontent-length: ", b"", 1000)
            with pytest.raises(UpstreamUnreachable):
                async with asyncio.timeout(1):
                    await answer.head()


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for `localhost`, and its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert, both = folder / "key.pem", folder / "cert.pem", folder / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        + ["-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True,
        capture_output=True,
    )
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    return both


@pytest.fixture
async def tls_port(certificate: Path) -> AsyncIterator[int]:
    """A server that answers GOOD over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"{}"):
                writer.write(GOOD.steps[0])  # type: ignore[arg-type]
        writer.close()

    server = await asyncio.start_server(serve, "localhost", 0, ssl=context, family=socket.AF_INET)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_a_certificate_that_nobody_vouches_for_is_refused_and_said_so(http: HttpClient, tls_port: int):
    with pytest.raises(UpstreamUnreachable, match=r"(?i)certificate.verify.failed.*self.signed"):
        await ask(http, f"https://localhost:{tls_port}/v1")


async def test_a_trusted_certificate_is_asked_over_tls_on_a_kept_connection(
    http: HttpClient, tls_port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    for _ in range(3):
        assert await ask(http, f"https://localhost:{tls_port}/v1") == (200, b'{"ok":true}')


async def test_a_trusted_certificate_for_another_host_is_refused(
    http: HttpClient, tls_port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(UpstreamUnreachable, match="(?i)not valid for '127.0.0.1'"):
        await ask(http, f"https://127.0.0.1:{tls_port}/v1")


async def test_a_server_without_tls_is_unreachable_over_https(http: HttpClient):
    async with FakeUpstream([GOOD]) as upstream:
        with pytest.raises(UpstreamError) as caught:
            client = HttpClient(connect_timeout_s=0.3)
            await ask(client, upstream.url.replace("http:", "https:"))
    assert isinstance(caught.value, UpstreamUnreachable)


# Addresses


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("https://api.example.com/v1", Url("api.example.com", 443, "/v1", tls=True)),
        ("http://127.0.0.1:8000/v1", Url("127.0.0.1", 8000, "/v1", tls=False)),
        ("http://localhost", Url("localhost", 80, "/", tls=False)),
        ("https://[::1]:8443/v1", Url("::1", 8443, "/v1", tls=True)),
        ("HTTPS://API.Example.COM/V1", Url("api.example.com", 443, "/V1", tls=True)),
    ],
)
def test_an_address_is_read(url: str, parsed: Url):
    assert Url.parse(url) == parsed


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com/v1",
        "ftp://example.com",
        "file:///etc/passwd",
        "https://",
        "https:///v1",
        "https://user:S3CRET@example.com",
        "ftp://user:S3CRET@example.com",
        "https://user@example.com",
        "https://@example.com",
        "https://good.example@evil.example",
        "https://good.example\\@evil.example",
        "https://good.example\\evil",
        "https://example.com/v1?key=S3CRET",
        "https://example.com/v1#top",
        "https://example.com/v1?",
        "https://example.com/v1#",
        "https://example.com:0",
        "https://example.com:65536",
        "https://example.com:port",
        "https://[::1",
        "https://exam\nple.com",
        "https://example.com/a\r\nx-evil: 1",
        "https://example.com/a b",
        "https://example.com/\0",
        "https://127\uff0e0\uff0e0\uff0e1/v1",
        "https://127\u30020\u30020\u30021/v1",
        "https://b\u00fccher.example/v1",
        "https://example.com/\u2028",
        "https://a..b/v1",
        f"https://{'a' * 64}.example/v1",
    ],
)
def test_an_address_that_is_not_plainly_one_is_refused_without_repeating_its_secrets(url: str):
    with pytest.raises(ConfigError) as caught:
        Url.parse(url)
    assert "S3CRET" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://example.com", "example.com"),
        ("http://example.com:8080", "example.com:8080"),
        ("http://[::1]:9", "[::1]:9"),
    ],
)
async def test_the_host_header_names_the_port_only_where_it_is_not_the_usual_one(url: str, host: str):
    async with FakeUpstream([GOOD]) as upstream:
        client, there = HttpClient(), Url.parse(upstream.url)
        client.release(Url.parse(url), connection := await client.connect(there))
        assert not connection.closed
        async with client.post(Url.parse(url), (), b"") as answer:
            await answer.read()
        await client.close()
    assert upstream.requests[0].headers["host"] == host
