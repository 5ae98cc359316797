"""`neuralrouting tail`: the last requests, then every new one, in a process of its own that Ctrl-C ends."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from neuralrouting.storage.database import open_database
from neuralrouting.storage.requests import APPEND_REQUEST
from settling import NOON_MS, new_account, request_row

WAIT_S = 60.0


def write(folder: Path, *ids: str, **fields: object) -> None:
    async def run() -> None:
        database = await open_database(None, folder)
        try:
            await new_account(database)
            rows = [request_row(id_, created_ms=NOON_MS - 10**9 + at, **fields) for at, id_ in enumerate(ids)]
            await database.write([(APPEND_REQUEST, [row.values() for row in rows])])
        finally:
            await database.close()

    asyncio.run(run())


@contextmanager
def tailing(folder: Path, *words: str) -> Iterator["subprocess.Popen[str]"]:
    environ = {
        name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "NEURALROUTING_CONFIG")
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "neuralrouting.cli", "tail", "--account", "acme", *words],
        env=environ | {"DATA_DIR": str(folder)}, cwd=folder.parent, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=1,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def next_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], WAIT_S)
    assert ready, "nothing was printed"
    return process.stdout.readline()


def test_the_last_requests_come_first_then_new_ones_and_ctrl_c_is_no_failure(tmp_path: Path):
    folder = tmp_path / "data"
    write(folder, "old", "r1", "r2", end_user="evil\x1b[2J")
    with tailing(folder, "-n", "2") as process:
        lines = [next_line(process), next_line(process)]
        assert ["r1" in lines[0], "r2" in lines[1]] == [True, True]
        assert "\x1b" not in "".join(lines)
        write(folder, "r3")  # a line at once, although it is a pipe
        assert "r3" in next_line(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_json_is_a_line_a_request_of_the_filter_only(tmp_path: Path):
    folder = tmp_path / "data"
    write(folder, "before")
    with tailing(folder, "-n", "1", "--json", "--user", "anna") as process:
        write(folder, "hers", end_user="anna")
        told = json.loads(next_line(process))
        assert (told["request_id"], told["user"], told["cost_nanousd"]) == ("hers", "anna", 100)


def test_a_reader_that_has_enough_is_no_failure(tmp_path: Path):
    folder = tmp_path / "data"
    write(folder, "r1")
    with tailing(folder, "-n", "1") as process:
        next_line(process)
        assert process.stdout is not None
        process.stdout.close()
        write(folder, "r2")
        assert process.wait(WAIT_S) == 0


@pytest.mark.parametrize(("words", "code"), [(("--status", "x"), 1), (("-n", "-1"), 2), (("--account", "nobody"), 1)])
def test_what_makes_no_sense_is_told_in_one_line(tmp_path: Path, words: tuple[str, ...], code: int):
    folder = tmp_path / "data"
    write(folder, "r1")
    with tailing(folder, *words) as process:
        assert process.wait(WAIT_S) == code
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
