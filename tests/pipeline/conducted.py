"""A till whose one provider does what the test conducts, and requests that tell what they were answered."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from neuralrouting.config import CacheConfig, Config, RoutingConfig, UpstreamConfig
from neuralrouting.exchange import Arrival, Chunk, Facts, PlainChunk
from neuralrouting.providers.base import Call, Completion
from till import CONFIG, USAGE, Till

TEXT = "one two three"
ALONE = msgspec.structs.replace(
    CONFIG,
    cache=CacheConfig(persist=False),
    routing=RoutingConfig(max_attempts=1),
    models=CONFIG.models[:1],
    upstream=UpstreamConfig(total_timeout_s=5),
)
"""One model, asked once; nobody waits longer than five seconds."""


def patient(patience_s: float) -> Config:
    return msgspec.structs.replace(ALONE, upstream=UpstreamConfig(total_timeout_s=patience_s))


def piece(text: str) -> Chunk:
    body = {"id": "x", "choices": [{"index": 0, "delta": {"content": text}}]}
    return PlainChunk(msgspec.json.encode(body), text)


def head() -> Chunk:
    return _chunk({"role": "assistant", "content": ""})


def tail(finish: str = "stop") -> list[Chunk]:
    return [_chunk({}, finish), {"id": "x", "object": "chat.completion.chunk", "choices": [], "usage": USAGE}]


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


class Play:
    """One call of the provider: what is put into it comes out, an exception is raised, None ends it."""

    def __init__(self) -> None:
        self.cues: asyncio.Queue[Sequence[Chunk] | BaseException | None] = asyncio.Queue()
        self.stopped = False

    def say(self, *texts: str) -> None:
        for text in texts:
            self.cues.put_nowait([piece(text)])

    def end(self, finish: str = "stop") -> None:
        self.cues.put_nowait(tail(finish))
        self.cues.put_nowait(None)

    def answer(self, finish: str = "stop") -> None:
        """The whole of it, whichever way it was asked."""
        self.cues.put_nowait([head()])
        self.say("one ", "two ", "three")
        self.end(finish)

    def fail(self, error: BaseException) -> None:
        self.cues.put_nowait(error)


class Conducted:
    """A provider whose calls the test conducts, each through its `Play`."""

    name, simulated = "first", False

    def __init__(self, each: Callable[[Play], None] | None = None) -> None:
        self.plays: list[Play] = []
        self._each = each

    async def stream(self, _call: Call) -> AsyncGenerator[Sequence[Chunk], None]:
        play = self._begin()
        try:
            while (cue := await play.cues.get()) is not None:
                if isinstance(cue, BaseException):
                    raise cue
                await asyncio.sleep(0)
                yield cue
        except (asyncio.CancelledError, GeneratorExit):
            play.stopped = True
            raise

    async def complete(self, call: Call) -> Completion:
        text, finish = "", None
        async for batch in self.stream(call):
            for chunk in batch:
                if isinstance(chunk, PlainChunk):
                    text += chunk.text
                elif chunk["choices"]:
                    finish = chunk["choices"][0]["finish_reason"] or finish
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        data = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
        return Completion(msgspec.json.encode(data), data)

    def _begin(self) -> Play:
        self.plays.append(Play())
        if self._each is not None:
            self._each(self.plays[-1])
        return self.plays[-1]


def body(*, stream: bool, prompt: str = "the same") -> bytes:
    return msgspec.json.encode({"model": "m", "stream": stream, "messages": [{"role": "user", "content": prompt}]})


@dataclass
class Asked:
    """One request under way; `said` grows while a stream comes in."""

    arrival: Arrival
    stream: bool
    task: "asyncio.Task[None]"
    said: list[str] = field(default_factory=list)
    finish: list[str] = field(default_factory=list)
    facts: Facts | None = None

    @property
    def text(self) -> str:
        return "".join(self.said)

    @property
    def shared(self) -> bool:
        assert self.facts is not None
        assert (self.facts.cache.outcome == "exact") == self.facts.cache.shared
        return self.facts.cache.shared


def ask(till: Till, *, stream: bool, prompt: str = "the same", **changes: object) -> Asked:
    """Send a request; `changes` are of its arrival."""
    arrival = msgspec.structs.replace(till.arrival(), started_ns=time.perf_counter_ns(), **changes)
    asked = Asked(arrival, stream, None)  # pyright: ignore[reportArgumentType]  there in a moment
    asked.task = asyncio.create_task((_read if stream else _complete)(till, asked, prompt))
    return asked


async def _complete(till: Till, asked: Asked, prompt: str) -> None:
    inspection = till.pipeline.inspect(body(stream=False, prompt=prompt), asked.arrival)
    answer = await till.pipeline.complete(asked.arrival, inspection)
    data = msgspec.json.decode(answer.body)
    asked.said.append(data["choices"][0]["message"]["content"])
    asked.finish.append(data["choices"][0]["finish_reason"])
    asked.facts = answer.facts


async def _read(till: Till, asked: Asked, prompt: str) -> None:
    inspection = till.pipeline.inspect(body(stream=True, prompt=prompt), asked.arrival)
    stream = await till.pipeline.open(asked.arrival, inspection)
    try:
        async for batch in stream.batches:
            for chunk in batch:
                if isinstance(chunk, PlainChunk):
                    asked.said.append(chunk.text)
                elif chunk["choices"]:
                    [choice] = chunk["choices"]
                    asked.said.append(choice["delta"].get("content", ""))
                    asked.finish += [choice["finish_reason"]] if choice["finish_reason"] else []
            await asyncio.sleep(0)
    finally:
        await stream.batches.aclose()
        asked.facts = stream.facts


async def turns(till: Till) -> None:
    """Let everybody go on who can; only for credits anybody waits longer than a turn of the loop."""
    for _ in range(3):
        for _ in range(30):
            await asyncio.sleep(0)
        while till.bank._waiting:  # noqa: ASYNC110  nobody is told when it is empty
            await asyncio.sleep(0.001)


async def done(*asked: Asked) -> list[object]:
    """Wait for all of them; what they raised, None where they were answered."""
    async with asyncio.timeout(10):
        return await asyncio.gather(*(one.task for one in asked), return_exceptions=True)


async def rows_of(till: Till, *asked: Asked) -> list[dict[str, Any]]:
    """The one row of each."""
    await till.bank.flush()
    names = (
        "cache", "status", "error_code", "hold_state", "charged_mc", "cost_nanousd", "prompt_tokens",
        "completion_tokens", "attempts", "latency_us", "overhead_us",
    )  # fmt: skip
    found: list[dict[str, Any]] = []
    for one in asked:
        rows = await till.database.fetch(
            f"SELECT {', '.join(names)} FROM requests WHERE request_id = $1", one.arrival.request_id
        )
        assert len(rows) == 1, f"{len(rows)} rows"
        found.append(dict(zip(names, rows[0], strict=True)))
    return found


def under_way(till: Till) -> int:
    """Keys that somebody leads."""
    return len(till.pipeline._joining.flights)
