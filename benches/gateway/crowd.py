"""A hundred clients at once against simulated models: every answer must be good and every request recorded."""

import asyncio
import itertools
import time
from pathlib import Path

import msgspec

from neuralrouting.storage.database import open_database

from .bodies import chat_body, wire_requests
from .load import Load, loopback_address, run_load
from .processes import process_tree, rss_mb
from .targets import Target, gateway

CLIENTS, REQUESTS = 100, 2_000
ROWS_WAIT_S = 10.0


class Crowd(msgspec.Struct, frozen=True):
    """What came of it. Memory is that of the process tree, before and after, when the same was already served once."""

    load: Load
    rows_lost: int
    rss_before_mb: float
    rss_after_mb: float


def measure_crowd(folder: Path) -> Crowd:
    """Serve the crowd twice, so that the second time shows what still grows."""
    with gateway(folder, upstream=None) as target:
        warm = _serve(target)
        pids = process_tree(target.pid)
        rss_before_mb = rss_mb(pids)
        load = _serve(target)
        sent = sum(part.requests + part.errors for part in (warm, load))
        lost = sent - asyncio.run(_rows(folder, sent))
        return Crowd(load, lost, rss_before_mb, rss_mb(pids))


def _serve(target: Target) -> Load:
    host, port, path = loopback_address(target.url)
    requests = wire_requests(host, path, target.headers, chat_body(target.model, stream=False), unique=True)
    return run_load((host, port), itertools.islice(requests, REQUESTS), connections=CLIENTS, answer_ends_with=b"}")


async def _rows(data_dir: Path, expected: int) -> int:
    """Count request rows once all are there, or when waiting is over: they are written behind the answers."""
    database = await open_database(None, data_dir)
    deadline_s = time.monotonic() + ROWS_WAIT_S
    try:
        while True:
            [(count,)] = await database.fetch("SELECT count(*) FROM requests")
            if count >= expected or time.monotonic() > deadline_s:
                return int(count)
            await asyncio.sleep(0.1)
    finally:
        await database.close()
