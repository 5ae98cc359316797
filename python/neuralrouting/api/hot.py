"""The three routes that carry the traffic: raw ASGI callables, no framework between the socket and the pipeline."""

import asyncio
import time
from types import TracebackType
from typing import ClassVar, Self

import orjson
from starlette.types import Receive, Scope, Send

from neuralrouting.api import wire
from neuralrouting.api.chunks import ChunkWriter
from neuralrouting.api.door import Door, headers_of
from neuralrouting.engine import Inspection
from neuralrouting.errors import InvalidField, NeuralRoutingError
from neuralrouting.exchange import Arrival, JsonObject
from neuralrouting.pipeline import Answer, AnswerStream, Pipeline


class Departure:
    """Cancels the work for a client that leaves; under Granian only `receive()` tells, `send()` never does."""

    __slots__ = ("_receive", "_watch", "left")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None
        self.left = False

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._watch = loop.create_task(self._wait(asyncio.current_task(loop)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._watch is not None:
            self._watch.cancel()
        return self.left and kind is asyncio.CancelledError  # nobody is left to answer: the request ends here

    async def _wait(self, work: "asyncio.Task[None] | None") -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.left = True
        if work is not None:
            work.cancel()


class HotRoute:
    """One POST endpoint: lets the request in, inspects it, and answers in the shape of its endpoint."""

    streams: ClassVar[bool | None] = None
    """Whether answers are streamed; None: as the body says."""

    def __init__(self, endpoint: str, door: Door, pipeline: Pipeline) -> None:
        self._endpoint = endpoint
        self._door = door
        self._pipeline = pipeline

    async def __call__(self, request_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; raises NeuralRoutingError before the first byte only."""
        started_ns = time.perf_counter_ns()
        headers = headers_of(scope)
        arrival = await self._door.arrival(request_id, self._endpoint, headers, started_ns)
        inspection = self._pipeline.inspect(await self._door.body(headers, receive), arrival)
        self._check(inspection)
        if inspection.hit is not None:  # answered at once: no time to leave in
            await self._answer(arrival, inspection, send)
            return
        with Departure(receive):
            await self._answer(arrival, inspection, send)

    def _check(self, inspection: Inspection) -> None:
        """Refuse what this endpoint cannot take."""

    async def _answer(self, arrival: Arrival, inspection: Inspection, send: Send) -> None:
        if inspection.stream if self.streams is None else self.streams:
            await self._stream(await self._pipeline.open(arrival, inspection), arrival, inspection, send)
            return
        answer = await self._pipeline.complete(arrival, inspection)
        body = self._body(answer)
        facts = answer.facts
        headers = [
            wire.JSON_TYPE,
            (b"content-length", b"%d" % len(body)),
            *wire.request_headers(facts.request_id),
            *wire.served_headers(facts.deployment, facts.cache, facts.overhead_us),
            *wire.money_headers(facts),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _stream(self, stream: AnswerStream, arrival: Arrival, inspection: Inspection, send: Send) -> None:
        headers = [
            *wire.EVENT_HEADERS,
            *wire.request_headers(arrival.request_id),
            *wire.served_headers(stream.deployment, stream.cache, stream.overhead_us),
            *(wire.money_headers(stream.facts) if stream.facts is not None else ()),
        ]
        writer = ChunkWriter(include_usage=inspection.include_usage)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            async for batch in stream.batches:
                if events := writer.events(batch):
                    await send({"type": "http.response.body", "body": events, "more_body": True})
        except NeuralRoutingError as error:
            await send({"type": "http.response.body", "body": writer.error(error)})
            return
        finally:
            await stream.batches.aclose()
        await send({"type": "http.response.body", "body": self._end(writer, stream)})

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
