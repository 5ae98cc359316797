"""Writes the chunks of a stream the way the client asked for them, and ends it the way its endpoint does."""

from collections.abc import Iterable

from neuralrouting.api.wire import DONE, billing, event, extra_fields, usage_fields
from neuralrouting.errors import NeuralRoutingError
from neuralrouting.exchange import Chunk, Facts, JsonObject, PlainChunk

_NOT_TOLD = frozenset(("usage", "obfuscation"))


class ChunkWriter:
    """Turns chunk objects into events; holds the usage back, which has a place of its own at the end."""

    __slots__ = ("_base", "_include_usage", "_usage")

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._base: JsonObject = {}
        self._usage: JsonObject | None = None

    def events(self, batch: Iterable[Chunk]) -> bytes:
        """Return the events for these chunks; empty when there is nothing for the client in them."""
        return b"".join([self._event(chunk) for chunk in batch])

    def chat_end(self, facts: Facts) -> bytes:
        """The usage chunk with the extra fields, to who asked for it; then the end mark."""
        if not self._include_usage:
            return DONE
        last = self._base | {"choices": [], "usage": self._usage_of(facts), **extra_fields(facts)}
        return event(last) + DONE

    def dispatch_end(self, facts: Facts) -> bytes:
        """The billing event, then the end mark."""
        return event(billing(facts, self._usage_of(facts))) + DONE

    def error(self, error: NeuralRoutingError) -> bytes:
        """An error inside the stream: no end mark follows, so that nobody takes the answer for whole."""
        return event(dict(error.envelope()))

    def _event(self, chunk: Chunk) -> bytes:
        if not isinstance(chunk, PlainChunk):
            told = self._for_client(chunk)
            return event(told) if told is not None else b""
        if self._include_usage:
            return b'data: %b,"usage":null}\n\n' % chunk.body[:-1]
        return b"data: %b\n\n" % chunk.body

    def _for_client(self, chunk: JsonObject) -> JsonObject | None:
        """What the client is told of a chunk, which itself stays as it is: other requests may read it too."""
        usage = chunk.get("usage")
        told = {name: value for name, value in chunk.items() if name not in _NOT_TOLD}
        if not self._base:
            self._base = {name: value for name, value in told.items() if name != "choices"}
        if usage is not None:
            self._usage = usage
            if not chunk["choices"]:
                return None
        if self._include_usage:
            told["usage"] = None
        return told

    def _usage_of(self, facts: Facts) -> JsonObject:
        told = self._usage if facts.usage.source == "provider" else None
        return told if told is not None else usage_fields(facts.usage)
