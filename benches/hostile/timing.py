"""Times scans of hostile texts against prose: medians of rounds in which every text has its turn."""

import statistics
import time
from collections.abc import Mapping

import msgspec

from neuralrouting.engine import Shield

from .texts import HOSTILE, PROSE, long

HALF, WHOLE = 512 * 1024, 1024 * 1024
ROUNDS = 9
SLOWDOWN_MOST = 4.0
"""What a byte of a hostile text may cost, as a multiple of a byte of prose."""
DOUBLING_MOST = 2.3
"""What twice the text may cost: 2 is linear, the rest is noise."""


class Cost(msgspec.Struct, frozen=True):
    """One text: milliseconds of processor time for 1 MB, as a multiple of prose, and of half the text."""

    name: str
    ms: float
    slowdown: float
    doubling: float

    def faults(self) -> list[str]:
        """Say what is broken."""
        found: list[str] = []
        if self.slowdown > SLOWDOWN_MOST:
            found.append(f"{self.name}: {self.slowdown:.2f}x prose, at most {SLOWDOWN_MOST:g}x is allowed")
        if self.doubling > DOUBLING_MOST:
            found.append(f"{self.name}: {self.doubling:.2f}x for twice the text, at most {DOUBLING_MOST:g}x is allowed")
        return found


def costs(shield: Shield, rounds: int = ROUNDS) -> list[Cost]:
    """Return what each text costs, prose first."""
    pieces = {"prose": PROSE, **HOSTILE}
    texts = {(name, size): long(piece, size) for name, piece in pieces.items() for size in (HALF, WHOLE)}
    taken: dict[tuple[str, int], list[int]] = {key: [] for key in texts}
    for nth in range(rounds + 1):
        for key, text in texts.items():
            # Processor time of this thread: what else runs on the machine does not count.
            started_ns = time.thread_time_ns()
            shield.scan(text)
            took_ns = time.thread_time_ns() - started_ns
            if nth:  # the first round warms up
                taken[key].append(took_ns)
    return _compared({key: statistics.median(times) / 1e6 for key, times in taken.items()}, list(pieces))


def _compared(median_ms: Mapping[tuple[str, int], float], names: list[str]) -> list[Cost]:
    prose_ms = median_ms["prose", WHOLE]
    return [
        Cost(
            name=name,
            ms=median_ms[name, WHOLE],
            slowdown=median_ms[name, WHOLE] / prose_ms,
            doubling=median_ms[name, WHOLE] / median_ms[name, HALF],
        )
        for name in names
    ]
