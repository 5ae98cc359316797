"""The one port for provider I/O: a keep-alive HTTP/1.1 client, pooled and bounded in every direction.

Why not a general client: docs/decisions/0002-upstream-client.md has the measurements.
"""

import asyncio
import re
import ssl
from collections import deque
from functools import partial
from types import TracebackType
from typing import Self

import msgspec

from neuralrouting.errors import ConfigError, UpstreamBadResponse, UpstreamUnreachable
from neuralrouting.providers.connection import HttpAnswer, HttpConnection

__all__ = ["HttpAnswer", "HttpClient", "Url"]

SETTLE_S = 0.1
"""How long an answer may take to end after its reader has seen enough (`[DONE]` comes before the last HTTP chunk)."""
IDLE_CONNECTION_S = 25.0
"""Pooled connections older than this are not reused: common servers and balancers close at 30-60 s."""

_LABEL = "[a-z0-9_-]{1,63}"
_URL = re.compile(
    rf'(https?)://((?:{_LABEL}\.)*{_LABEL}\.?|\[[0-9a-f:.]+\])(?::([0-9]{{1,5}}))?(/[!"$->@-\[\]-~]*)?',
    re.IGNORECASE | re.ASCII,
)


class Url(msgspec.Struct, frozen=True):
    """Where to dial. Made from operator configuration only, never from a request."""

    host: str
    port: int
    path: str
    tls: bool

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse an http(s) URL; raises ConfigError, which does not repeat it, for anything that is not plainly one."""
        match = _URL.fullmatch(url)
        tls = match is not None and match[1].lower() == "https"
        port = int(match[3]) if match is not None and match[3] else 443 if tls else 80
        if match is None or not 0 < port < 65536:
            raise ConfigError(
                "this is not the URL of a provider: write https://host/path in plain ASCII, "
                "without user info, query or fragment, and an international host name as xn--..."
            )
        return cls(match[2].lower().strip("[]"), port, match[4] or "/", tls)


class _Post:
    """One request as an async context manager: the connection goes back to the pool or is closed on exit."""

    __slots__ = ("_body", "_client", "_connection", "_head", "_url")

    def __init__(self, client: "HttpClient", url: Url, head: bytes, body: bytes) -> None:
        self._client, self._url, self._head, self._body = client, url, head, body
        self._connection: HttpConnection | None = None

    async def __aenter__(self) -> HttpAnswer:
        connection = self._client.idle(self._url)
        if connection is not None:
            try:
                return await self._answer(connection)
            except UpstreamUnreachable:
                if not connection.silent:
                    raise
        # A pooled connection may have been closed while it lay idle: nothing was answered, so ask again at once.
        return await self._answer(await self._client.connect(self._url))

    async def _answer(self, connection: HttpConnection) -> HttpAnswer:
        self._connection = connection
        answer = connection.send(self._head, self._body, self._client.max_answer_bytes)
        try:
            await answer.head()
        except BaseException:
            connection.abort()
            raise
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
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
        else:
            self._client.settle(self._url, connection)


class HttpClient:
    """POSTs to providers over pooled connections. One per worker; needs a running loop only when used."""

    def __init__(
        self,
        *,
        connect_timeout_s: float = 5.0,
        max_answer_bytes: int = 32 * 1024 * 1024,
        keep_idle_s: float = IDLE_CONNECTION_S,
    ) -> None:
        self.max_answer_bytes = max_answer_bytes
        self._connect_timeout_s = connect_timeout_s
        self._keep_idle_s = keep_idle_s
        self._idle: dict[tuple[str, int], deque[HttpConnection]] = {}
        self._settling: dict[HttpConnection, asyncio.TimerHandle] = {}
        self._heads: dict[tuple[Url, tuple[tuple[str, str], ...]], bytes] = {}
        self._tls: ssl.SSLContext | None = None
        self._closed = False

    def post(self, url: Url, headers: tuple[tuple[str, str], ...], body: bytes) -> _Post:
        """Return a context manager that gives an HttpAnswer; deadlines are the caller's (`asyncio.timeout_at`).

        Raises UpstreamUnreachable when no connection can be had, UpstreamBadResponse for what is not HTTP.
        """
        head = self._heads.get((url, headers))
        if head is None:
            head = self._heads[url, headers] = _request_head(url, headers)
        return _Post(self, url, head, body)

    def idle(self, url: Url) -> HttpConnection | None:
        """Take a live pooled connection, the most recently used first."""
        pool = self._idle.get((url.host, url.port))
        while pool:
            connection = pool.pop()
            if not self._stale(connection):
                return connection
            connection.abort()
        return None

    def release(self, url: Url, connection: HttpConnection) -> None:
        """Give a connection back after a whole answer; those that lay idle for too long are closed."""
        if self._closed:
            connection.abort()
            return
        pool = self._idle.setdefault((url.host, url.port), deque())
        while pool and self._stale(pool[0]):
            pool.popleft().abort()
        connection.idle_since_s = connection.loop.time()
        pool.append(connection)

    def settle(self, url: Url, connection: HttpConnection) -> None:
        """Pool a connection as soon as its answer has ended; close it when that takes too long or went wrong.

        The caller has what it wanted, but the bytes that end the answer may be a moment behind.
        """
        if connection.reusable:
            self.release(url, connection)
        elif connection.ended:
            connection.abort()
        else:
            self._settling[connection] = connection.loop.call_later(SETTLE_S, connection.abort)
            connection.on_end = partial(self._settled, url, connection)

    async def connect(self, url: Url) -> HttpConnection:
        """Open a connection; raises UpstreamUnreachable with the reason."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, connection = await loop.create_connection(
                    lambda: HttpConnection(loop), url.host, url.port, ssl=self._context() if url.tls else None
                )
        except TimeoutError as error:
            raise UpstreamUnreachable(f"{url.host}: no connection within {self._connect_timeout_s:g} s") from error
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            raise UpstreamUnreachable(f"{url.host}:{url.port} cannot be reached: {reason}") from error
        return connection

    async def close(self) -> None:
        """Close pooled connections; those in use close with their answers."""
        self._closed = True
        for connection in [*self._settling, *(c for pool in self._idle.values() for c in pool)]:
            connection.abort()
        self._idle.clear()

    def _stale(self, connection: HttpConnection) -> bool:
        return connection.closed or connection.loop.time() - connection.idle_since_s >= self._keep_idle_s

    def _settled(self, url: Url, connection: HttpConnection) -> None:
        self._settling.pop(connection).cancel()
        if connection.reusable:
            self.release(url, connection)

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
        if not value.isascii() or any(c in value for c in "\r\n\0"):
            raise ConfigError(f"the header {name} for {url.host} has a line break or more than ASCII in its value")
        lines.append(f"{name}: {value}")
    return ("\r\n".join(lines) + "\r\ncontent-length: ").encode("ascii")
