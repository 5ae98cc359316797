"""What one worker tells of itself, opened and wired: events to those who tell of them, gauges to what they watch."""

import asyncio
import logging
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple, Protocol

from neuralrouting.accounts.bank import Bank
from neuralrouting.api.access import OpenRoute
from neuralrouting.api.door import Door
from neuralrouting.api.edge import Edge
from neuralrouting.api.metrics import Metrics
from neuralrouting.catalog import Catalog
from neuralrouting.config import Config, is_loopback
from neuralrouting.engine import Engine, version
from neuralrouting.errors import NeuralRoutingError
from neuralrouting.pipeline.auditing import Auditor
from neuralrouting.pipeline.shadowing import Shadowing
from neuralrouting.providers.speeds import Speeds
from neuralrouting.storage.writer import Writer
from neuralrouting.telemetry import families
from neuralrouting.telemetry.counting import Counting
from neuralrouting.telemetry.events import Events, Reader
from neuralrouting.telemetry.gauges import Gauges, Resting, Tally
from neuralrouting.telemetry.registry import Registry
from neuralrouting.telemetry.request_log import RequestLog
from neuralrouting.telemetry.runs import METRICS_VARIABLE

log = logging.getLogger("neuralrouting.telemetry")


class Watched(NamedTuple):
    """The parts of a worker that have something to tell just now."""

    edge: Edge
    engine: Engine
    bank: Bank
    writer: Writer
    shadowing: Shadowing
    auditor: Auditor
    speeds: Speeds
    catalog: Catalog


class Queue(Protocol):
    """What fills up when the database falls behind."""

    @property
    def waiting(self) -> int:
        """How many wait."""
        ...

    @property
    def lag_s(self) -> float:
        """Age of the oldest, in seconds."""
        ...


class Observing(NamedTuple):
    """What this worker tells of itself. No registry: it keeps no metrics."""

    registry: Registry | None
    events: Events
    gauges: Gauges
    refused: Callable[[NeuralRoutingError], None]

    def bring_up_to_date(self) -> None:
        """Count what waits, and set the gauges."""
        self.events.flush()
        self.gauges.tell()

    def watch(self, parts: Watched) -> Edge:
        """Tell of these parts from now on, and return the outermost; needs a running event loop."""
        if self.registry is not None:
            self._watch(self.registry, parts)
        return parts.edge

    def _watch(self, registry: Registry, parts: Watched) -> None:
        gauges = self.gauges
        gauges.watch(registry.series(families.BUILD, version()), lambda: 1)
        gauges.watch(registry.series(families.WORKERS), lambda: 1)
        gauges.watch(registry.series(families.IN_FLIGHT), lambda: parts.edge.in_flight)
        gauges.watch(registry.series(families.CACHE_BYTES), lambda: parts.engine.cache_used_bytes)
        depth = families.QUEUE_DEPTH
        gauges.watch(registry.series(depth, "audits"), lambda: parts.shadowing.waiting)
        gauges.watch(registry.series(depth, "events"), lambda: self.events.waiting)
        queues: tuple[tuple[str, Queue], ...] = (("settlements", parts.bank), ("rows", parts.writer))
        for name, queue in queues:
            gauges.watch(registry.series(depth, name), lambda queue=queue: queue.waiting)
            lag = registry.series(families.QUEUE_LAG, name)
            gauges.watch(lag, lambda queue=queue: int(1_000_000 * queue.lag_s))
        speeds, catalog = parts.speeds, parts.catalog
        providers = {d.id: d.provider for d in (*catalog.known, *catalog.servable, *catalog.by_name_only)}
        resting = Resting(registry, lambda: speeds.seen, lambda d: speeds.cooling(d, time.monotonic()), providers)
        gauges.add(resting.tell)
        gauges.add(Tally(registry, families.AUDITS, parts.shadowing.totals).tell)
        gauges.add(Tally(registry, families.VERDICTS, parts.auditor.verdicts).tell)
        gauges.start()


def open_observing(stack: AsyncExitStack, config: Config, environ: Mapping[str, str]) -> Observing:
    """Open what tells of this worker; what waits is told before it closes."""
    readers: list[Reader] = []
    registry = _registry(stack, config, environ)
    refused: Callable[[NeuralRoutingError], None] = _nobody
    if registry is not None:
        counting = Counting(registry)
        readers.append(counting)
        refused = counting.refused
    if config.telemetry.request_log == "on":
        readers.append(RequestLog())
    if wants_otel(config.telemetry.otel, environ):
        readers += _otel(stack, config, environ)
    events, gauges = Events(readers), Gauges()
    stack.callback(events.flush)
    stack.push_async_callback(gauges.close)
    return Observing(registry, events, gauges, refused)


def _otel(stack: AsyncExitStack, config: Config, environ: Mapping[str, str]) -> list[Reader]:
    """What sends traces and metrics; nothing where the extra is missing, which is told once."""
    try:
        from neuralrouting.telemetry.otel import Otel  # noqa: PLC0415  an extra, and slow to import
    except ImportError as error:
        log.warning("no traces are sent, %s is missing: pip install 'neuralrouting[otel]'", error.name)
        return []
    otel = Otel(config.telemetry.otel_sample, environ)
    stack.push_async_callback(asyncio.to_thread, otel.close)
    return [otel]


def wants_otel(switch: str, environ: Mapping[str, str]) -> bool:
    """Say whether traces are to be sent; `OTEL_SDK_DISABLED=true` always says no."""
    if switch == "off" or environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    named = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
    return switch == "on" or any(environ.get(name, "").strip() for name in named)


def metrics_route(door: Door, config: Config, observing: Observing) -> OpenRoute:
    """The path that Prometheus reads."""
    token, is_local = config.telemetry.metrics_token, is_loopback(config.server.host)
    told = token.reveal() if token is not None else None
    metrics = Metrics(door, observing.registry, told, is_local=is_local, before=observing.bring_up_to_date)
    return OpenRoute("/metrics", metrics.read)


def _registry(stack: AsyncExitStack, config: Config, environ: Mapping[str, str]) -> Registry | None:
    """The metrics of this run; of this worker alone where the application is started without `serve`."""
    if not config.telemetry.metrics:
        return None
    folder = environ.get(METRICS_VARIABLE)
    if not folder:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="neuralrouting-metrics-"))
    try:
        return Registry(Path(folder))
    except OSError as error:
        log.warning("no metrics are kept: %s", error)
        return None


def _nobody(_error: NeuralRoutingError) -> None:
    """Tell nobody."""
