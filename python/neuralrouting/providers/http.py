"""The one port for provider I/O: a keep-alive HTTP/1.1 client over httptools (llhttp), bounded in every direction.

Why not a general client: docs/decisions/0002-upstream-client.md has the measurements.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit

import httptools
import msgspec

from neuralrouting.errors import ConfigError, UpstreamBadResponse, UpstreamInterrupted, UpstreamUnreachable

MAX_HEADER_BYTES = 64 * 1024
MAX_INFORMATIONAL = 8
"""1xx answers tolerated before the final one; more is a flood."""
READ_AHEAD_BYTES = 1024 * 1024
"""Unread body at which the socket is paused, so that a slow client slows its provider and not our memory."""
SETTLE_S = 0.1
"""How long an answer may take to end after its reader has seen enough (`[DONE]` comes before the last HTTP chunk)."""
IDLE_CONNECTION_S = 25.0
"""Pooled connections older than this are not reused: common servers and balancers close at 30-60 s."""


class Url(msgspec.Struct, frozen=True):
    """Where to dial. Made from operator configuration only, never from a request."""

    host: str
    port: int
    path: str
    tls: bool

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse an http(s) URL; raises ConfigError for anything else, for user info, query and fragment."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{url!r} is not an http(s) URL")
        if parts.username or parts.password or parts.query or parts.fragment or "\\" in url:
            raise ConfigError(f"{parts.hostname}: a provider URL has no user info, query or fragment")
        tls = parts.scheme == "https"
        return cls(parts.hostname, parts.port or (443 if tls else 80), parts.path or "/", tls)


class HttpAnswer:
    """One answer: status and headers are there, the body may still be coming."""

    __slots__ = (
        "_buffer", "_connection", "_error", "_limit", "_seen", "_unread", "_waiter",
        "delimited", "done", "headers", "started", "status",
    )  # fmt: skip

    def __init__(self, connection: "_Connection", limit: int) -> None:
        self._connection = connection
        self._limit = limit
        self._seen = self._unread = 0
        self._buffer: deque[bytes] = deque()
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.headers: dict[str, str] = {}
        self.status = 0
        self.started = self.done = self.delimited = False

    async def read(self) -> bytes:
        """Return the whole body; raises UpstreamInterrupted when it stops early, UpstreamBadResponse over the bound."""
        while not self.done and self._error is None:
            await self._wait()
            self._connection.resume()
        if self._error is not None:
            raise self._error
        body = b"".join(self._buffer)
        self._buffer.clear()
        return body

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield body bytes as they come, everything that is there at a time."""
        while True:
            if self._buffer:
                data = b"".join(self._buffer) if len(self._buffer) > 1 else self._buffer[0]
                self._buffer.clear()
                self._unread = 0
                self._connection.resume()
                yield data
            elif self._error is not None:
                raise self._error
            elif self.done:
                return
            else:
                await self._wait()

    async def head(self) -> None:
        """Wait for status and headers."""
        while not self.started and self._error is None:
            await self._wait()
        if self._error is not None:
            raise self._error

    def take(self, data: bytes) -> None:
        """Take body bytes from the parser."""
        self._seen += len(data)
        self._unread += len(data)
        if self._seen > self._limit:
            self.fail(UpstreamBadResponse(f"the provider's answer is over {self._limit} bytes"))
            return
        self._buffer.append(data)
        if self._unread > READ_AHEAD_BYTES:
            self._connection.pause()
        self.wake()

    def fail(self, error: Exception) -> None:
        """End the answer with an error; bytes that came before it are still handed out by `chunks`."""
        if not self.done and self._error is None:
            self._error = error
            self.wake()

    def wake(self) -> None:
        """Let the reader look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = self._connection.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class _Connection(asyncio.Protocol):
    """One socket; answers one request at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.answer: HttpAnswer | None = None
        self.closed = False
        self.idle_since_s = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._header_bytes = self._informational = 0
        self._paused = self._keep_alive = False
        self._transport: asyncio.Transport | None = None

    # asyncio.Protocol
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        if self.answer is None or self.answer.done:
            self.abort()  # bytes nobody asked for: never trust this connection again
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.answer.fail(UpstreamBadResponse(f"the provider does not speak HTTP/1.1: {error}"))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        answer = self.answer
        if answer is None or answer.done:
            return
        if answer.started and not answer.delimited and exc is None:
            answer.done = True  # a body without length ends with its connection
            answer.wake()
        elif answer.started:
            answer.fail(UpstreamInterrupted("the provider closed the connection in the middle of its answer"))
        else:
            answer.fail(UpstreamUnreachable("the provider closed the connection before it answered"))

    # httptools callbacks
    def on_header(self, name: bytes, value: bytes) -> None:
        assert self.answer is not None  # noqa: S101
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADER_BYTES:
            raise ValueError("headers over 64 KiB")
        self.answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        answer = self.answer
        assert answer is not None  # noqa: S101
        status = self._parser.get_status_code()
        self._header_bytes = 0
        if status < 200:
            self._informational += 1
            if self._informational > MAX_INFORMATIONAL:
                raise ValueError("a flood of 1xx answers")
            answer.headers.clear()
            return
        answer.status = status
        answer.delimited = "content-length" in answer.headers or "transfer-encoding" in answer.headers
        answer.started = True
        answer.wake()

    def on_body(self, body: bytes) -> None:
        assert self.answer is not None  # noqa: S101
        self.answer.take(body)

    def on_message_complete(self) -> None:
        answer = self.answer
        if answer is not None and answer.started:
            self._keep_alive = self._parser.should_keep_alive()
            answer.done = True
            answer.wake()

    # for the client
    def send(self, head: bytes, body: bytes, limit: int) -> HttpAnswer:
        """Write one request; its answer is filled in as bytes come."""
        assert self._transport is not None  # noqa: S101
        self._informational = 0
        self._keep_alive = False
        self.answer = HttpAnswer(self, limit)
        self._transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
        return self.answer

    @property
    def reusable(self) -> bool:
        """Whether the next request may use this connection."""
        answer = self.answer
        return self._keep_alive and not self.closed and answer is not None and answer.done

    def pause(self) -> None:
        if not self._paused and self._transport is not None and not self.closed:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused and self._transport is not None and not self.closed:
            self._paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()


