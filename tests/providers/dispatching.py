"""A dispatcher over fake upstreams, one per candidate, for its tests."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from openaiish import KEY, deployment, inspection, parsed, text_of

from fake_upstream import FakeUpstream, Script
from neuralrouting.config import UpstreamConfig
from neuralrouting.exchange import Attempt, JsonObject, Route
from neuralrouting.providers.dispatcher import Dispatcher, OpenedStream, Served
from neuralrouting.providers.http import HttpClient
from neuralrouting.providers.openai import OpenAIProvider
from neuralrouting.providers.speeds import Speeds

PATIENT = UpstreamConfig(total_timeout_s=9, stream_timeout_s=9, first_token_timeout_s=9, idle_timeout_s=9)
NAMES = ("first", "second", "third")


class Scene:
    """The candidates of one route, in order, and what became of a request."""

    def __init__(
        self, http: HttpClient, upstreams: list[FakeUpstream], limits: UpstreamConfig, max_attempts: int
    ) -> None:
        self.upstreams = upstreams
        self.speeds = Speeds()
        self.attempts: list[Attempt] = []
        self.elapsed_s = 0.0
        providers = {
            name: OpenAIProvider(name, http, upstream.url, KEY)
            for name, upstream in zip(NAMES, upstreams, strict=False)
        }
        self.route = Route("auto", "test", tuple(deployment(name) for name in providers))
        self.dispatcher = Dispatcher(providers, self.speeds, limits, max_attempts)

    async def complete(self) -> Served:
        started_s = time.monotonic()
        try:
            return await self.dispatcher.complete(self.route, inspection(), self.attempts)
        finally:
            self.elapsed_s = time.monotonic() - started_s

    async def open(self) -> OpenedStream:
        started_s = time.monotonic()
        try:
            return await self.dispatcher.open(self.route, inspection(stream=True), self.attempts)
        finally:
            self.elapsed_s = time.monotonic() - started_s

    async def text(self, *, streamed: bool) -> str:
        """The whole answer, asked for in either form."""
        if not streamed:
            return (await self.complete()).completion.data["choices"][0]["message"]["content"]
        opened = await self.open()
        chunks: list[JsonObject] = []
        await rest_of(opened, chunks)
        return text_of(chunks)

    @property
    def asked(self) -> tuple[int, ...]:
        """Requests that each candidate got."""
        return tuple(len(upstream.requests) for upstream in self.upstreams)

    @property
    def outcomes(self) -> list[str]:
        return [attempt.outcome for attempt in self.attempts]

    def rests_s(self, name: str) -> float:
        """Seconds for which others are preferred to a candidate from now on, to a hundredth; 0 for none."""
        now_s = time.monotonic()
        low, high = 0.0, 1000.0
        while high - low > 0.01:
            middle = (low + high) / 2
            low, high = (middle, high) if self.speeds.cooling(f"{name}/m-1", now_s + middle) else (low, middle)
        return low


@contextlib.asynccontextmanager
async def scene(
    *scripts: Script, limits: UpstreamConfig = PATIENT, max_attempts: int = 3, **changes: float
) -> AsyncIterator[Scene]:
    """One candidate for each script. On leaving, no task, no socket and no generator may be left over."""
    tasks, sockets, http = asyncio.all_tasks(), open_sockets(), HttpClient()
    async with contextlib.AsyncExitStack() as stack:
        upstreams = [await stack.enter_async_context(FakeUpstream(script)) for script in scripts]
        limits = msgspec.structs.replace(limits, **changes)
        try:
            yield Scene(http, upstreams, limits, max_attempts)
            assert asyncio.all_tasks() == tasks
        finally:
            await http.close()
            await asyncio.sleep(0.01)  # closing a socket takes a turn of the loop
    assert open_sockets() == sockets


async def rest_of(opened: OpenedStream, into: list[JsonObject]) -> None:
    """Gather an opened stream to its end; what came before an error stays in the list."""
    into += parsed(opened.first)
    async for batch in opened.rest:
        into += parsed(batch)


def open_sockets() -> int:
    """Sockets of this process; the fake upstreams' are among them."""
    targets: list[str] = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            targets.append(str(link.readlink()))
    return sum(target.startswith("socket:") for target in targets)
