"""What an open dashboard costs the requests that it shows: `python -m benches.tails`.

A gateway with one worker answers by simulated models as fast as it can: alone, with five open tails that take every
request, and with five people who reload the Control Center once a second. What is compared is CPU of the gateway per
request, that of tails and pages included, and the median latency of requests.
"""

import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from typing import NamedTuple

import click
import httpx
import orjson

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from benches.screenshots import EMAIL, PASSWORD

from live_gateway import LiveGateway, running_gateway

from .gateway.load import run_load
from .gateway.processes import cpu_s, process_tree

TAILS = 5
PEOPLE = 5
RELOAD_S = 1.0
CONNECTIONS = 16
BAR = 1.35
"""CPU per request with five tails to that without; measured 0.9 to 1.2 beside other work."""
RELOAD_BAR = 1.6
"""CPU and median latency with five people who reload to those without: pages are made by the same worker."""
CONFIG = """
local: {enabled: "off"}
simulated: {latency_ms: 0, token_ms: 0}
cache: {enabled: false}
"""


class Turn(NamedTuple):
    """One run: what a request took in microseconds (CPU of the gateway, median latency), how many were asked.

    `told` is how often tails told of one, `pages` how many pages were made meanwhile.
    """

    cpu_us: float
    p50_us: float
    requests: int
    told: int
    pages: int


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=4.0, show_default=True, help="How long each turn takes.")
@click.option("--rounds", default=5, show_default=True, help="Turns of each kind.")
def main(seconds: float, rounds: int) -> None:
    """Measure. Exit code 1 when a bar is missed, or a tail told less than was asked."""
    people = {"NEURALROUTING_ADMIN_EMAIL": EMAIL, "NEURALROUTING_ADMIN_PASSWORD": PASSWORD}
    with (
        tempfile.TemporaryDirectory(prefix="neuralrouting-bench-") as folder,
        running_gateway(Path(folder), config=CONFIG, **people) as gateway,
        _signed_in(gateway) as person,
    ):
        numbers = count()
        _turn(gateway, numbers, 1.0)
        alone: list[Turn] = []
        tailed: list[Turn] = []
        watched: list[Turn] = []
        for _ in range(rounds):
            alone.append(_turn(gateway, numbers, seconds))
            tailed.append(_turn(gateway, numbers, seconds, tails=TAILS))
            watched.append(_turn(gateway, numbers, seconds, person=person))
    click.echo(f"{'':24}{'CPU a request':>15}{'ratio':>7}{'bar':>6}{'median':>10}{'ratio':>7}{'bar':>6}")
    _tell("alone", alone, alone, 1.0, 1.0)
    missed = _tell(f"{TAILS} tails", alone, tailed, BAR, None)
    missed |= _tell(f"{PEOPLE} people reload", alone, watched, RELOAD_BAR, RELOAD_BAR)
    asked, told = sum(one.requests for one in tailed), sum(one.told for one in tailed)
    click.echo(f"{asked:,} requests were told {told:,} times ({TAILS} tails)")
    click.echo(f"{sum(one.pages for one in watched)} pages were made beside {sum(one.requests for one in watched):,}")
    sys.exit(missed or told != TAILS * asked)


def _tell(name: str, alone: list[Turn], beside: list[Turn], cpu_bar: float, p50_bar: float | None) -> bool:
    """Say how turns compare with those alone, round by round; return whether a bar is missed."""
    pairs = list(zip(alone, beside, strict=True))
    cpu, p50 = (
        median(two.cpu_us / one.cpu_us for one, two in pairs),
        median(two.p50_us / one.p50_us for one, two in pairs),
    )
    taken, waited = median(two.cpu_us for two in beside), median(two.p50_us for two in beside)
    bars = f"{cpu_bar:6.2f}", f"{p50_bar:6.2f}" if p50_bar is not None else ""
    click.echo(f"{name:24}{taken:12.0f} us{cpu:7.2f}{bars[0]}{waited / 1000:7.1f} ms{p50:7.2f}{bars[1]}")
    return cpu > cpu_bar or (p50_bar is not None and p50 > p50_bar)


def _turn(
    gateway: LiveGateway, numbers: Iterator[int], seconds: float, *, tails: int = 0, person: httpx.Client | None = None
) -> Turn:
    with ExitStack() as stack:
        readers = [stack.enter_context(_tail(gateway)) for _ in range(tails)]
        watchers = [stack.enter_context(_reloading(person)) for _ in range(PEOPLE)] if person is not None else []
        time.sleep(0.5)
        tree = process_tree(gateway.pid)
        before_s = cpu_s(tree)
        host, port = gateway.url.removeprefix("http://").split(":")
        load = run_load((host, int(port)), _requests(gateway, numbers), connections=CONNECTIONS, seconds=seconds)
        time.sleep(2.0)  # what was asked last is written and told
        spent_s = cpu_s(tree) - before_s
        if load.errors:
            raise click.ClickException(f"{load.errors} of {load.requests} requests failed")
        told, pages = sum(reader.told for reader in readers), sum(watcher.pages for watcher in watchers)
        return Turn(1e6 * spent_s / load.requests, load.p50_us, load.requests, told, pages)


def _requests(gateway: LiveGateway, numbers: Iterator[int]) -> Iterator[bytes]:
    for number in numbers:
        body = orjson.dumps({"model": "auto", "messages": [{"role": "user", "content": f"Say {number}"}]})
        yield (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b" % (gateway.api_key.encode(), len(body), body)
        )


class _Reader:
    """Counts what one tail tells."""

    def __init__(self, response: httpx.Response) -> None:
        self.told = 0
        self._response = response
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for line in self._response.iter_lines():
                self.told += line == "event: request"
        except httpx.HTTPError:
            return


@contextmanager
def _tail(gateway: LiveGateway) -> Iterator[_Reader]:
    with (
        gateway.client() as client,
        client.stream("GET", "/requests/tail", params={"money": "simulated", "cells": "true"}) as response,
    ):
        response.raise_for_status()
        yield _Reader(response)


class _Watcher:
    """Somebody who reloads the Control Center again and again."""

    def __init__(self) -> None:
        self.pages = 0
        self.ended = threading.Event()

    def watch(self, person: httpx.Client) -> None:
        while not self.ended.is_set():
            started_s = time.monotonic()
            person.get("/", params={"money": "simulated"}).raise_for_status()
            self.pages += 1
            self.ended.wait(max(0.0, started_s + RELOAD_S - time.monotonic()))


@contextmanager
def _reloading(person: httpx.Client) -> Iterator[_Watcher]:
    watcher = _Watcher()
    thread = threading.Thread(target=watcher.watch, args=(person,), daemon=True)
    thread.start()
    try:
        yield watcher
    finally:
        watcher.ended.set()
        thread.join()


@contextmanager
def _signed_in(gateway: LiveGateway) -> Iterator[httpx.Client]:
    here = {"sec-fetch-site": "same-origin"}
    with httpx.Client(base_url=gateway.url, headers=here, timeout=60, trust_env=False) as person:
        if person.post("/login", data={"email": EMAIL, "password": PASSWORD}).status_code != 303:
            raise click.ClickException("nobody can sign in")
        yield person


if __name__ == "__main__":
    main()
