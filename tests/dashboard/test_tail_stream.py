"""The live tail of a real gateway with two workers: every request once, in time, and no longer than it may be seen."""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from live_gateway import LiveGateway, running_gateway
from neuralrouting.accounts.keys import create_key
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.trail import GATEWAY

TOLD_WITHIN_S = 5.0
"""A tail asks twice a second; the rest is for a busy machine."""
CHAT = {"model": "auto", "messages": [{"role": "user", "content": "Say hello"}]}


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    folder = tmp_path_factory.mktemp("tail")
    with running_gateway(folder, config='local: {enabled: "off"}\nserver: {workers: 2}') as running:
        yield running


class Tail:
    """One open tail, read by a thread."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.events: list[tuple[str, dict]] = []
        self.ended = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        place = kind = ""
        try:
            for line in self.response.iter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    place = value
                elif name == "event":
                    kind = value
                elif name == "data" and kind == "request":
                    self.events.append((place, json.loads(value)))
        except httpx.HTTPError:
            pass
        self.ended.set()

    def ids(self) -> list[str]:
        return [told["request_id"] for _, told in self.events]

    def wait(self, count: int) -> list[str]:
        until_s = time.monotonic() + TOLD_WITHIN_S
        while len(self.events) < count and time.monotonic() < until_s:
            time.sleep(0.02)
        return self.ids()


@contextmanager
def tail(gateway: LiveGateway, last: str | None = None, **told: str) -> Iterator[Tail]:
    headers = {"last-event-id": last} if last is not None else {}
    with (
        gateway.client(**headers) as client,
        client.stream("GET", "/requests/tail", params={"money": "simulated"} | told) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Tail(response)


def ask(gateway: LiveGateway, **fields: str) -> str:
    with gateway.client() as client:
        answer = client.post("/v1/chat/completions", json=CHAT | fields)
        assert answer.status_code == 200, answer.text
        return answer.headers["x-request-id"]


def test_requests_of_all_workers_are_told_once_and_soon(two_workers: LiveGateway):
    with tail(two_workers) as one, tail(two_workers, user="anna") as hers:
        time.sleep(0.3)
        with ThreadPoolExecutor(4) as many:
            sent = list(many.map(lambda n: ask(two_workers, user="anna" if n % 2 else "bob"), range(8)))
        assert sorted(one.wait(8)) == sorted(sent)
        assert sorted(hers.wait(4)) == sorted(sent[1::2])
        places = [int(place) for place, _ in one.events]
        assert places == sorted(set(places))


def test_a_client_that_comes_again_misses_nothing_and_sees_nothing_twice(two_workers: LiveGateway):
    with tail(two_workers) as first:
        time.sleep(0.3)
        before = ask(two_workers)
        assert first.wait(1) == [before]
        last = first.events[-1][0]
    between = [ask(two_workers) for _ in range(3)]
    with tail(two_workers, last=last) as again:
        after = ask(two_workers)
        # Two workers write for themselves: who comes first is who was written first.
        assert sorted(again.wait(4)) == sorted([*between, after])


def test_a_tail_of_one_s_own_columns_tells_them_as_they_are_shown(two_workers: LiveGateway):
    with (
        two_workers.client() as client,
        client.stream(
            "GET", "/requests/tail", params={"cells": "true", "columns": "status", "money": "simulated"}
        ) as r,
    ):
        lines = r.iter_lines()
        next(lines)
        request_id = ask(two_workers)
        told = next(json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))
        assert told["id"] == request_id
        assert told["cells"][1] == "200"


@pytest.mark.parametrize("told", [{"status": "x"}, {"what": "x"}, {"after": "-1"}, {"cells": "maybe"}])
def test_what_makes_no_sense_is_told(two_workers: LiveGateway, told: dict[str, str]):
    with two_workers.client() as client:
        assert client.get("/requests/tail", params=told).status_code == 422


def test_nobody_is_let_in_without_a_key_or_a_session(two_workers: LiveGateway):
    assert httpx.get(f"{two_workers.url}/requests/tail", trust_env=False).status_code == 401


def test_open_tails_do_not_hold_up_the_end_of_the_gateway(tmp_path: Path):
    with running_gateway(tmp_path / "data", config='local: {enabled: "off"}') as gateway, tail(gateway) as open_one:
        time.sleep(0.3)
        started_s = time.monotonic()
        os.kill(gateway.pid, signal.SIGTERM)
        assert open_one.ended.wait(20)
        assert time.monotonic() - started_s < 15


def test_a_tail_ends_soon_after_its_key(two_workers: LiveGateway):
    async def minted() -> str:
        async with two_workers.opened() as database:
            now_ms = int(time.time() * 1000)
            made = await create_key(KeyRows(database), "default", "tail", live=True, now_ms=now_ms, actor=GATEWAY)
            return made.key

    async def revoke(key_id: str) -> None:
        async with two_workers.opened() as database:
            assert await KeyRows(database).revoke(key_id, int(time.time() * 1000), actor=GATEWAY)

    key = asyncio.run(minted())
    headers = {"authorization": f"Bearer {key}"}
    with (
        httpx.Client(base_url=two_workers.url, headers=headers, timeout=60, trust_env=False) as client,
        client.stream("GET", "/requests/tail") as response,
    ):
        open_one = Tail(response)
        asyncio.run(revoke(key[8:20]))
        assert open_one.ended.wait(15)
