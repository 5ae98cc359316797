"""Sends one request along its route: the next candidate is asked only before the first byte reaches the client."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Mapping

import msgspec

from neuralrouting.catalog import Deployment
from neuralrouting.config import UpstreamConfig
from neuralrouting.engine import Inspection
from neuralrouting.errors import (
    NoCapableModel,
    UpstreamBadResponse,
    UpstreamError,
    UpstreamInterrupted,
    UpstreamTimeout,
)
from neuralrouting.exchange import Attempt, JsonObject, Route
from neuralrouting.providers.base import Call, Completion, Provider
from neuralrouting.providers.speeds import Speeds

MAX_GATE_CHUNKS = 64
"""Chunks without content that are held back while waiting for the first token; more is a broken stream."""
RETRY_PAUSE_S = (0.05, 0.25)
"""Jittered pause before the only candidate is asked a second time, unless it named one itself."""
MAX_RETRY_PAUSE_S = 2.0
"""A provider that asks for a longer pause gets no second try: the client can wait better than we can."""


class Served(msgspec.Struct, frozen=True):
    """A whole answer and who gave it."""

    deployment: Deployment
    completion: Completion


class OpenedStream(msgspec.Struct, frozen=True):
    """A stream that has begun: `first` holds everything up to the first token, `rest` what follows."""

    deployment: Deployment
    first: list[JsonObject]
    rest: AsyncGenerator[list[JsonObject], None]
    started_s: float
    ttft_us: int


class Dispatcher:
    """Tries the candidates of a route in order, within the attempt and time limits."""

    def __init__(
        self, providers: Mapping[str, Provider], speeds: Speeds, upstream: UpstreamConfig, max_attempts: int
    ) -> None:
        self._providers = providers
        self._speeds = speeds
        self._upstream = upstream
        self._max_attempts = max_attempts

    async def complete(self, route: Route, inspection: Inspection, request_id: str, attempts: list[Attempt]) -> Served:
        """Return the first whole answer; appends every attempt to `attempts`; raises the last UpstreamError."""
        timeout_s = self._upstream.total_timeout_s
        deadline_s = time.monotonic() + timeout_s
        targets = self._targets(route)
        for position, deployment in enumerate(targets):
            started_s = time.monotonic()
            call = Call(deployment, inspection, self._until(deadline_s, len(targets) - position), request_id)
            try:
                async with asyncio.timeout_at(call.deadline_s):
                    completion = await self._providers[deployment.provider].complete(call)
            except (UpstreamError, TimeoutError) as error:
                fault = self._failed(error, deployment, started_s, attempts)
                await self._pause_or_raise(fault, targets, position)
            else:
                attempts.append(_good(deployment, started_s, None))
                return Served(deployment, completion)
        raise NoCapableModel("no model can serve this request")

    async def open(
        self, route: Route, inspection: Inspection, request_id: str, attempts: list[Attempt]
    ) -> OpenedStream:
        """Return a stream whose first token is there; appends failed attempts; raises the last UpstreamError."""
        deadline_s = time.monotonic() + self._upstream.stream_timeout_s
        targets = self._targets(route)
        for position, deployment in enumerate(targets):
            started_s = time.monotonic()
            call = Call(deployment, inspection, deadline_s, request_id)
            chunks = self._providers[deployment.provider].stream(call)
            last = position == len(targets) - 1
            patience_s = deadline_s if last else started_s + self._upstream.first_token_timeout_s
            try:
                async with asyncio.timeout_at(min(patience_s, deadline_s)):
                    first = await _gate(chunks, deployment)
            except (UpstreamError, TimeoutError) as error:
                await chunks.aclose()
                fault = self._failed(error, deployment, started_s, attempts)
                await self._pause_or_raise(fault, targets, position)
            except BaseException:
                await chunks.aclose()
                raise
            else:
                rest = self._timed(chunks, deadline_s)
                return OpenedStream(deployment, first, rest, started_s, _since_us(started_s))
        raise NoCapableModel("no model can serve this request")

    async def _timed(
        self, chunks: AsyncGenerator[list[JsonObject], None], deadline_s: float
    ) -> AsyncGenerator[list[JsonObject], None]:
        """The rest of a stream, with a bound on silence and on the whole."""
        idle_s = self._upstream.idle_timeout_s
        try:
            while True:
                try:
                    async with asyncio.timeout_at(min(time.monotonic() + idle_s, deadline_s)):
                        batch = await anext(chunks)
                except StopAsyncIteration:
                    return
                except TimeoutError as error:
                    raise UpstreamTimeout(f"the provider fell silent for {idle_s:g} s or took too long") from error
                yield batch
        finally:
            await chunks.aclose()

    def _targets(self, route: Route) -> tuple[Deployment, ...]:
        targets = route.candidates[: self._max_attempts]
        return targets * 2 if len(targets) == 1 < self._max_attempts else targets

    def _until(self, deadline_s: float, attempts_left: int) -> float:
        """Each attempt may use what is left, less an equal share for those that may follow."""
        now_s = time.monotonic()
        share = 1.0 if attempts_left == 1 else 0.5
        return now_s + (deadline_s - now_s) * share

    def _failed(
        self, error: UpstreamError | TimeoutError, deployment: Deployment, started_s: float, attempts: list[Attempt]
    ) -> UpstreamError:
        if isinstance(error, TimeoutError):
            error = UpstreamTimeout(f"{deployment.provider} gave no answer in {time.monotonic() - started_s:.1f} s")
        elif isinstance(error, UpstreamInterrupted):  # nothing has reached the client yet, so another may be asked
            error = UpstreamBadResponse(error.message)
        attempts.append(
            Attempt(
                deployment.id, deployment.provider, error.code or "upstream_error", _since_us(started_s),
                None, error.provider_status,
            )
        )  # fmt: skip
        if error.failover and error.cooldown_s:
            self._speeds.cool(deployment.id, time.monotonic() + (error.retry_after_s or error.cooldown_s))
        return error

    async def _pause_or_raise(self, fault: UpstreamError, targets: tuple[Deployment, ...], position: int) -> None:
        """Raise when nobody is left to ask; before the same target is asked again, wait a moment."""
        if position == len(targets) - 1 or not fault.failover:
            raise fault
        if targets[position + 1].id == targets[position].id:
            pause_s = fault.retry_after_s or random.uniform(*RETRY_PAUSE_S)  # noqa: S311  jitter, not secrecy
            if not fault.retry or pause_s > MAX_RETRY_PAUSE_S:
                raise fault
            await asyncio.sleep(pause_s)


async def _gate(chunks: AsyncGenerator[list[JsonObject], None], deployment: Deployment) -> list[JsonObject]:
    """Collect chunks up to the first that carries something, so that a failure before it stays invisible."""
    held: list[JsonObject] = []
    async for batch in chunks:
        held += batch
        if any(_carries(chunk) for chunk in batch):
            return held
        if len(held) > MAX_GATE_CHUNKS:
            break
    raise UpstreamBadResponse(f"{deployment.provider} streamed nothing")


def _carries(chunk: JsonObject) -> bool:
    for choice in chunk["choices"]:
        delta = choice.get("delta") or {}
        if choice.get("finish_reason") or any(value for name, value in delta.items() if name != "role"):
            return True
    return False


def _good(deployment: Deployment, started_s: float, ttft_us: int | None) -> Attempt:
    return Attempt(deployment.id, deployment.provider, "ok", _since_us(started_s), ttft_us, 200)


def _since_us(started_s: float) -> int:
    return int((time.monotonic() - started_s) * 1_000_000)
