"""Whom the HTTP client connects to, and whom it does not: addresses, refusals, certificates. On both event loops."""

import asyncio
import contextlib
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from asking import ARRIVAL_S, GOOD, ask

from fake_upstream import FakeUpstream, refused_url
from neuralrouting.errors import ConfigError, UpstreamUnreachable
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


async def test_nobody_listening_is_unreachable_and_the_message_says_where(http: HttpClient):
    url = refused_url()
    with pytest.raises(UpstreamUnreachable, match=url.removeprefix("http://")) as caught:
        await ask(http, url)
    assert "refused" in caught.value.message.lower() or "connect" in caught.value.message.lower()


async def test_a_host_that_does_not_exist_is_unreachable(http: HttpClient):
    with pytest.raises(UpstreamUnreachable, match=r"no-such-host\.invalid"):
        await ask(http, "http://no-such-host.invalid/v1")


async def test_a_host_that_does_not_answer_is_given_up_in_time():
    client = HttpClient(connect_timeout_s=0.2)
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # a queue of connections that nobody accepts drops what comes next
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
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


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for `localhost`, and its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert, both = folder / "key.pem", folder / "cert.pem", folder / "both.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    made = ["openssl", "req", "-x509", *kind, "-keyout", key, "-out", cert, *subject]
    subprocess.run(made, check=True, capture_output=True)
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
    with pytest.raises(UpstreamUnreachable, match=r"(?i)not valid for '127\.0\.0\.1'"):
        await ask(http, f"https://127.0.0.1:{tls_port}/v1")


async def test_a_server_without_tls_is_unreachable_over_https():
    impatient = HttpClient(connect_timeout_s=0.3)
    async with FakeUpstream([GOOD]) as upstream:
        with pytest.raises(UpstreamUnreachable):
            await ask(impatient, upstream.url.replace("http:", "https:"))


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
