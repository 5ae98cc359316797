"""Responses of the routes that Starlette serves: JSON bodies and errors in OpenAI's envelope."""

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api import wire
from neuralrouting.errors import MethodNotAllowed, NeuralRoutingError, NotFound, RequestError
from neuralrouting.exchange import JsonObject


def json_response(data: JsonObject, status: int = 200) -> Response:
    """A JSON body."""
    return Response(orjson.dumps(data), status, media_type="application/json")


def error_response(error: NeuralRoutingError) -> Response:
    """An error of our tree."""
    headers = dict(wire.error_headers(error))
    return Response(orjson.dumps(error.envelope()), error.status, headers, "application/json")


async def on_own_error(_request: Request, error: Exception) -> Response:
    """Starlette's handler for our tree."""
    assert isinstance(error, NeuralRoutingError)  # noqa: S101  registered for it only
    return error_response(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Starlette's handler for its own 404, 405 and the like."""
    assert isinstance(error, HTTPException)  # noqa: S101
    path: str = request.scope["path"]  # as it came: `request.url` is put together from the Host header
    if error.status_code == 404:
        return error_response(NotFound(f"no such path: {path}; `GET /docs` lists them"))
    if error.status_code == 405:
        response = error_response(MethodNotAllowed(f"{path} does not take {request.method}"))
        response.headers.update(error.headers or {})
        return response
    own = RequestError(str(error.detail))
    return Response(orjson.dumps(own.envelope()), error.status_code, media_type="application/json")


async def on_any_error(_request: Request, _error: Exception) -> Response:
    """What nobody foresaw; Starlette logs the traceback."""
    return error_response(NeuralRoutingError("the gateway failed; the log says where"))
