"""`POST /v1/route/explain`: what every layer would make of a request, without a model being called."""

import time

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api.access import GuardedRoute, Opening
from neuralrouting.api.door import Door, wanted
from neuralrouting.exchange import Caller
from neuralrouting.pipeline.explaining import Explaining

PATH = "/v1/route/explain"


def explain_route(door: Door, explaining: Explaining) -> GuardedRoute:
    """Return the route; it takes the body and the headers of `/v1/chat/completions`."""

    async def explain(request: Request, _caller: Caller) -> Response:
        arrival = await door.arrival(door.request_id(), PATH, wanted(request.headers), time.perf_counter_ns())
        decision = explaining.explain(await request.body(), arrival)
        return Response(msgspec.json.encode(decision), media_type="application/json")

    return GuardedRoute(PATH, door, {"POST": Opening("member", explain)})
