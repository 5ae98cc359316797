"""Asking OpenAI-compatible fake upstreams, for the tests of the provider and of the dispatcher."""

import time
from collections.abc import Iterable

import orjson

from fake_upstream import Reply, Step, head
from neuralrouting.catalog import Capabilities, Deployment
from neuralrouting.engine import Engine, Inspection
from neuralrouting.exchange import Chunk, JsonObject, PlainChunk
from neuralrouting.providers.base import Call
from neuralrouting.providers.openai import OpenAIProvider

ENGINE = Engine()
KEY = "CANARY0123456789abcdefCANARY"
"""A key without any prefix that gives it away, as several providers issue them."""


def deployment(provider: str = "acme", model: str = "m-1") -> Deployment:
    return Deployment(
        id=f"{provider}/{model}",
        model=model,
        provider=provider,
        upstream_model=f"{model}-upstream",
        tier="medium",
        context_tokens=128_000,
        max_output_tokens=4096,
        capabilities=Capabilities(tools=True),
        price=None,
    )


def inspection(raw: bytes | None = None, **fields: object) -> Inspection:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return ENGINE.inspect(orjson.dumps(body) if raw is None else raw, "tenant")


def call(raw: bytes | None = None, **fields: object) -> Call:
    return Call(deployment(), inspection(raw, **fields), time.monotonic() + 5)


async def collect(provider: OpenAIProvider, asked: Call, into: list[JsonObject]) -> None:
    """Gather the chunks of a stream, plain ones parsed; those before an error stay in the list."""
    async for batch in provider.stream(asked):
        into += parsed(batch)


def parsed(batch: Iterable[Chunk]) -> list[JsonObject]:
    return [orjson.loads(chunk.body) if isinstance(chunk, PlainChunk) else chunk for chunk in batch]


def text_of(chunks: list[JsonObject], choice: int = 0) -> str:
    said = [c for chunk in chunks for c in chunk["choices"] if c.get("index", 0) == choice]
    return "".join(c["delta"].get("content") or "" for c in said)


def finishes(chunks: list[JsonObject]) -> list[str]:
    return [c["finish_reason"] for chunk in chunks for c in chunk["choices"] if c.get("finish_reason")]


def chunk(*choices: JsonObject, **more: object) -> bytes:
    """One event with these choices."""
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": list(choices)}
    return b"data: %b\n\n" % orjson.dumps(frame | more)


def said(text: str, finish: str | None = None, index: int = 0) -> JsonObject:
    """A streamed choice."""
    return {"index": index, "delta": {"content": text} if text else {}, "finish_reason": finish}


def until_close(body: bytes, *ending: Step, kind: str = "text/event-stream") -> Reply:
    """A 200 whose body ends with the connection."""
    return Reply((head(200, {"content-type": kind}), body, *ending))
