"""The rim: hot paths go straight to their routes, the rest to Starlette, every failure into OpenAI's envelope."""

import logging
from collections.abc import Callable, Mapping

import orjson
from granian.rsgi import HTTPProtocol, Scope

from neuralrouting.api import wire
from neuralrouting.api.bridge import AsgiBridge
from neuralrouting.api.door import ClientLeft, Door
from neuralrouting.api.hot import HotRoute
from neuralrouting.api.room import Room
from neuralrouting.engine import panicked
from neuralrouting.errors import MethodNotAllowed, NeuralRoutingError
from neuralrouting.telemetry import logs

log = logging.getLogger("neuralrouting.api")


def _nobody(_error: NeuralRoutingError) -> None:
    """Tell nobody."""


class Edge:
    """The outermost application.

    Hot requests take a place in `room`; `refused` hears of every error that is answered before the first byte.
    """

    def __init__(
        self,
        hot: Mapping[str, HotRoute],
        rest: AsgiBridge,
        door: Door,
        room: Room,
        refused: Callable[[NeuralRoutingError], None] = _nobody,
    ) -> None:
        self._hot = hot
        self._rest = rest
        self._door = door
        self._room = room
        self._refused = refused

    @property
    def in_flight(self) -> int:
        """Hot requests under way in this worker."""
        return self._room.taken

    async def __call__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Serve one request."""
        request_id = self._door.request_id()
        logs.request_id.set(request_id)
        try:
            route = self._hot.get(scope.path)
            if route is None:
                await self._rest(request_id, scope, protocol)
            else:
                await self._admit(route, request_id, scope, protocol)
        except NeuralRoutingError as error:
            self._refuse(error, request_id, protocol)
        except ClientLeft:
            return
        except Exception:
            log.exception("request %s failed in a way nobody foresaw", request_id)
            self._refuse(NeuralRoutingError("the gateway failed; the log names this request"), request_id, protocol)
        except BaseException as error:
            if not panicked(error):  # a native panic must not take other requests with it
                raise
            log.exception("request %s made the native core panic", request_id)
            self._refuse(NeuralRoutingError("the gateway failed; the log names this request"), request_id, protocol)

    async def _admit(self, route: HotRoute, request_id: str, scope: Scope, protocol: HTTPProtocol) -> None:
        if scope.method != "POST":
            raise MethodNotAllowed(f"{scope.path} takes POST, not {scope.method}")
        await self._room.enter()
        try:
            await route(request_id, scope, protocol)
        finally:
            self._room.leave()

    def _refuse(self, error: NeuralRoutingError, request_id: str, protocol: HTTPProtocol) -> None:
        self._refused(error)
        headers = wire.refusal_headers(error, request_id)
        if isinstance(error, MethodNotAllowed):
            headers.append(("allow", "POST"))
        protocol.response_bytes(error.status, headers, orjson.dumps(error.envelope()))
