"""Cache entries for tests: what they say, where they belong, and probes with an embedding at its place."""

import orjson

from neuralrouting.exchange import CacheEntry

EMBEDDER = "builtin-test"


def answer(*texts: str) -> bytes:
    """The body of a stored answer with one choice a text."""
    choices = [
        {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for index, text in enumerate(texts)
    ]
    return orjson.dumps({"object": "chat.completion", "model": "m", "choices": choices})


def embedding(*numbers: int) -> bytes:
    """256 signed bytes that begin with these numbers; the rest is 0."""
    return bytes(number & 0xFF for number in numbers) + bytes(256 - len(numbers))


def probe(vector: bytes) -> bytes:
    """A probe: version, canonical hash, embedding, features."""
    return b"\x01" + bytes(32) + vector + b"features"


def scope_of(name: str) -> bytes:
    return name.encode().ljust(32, b".")


def stored(
    key: bytes | str,
    account_id: str = "acme",
    *,
    body: bytes = b"",
    scope: bytes | str | None = None,
    vector: bytes | None = None,
    embedder: str = EMBEDDER,
    stored_ms: int = 500,
    expires_ms: int = 1 << 50,
) -> CacheEntry:
    """An entry; with a scope it has a probe."""
    near = scope is not None
    return CacheEntry(
        key=key.encode() if isinstance(key, str) else key,
        account_id=account_id,
        body=body or answer("an answer"),
        deployment="openai/gpt-4o-mini",
        simulated=True,
        prompt_tokens=3,
        completion_tokens=4,
        stored_ms=stored_ms,
        expires_ms=expires_ms,
        scope=scope_of(scope) if isinstance(scope, str) else scope,
        probe=probe(vector if vector is not None else embedding(1)) if near else None,
        embedder=embedder if near else None,
    )
