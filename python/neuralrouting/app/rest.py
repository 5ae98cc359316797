"""The routes off the hot path."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from neuralrouting.api import answers, schema
from neuralrouting.api.access import GuardedRoute, Opening, OpenRoute
from neuralrouting.api.door import Door
from neuralrouting.api.health import Health
from neuralrouting.api.models import Models
from neuralrouting.engine import version
from neuralrouting.errors import NeuralRoutingError


def rest_of(door: Door, models: Models, health: Health, accounts: Sequence[Route], pages: Sequence[Route]) -> Starlette:
    """The routes off the hot path; `pages` are those of the dashboard."""
    described = schema.document(version())

    async def openapi(_request: Request) -> Response:
        return answers.json_response(described)

    async def docs(request: Request) -> Response:
        return HTMLResponse(schema.page(described, str(request.base_url)), headers=schema.PAGE_HEADERS)

    app = Starlette(
        routes=[
            GuardedRoute("/v1/models", door, {"GET": Opening("member", models.all)}),
            GuardedRoute("/v1/models/{name:path}", door, {"GET": Opening("member", models.one)}),
            *accounts,
            OpenRoute("/healthz", health.alive),
            OpenRoute("/readyz", health.ready),
            OpenRoute("/openapi.json", openapi),
            OpenRoute("/docs", docs),
            *pages,
        ],
        exception_handlers={
            NeuralRoutingError: answers.on_own_error,
            HTTPException: answers.on_http_error,
            Exception: answers.on_any_error,
        },
    )
    app.router.redirect_slashes = False  # its redirects repeat the client's Host header
    return app
