"""A scripted provider on raw sockets: it records what it is sent byte for byte and answers, or fails, as told.

    async with FakeUpstream([http_reply(503), answer("hello")]) as upstream:
        ...                          # first request: 503; second and later ones: an answer in the asked dialect
        upstream.requests[0].json()  # what the first request said

A script is a list, whose last entry repeats, or a function of the request. An entry is a Reply or a function of the
request that makes one. A Reply is a list of steps: bytes to send, seconds to wait, or one of RESET, CLOSE, HANG.
Without a closing step the connection is kept alive. See fake_replies for answers and fake_faults for failures.
"""

import asyncio
import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any, Self, TypeAlias

REASONS = {200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}
MAX_HEADER_BYTES = 256 * 1024


class Ending(Enum):
    """How a connection ends; HANG leaves it open in silence until the client goes away."""

    RESET = "reset"
    CLOSE = "close"
    HANG = "hang"


RESET, CLOSE, HANG = Ending.RESET, Ending.CLOSE, Ending.HANG
Step: TypeAlias = bytes | float | Ending


@dataclass(frozen=True)
class Recorded:
    """One request as it came over the wire."""

    method: str
    path: str
    header_lines: tuple[tuple[str, str], ...]
    body: bytes
    raw: bytes

    @property
    def headers(self) -> dict[str, str]:
        """Headers by lower-case name."""
        return {name.lower(): value for name, value in self.header_lines}

    def json(self) -> Any:  # noqa: ANN401  whatever was sent
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def dialect(self) -> str:
        """Which API was asked, by its path."""
        return "anthropic" if self.path.endswith("/messages") else "openai"

    @property
    def stream(self) -> bool:
        """Whether a stream was asked for."""
        return self.body.startswith(b"{") and self.json().get("stream") is True


@dataclass(frozen=True)
class Reply:
    """What goes back, step by step."""

    steps: tuple[Step, ...]

    def then(self, *steps: Step) -> "Reply":
        """The same with more steps after it."""
        return Reply(self.steps + steps)

    def in_bits(self, size: int = 1, gap_s: float = 0.0) -> "Reply":
        """The same bytes in writes of `size`, each on its own."""
        return Reply(tuple(_split(self.steps, size, gap_s)))

    def cut(self, size: int, *ending: Step) -> "Reply":
        """The first `size` bytes only, then the ending."""
        joined = b"".join(step for step in self.steps if isinstance(step, bytes))
        return Reply((joined[:size], *ending))

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(len(step) for step in self.steps if isinstance(step, bytes))


Entry: TypeAlias = Reply | Callable[[Recorded], Reply]
Script: TypeAlias = Sequence[Entry] | Callable[[Recorded], Reply]


def http_reply(
    status: int = 200,
    body: bytes | dict[str, Any] = b"",
    headers: dict[str, str] | None = None,
    *,
    version: str = "1.1",
) -> Reply:
    """A whole answer with Content-Length; a dict becomes JSON."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"content-type": "application/json", "content-length": str(len(payload))} | (headers or {})
    return Reply((head(status, told, version=version) + payload,))


def head(status: int, headers: dict[str, str], *, version: str = "1.1") -> bytes:
    """Status line and headers."""
    lines = [f"HTTP/{version} {status} {REASONS.get(status, 'Status')}", *(f"{n}: {v}" for n, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def refused_url() -> str:
    """A base URL at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@dataclass
class FakeUpstream:
    """The server: own thread, own loop, at `url`. `accepting` off resets every connection as it is made."""

    script: Script
    accepting: bool = True
    requests: list[Recorded] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    connections: int = 0
    hangups: list[float] = field(default_factory=list)
    """When (time.monotonic) clients went away in the middle of an answer."""

    def __post_init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="fake-upstream", daemon=True)
        self._port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def url(self) -> str:
        """Base URL, without a trailing slash."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5), "the fake upstream did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)
        assert not self._thread.is_alive(), "the fake upstream did not stop"

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        serving: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._connection(reader, writer))
            serving.add(task)
            task.add_done_callback(serving.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=MAX_HEADER_BYTES, backlog=512)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await server.wait_closed()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if not self.accepting:
                _reset(writer)
            while self.accepting and (request := await _read_request(reader)) is not None:
                number = len(self.requests)
                self.requests.append(request)
                self.sent.append(b"")
                if not await self._perform(self._reply(number, request), number, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.hangups.append(time.monotonic())
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _reply(self, number: int, request: Recorded) -> Reply:
        script = self.script
        entry: Entry = script if callable(script) else script[min(number, len(script) - 1)]
        return entry(request) if callable(entry) else entry

    async def _perform(
        self, reply: Reply, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Take the steps; true when the connection may serve another request."""
        for step in reply.steps:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
                self.sent[number] += step
                await asyncio.sleep(0)
            elif isinstance(step, Ending):
                await self._end(step, reader, writer)
                return False
            elif await _left_within(reader, step):
                self.hangups.append(time.monotonic())
                return False
        return True

    async def _end(self, ending: Ending, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if ending is RESET:
            _reset(writer)
        elif ending is HANG:
            await reader.read()
            self.hangups.append(time.monotonic())


async def _read_request(reader: asyncio.StreamReader) -> Recorded | None:
    """Read one request with Content-Length; None when the client closed after the last one."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = raw[:-4].decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    body = await reader.readexactly(length)
    return Recorded(method, path, headers, body, raw + body)


async def _left_within(reader: asyncio.StreamReader, wait_s: float) -> bool:
    """Wait, and tell whether the client closed meanwhile."""
    try:
        async with asyncio.timeout(wait_s):
            return not await reader.read(1)
    except TimeoutError:
        return False


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _split(steps: tuple[Step, ...], size: int, gap_s: float) -> Iterator[Step]:
    for step in steps:
        if isinstance(step, bytes):
            for at in range(0, len(step), size):
                yield step[at : at + size]
                if gap_s:
                    yield gap_s
        else:
            yield step
