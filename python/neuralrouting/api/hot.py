"""The three routes that carry the traffic: nothing stands between the server's protocol object and the pipeline."""

import asyncio
import time
from types import TracebackType
from typing import ClassVar, Self

import orjson
from granian.rsgi import HTTPProtocol, Scope

from neuralrouting.api import wire
from neuralrouting.api.chunks import ChunkWriter
from neuralrouting.api.door import Door, wanted
from neuralrouting.engine import Inspection
from neuralrouting.errors import InvalidField, NeuralRoutingError
from neuralrouting.exchange import Arrival, JsonObject
from neuralrouting.pipeline import Answer, AnswerStream, Pipeline

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

    streams: ClassVar[bool | None] = None
    """Whether answers are streamed; None: as the body says."""

    def __init__(self, endpoint: str, door: Door, pipeline: Pipeline) -> None:
        self._endpoint = endpoint
        self._door = door
        self._pipeline = pipeline

    async def __call__(self, request_id: str, scope: Scope, protocol: HTTPProtocol) -> None:
        """Serve one request; raises NeuralRoutingError before the first byte only."""
        started_ns = time.perf_counter_ns()
        headers = wanted(scope.headers)
        arrival = await self._door.arrival(request_id, self._endpoint, headers, started_ns)
        inspection = self._pipeline.inspect(await self._door.body(headers, protocol), arrival)
        self._check(inspection)
        if inspection.hit is not None:  # answered at once: no time to leave in
            await self._answer(arrival, inspection, protocol)
            return
        with Departure(protocol):
            await self._answer(arrival, inspection, protocol)

    def _check(self, inspection: Inspection) -> None:
        """Refuse what this endpoint cannot take."""

    async def _answer(self, arrival: Arrival, inspection: Inspection, protocol: HTTPProtocol) -> None:
        if inspection.stream if self.streams is None else self.streams:
            await self._stream(await self._pipeline.open(arrival, inspection), arrival, inspection, protocol)
            return
        answer = await self._pipeline.complete(arrival, inspection)
        facts = answer.facts
        headers = [
            wire.JSON_TYPE,
            *wire.request_headers(facts.request_id),
            *wire.served_headers(facts.deployment, facts.cache, facts.overhead_us),
            *wire.money_headers(facts),
        ]
        protocol.response_bytes(200, headers, self._body(answer))

    async def _stream(
        self, stream: AnswerStream, arrival: Arrival, inspection: Inspection, protocol: HTTPProtocol
    ) -> None:
        headers = [
            *wire.EVENT_HEADERS,
            *wire.request_headers(arrival.request_id),
            *wire.served_headers(stream.deployment, stream.cache, stream.overhead_us),
            *(wire.money_headers(stream.facts) if stream.facts is not None else ()),
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
        await line.send_bytes(self._end(writer, stream))

    def _body(self, answer: Answer) -> bytes:
        raise NotImplementedError

    def _end(self, writer: ChunkWriter, stream: AnswerStream) -> bytes:
        raise NotImplementedError


class ChatCompletions(HotRoute):
    """`POST /v1/chat/completions`: OpenAI's shapes, with our facts in extra fields."""

    def _check(self, inspection: Inspection) -> None:
        if inspection.model is None:
            raise InvalidField("model is required; `auto` lets the gateway choose", param="model")

    def _body(self, answer: Answer) -> bytes:
        return wire.with_fields(answer.body, wire.extra_fields(answer.facts))

    def _end(self, writer: ChunkWriter, stream: AnswerStream) -> bytes:
        assert stream.facts is not None  # noqa: S101  set when the batches ended
        return writer.chat_end(stream.facts)


class Dispatch(HotRoute):
    """`POST /v1/dispatch`: the native shape, always whole."""

    streams = False

    def _body(self, answer: Answer) -> bytes:
        data: JsonObject = orjson.loads(answer.body)
        message = data["choices"][0].get("message") or {}
        extras = {name: message[name] for name in ("tool_calls", "refusal") if message.get(name)}
        fields = wire.extra_fields(answer.facts)
        usage = data.get("usage") or wire.usage_fields(answer.facts.usage)
        output = {"ai_answer": message.get("content"), **extras}
        finish = data["choices"][0].get("finish_reason")
        return orjson.dumps({"status": "success", "output": output, "finish_reason": finish, **fields, "usage": usage})


class DispatchStream(HotRoute):
    """`POST /v1/dispatch/stream`: chunks, one billing event, the end mark."""

    streams = True

    def _end(self, writer: ChunkWriter, stream: AnswerStream) -> bytes:
        assert stream.facts is not None  # noqa: S101
        return writer.dispatch_end(stream.facts)
