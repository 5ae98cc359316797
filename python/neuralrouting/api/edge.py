"""The rim: hot paths go straight to their routes, the rest to Starlette, every failure into OpenAI's envelope."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

import orjson
from granian.rsgi import HTTPProtocol, Scope

from neuralrouting.api import wire
from neuralrouting.api.bridge import AsgiBridge
from neuralrouting.api.door import ClientLeft, Door
from neuralrouting.api.hot import HotRoute
from neuralrouting.engine import panicked
from neuralrouting.errors import MethodNotAllowed, NeuralRoutingError, Unavailable

ROOM_S = 5.0
"""How long a request waits for the database to catch up: an outage may last for hours, a client does not."""

log = logging.getLogger("neuralrouting.api")


class Queue(Protocol):
    """What fills up when the database falls behind."""

    @property
    def full(self) -> bool:
        """Whether no more should be let in."""
        ...

    async def room(self) -> None:
        """Wait until more may be."""
        ...


class Edge:
    """The outermost application.

    Nothing is let in while one of `queues` is full: it waits for `ROOM_S`, then it is refused. `max_in_flight` bounds
    the hot requests under way in this worker.
    """

    def __init__(
        self, hot: Mapping[str, HotRoute], rest: AsgiBridge, door: Door, queues: Sequence[Queue], max_in_flight: int
    ) -> None:
        self._hot = hot
        self._rest = rest
        self._door = door
        self._queues = queues
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
        for queue in self._queues:
            if queue.full:
                await _wait_for_room(queue)
        self._free -= 1
        try:
            await route(request_id, scope, protocol)
        finally:
            self._free += 1


async def _wait_for_room(queue: Queue) -> None:
    try:
        async with asyncio.timeout(ROOM_S):
            await queue.room()
    except TimeoutError:
        raise Unavailable(
            "the database is too far behind to let more in; try again", code="ledger_unavailable", retry_after_s=5
        ) from None


def _refuse(error: NeuralRoutingError, request_id: str, protocol: HTTPProtocol) -> None:
    headers = wire.refusal_headers(error, request_id)
    if isinstance(error, MethodNotAllowed):
        headers.append(("allow", "POST"))
    protocol.response_bytes(error.status, headers, orjson.dumps(error.envelope()))