class _Post:
    """One request as an async context manager: the connection goes back to the pool or is closed on exit."""

    __slots__ = ("_body", "_client", "_connection", "_head", "_url")

    def __init__(self, client: "HttpClient", url: Url, head: bytes, body: bytes) -> None:
        self._client, self._url, self._head, self._body = client, url, head, body
        self._connection: _Connection | None = None

    async def __aenter__(self) -> HttpAnswer:
        connection = self._client.idle(self._url)
        reused = connection is not None
        if connection is None:
            connection = await self._client.connect(self._url)
        self._connection = connection
        try:
            return await self._answer(connection)
        except UpstreamUnreachable:
            if not reused:
                raise
        # A pooled connection may have been closed while it lay idle: nothing was answered, so ask again at once.
        self._connection = await self._client.connect(self._url)
        return await self._answer(self._connection)

    async def _answer(self, connection: _Connection) -> HttpAnswer:
        answer = connection.send(self._head, self._body, self._client.max_answer_bytes)
        try:
            await answer.head()
        except BaseException:
            connection.abort()
            raise
        if answer.headers.get("content-encoding", "identity") != "identity":
            connection.abort()
            raise UpstreamBadResponse("the provider compressed its answer though we asked for identity")
        return answer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if kind is not None:
            connection.abort()
        elif connection.reusable:
            self._client.release(self._url, connection)
        else:  # the caller has what it wanted; the closing bytes may be a moment behind
            connection.loop.call_later(SETTLE_S, self._client.settle, self._url, connection)


class HttpClient:
    """POSTs to providers over pooled connections. One per worker; needs a running loop only when used."""

    def __init__(self, *, connect_timeout_s: float = 5.0, max_answer_bytes: int = 32 * 1024 * 1024) -> None:
        self.max_answer_bytes = max_answer_bytes
        self._connect_timeout_s = connect_timeout_s
        self._idle: dict[tuple[str, int], list[_Connection]] = {}
        self._heads: dict[tuple[Url, tuple[tuple[str, str], ...]], bytes] = {}
        self._tls: ssl.SSLContext | None = None

    def post(self, url: Url, headers: tuple[tuple[str, str], ...], body: bytes) -> _Post:
        """Return a context manager that gives an HttpAnswer; deadlines are the caller's (`asyncio.timeout_at`).

        Raises UpstreamUnreachable when no connection can be had, UpstreamBadResponse for what is not HTTP.
        """
        head = self._heads.get((url, headers))
        if head is None:
            head = self._heads[url, headers] = _request_head(url, headers)
        return _Post(self, url, head, body)

    def idle(self, url: Url) -> _Connection | None:
        """Take a live pooled connection, the most recently used first."""
        pool = self._idle.get((url.host, url.port))
        while pool:
            connection = pool.pop()
            if not connection.closed:
                if connection.loop.time() - connection.idle_since_s < IDLE_CONNECTION_S:
                    return connection
                connection.abort()
        return None

    def release(self, url: Url, connection: _Connection) -> None:
        """Give a connection back after a whole answer."""
        connection.idle_since_s = connection.loop.time()
        self._idle.setdefault((url.host, url.port), []).append(connection)

    def settle(self, url: Url, connection: _Connection) -> None:
        """Pool a connection whose answer has ended by now, close it otherwise."""
        if connection.reusable:
            self.release(url, connection)
        else:
            connection.abort()

    async def connect(self, url: Url) -> _Connection:
        """Open a connection; raises UpstreamUnreachable with the reason."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, connection = await loop.create_connection(
                    lambda: _Connection(loop), url.host, url.port, ssl=self._context() if url.tls else None
                )
        except TimeoutError as error:
            raise UpstreamUnreachable(f"{url.host}: no connection within {self._connect_timeout_s:g} s") from error
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise UpstreamUnreachable(f"{url.host}:{url.port} cannot be reached: {reason}") from error
        return connection

    async def close(self) -> None:
        """Close pooled connections; those in use close with their answers."""
        for pool in self._idle.values():
            for connection in pool:
                connection.abort()
        self._idle.clear()

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        return self._tls


def _request_head(url: Url, headers: tuple[tuple[str, str], ...]) -> bytes:
    """Everything up to the value of Content-Length, which comes last so that it can be appended."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    port = "" if url.port == (443 if url.tls else 80) else f":{url.port}"
    lines = [f"POST {url.path} HTTP/1.1", f"host: {host}{port}", "content-type: application/json"]
    lines += ["accept-encoding: identity", "user-agent: neuralrouting"]
    for name, value in headers:
        if any(c in value for c in "\r\n\0"):
            raise ConfigError(f"the header {name} for {url.host} has a line break in its value")
        lines.append(f"{name}: {value}")
    return ("\r\n".join(lines) + "\r\ncontent-length: ").encode("latin-1")
