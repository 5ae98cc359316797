"""A data directory that fills up: requests are refused in clear words, nothing is half written, and it heals."""

import asyncio
import contextlib
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from arena import DEAR, FULL, METERED, OUTPUT_TOKENS, SIXTY, Arena, Payer, open_arena, tell, wait_until
from storm import PATIENCE_S, code_of, prompt, storm_over
from test_killed_workers import RICH_MC, check_books

from many_clients import Client

SIZE = "48m"
FULL_FOR_S = 4.0 if FULL else 1.0
HEALED_S = 20.0
CLEAR = {"journal_unavailable", "ledger_unavailable", "limits_unavailable"}


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    """A disk of its own, in memory: only root may have one."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def may_mount(path: Path) -> bool:
    """Whether this user, on this kernel, may mount anything."""
    if os.geteuid() != 0:
        return False
    path.mkdir()
    tried = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(path)], check=False, capture_output=True)
    if tried.returncode == 0:
        subprocess.run(["umount", str(path)], check=True)
    return tried.returncode == 0


def fill(ballast: Path) -> None:
    """Take every byte that is left."""
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 4096):
            pass


def answers(arena: Arena, payer: Payer, many: int) -> list[tuple[int, str]]:
    """Status and code of some requests."""

    async def ask() -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        for _ in range(many):
            async with Client(arena.gateway, payer.key) as client, asyncio.timeout(PATIENCE_S):
                answer = await client.ask(prompt(), model=DEAR, max_tokens=OUTPUT_TOKENS)
                found.append((answer.status, "" if answer.status == 200 else code_of(answer)))
        return found

    return asyncio.run(ask())


def check_while(arena: Arena, begin: Callable[[], None], end: Callable[[], None]) -> None:
    """Let the disk be full for a while under load; afterwards all is well again."""
    payer, newcomer, limited = (arena.new_payer(RICH_MC, plan) for plan in (METERED, METERED, SIXTY))
    made_before = arena.answers_made()
    with storm_over(arena, payer, clients=12) as storm:
        time.sleep(1)
        begin()
        time.sleep(FULL_FOR_S)
        told = answers(arena, newcomer, 3) + answers(arena, limited, 3)
        end()
        served = len(storm.whole)
        healed_s = wait_until(lambda: len(storm.whole) > served + 10, HEALED_S, "it does not heal")
        time.sleep(1)
    arena.wait_until_settled(payer)
    tell(f"healed after {healed_s:.1f} s; a newcomer was told {told}; {storm.told()}")
    assert storm.refused, "it was never full"
    assert {code for _, code in storm.refused} <= CLEAR
    assert {status for status, _ in storm.refused} == {503}
    assert all(status == 200 or code in CLEAR for status, code in told)
    assert storm.broken == 0
    check_books(arena, storm, arena.answers_made() - made_before)


def test_a_disk_that_fills_up_costs_nobody_anything(tmp_path: Path):
    if not may_mount(tmp_path / "probe"):
        pytest.skip("only root may mount a small disk; the test of files that may not grow stands in")
    with small_disk(tmp_path / "disk") as disk, open_arena(disk / "data", 2) as arena:
        ballast = disk / "ballast"
        check_while(arena, lambda: fill(ballast), ballast.unlink)
        alive = arena.worker_ids()
        assert len(alive) == 2


@pytest.mark.parametrize("arena", ["sqlite-2"], indirect=True)
def test_files_that_may_not_grow_cost_nobody_anything(arena: Arena, tmp_path: Path):
    """The same by the kernel's limit on the size of a file (EFBIG, not ENOSPC): it needs no rights."""
    if not FULL and may_mount(tmp_path / "probe"):
        pytest.skip("the small disk has shown it; `make chaos` runs both")
    pids = list(arena.worker_ids().values())
    before = resource.prlimit(pids[0], resource.RLIMIT_FSIZE)

    def limit(soft: int) -> None:
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, before[1]))

    check_while(arena, lambda: limit(4096), lambda: limit(before[0]))
    assert sorted(arena.worker_ids().values()) == sorted(pids), "a worker died of it"
