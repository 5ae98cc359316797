"""What Granian calls: one application a worker, opened before its first request and closed after its last."""

import asyncio
import gc
import logging
import os
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack

from granian.rsgi import HTTPProtocol, Scope

from neuralrouting.api.edge import Edge
from neuralrouting.app.gateway import gateway
from neuralrouting.config import Config, load
from neuralrouting.errors import NeuralRoutingError, Unavailable
from neuralrouting.telemetry.logs import log_to_stderr

GC_ALLOCATIONS = 20_000
"""Allocations between two collections of the youngest generation; Python's 700 cost 5 % of a busy worker."""
START_S, START_AGAIN_S = 7.0, 0.5
"""How long a new worker waits for a database that is away, in seconds, and how often it asks.

Granian takes one that ends within 5.5 s of being replaced for a crash loop and ends the whole gateway, workers that
serve well included.
"""

log = logging.getLogger("neuralrouting.app")


def create() -> "Application":
    """Build the application of one worker from the environment; what Granian calls."""
    config = load(None, os.environ)
    log_to_stderr(config.log_level, config.log_format)
    return Application(config, os.environ)


class Application:
    """What Granian calls: its own protocol (RSGI), which costs half of what ASGI does under it.

    Everything that needs a loop is opened before the first request and closed after the last.
    """

    def __init__(self, config: Config, environ: Mapping[str, str]) -> None:
        self._config = config
        self._environ = environ
        self._parts = AsyncExitStack()
        self._edge: Edge

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open the parts; a worker that cannot says why in one line and ends, and another one tries."""
        try:
            self._edge = loop.run_until_complete(self._open(time.monotonic() + START_S))
        except NeuralRoutingError as error:
            log.critical("this worker cannot start: %s", error.message)
            sys.exit(1)
        # What is here now stays: the collector need not look at it again, nor often at short-lived requests.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_ALLOCATIONS)

    async def _open(self, until_s: float) -> Edge:
        while True:
            try:
                return await self._parts.enter_async_context(gateway(self._config, self._environ))
            except Unavailable as error:
                if time.monotonic() > until_s:
                    raise
                log.warning("this worker cannot start yet: %s", error.message)
            await asyncio.sleep(START_AGAIN_S)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write what is not written yet and close the parts."""
        loop.run_until_complete(self._parts.aclose())

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Serve one request."""
        await self._edge(scope, protocol)
