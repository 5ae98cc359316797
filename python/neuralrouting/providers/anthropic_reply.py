"""From Anthropic's message to OpenAI's chat completion; pure. Streams: anthropic_stream."""

import msgspec
import orjson
from msgspec import Raw

from neuralrouting.errors import UpstreamBadResponse, UpstreamError
from neuralrouting.exchange import JsonObject
from neuralrouting.providers.faults import fault_of

NULL = Raw(b"null")
NO_OBJECT = Raw(b"{}")
ZERO = Raw(b"0")
_MAX_DIGITS = 15
"""A longer count is no count."""
THINKING = ("thinking", "redacted_thinking")
FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "compaction": "length",
    "pause_turn": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""OpenAI's finish reason for each stop reason; one that is not here counts as `stop`."""
_STATUS_OF = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status each error type has when it is not inside a 200. Source: Anthropic's API reference, Errors."""


class Block(msgspec.Struct, frozen=True):
    """One content block of an answer, of any type."""

    type: str
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")


class MessageReply(msgspec.Struct, frozen=True):
    """An answer as Anthropic gives it. Counts stay unread: a provider that miscounts has still answered."""

    id: str
    content: tuple[Raw, ...]
    type: str = ""
    model: str = ""
    stop_reason: str | None = None
    usage: dict[str, Raw] | None = None


class _Failure(msgspec.Struct, frozen=True):
    class Error(msgspec.Struct, frozen=True):
        type: str = ""

    error: Error | None = None


class _OutputDetails(msgspec.Struct, frozen=True):
    thinking_tokens: int = 0


_REPLY = msgspec.json.Decoder(MessageReply)
_BLOCK = msgspec.json.Decoder(Block)
_FAILURE = msgspec.json.Decoder(_Failure)
_OUTPUT_DETAILS = msgspec.json.Decoder(_OutputDetails)


def completion_of(body: bytes, provider: str, created_s: int) -> JsonObject:
    """Return the `chat.completion`.

    Raises the error that a 200 carries, and UpstreamBadResponse for what is no message. Thinking goes into
    `reasoning_content` for the reader and into `thinking_blocks`, verbatim, for the next request.
    """
    if (fault := error_inside(body, provider)) is not None:
        raise fault
    try:
        reply = _REPLY.decode(body)
        message = _message([(_BLOCK.decode(raw), raw) for raw in reply.content])
    except (msgspec.DecodeError, ValueError) as error:  # ValueError: not UTF-8
        raise UpstreamBadResponse(f"{provider} answered with what is not a message: {error}") from error
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": FINISH_REASONS.get(reply.stop_reason or "", "stop"),
    }
    completion: JsonObject = {
        "id": reply.id,
        "object": "chat.completion",
        "created": created_s,
        "model": reply.model,
        "choices": [choice],
    }
    if (usage := usage_of_message(counted(reply.usage))) is not None:
        completion["usage"] = usage
    return completion


def usage_of_message(usage: dict[str, Raw]) -> JsonObject | None:
    """Return OpenAI's usage, whose prompt tokens include cached ones, which Anthropic's leave out.

    None where a count is missing or is no natural number: nothing can be added up then.
    """
    fresh, output = _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))
    written = _count(usage.get("cache_creation_input_tokens", ZERO))
    read = _count(usage.get("cache_read_input_tokens", ZERO))
    if fresh is None or output is None or written is None or read is None:
        return None
    return {
        "prompt_tokens": fresh + written + read,
        "completion_tokens": output,
        "total_tokens": fresh + written + read + output,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": _thinking_tokens(usage)},
    }


def counted(usage: dict[str, Raw] | None) -> dict[str, Raw]:
    """Return the counts that are there; Anthropic writes null where it has nothing to say."""
    return {field: raw for field, raw in (usage or {}).items() if raw != NULL}


def error_inside(body: bytes, provider: str) -> UpstreamError | None:
    """Return the error that a 200 or an event carries, as if it had come with its own status."""
    try:
        error = _FAILURE.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # whoever reads the body as a message says what is wrong with it
    return None if error is None else fault_of(_STATUS_OF.get(error.type, 200), {}, body, provider)


def arguments_of(raw: Raw) -> str:
    """Return a tool's input as the string OpenAI has: the same bytes, so that big integers survive."""
    return "{}" if raw == NULL else bytes(raw).decode()


def tool_call(block: Block, arguments: str) -> JsonObject:
    """Return an OpenAI tool call."""
    return {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": arguments}}


def _message(blocks: list[tuple[Block, Raw]]) -> JsonObject:
    texts = [block.text for block, _ in blocks if block.type == "text"]
    calls = [tool_call(block, arguments_of(block.input)) for block, _ in blocks if block.type == "tool_use"]
    message: JsonObject = {
        "role": "assistant",
        "content": "".join(texts) if texts or not calls else None,
        "refusal": None,
    }
    if calls:
        message["tool_calls"] = calls
    if any(block.type in THINKING for block, _ in blocks):
        message["reasoning_content"] = "".join(block.thinking for block, _ in blocks)
        message["thinking_blocks"] = [orjson.loads(bytes(raw)) for block, raw in blocks if block.type in THINKING]
    return message


def _count(raw: Raw | None) -> int | None:
    digits = b"" if raw is None else bytes(raw)
    return int(digits) if digits.isdigit() and len(digits) <= _MAX_DIGITS else None


def _thinking_tokens(usage: dict[str, Raw]) -> int:
    try:
        return _OUTPUT_DETAILS.decode(usage.get("output_tokens_details", NO_OBJECT)).thinking_tokens
    except msgspec.DecodeError:
        return 0
