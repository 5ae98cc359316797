"""A load generator: keep-alive connections that each send their next request as soon as the last is answered."""

import asyncio
import ipaddress
import math
import statistics
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httptools
import msgspec
import uvloop

PATIENCE_S = 30.0
"""How long after its planned end a run may still wait for answers."""
_TAIL_BYTES = 32


class LoadError(RuntimeError):
    """A run that cannot be made or gives no numbers; the message says why."""


class Load(msgspec.Struct, frozen=True):
    """What the clients saw in one run. Times in microseconds; errors are counted, their times are not."""

    requests: int
    errors: int
    elapsed_s: float
    p50_us: float
    p99_us: float
    first_byte_p50_us: float
    first_byte_p99_us: float

    @property
    def per_s(self) -> float:
        """Good answers per second."""
        return self.requests / self.elapsed_s


def loopback_address(url: str) -> tuple[str, int, str]:
    """Return address, port and path; raises LoadError for anything that is not this machine."""
    parts = urlsplit(url)
    try:
        own = ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        own = False
    if not own or parts.scheme != "http" or not parts.port:
        raise LoadError(f"{url}: load is sent to this machine only; write http://127.0.0.1:PORT/path")
    return str(parts.hostname), parts.port, parts.path


def run_load(
    address: tuple[str, int],
    requests: Iterator[bytes],
    *,
    connections: int,
    seconds: float = math.inf,
    answer_ends_with: bytes = b"",
) -> Load:
    """Send `requests` until they or the `seconds` are over, then wait for the last answers.

    An answer is good when its status is 200 and its body ends as told. Raises LoadError when nothing was answered.
    """
    run = _Run(requests, seconds, answer_ends_with)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_drive(run, address, connections))


async def _drive(run: "_Run", address: tuple[str, int], connections: int) -> Load:
    loop = asyncio.get_running_loop()
    run.ended = loop.create_future()
    clients: list[_Client] = []
    for _ in range(connections):
        _, client = await loop.create_connection(lambda: _Client(run), *address)
        clients.append(client)
    run.start()
    for client in clients:
        client.ask()
    limit_s = PATIENCE_S + (run.seconds if math.isfinite(run.seconds) else 2 * PATIENCE_S)
    try:
        await asyncio.wait_for(run.ended, limit_s)
    except TimeoutError as error:
        raise LoadError(f"{address[1]}: answers are missing after {limit_s:.0f} s") from error
    return run.result(address)


class _Run:
    """What the connections of one run share."""

    def __init__(self, requests: Iterator[bytes], seconds: float, answer_ends_with: bytes) -> None:
        self.seconds = seconds
        self.ended: asyncio.Future[None]
        self.open = self.errors = 0
        self._requests = requests
        self._ends_with = answer_ends_with
        self._latencies_s: list[float] = []
        self._first_bytes_s: list[float] = []

    def start(self) -> None:
        self._started_s = self._last_s = time.perf_counter()

    def next_request(self) -> bytes | None:
        if time.perf_counter() - self._started_s >= self.seconds:
            return None
        return next(self._requests, None)

    def answered(self, status: int, tail: bytes, sent_s: float, first_s: float) -> None:
        self._last_s = time.perf_counter()
        if status != 200 or not tail.endswith(self._ends_with):
            self.errors += 1
            return
        self._latencies_s.append(self._last_s - sent_s)
        self._first_bytes_s.append(first_s - sent_s)

    def closed(self) -> None:
        self.open -= 1
        if self.open == 0 and not self.ended.done():
            self.ended.set_result(None)

    def result(self, address: tuple[str, int]) -> Load:
        if len(self._latencies_s) < 2:
            raise LoadError(f"port {address[1]}: {len(self._latencies_s)} good answers, {self.errors} errors")
        elapsed_s = self._last_s - self._started_s
        p50, p99 = _percentiles_us(self._latencies_s)
        first_p50, first_p99 = _percentiles_us(self._first_bytes_s)
        return Load(len(self._latencies_s), self.errors, elapsed_s, p50, p99, first_p50, first_p99)


class _Client(asyncio.Protocol):
    """One connection; a lost one counts as an error and is not opened again."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._parser = httptools.HttpResponseParser(self)
        self._waiting = False
        self._tail = b""
        self._sent_s = self._first_s = 0.0

    def ask(self) -> None:
        request = self._run.next_request()
        self._waiting = request is not None
        if request is None:
            self._transport.close()
            return
        self._tail, self._first_s, self._sent_s = b"", 0.0, time.perf_counter()
        self._transport.write(request)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # pyright: ignore[reportAttributeAccessIssue]
        self._run.open += 1

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._run.errors += self._waiting
        self._run.closed()

    # httptools callbacks
    def on_body(self, body: bytes) -> None:
        if not self._tail:
            self._first_s = time.perf_counter()
        self._tail = body[-_TAIL_BYTES:] if len(body) >= _TAIL_BYTES else (self._tail + body)[-_TAIL_BYTES:]

    def on_message_complete(self) -> None:
        self._run.answered(self._parser.get_status_code(), self._tail, self._sent_s, self._first_s or self._sent_s)
        self.ask()


def _percentiles_us(times_s: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(times_s, n=100, method="inclusive")
    return cuts[49] * 1e6, cuts[98] * 1e6
