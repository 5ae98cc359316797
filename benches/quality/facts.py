"""Measures everything once, and says of what."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from neuralrouting.engine import Shield, version

from . import cache, classifier, judges, latency, routing
from . import shield as shielded
from .weights import ROOT, sha256


def measure(folder: Path, embedder: Path | None) -> dict[str, Any]:
    """Return every fact of the page; `folder` holds `shield`, `routing` and `cache`, `embedder` an ONNX model."""
    shield = Shield()
    _say("latency")
    took = latency.measure(folder / "shield", shield)
    _say("shield")
    of_shield = shielded.measure(folder / "shield", shield)
    _say("classifier")
    of_classifier = classifier.measure(folder / "routing")
    _say("cache (minutes with an ONNX model)")
    of_cache = cache.measure(folder / "cache", embedder)
    _say("routing (minutes)")
    of_routing = routed(folder, shield)
    _say("what was left out of training (a minute)")
    return {
        "subject": _subject(shield),
        "latency": took,
        "shield": of_shield,
        "classifier": of_classifier,
        "cache": of_cache,
        "routing": of_routing,
        "judges": judges.measure(folder),
    }


def routed(folder: Path, shield: Shield) -> dict[str, Any]:
    """Return the facts of the section about routing; the decision first, while nothing else runs."""
    decision = latency.decided(folder / "shield", shield)
    return {**routing.measure(folder / "routing"), "decision": decision}


def _subject(shield: Shield) -> dict[str, str]:
    """Say what was measured, where and when."""
    return {
        "date": time.strftime("%d %B %Y", time.gmtime()).lstrip("0"),
        "version": version(),
        "commit": _git("rev-parse", "--short=12", "HEAD") + ("" if not _git("status", "--porcelain") else ", changed"),
        "pack": shield.hash,
        "shield_weights": sha256("shield.bin"),
        "classify_weights": sha256("classify.bin"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _say(step: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {step}", file=sys.stderr)
