"""The three routes that carry the traffic: nothing stands between the server's protocol object and the pipeline."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import NamedTuple, Protocol, Self

import orjson
from granian.rsgi import HTTPProtocol, Scope

from neuralrouting.accounts.rates import Entry, Rates, rate_headers
from neuralrouting.api import wire
from neuralrouting.api.access import Access
from neuralrouting.api.chunks import ChunkWriter
from neuralrouting.api.door import Door, wanted
from neuralrouting.api.idempotency import HEADER, Idempotency, claim_of, replay
from neuralrouting.api.recording import Responder, Unheard
from neuralrouting.api.shapes import Shape
from neuralrouting.engine import Inspection
from neuralrouting.errors import InvalidField, NeuralRoutingError, ShieldBlocked
from neuralrouting.exchange import AnswerStream, Arrival, Facts, Usage
from neuralrouting.pipeline import Pipeline
from neuralrouting.storage.idempotency import Stored
from neuralrouting.telemetry import logs
from neuralrouting.telemetry.spans import trace_of

OUTPUT_TOKENS_GUESSED = 1_024
"""Tokens of an answer whose request names no limit, as far as limits of tokens a minute go."""
WATCH_AFTER_S = 0.02
"""How long a request runs before its client is watched."""


class Client(Responder, Protocol):
    """Who is answered: told apart from Granian's protocol object, so that a page can ask as the API is asked."""

    async def client_disconnect(self) -> None:
        """Return once the client is gone."""
        ...


class Departure:
    """Cancels the work for a client that leaves: sending to nobody raises nothing, so that somebody must watch.

    Work that is done within `WATCH_AFTER_S` is not worth a watcher. Work that others need goes on until `unshared`
    returns, with nobody to send to.
    """

    __slots__ = ("_protocol", "_start", "_unshared", "_watch", "_work", "left")

    def __init__(self, protocol: Client, unshared: Callable[[], Awaitable[None]]) -> None:
        self._protocol = protocol
        self._unshared = unshared
        self._work = asyncio.current_task()
        self._watch: asyncio.Task[None] | None = None
        self.left = False

    def __enter__(self) -> Self:
        self._start = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._start.cancel()
        if self._watch is not None:
            self._watch.cancel()
        return self.left and kind is asyncio.CancelledError  # nobody is left to answer: the request ends here

    def _begin(self) -> None:
        self._watch = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        await self._protocol.client_disconnect()
        self.left = True
        await self._unshared()
        if self._work is not None:
            self._work.cancel()


class Gate(NamedTuple):
    """What every request passes first. `drains`: a call whose client left is read to its end, not cancelled."""

    door: Door
    rates: Rates
    idempotency: Idempotency
    drains: bool


