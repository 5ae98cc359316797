"""The folder of a run's metrics: wiped when its run has ended, left alone while it lives."""

import os
import subprocess
import sys
from pathlib import Path

from neuralrouting.telemetry.families import REQUESTS, WORKERS
from neuralrouting.telemetry.registry import Registry
from neuralrouting.telemetry.runs import FOLDER, run_folder


def test_a_run_begins_empty_and_leaves_nothing(tmp_path: Path):
    with run_folder(tmp_path) as folder:
        Registry(folder).series(WORKERS).set(1)
        assert list(folder.rglob("metrics-1"))
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["lock"]


def test_two_gateways_may_share_a_data_folder(tmp_path: Path):
    with run_folder(tmp_path) as one, run_folder(tmp_path) as other:
        assert one != other
        assert one.exists()
        Registry(one).series(REQUESTS, "/v1/x", "m", "p", "auto", "200").add(1)
        assert b'status="200"' not in Registry(other).render()
        assert b'status="200"' in Registry(one).render()


def test_what_a_killed_run_left_is_wiped_by_the_next(tmp_path: Path):
    code = f"""
import os, signal
from pathlib import Path
from neuralrouting.telemetry.runs import run_folder
with run_folder(Path({str(tmp_path)!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == -9
    [left] = [path for path in (tmp_path / FOLDER).iterdir() if path.is_dir()]
    with run_folder(tmp_path) as folder:
        assert not left.exists()
        assert folder.exists()
