"""Who comes in and with what: credentials, hints in headers, and a bounded body."""

import asyncio
import os
import re
import time
from collections.abc import Mapping
from itertools import count

from starlette.types import Receive, Scope

from neuralrouting.accounts.keys import KeyRing
from neuralrouting.config import ServerConfig
from neuralrouting.errors import (
    AuthenticationError,
    BodyTooLarge,
    InvalidField,
    MalformedBody,
    RequestError,
    UnsupportedEncoding,
)
from neuralrouting.exchange import Arrival, Caller, Hints

_CREDENTIALS = (b"authorization", b"x-api-key")
_HINTS = frozenset((b"x-force-model", b"x-routing-mode", b"cache-control", b"x-nr-user", b"x-nr-feature"))
_FRAMING = (b"content-length", b"content-encoding")
_WANTED = frozenset((*_CREDENTIALS, *_HINTS, *_FRAMING))
_TEXT = re.compile(r"[\x20-\x7e]{1,512}")

Headers = Mapping[bytes, bytes]


class ClientLeft(Exception):
    """The client closed the connection before its request was whole."""


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Pick the headers we look at; raises RequestError when a credential is given twice with different values."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _WANTED:
            if name in _CREDENTIALS and found.get(name, value) != value:
                raise RequestError(f"two different {name.decode()} headers; send one", code="ambiguous_credentials")
            found[name] = value
    return found


class _Late:
    """Ends the reading of one body that does not arrive."""

    __slots__ = ("_reader", "expired")

    def __init__(self, reader: "asyncio.Task[None] | None") -> None:
        self._reader = reader
        self.expired = False

    def expire(self) -> None:
        self.expired = True
        if self._reader is not None:
            self._reader.cancel()


class Door:
    """Lets requests in: one per worker."""

    def __init__(self, ring: KeyRing, server: ServerConfig) -> None:
        self._ring = ring
        self._max_body_bytes = server.max_body_bytes
        self._body_timeout_s = server.body_timeout_s
        self._prefix = f"req_{os.urandom(6).hex()}"
        self._numbers = count(1)

    def request_id(self) -> str:
        """Return an id that no other worker or run gives."""
        return f"{self._prefix}{next(self._numbers):08x}"

    async def caller(self, headers: Headers) -> Caller:
        """Return who asks; raises AuthenticationError without a known key, RequestError with two of them."""
        token = _token(headers)
        try:
            return self._ring.caller(token)
        except AuthenticationError:  # perhaps a key made a moment ago
            return await self._ring.find(token)

    async def arrival(self, request_id: str, endpoint: str, headers: Headers, started_ns: int) -> Arrival:
        """Return the request as far as its headers tell it."""
        caller = await self.caller(headers)
        return Arrival(request_id, caller, _hints(endpoint, headers), started_ns, time.time_ns() // 1_000_000)

    async def body(self, headers: Headers, receive: Receive) -> bytes:
        """Read the whole body; raises BodyTooLarge, UnsupportedEncoding, MalformedBody or ClientLeft."""
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise UnsupportedEncoding("send the body uncompressed: content-encoding is not supported")
        told = headers.get(b"content-length", b"0")
        if told.isdigit() and int(told) > self._max_body_bytes:
            raise self._too_large()
        loop, late = asyncio.get_running_loop(), _Late(asyncio.current_task())
        timer = loop.call_later(self._body_timeout_s, late.expire)  # a third of what asyncio.timeout costs
        try:
            return await self._read(receive)
        except asyncio.CancelledError as error:
            if not late.expired:
                raise
            raise MalformedBody(
                f"the body did not arrive within {self._body_timeout_s:g} s", code="body_timeout"
            ) from error
        finally:
            timer.cancel()

    async def _read(self, receive: Receive) -> bytes:
        message = await receive()
        if not message.get("more_body") and message["type"] == "http.request":
            return self._bounded(message.get("body", b""))
        parts: list[bytes] = []
        size = 0
        while message["type"] == "http.request":
            part = message.get("body", b"")
            size += len(part)
            if size > self._max_body_bytes:
                raise self._too_large()
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)
            message = await receive()
        raise ClientLeft

    def _bounded(self, body: bytes) -> bytes:
        if len(body) > self._max_body_bytes:
            raise self._too_large()
        return body

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"the body is over the limit of {self._max_body_bytes} bytes (SERVER_MAX_BODY_BYTES)")


def _token(headers: Headers) -> str:
    bearer, direct = headers.get(b"authorization"), headers.get(b"x-api-key")
    if direct is None and bearer is not None and bearer[:7] in (b"Bearer ", b"bearer "):
        return bearer[7:].decode("latin-1").strip()
    scheme, _, token = (bearer or b"").decode("latin-1").partition(" ")
    token, key = token.strip(), (direct or b"").decode("latin-1").strip()
    if scheme and scheme.lower() != "bearer":
        raise AuthenticationError("use `Authorization: Bearer nr_live_...` or `X-API-KEY: nr_live_...`")
    if token and key and token != key:
        raise RequestError("Authorization and X-API-KEY hold different keys; send one", code="ambiguous_credentials")
    if not token and not key:
        raise AuthenticationError(
            "no API key: send `Authorization: Bearer nr_live_...`; `neuralrouting keys create` makes one"
        )
    return token or key


def _hints(endpoint: str, headers: Headers) -> Hints:
    if _HINTS.isdisjoint(headers):
        return Hints(endpoint)
    directives = {part.strip() for part in headers.get(b"cache-control", b"").lower().split(b",")}
    return Hints(
        endpoint,
        _text(headers, b"x-force-model"),
        _text(headers, b"x-routing-mode"),
        read_cache=not directives & {b"no-cache", b"no-store", b"max-age=0"},
        write_cache=b"no-store" not in directives,
        end_user=_text(headers, b"x-nr-user"),
        feature=_text(headers, b"x-nr-feature"),
    )


def _text(headers: Headers, name: bytes) -> str | None:
    value = headers.get(name)
    if value is None:
        return None
    text = value.decode("latin-1").strip()
    if not _TEXT.fullmatch(text):
        raise InvalidField(f"{name.decode()} must be 1 to 512 printable ASCII characters", param=name.decode())
    return text
