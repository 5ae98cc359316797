"""The journal: what is in it survives its worker, whatever kills it."""

import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuralrouting.errors import Unavailable
from neuralrouting.storage.journal import Journal, Started, orphans


def started(name: str, held_mc: int = 5) -> Started:
    return Started(name, 1_000, "acme", "key", "/v1/chat/completions", stream=False, held_mc=held_mc)


def die(journal: Journal) -> None:
    """Let go of the lock as the kernel does when a process dies."""
    os.close(journal._lock)
    os.close(journal._fd)


def left(root: Path) -> tuple[list[str], list[str]]:
    """Request ids that the journals of the dead settled, and those that they never finished."""
    settled: list[str] = []
    unfinished: list[str] = []
    for orphan in orphans(root):
        settled += [one.row.request_id for _, one in orphan.settled]
        unfinished += [one.request_id for one in orphan.unfinished]
    return settled, sorted(unfinished)


def test_a_dead_workers_journal_tells_what_ended_and_what_did_not(tmp_path: Path):
    journal = Journal.create(tmp_path, "w1")
    for name in ("a", "b", "c"):
        journal.start(started(name))
    journal.settle(started("b").expired())
    die(journal)
    assert left(tmp_path) == (["b"], ["a", "c"])
    assert left(tmp_path) == ([], []), "a journal is gone once it was dealt with"


def test_the_journal_of_a_living_worker_is_left_alone(tmp_path: Path):
    journal = Journal.create(tmp_path, "w1")
    journal.settle(started("a").expired())
    assert left(tmp_path) == ([], [])
    journal.close(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_a_journal_that_could_not_be_settled_stays(tmp_path: Path):
    journal = Journal.create(tmp_path, "w1")
    journal.settle(started("a").expired())
    die(journal)
    for _ in orphans(tmp_path):
        break  # as when the database is away
    assert left(tmp_path) == (["a"], [])


def test_positions_go_on_over_files_and_what_is_applied_is_deleted(tmp_path: Path):
    journal = Journal.create(tmp_path, "w1", segment_bytes=400)
    journal.start(started("open"))
    ends: list[int] = []
    for number in range(20):
        journal.settle(started(f"r{number}").expired())
        ends.append(journal.end)
    assert ends == sorted(set(ends))
    assert len(list((tmp_path / "w1").glob("0*"))) > 3
    journal.applied(ends[-2])
    assert len(list((tmp_path / "w1").glob("0*"))) <= 2
    die(journal)
    [orphan] = list(orphans(tmp_path))
    assert [(end, one.row.request_id) for end, one in orphan.settled][-1] == (ends[-1], "r19")
    assert [one.request_id for one in orphan.unfinished] == ["open"], "carried over into each new file"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.integers(min_value=0), damage=st.integers(min_value=0, max_value=255))
def test_a_torn_or_damaged_tail_never_invents_a_settlement(
    tmp_path_factory: pytest.TempPathFactory, cut: int, damage: int
):
    root = tmp_path_factory.mktemp("torn")
    journal = Journal.create(root, "w1")
    for number in range(5):
        journal.settle(started(f"r{number}").expired())
    die(journal)
    file = root / "w1" / f"{0:016x}"
    data = bytearray(file.read_bytes())
    at = cut % len(data)
    file.write_bytes(bytes(data[:at]) + (bytes([damage]) if damage != data[at] else b""))
    [orphan] = list(orphans(root))
    names = [one.row.request_id for _, one in orphan.settled]
    assert names == [f"r{number}" for number in range(len(names))]
    assert len(names) < 5


def test_a_full_disk_refuses_and_leaves_the_journal_whole(tmp_path: Path):
    journal = Journal.create(tmp_path, "w1")
    journal.start(started("before"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.end + 10, hard))  # room for a part of a record
    try:
        with pytest.raises(Unavailable, match="free some disk space"):
            journal.start(started("refused"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)
    journal.start(started("after"))
    die(journal)
    assert left(tmp_path) == ([], ["after", "before"])


def test_what_was_noted_survives_kill_9(tmp_path: Path):
    program = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from neuralrouting.storage.journal import Journal, Started
        journal = Journal.create(Path({str(tmp_path)!r}), "w1")
        for number in range(1000):
            begun = Started(f"r{{number}}", 1, "acme", "key", "/", False, 5)
            journal.start(begun)
            if number < 999:
                journal.settle(begun.expired())
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    settled, unfinished = left(tmp_path)
    assert len(settled) == 999
    assert unfinished == ["r999"]
