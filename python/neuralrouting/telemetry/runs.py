"""Where the metrics of one run of the gateway are: a folder that lives as long as its `serve` does."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

METRICS_VARIABLE = "NEURALROUTING_METRICS"
"""Set by `serve` for its workers: the folder of this run's metrics."""
FOLDER = "metrics"
_LOCK = "lock"


@contextlib.contextmanager
def run_folder(data_dir: Path) -> Generator[Path]:
    """Make a folder for a run, wipe those of runs that have ended, and remove it at the end. Raises OSError.

    A lock says that a run lives: the system takes it off who dies, and several gateways may share a data folder.
    """
    runs = data_dir / FOLDER
    runs.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(runs):  # one at a time, so that nobody takes a run that is just beginning for a dead one
        for old in [path for path in runs.iterdir() if path.is_dir() and not _lives(path)]:
            shutil.rmtree(old, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=runs))
        living = _open(folder)
        fcntl.flock(living, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        os.close(living)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(runs: Path) -> Generator[None]:
    lock = _open(runs)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _lives(folder: Path) -> bool:
    lock = _open(folder)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(lock)


def _open(folder: Path) -> int:
    return os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
