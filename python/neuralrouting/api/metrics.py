"""`GET /metrics`: what Prometheus reads, of all workers, whichever answers."""

import hmac
from collections.abc import Callable
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api.access import admit
from neuralrouting.api.door import Door, wanted
from neuralrouting.errors import NotFound

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Rendering(Protocol):
    """What writes the metrics."""

    def render(self, *, openmetrics: bool = False) -> bytes:
        """Return all series."""
        ...


class Metrics:
    """Serves the metrics to who may read them.

    Anyone, where the gateway listens on this machine only and there is no `token`; else whoever brings the token or an
    operator's key. They name models, providers and error codes; nothing in them is of one account.
    """

    def __init__(
        self, door: Door, registry: Rendering | None, token: str | None, *, is_local: bool, before: Callable[[], None]
    ) -> None:
        """`before` is called before they are written: what waits to be counted is counted then."""
        self._door = door
        self._registry = registry
        self._token = token.encode() if token else None
        self._is_open = is_local and not token
        self._before = before

    async def read(self, request: Request) -> Response:
        """Answer in text format 0.0.4, or as OpenMetrics 1.0 where that is asked for."""
        if not self._is_open:
            await self._let_in(request)
        if self._registry is None:
            raise NotFound("this gateway keeps no metrics (TELEMETRY_METRICS=false, or its folder cannot be written)")
        self._before()
        openmetrics = "application/openmetrics-text" in request.headers.get("accept", "")
        return Response(
            self._registry.render(openmetrics=openmetrics),
            headers={"content-type": OPENMETRICS if openmetrics else PROMETHEUS, "cache-control": "no-store"},
        )

    async def _let_in(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        told = token.strip().encode() if scheme.lower() == "bearer" else b""
        if self._token is not None and hmac.compare_digest(told, self._token):
            return
        admit(await self._door.caller(wanted(request.headers)), "operator")
