"""Keeps an answer while it is sent."""

from contextlib import suppress
from typing import Protocol

from granian.rsgi import ProtocolClosed

from neuralrouting.api.wire import DONE, Header
from neuralrouting.storage.idempotency import MAX_BODY_BYTES, Stored

OF_THE_MOMENT = "x-ratelimit"
"""Headers that begin so tell how things stand now; an answer that is sent again must not repeat them."""


class Line(Protocol):
    """A response that is sent piece by piece: Granian's, or one that keeps what it sends."""

    async def send_bytes(self, data: bytes) -> None:
        """Send one piece."""
        ...


class Responder(Protocol):
    """What a route answers through: the half of Granian's protocol object that sends."""

    def response_bytes(self, status: int, headers: list[Header], body: bytes) -> None:
        """Send a whole response."""
        ...

    def response_stream(self, status: int, headers: list[Header]) -> Line:
        """Begin a response that comes piece by piece."""
        ...


class Unheard:
    """Sends on what it is given, also when nobody is there any more to read it."""

    def __init__(self, responder: Responder) -> None:
        self.response_bytes = responder.response_bytes
        self._responder = responder
        self._line: Line | None = None

    def response_stream(self, status: int, headers: list[Header]) -> Line:
        """Begin a response that comes piece by piece."""
        self._line = self._responder.response_stream(status, headers)
        return self

    async def send_bytes(self, data: bytes) -> None:
        """Send one piece of the stream that was begun."""
        assert self._line is not None  # noqa: S101  only who has the line sends
        with suppress(ProtocolClosed):
            await self._line.send_bytes(data)


class Recording:
    """Sends on what it is given and keeps it, up to `MAX_BODY_BYTES`, also when nobody is there any more to read it."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._line: Line | None = None
        self._status = 0
        self._headers: tuple[Header, ...] = ()
        self._parts: list[bytes] = []
        self._bytes = 0
        self._ended = False

    def response_bytes(self, status: int, headers: list[Header], body: bytes) -> None:
        """Send a whole response."""
        self._begin(status, headers)
        self._keep(body)
        self._ended = True
        self._responder.response_bytes(status, headers, body)

    def response_stream(self, status: int, headers: list[Header]) -> Line:
        """Begin a response that comes piece by piece."""
        self._begin(status, headers)
        self._line = self._responder.response_stream(status, headers)
        return self

    async def send_bytes(self, data: bytes) -> None:
        """Send one piece of the stream that was begun."""
        assert self._line is not None  # noqa: S101  only who has the line sends
        self._keep(data)
        self._ended = data.endswith(DONE)
        with suppress(ProtocolClosed):  # the client left; it may come back for the whole
            await self._line.send_bytes(data)

    @property
    def broke_off(self) -> bool:
        """Whether a stream ended without its end mark."""
        return not self._ended

    def answer(self) -> Stored | None:
        """Return what was sent, once all of it was; None where it is not fit to be sent again."""
        if self._status != 200 or self.broke_off or self._bytes > MAX_BODY_BYTES:
            return None
        return Stored(self._status, self._headers, b"".join(self._parts))

    def _begin(self, status: int, headers: list[Header]) -> None:
        self._status = status
        self._headers = tuple(header for header in headers if not header[0].startswith(OF_THE_MOMENT))

    def _keep(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > MAX_BODY_BYTES:
            self._parts.clear()
        else:
            self._parts.append(data)
