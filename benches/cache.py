"""What a question in other words costs beside a repeated one: `python -m benches.cache`.

A gateway of one worker in a process of its own holds answers of one scope; the mock provider has made them. Requests
come at a fixed rate, whether or not earlier ones are answered, and by turns repeat a question word by word (an exact
hit) and ask one in other words (a semantic hit). A time runs from the moment a request is due until the last byte of
its answer, waiting for a free connection included.
"""

import asyncio
import contextlib
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import median, quantiles

import click
import httptools
import msgspec
import orjson
import uvloop
from benches.gateway import targets
from benches.gateway.load import loopback_address
from benches.gateway.measure import QUIET_CORES
from benches.gateway.processes import cpu_s, machine_cpu_s, process_tree

RATIO_BAR = 1.5
"""How much longer a semantic hit may take than an exact one, by their medians."""
P99_BAR_MS = 10.0
RATE_PER_S, SECONDS, STORED = 200, 20.0, 1_000
"""The load of both kinds together, for how long, and how many questions are stored in the scope."""
CONNECTIONS = 32
WARM_UP = 400
"""Requests that are answered first and not counted."""
SERVED = 0.9
"""The share of the questions that must be found in other words, or the numbers would be of other things."""
SEED = 5
VERBS = ("clean", "repair", "paint", "polish", "store")
KINDS = (
    "leather", "suede", "velvet", "linen", "cotton", "wool", "silk", "wooden", "bamboo", "marble", "granite",
    "ceramic", "copper", "brass", "silver", "steel", "tin", "glass", "plastic", "rubber", "canvas", "nylon", "felt",
    "cork", "stone",
)  # fmt: skip
THINGS = (
    "chair", "table", "lamp", "bowl", "bag", "mat", "rug", "stool", "tray", "cup", "plate", "pan", "spoon", "ring",
    "mask", "toy", "tile", "basket", "bucket", "curtain", "cushion", "blanket", "jacket", "glove", "hat", "boot",
    "belt", "wallet", "door", "floor", "cabinet", "desk", "drawer", "mirror", "vase", "candlestick", "clock",
    "bracelet", "necklace", "jug",
)  # fmt: skip
SYSTEM = "You help people to keep their household in good order. Answer in at most three sentences."


class Told(msgspec.Struct, frozen=True):
    """What one answer told: its status, the level that found it, the stored entry, and the gateway's own time."""

    status: int
    level: str
    entry: str
    inside_us: float
    ended_s: float


class Timed(msgspec.Struct, frozen=True):
    """Microseconds of many answers of one level: as the client saw them, and inside the gateway."""

    count: int
    p50_us: float
    p95_us: float
    p99_us: float
    inside_p50_us: float


class Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._answer: asyncio.Future[Told]

    def ask(self, request: bytes) -> "asyncio.Future[Told]":
        """Send a request."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # pyright: ignore[reportAttributeAccessIssue]

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    # httptools callbacks
    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_message_complete(self) -> None:
        ended_s, headers, self._headers = time.perf_counter(), self._headers, {}
        level, *rest = headers.get(b"x-nr-cache", b"none").decode().split("; ")
        entry = next((part.removeprefix("entry=") for part in rest if part.startswith("entry=")), "")
        inside_us = 1_000 * float(headers.get(b"x-nr-overhead-ms", b"0"))
        self._answer.set_result(Told(self._parser.get_status_code(), level, entry, inside_us, ended_s))


class Clients:
    """Connections to one target; who finds none idle waits for one."""

    def __init__(self, target: targets.Target) -> None:
        self._host, self._port, path = loopback_address(target.url)
        lines = [f"POST {path} HTTP/1.1", f"host: {self._host}", "content-type: application/json"]
        self._head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in target.headers)])
        self._idle: asyncio.Queue[Connection] = asyncio.Queue()

    async def connect(self) -> None:
        """Open the connections."""
        for _ in range(CONNECTIONS):
            _, client = await asyncio.get_running_loop().create_connection(Connection, self._host, self._port)
            self._idle.put_nowait(client)

    def request(self, text: str) -> bytes:
        """Return a whole HTTP request with this question."""
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
        body = orjson.dumps({"model": "auto", "messages": messages})
        return f"{self._head}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body

    async def ask(self, request: bytes) -> tuple[Told, float]:
        """Return what was told, and how many microseconds it took from now on. Raises ClickException for an error."""
        due_s = time.perf_counter()
        client = await self._idle.get()
        told = await client.ask(request)
        self._idle.put_nowait(client)
        if told.status != 200:
            raise click.ClickException(f"the gateway answered {told.status}")
        return told, 1e6 * (told.ended_s - due_s)

    async def ask_all(self, requests: Sequence[bytes]) -> list[Told]:
        """Ask as fast as the connections allow."""
        return [told for told, _ in await asyncio.gather(*map(self.ask, requests))]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--stored", type=click.IntRange(10, 5_000), default=STORED, show_default=True, help="Stored questions.")
@click.option("--seconds", default=SECONDS, show_default=True, help="How long both kinds together are measured.")
@click.option("--rate", default=RATE_PER_S, show_default=True, help="Requests a second, both kinds together.")
def main(stored: int, seconds: float, rate: int) -> None:
    """Measure exact and semantic hits side by side. Exit code 1 when their ratio is over the bar."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))  # so that the servers are stopped
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="neuralrouting-bench-")))
        upstream = stack.enter_context(targets.mock_upstream(folder, 0, 0))
        gateway = stack.enter_context(targets.gateway(folder / "gateway", upstream))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found, exact, semantic, others = runner.run(measure(gateway, stored, int(seconds * rate), rate))
    click.echo(f"{stored} stored questions in one scope, {found} of them found in other words")
    click.echo(f"{rate} requests a second, microseconds")
    click.echo(f"{'':14}{'requests':>10}{'p50':>8}{'p95':>8}{'p99':>8}{'inside p50':>12}")
    for name, timed in (("exact hit", exact), ("semantic hit", semantic)):
        figures = (timed.p50_us, timed.p95_us, timed.p99_us)
        told = "".join(f"{figure:8.0f}" for figure in figures)
        click.echo(f"{name:14}{timed.count:10}{told}{timed.inside_p50_us:12.0f}")
    sys.exit(not judge(exact, semantic, others))


