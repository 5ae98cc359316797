"""The rim: hot paths go straight to their routes, the rest to Starlette, every failure into OpenAI's envelope."""

import logging
from collections.abc import Mapping

import orjson
from granian.rsgi import HTTPProtocol, Scope

from neuralrouting.api import wire
from neuralrouting.api.bridge import AsgiBridge
from neuralrouting.api.door import ClientLeft, Door
from neuralrouting.api.hot import HotRoute
from neuralrouting.engine import panicked
from neuralrouting.errors import MethodNotAllowed, NeuralRoutingError, Unavailable
from neuralrouting.storage.recorder import Recorder

log = logging.getLogger("neuralrouting.api")


class Edge:
    """The outermost application. `max_in_flight` bounds the hot requests under way in this worker."""

    def __init__(
        self, hot: Mapping[str, HotRoute], rest: AsgiBridge, door: Door, recorder: Recorder, max_in_flight: int
    ) -> None:
        self._hot = hot
        self._rest = rest
        self._door = door
        self._recorder = recorder
        self._free = max_in_flight

    async def __call__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Serve one request."""
        request_id = self._door.request_id()
        try:
            route = self._hot.get(scope.path)
            if route is None:
                await self._rest(request_id, scope, protocol)
            else:
                await self._admit(route, request_id, scope, protocol)
        except NeuralRoutingError as error:
            _refuse(error, request_id, protocol)
        except ClientLeft:
            return
        except Exception:
            log.exception("request %s failed in a way nobody foresaw", request_id)
            _refuse(NeuralRoutingError("the gateway failed; the log names this request"), request_id, protocol)
        except BaseException as error:
            if not panicked(error):  # a native panic must not take other requests with it
                raise
            log.exception("request %s made the native core panic", request_id)
            _refuse(NeuralRoutingError("the gateway failed; the log names this request"), request_id, protocol)

    async def _admit(self, route: HotRoute, request_id: str, scope: Scope, protocol: HTTPProtocol) -> None:
        if scope.method != "POST":
            raise MethodNotAllowed(f"{scope.path} takes POST, not {scope.method}")
        if self._free <= 0:
            raise Unavailable("too many requests at once; try again in a moment", code="overloaded", retry_after_s=1)
        if self._recorder.full:
            await self._recorder.room()
        self._free -= 1
        try:
            await route(request_id, scope, protocol)
        finally:
            self._free += 1


def _refuse(error: NeuralRoutingError, request_id: str, protocol: HTTPProtocol) -> None:
    headers = wire.refusal_headers(error, request_id)
    if isinstance(error, MethodNotAllowed):
        headers.append(("allow", "POST"))
    protocol.response_bytes(error.status, headers, orjson.dumps(error.envelope()))
