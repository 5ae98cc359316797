"""The rim: hot paths go straight to their routes, the rest to Starlette, every failure into OpenAI's envelope."""

import logging
from collections.abc import Mapping

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from neuralrouting.api import wire
from neuralrouting.api.door import ClientLeft, Door
from neuralrouting.api.hot import HotRoute
from neuralrouting.errors import MethodNotAllowed, NeuralRoutingError, Unavailable
from neuralrouting.storage.recorder import Recorder

log = logging.getLogger("neuralrouting.api")


class Edge:
    """The outermost ASGI application. `max_in_flight` bounds the hot requests under way in this worker."""

    def __init__(
        self, hot: Mapping[str, HotRoute], rest: ASGIApp, door: Door, recorder: Recorder, max_in_flight: int
    ) -> None:
        self._hot = hot
        self._rest = rest
        self._door = door
        self._recorder = recorder
        self._free = max_in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        route = self._hot.get(scope["path"]) if scope["type"] == "http" else None
        request_id = self._door.request_id()
        if route is None:
            await self._rest(scope, receive, _stamped(send, request_id))
            return
        try:
            await self._admit(route, request_id, scope, receive, send)
        except NeuralRoutingError as error:
            await send_error(error, request_id, send)
        except ClientLeft:
            return
        except Exception:
            log.exception("request %s failed in a way nobody foresaw", request_id)
            await send_error(NeuralRoutingError("the gateway failed; the log names this request"), request_id, send)
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # a native panic must not take other requests with it
                raise
            log.exception("request %s made the native core panic", request_id)
            await send_error(NeuralRoutingError("the gateway failed; the log names this request"), request_id, send)

    async def _admit(self, route: HotRoute, request_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            raise MethodNotAllowed(f"{scope['path']} takes POST, not {scope['method']}")
        if self._free <= 0:
            raise Unavailable("too many requests at once; try again in a moment", code="overloaded", retry_after_s=1)
        if self._recorder.full:
            await self._recorder.room()
        self._free -= 1
        try:
            await route(request_id, scope, receive, send)
        finally:
            self._free += 1


def _stamped(send: Send, request_id: str) -> Send:
    """Give the responses of the other routes their request id."""

    async def stamped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *wire.request_headers(request_id)]
        await send(message)

    return stamped


async def send_error(error: NeuralRoutingError, request_id: str, send: Send) -> None:
    """Answer with an error in OpenAI's envelope."""
    body = orjson.dumps(error.envelope())
    headers = [
        wire.JSON_TYPE,
        (b"content-length", b"%d" % len(body)),
        *wire.request_headers(request_id),
        *wire.error_headers(error),
    ]
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