class HotRoute:
    """One POST endpoint: lets the request in, inspects it, and answers in the shape of its endpoint."""

    allowed: Mapping[str, Access] = MappingProxyType({"POST": "member"})

    def __init__(self, endpoint: str, shape: Shape, gate: Gate, pipeline: Pipeline) -> None:
        self._endpoint = endpoint
        self._shape = shape
        self._door = gate.door
        self._rates = gate.rates
        self._drains = gate.drains
        self._pipeline = pipeline
        self._idempotency = gate.idempotency

    async def __call__(self, request_id: str, scope: Scope, protocol: HTTPProtocol) -> None:
        """Serve one request; raises NeuralRoutingError before the first byte only."""
        started_ns = time.perf_counter_ns()
        told = wanted(scope.headers)
        arrival = await self._door.arrival(request_id, self._endpoint, told, started_ns)
        # A value that is no text is not among those told: such a request must not run as if it had no key.
        key = told.get(HEADER, "" if HEADER in scope.headers else None)
        await self.serve(arrival, lambda: self._door.body(told, protocol), protocol, key)

    async def serve(
        self, arrival: Arrival, read: Callable[[], Awaitable[bytes]], protocol: Client, key: str | None = None
    ) -> None:
        """Serve one request of somebody who is known; `read` gives its body, `key` is its idempotency key.

        Raises as a call does.
        """
        if arrival.hints.traceparent is not None:
            logs.trace_id.set(trace_of(arrival.hints.traceparent))
        entry = await self._rates.enter(arrival.caller, arrival.plan)
        used: Usage | None = None
        try:
            inspection = self._pipeline.inspect(await read(), arrival)
            if inspection.model is None and self._shape.needs_model:
                raise InvalidField("model is required; `auto` lets the gateway choose", param="model")
            request = _Request(arrival, inspection, entry)
            used = await (self._serve(request, protocol) if key is None else self._once(key, request, protocol))
        except ShieldBlocked as error:  # before the first byte, like every refusal
            headers = wire.refusal_headers(error, arrival.request_id)
            protocol.response_bytes(error.status, headers, orjson.dumps(self._shape.blocked(error)))
        finally:
            entry.leave(used.prompt_tokens + used.completion_tokens if used is not None else None)

    async def _serve(self, request: "_Request", protocol: Client) -> Usage | None:
        if request.inspection.hit is not None:  # answered at once: no time to leave in
            return await self._answer(request, protocol)
        if self._drains:
            return await self._answer(request, Unheard(protocol))
        with Departure(protocol, lambda: self._pipeline.unshared(request.arrival, request.inspection)):
            return await self._answer(request, Unheard(protocol))  # when to stop for one who left, `Departure` says

    async def _once(self, key: str, request: "_Request", protocol: Client) -> Usage | None:
        """Answer a request that may come again: once begun it runs to its end, whether its client waits or not."""
        arrival, inspection = request.arrival, request.inspection
        turn = await self._idempotency.turn(claim_of(key, arrival, inspection))
        if isinstance(turn, Stored):
            self._pipeline.screen(arrival, inspection)  # the rules, or the key, may be others than the first time
            replay(turn, arrival.request_id, protocol)
            return None
        async with self._idempotency.making(turn, protocol) as recording:
            return await self._answer(request, recording)

    async def _answer(self, request: "_Request", protocol: Responder) -> Usage | None:
        arrival, inspection, entry = request
        if inspection.hit is None:  # what the cache answers has no tokens to count
            self._rates.take_tokens(entry, arrival.caller, arrival.plan, _tokens_asked(inspection))
        if inspection.stream if self._shape.streams is None else self._shape.streams:
            stream = await self._pipeline.open(arrival, inspection)
            try:
                return await self._stream(stream, request, protocol)
            finally:
                await stream.batches.aclose()
        answer = await self._pipeline.complete(arrival, inspection)
        facts = answer.facts
        headers = [
            wire.JSON_TYPE,
            *wire.request_headers(facts.request_id),
            *wire.served_headers(facts.deployment, facts.cache, facts.overhead_us),
            *wire.money_headers(facts),
            *wire.cascade_headers(facts.cascade),
            *wire.judged_headers(answer.task, answer.finding),
            *rate_headers(entry),
            *wire.budget_headers(answer.budgets),
        ]
        protocol.response_bytes(200, headers, self._shape.whole(answer))
        return _counted(facts)

    async def _stream(self, stream: AnswerStream, request: "_Request", protocol: Responder) -> Usage | None:
        arrival, inspection, entry = request
        headers = [
            *wire.EVENT_HEADERS,
            *wire.request_headers(arrival.request_id),
            *wire.served_headers(stream.deployment, stream.cache, stream.overhead_us),
            *(wire.money_headers(stream.facts) if stream.facts is not None else ()),
            *wire.cascade_headers(stream.cascade),
            *wire.judged_headers(stream.task, stream.finding),
            *rate_headers(entry),
            *wire.budget_headers(stream.budgets),
        ]
        writer = ChunkWriter(include_usage=inspection.include_usage)
        line = protocol.response_stream(200, headers)
        try:
            async for batch in stream.batches:
                if events := writer.events(batch):
                    await line.send_bytes(events)
        except NeuralRoutingError as error:
            await line.send_bytes(writer.error(error))
            return _counted(stream.facts) if stream.facts is not None else None
        assert stream.facts is not None  # noqa: S101  set when the batches ended
        await line.send_bytes(self._shape.end(writer, stream.facts))
        return _counted(stream.facts)


class _Request(NamedTuple):
    arrival: Arrival
    inspection: Inspection
    entry: Entry


def _counted(facts: Facts) -> Usage:
    """What counts towards limits of tokens a minute: nothing of what the cache answered, or an equal request."""
    if facts.cache.hit:
        return Usage(0, 0)
    first, last = facts.replaced, facts.usage
    if first is None:
        return last
    used = first.usage
    return Usage(used.prompt_tokens + last.prompt_tokens, used.completion_tokens + last.completion_tokens)


def _tokens_asked(inspection: Inspection) -> int:
    """What a request may come to, for limits of tokens a minute; corrected when its usage is known."""
    output = inspection.max_output_tokens if inspection.max_output_tokens is not None else OUTPUT_TOKENS_GUESSED
    return inspection.prompt_tokens + inspection.n * output
