"""Sends traces and GenAI metrics over OTLP/HTTP, behind the requests: the extra `[otel]`, loaded where it is wanted."""

import logging
import os
import random
import time
import uuid
from collections.abc import Callable, Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan

from neuralrouting.engine import version
from neuralrouting.exchange import Exchange, SecurityEvent
from neuralrouting.telemetry import attributes as a
from neuralrouting.telemetry.spans import (
    Parent,
    Span,
    answered_usage,
    call_attributes,
    client_spans,
    parent_of,
    server_span,
)

TIMEOUT_S = 3.0
"""How long one export may take, its retries included: a collector that is away must not hold up a worker's end."""
METRICS_EVERY_MS = 15_000
_KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)

log = logging.getLogger("neuralrouting.telemetry")


class Otel:
    """Reads events, and hands spans and measurements to exporters that have threads of their own.

    The endpoint, its headers and certificates are read from the environment, by OpenTelemetry's own names for them.
    """

    def __init__(
        self, share: float, environ: Mapping[str, str] = os.environ, number: Callable[[], float] = random.random
    ) -> None:
        """`share` of the requests are traced whose client says nothing about it; `number` draws from [0, 1)."""
        self._share = share
        self._number = number
        resource = Resource.create(
            {
                "service.name": environ.get("OTEL_SERVICE_NAME") or "neuralrouting",
                "service.version": version(),
                "service.instance.id": str(uuid.uuid4()),
            }
        )
        timeout_s = min(TIMEOUT_S, float(environ.get("OTEL_EXPORTER_OTLP_TIMEOUT") or TIMEOUT_S))
        self._tracers = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        if environ.get("OTEL_TRACES_EXPORTER") != "none":
            self._tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=timeout_s)))
        self._tracer = self._tracers.get_tracer("neuralrouting", version())
        readers = [] if environ.get("OTEL_METRICS_EXPORTER") == "none" else [_reader(environ, timeout_s)]
        self._meters = MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False)
        meter = self._meters.get_meter("neuralrouting", version())
        self._tokens = meter.create_histogram(
            a.TOKEN_USAGE, "{token}", "Tokens of one call.", explicit_bucket_boundaries_advisory=list(a.TOKEN_BOUNDS)
        )
        seconds = list(a.SECOND_BOUNDS)
        self._seconds = meter.create_histogram(
            a.DURATION, "s", "One call of a provider.", explicit_bucket_boundaries_advisory=seconds
        )
        self._first = meter.create_histogram(
            a.TIME_TO_FIRST_CHUNK, "s", "To the first chunk of a stream.", explicit_bucket_boundaries_advisory=seconds
        )

    def read(self, event: Exchange | SecurityEvent) -> None:
        """Measure one finished request, and trace it if it is drawn; the shield's findings are part of theirs."""
        if not isinstance(event, Exchange):
            return
        self._measure(event)
        parent = parent_of(event.arrival.hints.traceparent)
        if parent.sampled if parent is not None else self._number() < self._share:
            # Both clocks of this moment: what was measured on one is told on the other.
            start_ns = time.time_ns() - (time.perf_counter_ns() - event.arrival.started_ns)
            self._trace(event, start_ns, parent)

    def close(self) -> None:
        """Send what waits and stop; blocks for `TIMEOUT_S` at most, twice: call it in a thread."""
        self._tracers.shutdown()
        self._meters.shutdown(timeout_millis=1_000 * TIMEOUT_S)

    def _trace(self, done: Exchange, start_ns: int, parent: Parent | None) -> None:
        above = None
        if parent is not None:
            context = SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=_SAMPLED)
            above = set_span_in_context(NonRecordingSpan(context))
        root = self._begin(server_span(done, start_ns), above)
        within = set_span_in_context(root)
        for span in client_spans(done, start_ns):
            self._begin(span, within).end(span.end_ns)
        root.end(start_ns + 1_000 * done.latency_us)

    def _begin(self, span: Span, context: Context | None) -> OtelSpan:
        begun = self._tracer.start_span(
            span.name, context, _KINDS[span.kind], dict(span.attributes), start_time=span.start_ns
        )
        for event in span.events:
            begun.add_event(event.name, dict(event.attributes), event.at_ns)
        if span.error is not None:
            begun.set_status(Status(StatusCode.ERROR))
        return begun

    def _measure(self, done: Exchange) -> None:
        for attempt in done.attempts:
            told = call_attributes(attempt)
            self._seconds.record(attempt.latency_us / 1_000_000, told)
            if attempt.ttft_us is not None:
                self._first.record(attempt.ttft_us / 1_000_000, told)
        for attempt, usage in answered_usage(done):
            told = call_attributes(attempt)
            self._tokens.record(usage.prompt_tokens, told | {a.TOKEN_TYPE: "input"})
            self._tokens.record(usage.completion_tokens, told | {a.TOKEN_TYPE: "output"})


def _reader(environ: Mapping[str, str], timeout_s: float) -> PeriodicExportingMetricReader:
    every_ms = float(environ.get("OTEL_METRIC_EXPORT_INTERVAL") or METRICS_EVERY_MS)
    return PeriodicExportingMetricReader(
        OTLPMetricExporter(timeout=timeout_s), export_interval_millis=every_ms, export_timeout_millis=1_000 * timeout_s
    )
