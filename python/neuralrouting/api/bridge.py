"""Carries an ASGI application over Granian's own protocol, so that Starlette serves what is not hot."""

from urllib.parse import quote

from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope
from starlette.types import ASGIApp, Message
from starlette.types import Scope as AsgiScope

from neuralrouting.api import wire
from neuralrouting.api.door import ClientLeft, Door, wanted

_ASCII = "".join(map(chr, range(128)))
"""What stays as it is in a query; clients are to escape all else, and not all do."""


class AsgiBridge:
    """One request of the protocol as one HTTP scope of ASGI 3; every response without a request id gets this one's."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, request_id: str, scope: Scope, protocol: HTTPProtocol) -> None:
        """Serve one request; raises what reading the body raises, and ClientLeft where a long answer has no reader."""
        body = await self._door.body(wanted(scope.headers), protocol)
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if messages:
                return messages.pop()
            await protocol.client_disconnect()
            return {"type": "http.disconnect"}

        sender = _Sender(request_id, protocol)
        try:
            await self._app(_asgi(scope), receive, sender.send)
        finally:
            sender.let_go()


class _Sender:
    """Gathers the messages of one response; one that comes in a single piece is sent in one call."""

    def __init__(self, request_id: str, protocol: HTTPProtocol) -> None:
        self._protocol = protocol
        self._headers = wire.request_headers(request_id)
        self._status = 200
        self._line = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            # The server writes the length and the connection headers itself.
            told = [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in message.get("headers", ())
                if name != b"content-length"
            ]
            own = {name for name, _ in told}  # a page that asked a model tells the id of that request
            self._headers = [header for header in self._headers if header[0] not in own] + told
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._line is None and not more:
            self._protocol.response_bytes(self._status, self._headers, body)
            return
        if self._line is None:
            self._line = self._protocol.response_stream(self._status, self._headers)
        if body:
            try:
                await self._line.send_bytes(body)
            except ProtocolClosed:
                raise ClientLeft from None

    def let_go(self) -> None:
        """End a response that came in pieces: the server ends it once nobody holds its line.

        What is left of the application, such as a task that was cancelled, may hold this object until the collector
        comes by.
        """
        self._line = None


def _asgi(scope: Scope) -> AsgiScope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": scope.http_version,
        "method": scope.method,
        "scheme": scope.scheme,
        "path": scope.path,
        "raw_path": scope.path.encode(),
        "query_string": quote(scope.query_string, safe=_ASCII).encode(),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in scope.headers.items()],
        "server": _address(scope.server),
        "client": _address(scope.client),
    }


def _address(told: str) -> tuple[str, int] | None:
    host, _, port = told.rpartition(":")
    return (host, int(port)) if port.isdigit() else None
