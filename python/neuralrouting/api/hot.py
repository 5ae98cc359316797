"""The three routes that carry the traffic: nothing stands between the server's protocol object and the pipeline."""

import asyncio
import time
from types import TracebackType
from typing import Self

import orjson
from granian.rsgi import HTTPProtocol, Scope

from neuralrouting.api import wire
from neuralrouting.api.chunks import ChunkWriter
from neuralrouting.api.door import Door, wanted
from neuralrouting.api.shapes import Shape
from neuralrouting.engine import Inspection
from neuralrouting.errors import InvalidField, NeuralRoutingError, ShieldBlocked
from neuralrouting.exchange import AnswerStream, Arrival
from neuralrouting.pipeline import Pipeline

WATCH_AFTER_S = 0.02
"""How long a request runs before its client is watched."""


class Departure:
    """Cancels the work for a client that leaves: sending to nobody raises nothing, so that somebody must watch.

    Work that is done within `WATCH_AFTER_S` is not worth a watcher.
    """

    __slots__ = ("_protocol", "_start", "_watch", "_work", "left")

    def __init__(self, protocol: HTTPProtocol) -> None:
        self._protocol = protocol
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
        if self._work is not None:
            self._work.cancel()


class HotRoute:
    """One POST endpoint: lets the request in, inspects it, and answers in the shape of its endpoint."""

    def __init__(self, endpoint: str, shape: Shape, door: Door, pipeline: Pipeline) -> None:
        self._endpoint = endpoint
        self._shape = shape
        self._door = door
        self._pipeline = pipeline

    async def __call__(self, request_id: str, scope: Scope, protocol: HTTPProtocol) -> None:
        """Serve one request; raises NeuralRoutingError before the first byte only."""
        started_ns = time.perf_counter_ns()
        told = wanted(scope.headers)
        arrival = await self._door.arrival(request_id, self._endpoint, told, started_ns)
        inspection = self._pipeline.inspect(await self._door.body(told, protocol), arrival)
        if inspection.model is None and self._shape.needs_model:
            raise InvalidField("model is required; `auto` lets the gateway choose", param="model")
        try:
            if inspection.hit is not None:  # answered at once: no time to leave in
                await self._answer(arrival, inspection, protocol)
                return
            with Departure(protocol):
                await self._answer(arrival, inspection, protocol)
        except ShieldBlocked as error:  # before the first byte, like every refusal
            headers = wire.refusal_headers(error, request_id)
            protocol.response_bytes(error.status, headers, orjson.dumps(self._shape.blocked(error)))

    async def _answer(self, arrival: Arrival, inspection: Inspection, protocol: HTTPProtocol) -> None:
        if inspection.stream if self._shape.streams is None else self._shape.streams:
            await self._stream(await self._pipeline.open(arrival, inspection), arrival, inspection, protocol)
            return
        answer = await self._pipeline.complete(arrival, inspection)
        facts = answer.facts
        headers = [
            wire.JSON_TYPE,
            *wire.request_headers(facts.request_id),
            *wire.served_headers(facts.deployment, facts.cache, facts.overhead_us),
            *wire.money_headers(facts),
            *wire.judged_headers(answer.task, answer.finding),
        ]
        protocol.response_bytes(200, headers, self._shape.whole(answer))

    async def _stream(
        self, stream: AnswerStream, arrival: Arrival, inspection: Inspection, protocol: HTTPProtocol
    ) -> None:
        headers = [
            *wire.EVENT_HEADERS,
            *wire.request_headers(arrival.request_id),
            *wire.served_headers(stream.deployment, stream.cache, stream.overhead_us),
            *(wire.money_headers(stream.facts) if stream.facts is not None else ()),
            *wire.judged_headers(stream.task, stream.finding),
        ]
        writer = ChunkWriter(include_usage=inspection.include_usage)
        line = protocol.response_stream(200, headers)
        try:
            async for batch in stream.batches:
                if events := writer.events(batch):
                    await line.send_bytes(events)
        except NeuralRoutingError as error:
            await line.send_bytes(writer.error(error))
            return
        finally:
            await stream.batches.aclose()
        assert stream.facts is not None  # noqa: S101  set when the batches ended
        await line.send_bytes(self._shape.end(writer, stream.facts))
