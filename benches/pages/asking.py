"""How it is measured: one connection, every question a number of times; and what a stream does to the worker."""

import contextlib
import statistics
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
from benches.gateway.processes import cpu_s, process_tree

from .questions import Asker, Known, Question

PAGE_BYTES: Final = 4_096
SAMPLE_S: Final = 0.02
"""How often memory is looked at while a stream runs."""


class Timing(NamedTuple):
    """How long one question took, in milliseconds, what of it the gateway computed, and how large its answer was.

    `cpu_ms` is the mean over all askings, without the CPU of a database server.
    """

    question: Question
    p50_ms: float
    p95_ms: float
    cpu_ms: float
    answer_bytes: int


class Streamed(NamedTuple):
    """One whole stream: its rows, how fast they came, and what it did to the worker.

    `grown_bytes` is the most that all processes of the gateway had more than before; `stalled_ms` the longest that
    `/healthz` took beside it.
    """

    rows: int
    seconds: float
    first_byte_s: float
    grown_bytes: int
    stalled_ms: float
    typical_ms: float


Askers = Mapping[Asker, httpx.Client]
"""Clients that are let in, one for each who asks."""


def ask(askers: Askers, question: Question, times: int, pid: int) -> Timing:
    """Ask one question so many times of a gateway (its process). Raises RuntimeError for an answer other than 200."""
    client, processes = askers[question.asker], process_tree(pid)
    took: list[float] = []
    size, before_s = 0, cpu_s(processes)
    for _ in range(times):
        started_s = time.perf_counter()
        response = client.get(question.path)
        took.append((time.perf_counter() - started_s) * 1000)
        size = len(response.content)
        if response.status_code != 200:
            raise RuntimeError(f"{question.path}: {response.status_code} {response.text[:300]}")
    spent_ms = (cpu_s(processes) - before_s) * 1000 / times
    return Timing(question, statistics.median(took), percentile(took, 0.95), spent_ms, size)


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value below which this part of them lies, by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(part * len(ordered)) - 1))]


def find_known(client: httpx.Client) -> Known:
    """Look up in a store what addresses need: a request, a session, an audit, a budget, a place in the middle."""

    def listed(path: str) -> dict[str, Any]:
        response = client.get(path)
        response.raise_for_status()
        return response.json()

    page = listed("/v1/audit?limit=200")
    rows = page["data"]
    middle = listed("/v1/usage?group_by=day")["from"]
    behind = listed(f"/v1/audit?limit=1&to={middle}")["next"] or page["next"]
    return Known(
        account=page["account"],
        request=rows[0]["request_id"],
        session=next(row["session"] for row in rows if row["session"]),
        audit=listed("/v1/shadow/audits?limit=50")["data"][-1]["id"],
        budget=listed("/v1/budgets")["data"][0]["id"],
        cursor=behind,
        operator_account=page["account"],
    )


def stream(url: str, path: str, key: str, pid: int) -> Streamed:
    """Read a whole CSV and see what becomes of memory and of other requests meanwhile."""
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/csv"}
    with _watching(url, pid) as watch, httpx.Client(base_url=url, timeout=600, trust_env=False) as client:
        started_s = time.perf_counter()
        first_s, lines = 0.0, 0
        with client.stream("GET", path, headers=headers) as response:
            response.raise_for_status()
            for block in response.iter_raw():
                first_s = first_s or time.perf_counter() - started_s
                lines += block.count(b"\n")
        seconds = time.perf_counter() - started_s
    return Streamed(lines - 1, seconds, first_s, watch.grown, max(watch.beside, default=0.0),
                    statistics.median(watch.beside) if watch.beside else 0.0)  # fmt: skip


class _Watch:
    """What was seen while something ran."""

    def __init__(self, before: int) -> None:
        self.before = before
        self.most = before
        self.beside: list[float] = []

    @property
    def grown(self) -> int:
        return self.most - self.before


@contextlib.contextmanager
def _watching(url: str, pid: int) -> Generator[_Watch]:
    """Look at memory, and ask for `/healthz`, again and again on threads of their own."""
    watch, ended = _Watch(resident_bytes(pid)), threading.Event()

    def memory() -> None:
        while not ended.wait(SAMPLE_S):
            watch.most = max(watch.most, resident_bytes(pid))

    def others() -> None:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            while not ended.wait(SAMPLE_S / 4):
                started_s = time.perf_counter()
                client.get("/healthz")
                watch.beside.append((time.perf_counter() - started_s) * 1000)

    threads = [threading.Thread(target=work) for work in (memory, others)]
    for thread in threads:
        thread.start()
    try:
        yield watch
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process and all its descendants that is not backed by files."""
    total = 0
    for process in _family(pid):
        with contextlib.suppress(OSError):
            resident, shared = Path(f"/proc/{process}/statm").read_text().split()[1:3]
            total += (int(resident) - int(shared)) * PAGE_BYTES
    return total


def _family(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                found += _family(int(child))
    return found
