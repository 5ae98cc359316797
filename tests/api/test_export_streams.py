"""A long CSV over a real connection: whoever leaves, or does not read on, has nothing more read for them."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from live_gateway import LiveGateway, running_gateway
from neuralrouting.storage.database import open_database
from neuralrouting.storage.requests import APPEND_REQUEST, RequestRow
from settling import request_row

ROWS = 30_000
"""A CSV of some 10 MB: many times what sockets and the server keep on their way."""
QUIET_S = 0.4
_COLUMNS = RequestRow.__struct_fields__
_MADE = {"request_id": "'r' || i", "created_ms": "created_ms - i"}
_MULTIPLY = (
    "WITH RECURSIVE counted (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM counted WHERE i < $1) "
    f"INSERT INTO requests ({', '.join(_COLUMNS)}) "
    f"SELECT {', '.join(_MADE.get(name, name) for name in _COLUMNS)} FROM requests, counted"
)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway over a store of `ROWS` requests."""
    home = tmp_path_factory.mktemp("full")
    asyncio.run(_fill(home))
    with running_gateway(home, config='local: {enabled: "off"}') as running:
        yield running


async def _fill(home: Path) -> None:
    database = await open_database(None, home)
    try:
        await database.write([(APPEND_REQUEST, [request_row("r0", account_id="default").values()])])
        await database.execute(_MULTIPLY, ROWS - 1)
    finally:
        await database.close()


def _read_bytes(gateway: LiveGateway) -> int:
    """What all processes of the gateway have read so far, from files and sockets; SQLite keeps two megabytes only."""
    return sum(_counted(pid) for pid in _family(gateway.pid))


def _counted(pid: int) -> int:
    told = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(told["rchar"])


def _family(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    return [pid, *(one for child in children for one in _family(child))]


def _until_quiet(gateway: LiveGateway) -> int:
    """Wait until next to nothing is read any more; return what was read by then."""
    deadline_s = time.monotonic() + 20
    before = _read_bytes(gateway)
    while time.monotonic() < deadline_s:
        time.sleep(QUIET_S)
        now = _read_bytes(gateway)
        if now - before < 500_000:
            return now
        before = now
    raise AssertionError("it goes on reading")


def test_all_requests_come_once(full: LiveGateway):
    with full.client() as client:
        lines = client.get("/v1/audit?format=csv").text.splitlines()[1:]
    assert len(lines) == len({line.partition(",")[0] for line in lines}) == ROWS


def test_nothing_is_read_ahead_for_who_does_not_read_nor_for_who_has_left(full: LiveGateway):
    with full.client() as client:
        before = _until_quiet(full)
        size = len(client.get("/v1/audit?format=csv").content)
        whole = _until_quiet(full) - before
        assert whole > size / 2  # what SQLite reads is seen
        before = _until_quiet(full)
        with client.stream("GET", "/v1/audit?format=csv") as response:
            next(response.iter_raw())
            waiting = _until_quiet(full) - before
        left = _until_quiet(full) - before
    assert waiting < whole / 2
    assert left < waiting + whole / 10
    assert "neuralrouting.api" not in full.log.read_text()  # leaving is no failure of ours
