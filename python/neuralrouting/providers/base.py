"""The port every provider implements: one call, as a whole answer or as batches of chunks."""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from neuralrouting.catalog import Deployment
from neuralrouting.engine import Inspection
from neuralrouting.exchange import Chunk, JsonObject, Usage

MAX_TOKENS_BOUND = 100_000_000
"""A token count above this is a lie: a hundred times the largest context on the market."""


class Call(msgspec.Struct, frozen=True):
    """One attempt. `deadline_s` is on the event loop's clock and covers the whole attempt.

    `output_limit`: tokens that each choice may have at most, where the client's own limit, or none, is too much to pay.
    """

    deployment: Deployment
    inspection: Inspection
    deadline_s: float
    output_limit: int | None = None

    @property
    def bounded(self) -> Deployment:
        """The deployment with no more room for an answer than this call may pay for."""
        served = self.deployment
        if self.output_limit is None or self.output_limit >= served.max_output_tokens:
            return served
        return msgspec.structs.replace(served, max_output_tokens=self.output_limit)


class Completion(msgspec.Struct, frozen=True):
    """A whole answer: `body` is an OpenAI `chat.completion` as bytes, `data` the same, parsed."""

    body: bytes
    data: JsonObject


class Provider(Protocol):
    """One way to reach models.

    Both methods raise a subclass of `errors.UpstreamError` and nothing else; closing the generator or
    cancelling the call closes the connection to the provider.
    """

    name: str
    simulated: bool

    async def complete(self, call: Call) -> Completion:
        """Return the whole answer in OpenAI's shape."""
        ...

    def stream(self, call: Call) -> AsyncGenerator[Sequence[Chunk], None]:
        """Yield OpenAI `chat.completion.chunk` objects, as many at a time as one read brought.

        The first chunk is a parsed one; those after it may be plain.

        The generator ends normally only after the provider's own end mark; a stream that stops before it
        raises `UpstreamInterrupted`. Usage is always asked for and comes in a chunk with `choices: []`.
        """
        ...


def usage_of(data: JsonObject) -> Usage | None:
    """Read OpenAI's `usage` object; None where it is missing. Absurd figures are clamped and marked `capped`."""
    raw = data.get("usage")
    if not isinstance(raw, dict):
        return None
    prompt, completion = raw.get("prompt_tokens"), raw.get("completion_tokens")
    if prompt is None or completion is None:
        return None
    read, wrote = _details(raw, "prompt_tokens_details"), _details(raw, "completion_tokens_details")
    told = (
        prompt,
        completion,
        read.get("cached_tokens") or 0,
        read.get("cache_write_tokens") or 0,
        wrote.get("reasoning_tokens") or 0,
    )
    sane = [n if _is_count(n) else 0 for n in told]
    sane[2] = min(sane[2], sane[0])
    sane[3] = min(sane[3], sane[0] - sane[2])
    sane[4] = min(sane[4], sane[1])
    return Usage(*sane, source="provider" if tuple(sane) == told else "capped")


def billed_usage(data: JsonObject, counted: Callable[[], Usage]) -> Usage:
    """Read OpenAI's `usage` object for billing; `counted` is our own count, taken where it is missing or nonsense.

    An explicit zero is what it says. What is part nonsense is marked `capped`.
    """
    told = usage_of(data)
    if told is None or told.source == "provider":
        return told or counted()
    raw, own = data["usage"], counted()
    prompt = told.prompt_tokens if _is_count(raw["prompt_tokens"]) else own.prompt_tokens
    completion = told.completion_tokens if _is_count(raw["completion_tokens"]) else own.completion_tokens
    return msgspec.structs.replace(told, prompt_tokens=prompt, completion_tokens=completion)


def said_in(message: JsonObject) -> Iterator[str]:
    """Yield whatever a message, or a piece of one, says: all of it is billed as output, thoughts and calls included."""
    for name in ("content", "refusal"):
        text = message.get(name)
        if isinstance(text, str):
            yield text
        elif isinstance(text, list):  # Mistral's reasoning models
            yield from (str(part.get("text") or "") for part in text if isinstance(part, dict))
    thought = message.get("reasoning_content") or message.get("reasoning")  # some tell it under both names
    if isinstance(thought, str):
        yield thought
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        yield f"{function.get('name') or ''}{function.get('arguments') or ''}"


def _is_count(told: object) -> bool:
    return type(told) is int and 0 <= told <= MAX_TOKENS_BOUND


def _details(usage: JsonObject, name: str) -> JsonObject:
    details = usage.get(name)
    return details if isinstance(details, dict) else {}
