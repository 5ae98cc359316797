"""How long one core takes in the release build, called from Python: by size, on prose and on varied texts."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import orjson
from benches.hostile.texts import PROSE, long
from benches.hostile.timing import costs

from neuralrouting.engine import Engine, Predictor, Shield, classify
from neuralrouting.evaluation.rows import read_rows
from neuralrouting.evidence.ridge import Rows, fit_head
from neuralrouting.intervals import percentile

from .shield import Row

Given = TypeVar("Given")

KB = 1024
SIZES = {"1 KB": KB, "8 KB": 8 * KB, "64 KB": 64 * KB, "1 MB": KB * KB}
PIECES_MOST = 400
"""Texts of one size; fewer where the rows give fewer."""
BYTES_MOST = 16 * KB * KB
"""What is scanned for one size in one round."""
ROUNDS = 5
HEADS = 4
"""Candidates of an account, each with a head of its own."""


def measure(folder: Path, shield: Shield) -> dict[str, Any]:
    """Return microseconds; `folder` holds the labelled rows of the shield."""
    ordinary = _ordinary(folder)
    real = {name: _pieces(ordinary, size) for name, size in SIZES.items()}
    prose = {name: [long(PROSE, size)] * min(PIECES_MOST, BYTES_MOST // size) for name, size in SIZES.items()}
    engine = Engine()

    def inspect(body: bytes) -> None:
        engine.inspect(body, "tenant", shield=shield)

    return {
        "scan": {
            "prose": {name: _timed(shield.scan, texts) for name, texts in prose.items()},
            "real": {name: _timed(shield.scan, texts) for name, texts in real.items()},
        },
        "classify": {"prose": _timed(classify, prose["1 KB"]), "real": _timed(classify, real["1 KB"])},
        "inspect": {
            "prose": _timed(inspect, map(_body, prose["1 KB"])),
            "real": _timed(inspect, map(_body, real["1 KB"])),
        },
        "hostile": msgspec.to_builtins(costs(shield)),
    }


def decided(folder: Path, shield: Shield) -> dict[str, Any]:
    """Return microseconds of a whole decision on 1 KB that no cache answers: every layer, in one crossing.

    The account has learned a head for each of `HEADS` candidates; how long that takes does not depend on its weights.
    """
    engine = Engine()
    head = fit_head(Rows.of([]), np.zeros(0))
    predictor = Predictor([(f"candidate-{nth}", head) for nth in range(HEADS)])

    def inspect(body: bytes) -> None:
        engine.inspect(body, "tenant", shield=shield, semantic=True, predictor=predictor)

    prose, real = [long(PROSE, KB)] * PIECES_MOST, _pieces(_ordinary(folder), KB)
    return {name: _timed(inspect, map(_body, texts)) for name, texts in (("prose", prose), ("real", real))}


def _ordinary(folder: Path) -> bytes:
    """Join every ordinary text that a user may have written."""
    rows = read_rows(folder / "dev.jsonl", Row)
    return "\n\n".join(row.text for row in rows if row.scope == "benign" and row.channel == "user").encode()


def _pieces(whole: bytes, size: int) -> list[str]:
    """Cut pieces of a size, evenly from the whole."""
    starts = range(0, len(whole) - size + 1, size)
    step = max(1, len(starts) // min(PIECES_MOST, max(1, BYTES_MOST // size)))
    return [whole[start : start + size].decode(errors="ignore") for start in starts[::step]]


def _body(text: str) -> bytes:
    """Put a text into the body of a request, as its only message."""
    return orjson.dumps({"model": "auto", "messages": [{"role": "user", "content": text}], "max_tokens": 256})


def _timed(call: Callable[[Given], object], given: Iterable[Given]) -> dict[str, float]:
    """Time each text a few times, in processor time; its median counts, so that what else runs here counts little."""
    taken: list[float] = []
    for one in given:
        times: list[float] = []
        for _ in range(ROUNDS):
            started_ns = time.thread_time_ns()
            call(one)
            times.append((time.thread_time_ns() - started_ns) / 1000)
        taken.append(percentile(times, 0.5))
    return {"n": len(taken), "p50": percentile(taken, 0.5), "p99": percentile(taken, 0.99)}
