"""One connection to a provider and the answer that comes over it: llhttp parses, everything is bounded."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Self, cast

import httptools

from neuralrouting.errors import UpstreamBadResponse, UpstreamInterrupted, UpstreamUnreachable

MAX_HEADER_BYTES = 64 * 1024
"""Bound on headers, and on any run of bytes that holds no body: 1xx answers, chunk extensions, trailers."""
MAX_INFORMATIONAL = 8
"""1xx answers tolerated before the final one; more is a flood."""
READ_AHEAD_BYTES = 1024 * 1024
"""Unread body at which the socket is paused, so that a slow client slows its provider and not our memory."""


class HttpAnswer:
    """One answer: status and headers are there, the body may still be coming."""

    __slots__ = (
        "_buffer", "_connection", "_error", "_limit", "_seen", "_unread", "_waiter",
        "delimited", "done", "headers", "started", "status",
    )  # fmt: skip

    def __init__(self, connection: "HttpConnection", limit: int) -> None:
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
            self._more()
            await self._wait()
        if self._error is not None:
            raise self._error
        body = b"".join(self._buffer)
        self._buffer.clear()
        return body

    def chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the body as it comes, everything that is there at a time; raises as `read` does."""
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._buffer:
            if self._error is not None:
                raise self._error
            if self.done:
                raise StopAsyncIteration
            await self._wait()
        data = b"".join(self._buffer) if len(self._buffer) > 1 else self._buffer[0]
        self._buffer.clear()
        self._more()
        return data

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
            self._connection.abort()
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

    def _more(self) -> None:
        self._unread = 0
        self._connection.resume()

    async def _wait(self) -> None:
        self._waiter = self._connection.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class HttpConnection(asyncio.Protocol):
    """One socket; answers one request at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.answer: HttpAnswer | None = None
        self.closed = False
        self.idle_since_s = 0.0
        self.on_end: Callable[[], None] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._header_bytes = self._bare_bytes = self._informational = 0
        self._paused = self._keep_alive = False
        self._transport: asyncio.Transport | None = None

    # asyncio.Protocol
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        answer = self.answer
        if answer is None or answer.done:
            self.abort()  # bytes nobody asked for: never trust this connection again
            return
        self._bare_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._refuse(error.__context__ or error)  # the former is what a callback below raised
        else:
            if self._bare_bytes > MAX_HEADER_BYTES:
                self._refuse("over 64 KiB without a byte of body")

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer the way the connection did."""
        self.closed = True
        answer = self.answer
        if answer is not None and answer.started and not answer.delimited and exc is None:
            answer.done = True  # a body without length ends with its connection
            answer.wake()
        elif answer is not None and answer.started:
            answer.fail(UpstreamInterrupted("the provider closed the connection in the middle of its answer"))
        elif answer is not None:
            answer.fail(UpstreamUnreachable("the provider closed the connection before it answered"))
        self._end()

    # httptools callbacks
    def on_message_begin(self) -> None:
        """Refuse an answer that follows the one that was asked for."""
        if self.answer is None or self.answer.done:
            raise ValueError("an answer to nothing")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one header."""
        assert self.answer is not None  # noqa: S101
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADER_BYTES:
            raise ValueError("headers over 64 KiB")
        if not self.answer.started:  # else a trailer
            self.answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Start the answer, unless it is a 1xx."""
        answer = self.answer
        assert answer is not None  # noqa: S101
        status = self._parser.get_status_code()
        self._header_bytes = 0
        if status < 200:
            self._informational += 1
            if self._informational > MAX_INFORMATIONAL or status == 101:
                raise ValueError("a flood of 1xx answers" if status != 101 else "it switches protocols")
            answer.headers.clear()
            return
        answer.status = status
        answer.delimited = "content-length" in answer.headers or "transfer-encoding" in answer.headers
        answer.started = True
        answer.wake()

    def on_body(self, body: bytes) -> None:
        """Pass body bytes on."""
        assert self.answer is not None  # noqa: S101
        self._bare_bytes = 0
        self.answer.take(body)

    def on_message_complete(self) -> None:
        """End the answer, unless it is a 1xx."""
        answer = self.answer
        if answer is not None and answer.started:
            self._keep_alive = self._parser.should_keep_alive()
            answer.done = True
            answer.wake()
            self._end()

    # for the client
    def send(self, head: bytes, body: bytes, limit: int) -> HttpAnswer:
        """Write one request; its answer is filled in as bytes come."""
        assert self._transport is not None  # noqa: S101
        self._informational = self._bare_bytes = 0
        self._keep_alive = False
        self.answer = HttpAnswer(self, limit)
        if self.closed:  # by a server that hung up, or spoke unasked, as soon as the connection stood
            self.answer.fail(UpstreamUnreachable("the provider closed the connection before it was asked"))
        else:
            self._transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
        return self.answer

    @property
    def reusable(self) -> bool:
        """Whether the next request may use this connection."""
        return self._keep_alive and not self.closed and self.answer is not None and self.answer.done

    @property
    def ended(self) -> bool:
        """Whether nothing more can come."""
        return self.closed or self.answer is None or self.answer.done

    @property
    def silent(self) -> bool:
        """Whether not a byte has come since the request was sent."""
        return self._bare_bytes == 0 and (self.answer is None or not self.answer.started)

    def pause(self) -> None:
        """Leave further bytes in the socket."""
        if not self._paused and self._transport is not None and not self.closed:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read the socket again."""
        if self._paused and self._transport is not None and not self.closed:
            self._paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once, whatever is still under way."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def _refuse(self, reason: object) -> None:
        if self.answer is not None:
            self.answer.fail(UpstreamBadResponse(f"the provider does not speak HTTP/1.1: {reason}"))
        self.abort()

    def _end(self) -> None:
        """Tell, once, who waits for the answer to end."""
        if self.on_end is not None:
            told, self.on_end = self.on_end, None
            told()
