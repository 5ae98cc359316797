"""Runs the trainer's judges: the same method, with the family or the source that is judged left out of the training."""

import subprocess
from pathlib import Path
from typing import Any

import orjson

from .weights import ROOT

TRAIN = ("cargo", "run", "--locked", "--quiet", "--release", "--example", "train", "--")


def measure(folder: Path) -> dict[str, Any]:
    """Return what both judges print."""
    return {
        "shield": _run("judge-shield", folder / "shield"),
        "classify": _run("judge-classify", folder / "routing"),
    }


def _run(judge: str, folder: Path) -> dict[str, Any]:
    done = subprocess.run([*TRAIN, judge, str(folder.resolve())], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return orjson.loads(done.stdout)
