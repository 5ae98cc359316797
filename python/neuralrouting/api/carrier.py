"""Carries the answer of a hot route to who is not Granian's protocol object: an ASGI server, or a caller of ours."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from neuralrouting.api.answers import error_response
from neuralrouting.api.hot import Client
from neuralrouting.api.wire import Header
from neuralrouting.errors import NeuralRoutingError

Serve = Callable[[Client], Awaitable[None]]
"""Answers one request; raises NeuralRoutingError before the first byte only."""


class CarriedResponse(Response):
    """A response that a hot route writes while it makes it; a client that leaves ends it as it does on the API."""

    def __init__(self, serve: Serve, headers: tuple[Header, ...] = ()) -> None:
        super().__init__()
        self._serve = serve
        self._more = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        line = _AsgiLine(receive, send, self._more)
        try:
            await self._serve(line)
        except NeuralRoutingError as error:
            response = error_response(error)
            response.headers.update(dict(self._more))
            await response(scope, receive, send)
            return
        await line.end()


class _AsgiLine:
    """One ASGI response: whole or piece by piece."""

    def __init__(self, receive: Receive, send: Send, more: tuple[Header, ...]) -> None:
        self._receive = receive
        self._send = send
        self._more = more
        self._head: tuple[int, list[Header]] | None = None
        self._body = b""
        self._begun = False

    def response_bytes(self, status: int, headers: list[Header], body: bytes) -> None:
        self._head, self._body = (status, headers), body

    def response_stream(self, status: int, headers: list[Header]) -> Self:
        self._head = (status, headers)
        return self

    async def client_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def send_bytes(self, data: bytes) -> None:
        await self._begin()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        if self._head is not None:  # nothing is to be sent to who left before there was anything
            await self._begin()
            await self._send({"type": "http.response.body", "body": self._body, "more_body": False})

    async def _begin(self) -> None:
        if self._begun or self._head is None:
            return
        self._begun = True
        status, headers = self._head
        own = {name for name, _ in self._more}
        told = [*(header for header in headers if header[0] not in own), *self._more]
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})


class Kept:
    """A whole answer, kept; who asked for it never leaves."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""

    def response_bytes(self, status: int, headers: list[Header], body: bytes) -> None:
        """Keep a whole answer."""
        self.status, self.headers, self.body = status, dict(headers), body

    def response_stream(self, status: int, headers: list[Header]) -> Self:
        """Keep an answer that comes piece by piece."""
        self.status, self.headers = status, dict(headers)
        return self

    async def send_bytes(self, data: bytes) -> None:
        """Keep one piece."""
        self.body += data

    async def client_disconnect(self) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()
