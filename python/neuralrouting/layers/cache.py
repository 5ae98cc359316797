"""Layer 0: what may be stored, and how a stored answer becomes an answer again."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import orjson

from neuralrouting.catalog import Deployment
from neuralrouting.config import CacheConfig
from neuralrouting.engine import CachedReply, Engine, Inspection
from neuralrouting.exchange import Arrival, CacheEntry, Decider, Hints, JsonObject, Usage

_PLAIN_MESSAGE = {"role", "content"}
OWN_FIELDS = frozenset(
    (
        "id",
        "created",
        "model_used",
        "cache_hit",
        "cache_exact",
        "cache_similarity",
        "business_metrics",
        "cascade",
        "request_id",
    )
)
"""Fields that every answer has of its own, whoever gave it: another gateway behind this one may send them too."""
EMBEDDED_AT_ONCE = 64
"""Questions that wait for the second embedder; what is stored beyond them is found by the built-in one alone."""
_PIECE_CHARS = 48
"""Size of the pieces in which a stored answer is streamed; about ten tokens."""


class AnswerCache:
    """Stores whole answers under the key of their request and replays them in either wire shape.

    `keep` takes every stored entry for the database; it must not block. With a `decider`, an entry that other questions
    may be answered with is kept once that has embedded its question, off the request's path. What is `covered` by a
    purge that came while the answer was in the making is not stored.
    """

    def __init__(
        self,
        engine: Engine,
        settings: CacheConfig,
        keep: Callable[[CacheEntry], None],
        decider: Decider | None = None,
        covered: Callable[[CacheEntry], bool] = lambda _entry: False,
    ) -> None:
        self.enabled = settings.enabled
        self._engine = engine
        self._ttl_ms = int(settings.ttl_days * 86_400_000)
        self._keep = keep if settings.persist else _drop
        self._decider = decider
        self._covered = covered
        self._embedding: set[asyncio.Task[None]] = set()

    def takes_part(self, hints: Hints) -> bool:
        """Whether a request may be answered from here, and its answer kept here."""
        return self.enabled and hints.read_cache and hints.write_cache

    def store(
        self, arrival: Arrival, inspection: Inspection, served: Deployment, usage: Usage, data: JsonObject
    ) -> CacheEntry | None:
        """Keep an answer for next time and return it as kept.

        None where the client said `no-store` or it is not fit for a replay.
        """
        if not self.enabled or not arrival.hints.write_cache:
            return None
        body = storable(data)
        if body is None:
            return None
        probe = inspection.probe
        entry = CacheEntry(
            inspection.key,
            arrival.caller.account_id,
            body,
            served.id,
            served.simulated,
            usage.prompt_tokens,
            usage.completion_tokens,
            arrival.created_ms,
            arrival.created_ms + self._ttl_ms,
            inspection.scope,
            probe,
            self._engine.embedder if probe is not None else None,
        )
        if self._covered(entry):
            return None
        if not remember(self._engine, entry):
            return entry
        if probe is None or self._decider is None or len(self._embedding) >= EMBEDDED_AT_ONCE:
            self._keep(entry)
            return entry
        task = asyncio.create_task(self._embed(self._decider, entry, inspection.last_user_text))
        self._embedding.add(task)
        task.add_done_callback(self._embedding.discard)
        return entry

    async def _embed(self, decider: Decider, entry: CacheEntry, text: str) -> None:
        vector = await decider.embed(text)
        if vector is not None:
            entry = msgspec.structs.replace(entry, decider=decider.id, decided=vector)
            self._engine.attach(entry.key, decider.id, vector)
        if not self._covered(entry):
            self._keep(entry)

    async def close(self) -> None:
        """Wait for the questions that are still being embedded."""
        await asyncio.gather(*self._embedding, return_exceptions=True)

    def replay_body(self, hit: CachedReply | CacheEntry, arrival: Arrival) -> bytes:
        """Return the stored answer as a `chat.completion` with an id of its own."""
        request_id = arrival.request_id.encode()
        return b'{"id":"chatcmpl-%b","created":%d,%b' % (request_id, arrival.created_ms // 1000, hit.body[1:])

    def replay_chunks(self, hit: CachedReply | CacheEntry, arrival: Arrival) -> list[JsonObject]:
        """Return the stored answer as `chat.completion.chunk` objects, the usage chunk last."""
        data: JsonObject = orjson.loads(hit.body)
        base: dict[str, Any] = {
            "id": f"chatcmpl-{arrival.request_id}",
            "object": "chat.completion.chunk",
            "created": arrival.created_ms // 1000,
            "model": data.get("model"),
        }
        if "system_fingerprint" in data:
            base["system_fingerprint"] = data["system_fingerprint"]
        chunks = [base | {"choices": [piece]} for choice in data["choices"] for piece in _pieces(choice)]
        if data.get("usage"):
            chunks.append(base | {"choices": [], "usage": data["usage"]})
        return chunks


def _drop(_entry: CacheEntry) -> None:
    """What becomes of entries where none are kept over restarts."""


def remember(engine: Engine, entry: CacheEntry) -> bool:
    """Put an entry into the native cache; False when it is too large or has expired."""
    stored = engine.store(
        entry.key,
        entry.body,
        account=entry.account_id,
        deployment=entry.deployment,
        simulated=entry.simulated,
        prompt_tokens=entry.prompt_tokens,
        completion_tokens=entry.completion_tokens,
        stored_at_s=entry.stored_ms // 1000,
        scope=entry.scope,
        probe=entry.probe,
        embedder=entry.embedder,
    )
    if stored and entry.decider is not None and entry.decided is not None:
        engine.attach(entry.key, entry.decider, entry.decided)
    return stored


def storable(data: JsonObject) -> bytes | None:
    """Return the bytes to store for a whole answer, None for one that must not be answered from the cache.

    Stored are complete plain-text answers only: every choice ended with `stop`, has content, and has nothing that a
    replay in the other wire shape would lose (tool calls, refusals, log probabilities, audio, annotations). What every
    replay has of its own is left out.
    """
    choices = data.get("choices")
    if not choices or not all(_plain(choice) for choice in choices):
        return None
    return orjson.dumps({name: value for name, value in data.items() if name not in OWN_FIELDS})


def _plain(choice: JsonObject) -> bool:
    message = choice.get("message")
    if choice.get("finish_reason") != "stop" or not isinstance(message, dict):
        return False
    if choice.get("logprobs") or not isinstance(message.get("content"), str) or not message["content"]:
        return False
    return all(not value for name, value in message.items() if name not in _PLAIN_MESSAGE)


def _pieces(choice: JsonObject) -> list[JsonObject]:
    index, text = choice.get("index", 0), choice["message"]["content"]
    parts = [text[at : at + _PIECE_CHARS] for at in range(0, len(text), _PIECE_CHARS)]
    deltas = [{"role": "assistant", "content": parts[0]}, *({"content": part} for part in parts[1:])]
    pieces = [{"index": index, "delta": delta, "logprobs": None, "finish_reason": None} for delta in deltas]
    return [*pieces, {"index": index, "delta": {}, "logprobs": None, "finish_reason": "stop"}]
