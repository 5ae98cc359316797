"""A whole answer as the chunks of a stream: what a provider's own stream would have said, in fewer pieces."""

from collections.abc import Iterator
from typing import Any, Final

from neuralrouting.exchange import JsonObject

PIECE_CHARS: Final = 48
"""Size of the pieces of a text; about ten tokens."""
_FRAME: Final = ("id", "created", "model", "system_fingerprint", "service_tier")
_WORDS: Final = ("reasoning_content", "reasoning", "content", "refusal")
"""Fields of a message that a stream spells out, in this order."""


def chunks_of(data: JsonObject, request_id: str, created_s: int) -> list[JsonObject]:
    """Return a `chat.completion` as `chat.completion.chunk` objects, its usage last.

    `request_id` and `created_s` (Unix time) stand in where the answer has no id or time of its own.
    """
    told = {name: data[name] for name in _FRAME if data.get(name) is not None}
    base: JsonObject = {"id": f"chatcmpl-{request_id}", "created": created_s, "model": None, **told}
    base["object"] = "chat.completion.chunk"
    chunks = [base | {"choices": [piece]} for choice in data["choices"] for piece in _pieces(choice)]
    if data.get("usage"):
        chunks.append(base | {"choices": [], "usage": data["usage"]})
    return chunks


def _pieces(choice: JsonObject) -> Iterator[JsonObject]:
    index, message, logprobs = choice.get("index", 0), choice.get("message") or {}, choice.get("logprobs")
    for delta in _deltas(message):
        yield {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None}
        logprobs = None  # all of them with the first piece: they are one list, whatever the pieces are
    yield {"index": index, "delta": {}, "logprobs": logprobs, "finish_reason": choice.get("finish_reason") or "stop"}


def _deltas(message: JsonObject) -> Iterator[JsonObject]:
    yield {"role": "assistant", "content": ""}
    for name in _WORDS:
        text = message.get(name)
        if isinstance(text, str):
            yield from ({name: text[at : at + PIECE_CHARS]} for at in range(0, len(text), PIECE_CHARS))
        elif text:  # a list of parts
            yield {name: text}
    if calls := message.get("tool_calls"):
        yield {"tool_calls": [_numbered(call, n) for n, call in enumerate(calls)]}
    rest = {n: v for n, v in message.items() if v and n not in ("role", "tool_calls", *_WORDS)}
    if rest:
        yield rest


def _numbered(call: Any, number: int) -> Any:  # noqa: ANN401  any JSON
    return {"index": number, **call} if isinstance(call, dict) else call