def judge(exact: Timed, semantic: Timed, others_cores: float) -> bool:
    """Say how the bars are held; return whether that of the ratio is."""
    ratio, p99_ms = semantic.p50_us / exact.p50_us, semantic.p99_us / 1_000
    held = ratio <= RATIO_BAR
    click.echo(f"{'held' if held else 'BROKEN':8}p50 of semantic over exact hits {ratio:.2f}, at most {RATIO_BAR}")
    noise = f"other processes used {others_cores:.2f} cores meanwhile"
    if others_cores > QUIET_CORES:
        noise += ", so this says little"
    state = "held" if p99_ms < P99_BAR_MS else "missed"
    click.echo(f"{state:8}p99 of semantic hits {p99_ms:.2f} ms, below {P99_BAR_MS:.0f}; {noise}")
    return held


async def measure(target: targets.Target, stored: int, count: int, rate: int) -> tuple[int, Timed, Timed, float]:
    """Store questions, then send `count` requests at a fixed rate.

    Return how many of the questions are found in other words, both kinds of hits, and how many cores others used.
    """
    clients = Clients(target)
    await clients.connect()
    pairs = [(clients.request(asked), clients.request(again)) for asked, again in questions(stored)]
    found = await _fill(clients, pairs)
    dice = random.Random(SEED)
    sent = [pair[n % 2] for n, pair in enumerate(dice.choices(found, k=WARM_UP + count))]
    await _send(clients, sent[:WARM_UP], rate)
    ours = process_tree(target.pid)
    started_s, others = time.perf_counter(), machine_cpu_s() - cpu_s(ours) - time.process_time()
    answers = await _send(clients, sent[WARM_UP:], rate)
    others = machine_cpu_s() - cpu_s(ours) - time.process_time() - others
    exact, semantic = answers[WARM_UP % 2 :: 2], answers[1 - WARM_UP % 2 :: 2]
    for level, kind in (("exact", exact), ("semantic", semantic)):
        if {told.level for told, _ in kind} != {level}:
            raise click.ClickException(f"not all of the answers were {level} hits")
    others_cores = max(0.0, others / (time.perf_counter() - started_s))
    return len(found), _timed(exact), _timed(semantic), others_cores


def questions(count: int) -> list[tuple[str, str]]:
    """Return questions, each with one that means the same."""
    told = [
        (f"How do I {verb} a {kind} {thing}?", f"How can I {verb} {kind} {thing}s?")
        for verb, kind, thing in product(VERBS, KINDS, THINGS)
    ]
    return told[:count]


async def _fill(clients: Clients, pairs: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Have all questions answered; return those that are found in other words, too, and rightly."""
    await clients.ask_all([asked for asked, _ in pairs])
    exact = await clients.ask_all([asked for asked, _ in pairs])
    again = await clients.ask_all([again for _, again in pairs])
    found = [pair for pair, one, other in zip(pairs, exact, again, strict=True) if one.entry == other.entry]
    wrong = sum(other.level == "semantic" and one.entry != other.entry for one, other in zip(exact, again, strict=True))
    if wrong or len(found) < SERVED * len(pairs):
        raise click.ClickException(f"of {len(pairs)} questions {len(found)} were found in other words, {wrong} wrongly")
    return found


async def _send(clients: Clients, requests: list[bytes], rate: int) -> list[tuple[Told, float]]:
    """Send one request after the other at a fixed rate, whatever becomes of them; return the answers in their order."""
    started_s, asking = time.perf_counter(), []
    for number, request in enumerate(requests):
        await asyncio.sleep(max(0.0, started_s + number / rate - time.perf_counter()))
        asking.append(asyncio.create_task(clients.ask(request)))
    return await asyncio.gather(*asking)


def _timed(answers: Sequence[tuple[Told, float]]) -> Timed:
    cuts = quantiles((us for _, us in answers), n=100, method="inclusive")
    inside_us = median(told.inside_us for told, _ in answers)
    return Timed(len(answers), cuts[49], cuts[94], cuts[98], inside_us)


if __name__ == "__main__":
    main(prog_name="python -m benches.cache")
