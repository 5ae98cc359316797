"""From Anthropic's stream events to OpenAI's chunks: a state machine without I/O."""

from collections.abc import Iterator

import msgspec
import orjson
from msgspec import Raw

from neuralrouting.errors import UpstreamBadResponse, UpstreamError, UpstreamInterrupted
from neuralrouting.exchange import JsonObject
from neuralrouting.providers.anthropic_reply import (
    FINISH_REASONS,
    NO_OBJECT,
    THINKING,
    Block,
    arguments_of,
    counted,
    error_inside,
    tool_call,
    usage_of_message,
)
from neuralrouting.providers.sse import Event


class _Head(msgspec.Struct, frozen=True):
    id: str = ""
    model: str = ""
    usage: dict[str, Raw] | None = None


class _Delta(msgspec.Struct, frozen=True):
    type: str = ""
    text: str = ""
    partial_json: str = ""
    thinking: str = ""
    signature: str = ""
    stop_reason: str | None = None


class _StreamEvent(msgspec.Struct, frozen=True):
    type: str
    index: int = 0
    message: _Head = _Head()
    content_block: Raw = NO_OBJECT
    delta: _Delta = _Delta()
    usage: dict[str, Raw] | None = None


class _OpenBlock:
    """A content block whose end has not come yet."""

    __slots__ = ("arguments", "block", "call_index", "data", "fed")

    def __init__(self, raw: Raw) -> None:
        self.block = _BLOCK.decode(raw)
        self.arguments = arguments_of(self.block.input)
        self.call_index: int | None = None
        self.data: JsonObject = orjson.loads(bytes(raw)) if self.block.type in THINKING else {}
        self.fed = False


_EVENT = msgspec.json.Decoder(_StreamEvent)
_BLOCK = msgspec.json.Decoder(Block)


