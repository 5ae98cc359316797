"""Sends one request along its route: the next candidate is asked only before the first byte reaches the client."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Self, TypeVar

import msgspec

from neuralrouting.catalog import Deployment
from neuralrouting.config import UpstreamConfig
from neuralrouting.engine import Inspection
from neuralrouting.errors import (
    NoCapableModel,
    UpstreamAuth,
    UpstreamBadResponse,
    UpstreamError,
    UpstreamInterrupted,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from neuralrouting.exchange import Attempt, Chunk, PlainChunk, Route
from neuralrouting.providers.base import Call, Completion, Provider
from neuralrouting.providers.speeds import Speeds

MAX_GATE_CHUNKS = 64
"""Chunks without content that are held back while waiting for the first token; more is a broken stream."""
RETRY_PAUSE_S = (0.05, 0.25)
"""Jittered pause before the only candidate is asked a second time, unless it named one itself."""
MAX_RETRY_PAUSE_S = 2.0
"""A provider that asks for a longer pause gets no second try: the client can wait better than we can."""
MAX_RETRY_PAUSE_SHARE = 0.25
"""Nor does one whose pause would take more of the time that is left than this."""
CLIENT_CLOSED = "client_closed"
"""Outcome of an attempt whose client left; the provider may bill it all the same."""

log = logging.getLogger("neuralrouting.providers")
_T = TypeVar("_T")


class Served(msgspec.Struct, frozen=True):
    """A whole answer and who gave it."""

    deployment: Deployment
    completion: Completion


class Remainder:
    """What follows the first token, with a bound on silence and on the whole.

    An iterator, not a generator: closing it closes the stream also when nothing was read from it.
    """

    __slots__ = ("_chunks", "_deadline_s", "_failed", "_idle_s")

    def __init__(
        self,
        chunks: AsyncGenerator[Sequence[Chunk], None],
        idle_s: float,
        deadline_s: float,
        failed: Callable[[UpstreamError], None],
    ) -> None:
        self._chunks = chunks
        self._idle_s = idle_s
        self._deadline_s = deadline_s
        self._failed = failed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[Chunk]:
        """Return the next batch; raises UpstreamError, after which the stream is closed."""
        try:
            async with asyncio.timeout_at(min(time.monotonic() + self._idle_s, self._deadline_s)):
                return await anext(self._chunks)
        except UpstreamError as error:
            self._failed(error)
            raise
        except TimeoutError as error:
            silent = UpstreamTimeout(f"the provider fell silent for {self._idle_s:g} s or took too long")
            self._failed(silent)
            raise silent from error

    async def aclose(self) -> None:
        """Close the stream and its connection."""
        await self._chunks.aclose()


class OpenedStream(msgspec.Struct, frozen=True):
    """A stream that has begun: `first` holds everything up to the first token, `rest` what follows."""

    deployment: Deployment
    first: Sequence[Chunk]
    rest: Remainder
    started_s: float
    ttft_us: int


class Dispatcher:
    """Tries the candidates of a route in order, within the attempt and time limits."""

    def __init__(
        self, providers: Mapping[str, Provider], speeds: Speeds, upstream: UpstreamConfig, max_attempts: int
    ) -> None:
        self._providers = providers
        self.speeds = speeds
        self._upstream = upstream
        self._max_attempts = max_attempts

    async def complete(
        self,
        route: Route,
        inspection: Inspection,
        attempts: list[Attempt],
        output_limit: int | None = None,
        began_s: float | None = None,
    ) -> Served:
        """Return the first whole answer; appends every attempt to `attempts`; raises the last UpstreamError.

        `began_s`: when the time for this request began to run, where that was before this call.
        """
        deadline_s = (began_s or time.monotonic()) + self._upstream.total_timeout_s

        async def ask(deployment: Deployment, started_s: float, *, last: bool) -> Served:
            # Half of what is left, so that there is time for who comes next.
            until_s = deadline_s if last else (started_s + deadline_s) / 2
            return await self._whole(Call(deployment, inspection, until_s, output_limit), attempts, started_s)

        return await self._first(route, deadline_s, attempts, ask)

    async def once(
        self, deployment: Deployment, inspection: Inspection, attempts: list[Attempt], output_limit: int | None = None
    ) -> Served:
        """Return the whole answer of one candidate, asked once, with half the time: others may be asked after it.

        Appends the attempt to `attempts`; raises UpstreamError.
        """
        started_s = time.monotonic()
        until_s = started_s + min(self._upstream.total_timeout_s, self._upstream.stream_timeout_s) / 2
        call = Call(deployment, inspection, until_s, output_limit)
        found = await self._tried(self._whole(call, attempts, started_s), deployment, attempts, started_s)
        if isinstance(found, UpstreamError):
            raise found
        return found

    async def open(
        self,
        route: Route,
        inspection: Inspection,
        attempts: list[Attempt],
        output_limit: int | None = None,
        began_s: float | None = None,
    ) -> OpenedStream:
        """Return a stream whose first token is there; appends failed attempts; raises the last UpstreamError.

        `began_s` as for `complete`.
        """
        deadline_s = (began_s or time.monotonic()) + self._upstream.stream_timeout_s

        async def ask(deployment: Deployment, started_s: float, *, last: bool) -> OpenedStream:
            until_s = deadline_s if last else min(deadline_s, started_s + self._upstream.first_token_timeout_s)
            call = Call(deployment, inspection, deadline_s, output_limit)
            chunks = self._providers[deployment.provider].stream(call)
            try:
                async with asyncio.timeout_at(until_s):
                    first = await _gate(chunks, deployment)
            except BaseException:
                await chunks.aclose()
                raise
            rest = Remainder(
                chunks, self._upstream.idle_timeout_s, deadline_s, lambda error: self._cool(deployment, error)
            )
            return OpenedStream(deployment, first, rest, started_s, _since_us(started_s))

        return await self._first(route, deadline_s, attempts, ask)

    async def _first(
        self, route: Route, deadline_s: float, attempts: list[Attempt], ask: "Callable[..., Awaitable[_T]]"
    ) -> _T:
        """Ask one candidate after the other until one answers. `last` tells `ask` that no other one follows."""
        targets = self._targets(route, self._max_attempts - len(attempts))
        retry_after_s: float | None = None
        for position, deployment in enumerate(targets):
            started_s = time.monotonic()
            asking = ask(deployment, started_s, last=deployment.id == targets[-1].id)
            found = await self._tried(asking, deployment, attempts, started_s)
            if not isinstance(found, UpstreamError):
                return found
            if isinstance(found, UpstreamRateLimited):  # the client may come back as soon as the first of them allows
                retry_after_s = found.retry_after_s = _sooner(retry_after_s, found.retry_after_s)
            await _pause_or_raise(found, targets[position:], deadline_s)
        raise NoCapableModel("no model can serve this request")

    async def _tried(
        self, asking: "Awaitable[_T]", deployment: Deployment, attempts: list[Attempt], started_s: float
    ) -> "_T | UpstreamError":
        """Return an answer, or why there is none; a candidate that failed is noted and rests."""
        try:
            return await asking
        except asyncio.CancelledError:
            attempts.append(_attempt(deployment, CLIENT_CLOSED, started_s, None))
            raise
        except (UpstreamError, TimeoutError) as error:
            fault = _fault(error, deployment, started_s)
        attempts.append(_attempt(deployment, fault.code or fault.type, started_s, fault.provider_status))
        self._cool(deployment, fault)
        return fault

    async def _whole(self, call: Call, attempts: list[Attempt], started_s: float) -> Served:
        async with asyncio.timeout_at(call.deadline_s):
            completion = await self._providers[call.deployment.provider].complete(call)
        attempts.append(_attempt(call.deployment, "ok", started_s, 200))
        return Served(call.deployment, completion)

    def _targets(self, route: Route, most: int) -> tuple[Deployment, ...]:
        targets = route.candidates[: max(1, most)]
        return targets * 2 if len(targets) == 1 < most else targets

    def _cool(self, deployment: Deployment, fault: UpstreamError) -> None:
        if not fault.cooldown_s:
            return
        told_s = None if isinstance(fault, UpstreamAuth) else fault.retry_after_s
        if not self.speeds.cooling(deployment.id, time.monotonic()):  # once a rest: a provider that is down is one line
            log.warning("%s failed (%s); others are preferred for a while", deployment.id, fault.code)
        self.speeds.cool(deployment.id, time.monotonic() + (told_s or fault.cooldown_s))


async def _pause_or_raise(fault: UpstreamError, targets: tuple[Deployment, ...], deadline_s: float) -> None:
    """Raise when nobody is left to ask; before the same target is asked again, wait a moment."""
    failed, *others = targets
    if not others or not fault.failover:
        raise fault
    if others[0].id != failed.id:
        return
    if not fault.retry or (isinstance(fault, UpstreamRateLimited) and fault.retry_after_s is None):
        raise fault
    pause_s = fault.retry_after_s or random.uniform(*RETRY_PAUSE_S)  # noqa: S311  jitter, not secrecy
    if pause_s > min(MAX_RETRY_PAUSE_S, MAX_RETRY_PAUSE_SHARE * (deadline_s - time.monotonic())):
        raise fault
    await asyncio.sleep(pause_s)


async def _gate(chunks: AsyncGenerator[Sequence[Chunk], None], deployment: Deployment) -> list[Chunk]:
    """Collect chunks up to the first that carries something, so that a failure before it stays invisible."""
    held: list[Chunk] = []
    async for batch in chunks:
        held += batch
        if any(_carries(chunk) for chunk in batch):
            return held
        if len(held) > MAX_GATE_CHUNKS:
            break
    raise UpstreamBadResponse(f"{deployment.provider} streamed nothing")


def _carries(chunk: Chunk) -> bool:
    if isinstance(chunk, PlainChunk):
        return bool(chunk.text)
    for choice in chunk["choices"]:
        delta = choice.get("delta") or {}
        if choice.get("finish_reason") or any(value for name, value in delta.items() if name != "role"):
            return True
    return False


def _fault(error: UpstreamError | TimeoutError, deployment: Deployment, started_s: float) -> UpstreamError:
    if isinstance(error, TimeoutError):
        return UpstreamTimeout(f"{deployment.provider} gave no answer in {time.monotonic() - started_s:.1f} s")
    if isinstance(error, UpstreamInterrupted):  # nothing has reached the client yet, so another may be asked
        return UpstreamBadResponse(error.message)
    return error


def _sooner(one_s: float | None, other_s: float | None) -> float | None:
    told = [each for each in (one_s, other_s) if each is not None]
    return min(told, default=None)


def _attempt(deployment: Deployment, outcome: str, started_s: float, status: int | None) -> Attempt:
    return Attempt(deployment.id, deployment.provider, outcome, _since_us(started_s), provider_status=status)


def _since_us(started_s: float) -> int:
    return int((time.monotonic() - started_s) * 1_000_000)
