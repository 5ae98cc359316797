"""Whole answers of the fake upstream, in OpenAI's and in Anthropic's dialect: the same request, the same bytes."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fake_upstream import CLOSE, Recorded, Reply, Step, head, http_reply

CREATED = 1_700_000_000
USAGE = (11, 7)
"""Prompt and completion tokens that an answer tells, unless told otherwise."""
_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
Framing = Literal["chunked", "length", "close"]


@dataclass(frozen=True)
class Answer:
    """What a model says. `calls` are (name, arguments as JSON text); `pieces` how the text comes in a stream."""

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    finish: str = "stop"
    usage: tuple[int, int] | None = USAGE
    model: str = "fake-model"
    pieces: tuple[str, ...] = field(default=())

    def __call__(self, request: Recorded) -> Reply:
        """Answer in the dialect and the form that the request asks for."""
        if request.stream:
            return sse(self.events(request.dialect))
        return http_reply(200, self.message() if request.dialect == "anthropic" else self.completion())

    def events(self, dialect: str) -> list[bytes]:
        """The stream as framed events, end mark included."""
        return self.anthropic_events() if dialect == "anthropic" else self.openai_events()

    def completion(self) -> dict[str, Any]:
        """OpenAI's whole answer."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None, "refusal": None}
        if self.calls:
            message["tool_calls"] = [_call(i, name, args) for i, (name, args) in enumerate(self.calls)]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish}
        return self._frame("chat.completion") | {"choices": [choice]} | self._openai_usage()

    def openai_events(self) -> list[bytes]:
        """OpenAI's stream: role, pieces, calls, finish, usage, [DONE]."""
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": piece} for piece in self._pieces()]
        for i, (name, arguments) in enumerate(self.calls):
            deltas.append({"tool_calls": [{"index": i, **_call(i, name, "")}]})
            deltas += [{"tool_calls": [{"index": i, "function": {"arguments": part}}]} for part in _halves(arguments)]
        frame = self._frame("chat.completion.chunk")
        chunks = [frame | {"choices": [_choice(delta, None)]} for delta in deltas]
        chunks.append(frame | {"choices": [_choice({}, self.finish)]})
        if self.usage:
            chunks.append(frame | {"choices": []} | self._openai_usage())
        return [data(chunk) for chunk in chunks] + [DONE]

    def message(self) -> dict[str, Any]:
        """Anthropic's whole answer."""
        content: list[dict[str, Any]] = [{"type": "text", "text": self.text}] if self.text else []
        content += [
            {"type": "tool_use", "id": f"toolu_{i}", "name": name, "input": json.loads(arguments)}
            for i, (name, arguments) in enumerate(self.calls)
        ]
        told = {"stop_reason": _STOP_REASONS[self.finish], "stop_sequence": None}
        return self._anthropic_frame() | {"content": content} | told | {"usage": self._anthropic_usage()}

    def anthropic_events(self) -> list[bytes]:
        """Anthropic's stream, from message_start to message_stop."""
        early = self._anthropic_usage() | ({"output_tokens": 1} if self.usage else {})
        start = self._anthropic_frame() | {"content": [], "stop_reason": None, "usage": early}
        events: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
        blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
        if self.text:
            deltas = [{"type": "text_delta", "text": piece} for piece in self._pieces()]
            blocks.append(({"type": "text", "text": ""}, deltas))
        for i, (name, arguments) in enumerate(self.calls):
            parts = _halves(arguments) if arguments != "{}" else []  # Anthropic sends none for no arguments
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
            blocks.append(({"type": "tool_use", "id": f"toolu_{i}", "name": name, "input": {}}, deltas))
        for index, (block, deltas) in enumerate(blocks):
            events.append({"type": "content_block_start", "index": index, "content_block": block})
            events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
            events.append({"type": "content_block_stop", "index": index})
        delta = {"stop_reason": _STOP_REASONS[self.finish], "stop_sequence": None}
        events.append({"type": "message_delta", "delta": delta, "usage": self._anthropic_usage()})
        events.append({"type": "message_stop"})
        return [data(event, event["type"]) for event in events]

    def _pieces(self) -> Sequence[str]:
        return self.pieces or ([self.text] if self.text else [])

    def _frame(self, kind: str) -> dict[str, Any]:
        return {"id": "chatcmpl-fake", "object": kind, "created": CREATED, "model": self.model}

    def _anthropic_frame(self) -> dict[str, Any]:
        return {"id": "msg_fake", "type": "message", "role": "assistant", "model": self.model}

    def _openai_usage(self) -> dict[str, Any]:
        if self.usage is None:
            return {}
        prompt, completion = self.usage
        counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        return {"usage": counts}

    def _anthropic_usage(self) -> dict[str, Any]:
        if self.usage is None:
            return {}
        return {"input_tokens": self.usage[0], "output_tokens": self.usage[1]}


def data(value: object, event: str = "") -> bytes:
    """One event that carries JSON."""
    named = f"event: {event}\n" if event else ""
    return f"{named}data: {json.dumps(value, separators=(',', ':'), ensure_ascii=False)}\n\n".encode()


DONE = b"data: [DONE]\n\n"


def sse(
    events: Iterable[bytes | float], *, framing: Framing = "chunked", gap_s: float = 0.0, ending: Sequence[Step] = ()
) -> Reply:
    """A 200 with an event stream.

    A number among the events is a pause in seconds; `gap_s` passes before every event but the first. `ending`
    stands in for the end of the body, which is then never sent.
    """
    written = list(events)
    told = {"content-type": "text/event-stream; charset=utf-8"}
    if framing == "chunked":
        told["transfer-encoding"] = "chunked"
        written = [b"%x\r\n%b\r\n" % (len(e), e) if isinstance(e, bytes) else e for e in written if e]
        last: tuple[Step, ...] = (b"0\r\n\r\n",)
    elif framing == "length":
        size = sum(len(event) for event in written if isinstance(event, bytes))
        told["content-length"] = str(size + (1000 if ending else 0))
        last = ()
    else:
        told["connection"] = "close"
        last = (CLOSE,)
    steps: list[Step] = [head(200, told)]
    for index, event in enumerate(written):
        steps += [gap_s, event] if gap_s and index else [event]
    return Reply((*steps, *(ending or last)))


def _call(number: int, name: str, arguments: str) -> dict[str, Any]:
    return {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}


def _choice(delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _halves(arguments: str) -> list[str]:
    middle = len(arguments) // 2
    return [part for part in (arguments[:middle], arguments[middle:]) if part]