class StreamTranslator:
    """Turns the events of one answer into chunks.

    The role rides in the first delta that carries something, so whatever comes out is output. `ended` becomes
    true at `message_stop`; events after it are not looked at.
    """

    def __init__(self, provider: str, created_s: int) -> None:
        self.ended = False
        self._provider = provider
        self._created_s = created_s
        self._head: _Head | None = None
        self._usage: dict[str, Raw] = {}
        self._stop_reason: str | None = None
        self._open: dict[int, _OpenBlock] = {}
        self._calls = 0
        self._spoken = False
        self._delivered = False

    def read(self, events: list[Event]) -> list[JsonObject]:
        """Return the chunks of these events.

        An error event raises what its type stands for, or UpstreamInterrupted once a chunk has been returned;
        what is not Anthropic's protocol raises UpstreamBadResponse.
        """
        chunks: list[JsonObject] = []
        for event in events:
            if self.ended:
                break
            chunks += self._chunks(event.data)
        self._delivered = self._delivered or bool(chunks)
        return chunks

    def _chunks(self, data: bytes) -> Iterator[JsonObject]:
        try:
            event = _EVENT.decode(data)
        except (msgspec.DecodeError, ValueError) as error:
            raise UpstreamBadResponse(f"{self._provider} sent an event we cannot read: {error}") from error
        match event.type:
            case "content_block_delta":
                yield from self._delta(event)
            case "content_block_start":
                yield from self._start_block(event)
            case "content_block_stop":
                yield from self._stop_block(event.index)
            case "message_start":
                self._start(event)
            case "message_delta":
                self._stop_reason = event.delta.stop_reason or self._stop_reason
                self._count(event.usage)
            case "message_stop":
                yield from self._end()
            case "error":
                raise self._fault(data)
            case _:  # ping, and what Anthropic may add: its versioning policy asks clients to pass over it
                pass

    def _start(self, event: _StreamEvent) -> None:
        if self._head is not None:
            raise UpstreamBadResponse(f"{self._provider} began a second message in one stream")
        self._head = event.message
        self._count(event.message.usage)

    def _count(self, usage: dict[str, Raw] | None) -> None:
        """Later counts replace earlier ones: they are totals, and adding them would bill twice."""
        self._usage |= counted(usage)

    def _start_block(self, event: _StreamEvent) -> Iterator[JsonObject]:
        kind = self._decoded(event.content_block)
        started = kind.block
        self._open[event.index] = kind
        if started.type == "text" and started.text:
            yield self._chunk({"content": started.text})
        elif started.type == "tool_use":
            kind.call_index = self._calls
            self._calls += 1
            yield self._chunk({"tool_calls": [{"index": kind.call_index, **tool_call(started, "")}]})

    def _decoded(self, raw: Raw) -> _OpenBlock:
        try:
            return _OpenBlock(raw)
        except (msgspec.DecodeError, ValueError) as error:  # ValueError: not UTF-8
            raise UpstreamBadResponse(f"{self._provider} began a block we cannot read: {error}") from error

    def _delta(self, event: _StreamEvent) -> Iterator[JsonObject]:
        delta = event.delta
        if delta.type == "text_delta" and delta.text:
            yield self._chunk({"content": delta.text})
        elif delta.type == "input_json_delta" and delta.partial_json:
            block = self._block(event.index)
            if block.call_index is not None:  # None: a tool that Anthropic runs itself
                block.fed = True
                yield self._arguments(block.call_index, delta.partial_json)
        elif delta.type == "thinking_delta" and delta.thinking:
            self._extend(event.index, "thinking", delta.thinking)
            yield self._chunk({"reasoning_content": delta.thinking})
        elif delta.type == "signature_delta":
            self._extend(event.index, "signature", delta.signature)

    def _stop_block(self, index: int) -> Iterator[JsonObject]:
        block = self._open.pop(index, None)
        if block is None:
            return
        if block.call_index is not None and not block.fed:  # a call without arguments sends none at all
            yield self._arguments(block.call_index, block.arguments)
        elif block.data:
            yield self._chunk({"thinking_blocks": [block.data]})

    def _end(self) -> Iterator[JsonObject]:
        for index in list(self._open):
            yield from self._stop_block(index)
        if not self._spoken:
            yield self._chunk({"content": ""})
        yield self._chunk({}, FINISH_REASONS.get(self._stop_reason or "", "stop"))
        if (usage := usage_of_message(self._usage)) is not None:
            yield {**self._frame(), "choices": [], "usage": usage}
        self.ended = True

    def _block(self, index: int) -> _OpenBlock:
        block = self._open.get(index)
        if block is None:
            raise UpstreamBadResponse(f"{self._provider} sent a part of block {index}, which is not open")
        return block

    def _extend(self, index: int, field: str, more: str) -> None:
        data = self._block(index).data
        data[field] = data.get(field, "") + more

    def _arguments(self, call_index: int, fragment: str) -> JsonObject:
        return self._chunk({"tool_calls": [{"index": call_index, "function": {"arguments": fragment}}]})

    def _chunk(self, delta: JsonObject, finish: str | None = None) -> JsonObject:
        if not self._spoken:
            self._spoken = True
            delta = {"role": "assistant", "content": None, **delta}
        return {
            **self._frame(),
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        }

    def _frame(self) -> JsonObject:
        if self._head is None:
            raise UpstreamBadResponse(f"{self._provider} streamed an answer without its message_start")
        return {
            "id": self._head.id,
            "object": "chat.completion.chunk",
            "created": self._created_s,
            "model": self._head.model,
        }

    def _fault(self, data: bytes) -> UpstreamError:
        fault = error_inside(data, self._provider)
        if fault is None:
            fault = UpstreamBadResponse(f"{self._provider} sent an error that does not say what is wrong")
        if not self._delivered:
            return fault
        interrupted = UpstreamInterrupted(f"{self._provider} broke its answer off: {fault.message}")
        interrupted.provider_status = fault.provider_status
        return interrupted
