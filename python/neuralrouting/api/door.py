"""Who comes in and with what: credentials, hints in headers, and a bounded body."""

import asyncio
import os
import re
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Protocol

from granian.rsgi import HTTPProtocol, ProtocolClosed

from neuralrouting.accounts.directory import Directory
from neuralrouting.accounts.keys import KeyRing
from neuralrouting.clock import unix_ms
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

_CREDENTIALS = ("authorization", "x-api-key")
_HINTS = frozenset(
    (
        "x-force-model", "x-routing-mode", "cache-control", "x-nr-user", "x-nr-feature", "x-nr-similarity",
        "x-nr-cascade", "traceparent",
    )
)  # fmt: skip
_FRAMING = ("content-length", "content-encoding", "transfer-encoding")
_ONCE = frozenset((*_CREDENTIALS, "idempotency-key"))
"""Headers whose second value would change whose request it is."""
_WANTED = frozenset((*_ONCE, *_HINTS, *_FRAMING))
_TEXT = re.compile(r"[\x20-\x7e]{1,512}")
_COSINE = re.compile(r"0(\.\d{1,6})?|1(\.0{1,6})?")

Wanted = Mapping[str, str]
"""The headers we look at, by lower-case name."""


class Headers(Protocol):
    """Granian's headers and Starlette's: names in lower case, a pair for every line that came."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Return all pairs."""
        ...


class ClientLeft(Exception):
    """The client closed the connection before its request, or a long answer, was whole."""


def wanted(headers: Headers) -> dict[str, str]:
    """Pick the headers we look at; raises RequestError for two credentials, or idempotency keys, that differ."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        if name in _WANTED:
            if name in _ONCE and found.get(name, value) != value:
                code = "ambiguous_credentials" if name in _CREDENTIALS else None
                raise RequestError(f"two different {name} headers; send one", code=code)
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

    def __init__(self, ring: KeyRing, directory: Directory, server: ServerConfig) -> None:
        self._ring = ring
        self._directory = directory
        self._max_body_bytes = server.max_body_bytes
        self._body_timeout_s = server.body_timeout_s
        self._prefix = f"req_{os.urandom(6).hex()}"
        self._numbers = count(1)

    def request_id(self) -> str:
        """Return an id that no other worker or run gives."""
        return f"{self._prefix}{next(self._numbers):08x}"

    async def caller(self, headers: Wanted) -> Caller:
        """Return who asks; raises AuthenticationError without a known key, RequestError with two of them."""
        token = _token(headers)
        try:
            return self._ring.caller(token)
        except AuthenticationError:  # perhaps a key made a moment ago
            return await self._ring.find(token)

    async def arrival(self, request_id: str, endpoint: str, headers: Wanted, started_ns: int) -> Arrival:
        """Return the request as far as its headers tell it."""
        return await self.arrival_of(await self.caller(headers), request_id, endpoint, headers, started_ns)

    async def arrival_of(
        self, caller: Caller, request_id: str, endpoint: str, headers: Wanted, started_ns: int
    ) -> Arrival:
        """Return the request of somebody who is known already; `headers` are looked at for hints alone."""
        plan = self._directory.plan_of(caller.account_id) or await self._directory.find_plan(caller.account_id)
        return Arrival(request_id, caller, plan, _hints(endpoint, headers), started_ns, unix_ms())

    async def body(self, headers: Wanted, protocol: HTTPProtocol) -> bytes:
        """Read the whole body; raises BodyTooLarge, UnsupportedEncoding, MalformedBody or ClientLeft."""
        if headers.get("content-encoding", "identity") != "identity":
            raise UnsupportedEncoding("send the body uncompressed: content-encoding is not supported")
        told = headers.get("content-length")
        if told is not None and told.isdigit() and int(told) > self._max_body_bytes:
            raise self._too_large()
        loop, late = asyncio.get_running_loop(), _Late(asyncio.current_task())
        timer = loop.call_later(self._body_timeout_s, late.expire)  # a third of what asyncio.timeout costs
        try:
            return await (protocol() if told is not None else self._read(protocol))
        except ProtocolClosed:
            raise ClientLeft from None
        except asyncio.CancelledError as error:
            if not late.expired:
                raise
            raise MalformedBody(
                f"the body did not arrive within {self._body_timeout_s:g} s", code="body_timeout"
            ) from error
        finally:
            timer.cancel()

    async def _read(self, protocol: HTTPProtocol) -> bytes:
        """Read a body that does not tell its length."""
        parts: list[bytes] = []
        size = 0
        async for part in protocol:
            size += len(part)
            if size > self._max_body_bytes:
                raise self._too_large()
            parts.append(part)
        return b"".join(parts)

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"the body is over the limit of {self._max_body_bytes} bytes (SERVER_MAX_BODY_BYTES)")


def _token(headers: Wanted) -> str:
    bearer, direct = headers.get("authorization"), headers.get("x-api-key")
    if direct is None and bearer is not None and bearer[:7] in ("Bearer ", "bearer "):
        return bearer[7:].strip()
    scheme, _, token = (bearer or "").partition(" ")
    token, key = token.strip(), (direct or "").strip()
    if scheme and scheme.lower() != "bearer":
        raise AuthenticationError("use `Authorization: Bearer nr_live_...` or `X-API-KEY: nr_live_...`")
    if token and key and token != key:
        raise RequestError("Authorization and X-API-KEY hold different keys; send one", code="ambiguous_credentials")
    if not token and not key:
        raise AuthenticationError(
            "no API key: send `Authorization: Bearer nr_live_...`; `neuralrouting keys create` makes one"
        )
    return token or key


def _hints(endpoint: str, headers: Wanted) -> Hints:
    if _HINTS.isdisjoint(headers):
        return Hints(endpoint)
    directives = {part.strip() for part in headers.get("cache-control", "").lower().split(",")}
    return Hints(
        endpoint,
        _text(headers, "x-force-model"),
        _text(headers, "x-routing-mode"),
        read_cache=not directives & {"no-cache", "no-store", "max-age=0"},
        write_cache="no-store" not in directives,
        end_user=_text(headers, "x-nr-user"),
        feature=_text(headers, "x-nr-feature"),
        similarity=_similarity(_text(headers, "x-nr-similarity")),
        cascade=_yes(_text(headers, "x-nr-cascade"), "X-NR-Cascade"),
        traceparent=headers.get("traceparent"),
    )


def _similarity(text: str | None) -> float:
    if text is None:
        return 0.0
    if not _COSINE.fullmatch(text):
        raise InvalidField("X-NR-Similarity must be a number from 0 to 1, such as 0.97", param="x-nr-similarity")
    return float(text)


def _yes(text: str | None, name: str) -> bool | None:
    if text is None:
        return None
    if text not in ("true", "false"):
        raise InvalidField(f"{name} must be true or false", param=name.lower())
    return text == "true"


def _text(headers: Wanted, name: str) -> str | None:
    value = headers.get(name)
    if value is None:
        return None
    text = value.strip()
    if not _TEXT.fullmatch(text):
        raise InvalidField(f"{name} must be 1 to 512 printable ASCII characters", param=name)
    return text
