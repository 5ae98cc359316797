"""`/healthz` says the process is alive; `/readyz` says whether it can serve, and what is missing if not."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api.answers import json_response
from neuralrouting.catalog import Catalog
from neuralrouting.errors import Unavailable
from neuralrouting.exchange import JsonObject

MAX_LAG_S = 5.0
"""Rows older than this are still unwritten: the database is too slow or away."""
PING_TTL_S = 1.0


class Lagging(Protocol):
    """What writes behind the requests."""

    @property
    def lag_s(self) -> float:
        """Age of the oldest that is not written, in seconds."""
        ...


class Health:
    """Liveness and readiness of one worker; no credentials needed, no details given away.

    `shield` says which rules judge just now, `confidence` whether routing goes by what was learned or by priors: so
    several workers and machines can be compared.
    """

    def __init__(
        self,
        catalog: Catalog,
        queues: Sequence[Lagging],
        ping: Callable[[], Awaitable[object]],
        shield: Callable[[], JsonObject],
        confidence: Callable[[], JsonObject],
    ) -> None:
        self._catalog = catalog
        self._queues = queues
        self._ping = ping
        self._shield = shield
        self._confidence = confidence
        self._pinged_s = 0.0
        self._reachable = False

    async def alive(self, _request: Request) -> Response:
        """Answer as long as the event loop turns."""
        return json_response({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """200 when requests can be served, else 503; `checks` says which part is not ready."""
        checks = {
            "database": await self._database(),
            "writer": max(queue.lag_s for queue in self._queues) < MAX_LAG_S,
            "models": bool(self._catalog.servable),
        }
        ready = all(checks.values())
        body = {
            "status": "ready" if ready else "not ready",
            "checks": checks,
            "shield": self._shield(),
            "confidence": self._confidence(),
        }
        return json_response(body, 200 if ready else 503)

    async def _database(self) -> bool:
        if time.monotonic() - self._pinged_s > PING_TTL_S:
            try:
                await self._ping()
            except Unavailable:
                self._reachable = False
            else:
                self._reachable = True
            self._pinged_s = time.monotonic()
        return self._reachable
