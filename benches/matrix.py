"""What chance does to the matrix: wrong promotions, false alarms, time to notice, and how long a rebuild takes.

`python -m benches.matrix [ACCOUNTS]`; fixed seeds. An account has fourteen tasks, and gets audits a few at a time: the
matrix is rebuilt after each batch, as often as a gateway would, and a mistake counts if it was made at any of these
times, not only at the end.
"""

import sys
import time

import numpy as np

from neuralrouting.evidence.audits import Audit
from neuralrouting.evidence.matrix import Matrix, MatrixSettings, rebuild

SETTINGS = MatrixSettings()
TASKS = 14
BATCH = 140
"""Audits of all tasks together between two rebuilds."""
BATCHES = 30
TIE_SHARE = 0.7
"""Share of ties, which with as many wins as losses is a standard deviation of 0.55."""


def audits(means: np.ndarray, start: int, n: int, random: np.random.Generator) -> list[Audit]:
    """Make n audits of tasks drawn alike, whose differences have these means (tasks,)."""
    found: list[Audit] = []
    for place in range(n):
        task = int(random.integers(len(means)))
        win = (1 - TIE_SHARE + means[task]) / 2
        drawn = random.random()
        difference = 1.0 if drawn < win else (-1.0 if drawn < 1 - TIE_SHARE else 0.0)
        found.append(Audit("small", f"task{task:02}", difference, start + place, propensity=0.1))
    return found


def lifetime(means: np.ndarray, after: np.ndarray | None, seed: int) -> dict[str, float]:
    """Rebuild after every batch; `after` are the means of the second half, where they change."""
    random = np.random.default_rng(seed)
    seen: list[Audit] = []
    matrix: Matrix | None = None
    ever: set[str] = set()
    noticed = float("nan")
    for batch in range(BATCHES):
        changed = after is not None and batch >= BATCHES // 2
        seen += audits(after if changed and after is not None else means, len(seen), BATCH, random)
        matrix = rebuild(seen, SETTINGS, matrix)
        cells = matrix.cells["small"].values()
        ever |= {cell.task for cell in cells if cell.state == "proven"}
        if changed and np.isnan(noticed) and any(cell.drifted for cell in cells):
            noticed = (batch + 1 - BATCHES // 2) * BATCH
    cells = list(matrix.cells["small"].values()) if matrix else []
    return {
        "ever": len(ever) / TASKS,
        "end": sum(cell.state == "proven" for cell in cells) / TASKS,
        "reset": float(any(cell.drifted for cell in cells)),
        "noticed": noticed,
    }


def told(name: str, lives: list[dict[str, float]]) -> None:
    """Print one line of the table."""
    ever, end, reset = (100 * np.mean([life[key] for life in lives]) for key in ("ever", "end", "reset"))
    noticed = [life["noticed"] for life in lives if not np.isnan(life["noticed"])]
    late = f"{np.median(noticed):.0f}" if noticed else "-"
    print(f"{name:44} {ever:11.2f} {end:11.2f} {reset:9.1f} {late:>9}", flush=True)


def main() -> None:
    accounts = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    print(f"{accounts} accounts, {TASKS} tasks, {BATCH * BATCHES // TASKS} audits a task, {BATCHES} rebuilds")
    print(f"{'truth':44} {'ever prov %':>11} {'at end %':>11} {'reset %':>9} {'noticed':>9}")
    for mean in (0.0, -SETTINGS.margin, -0.075, -2 * SETTINGS.margin):
        lives = [lifetime(np.full(TASKS, mean), None, seed) for seed in range(accounts)]
        told(f"every task at {mean:+.3f}", lives)
    mixed = np.where(np.arange(TASKS) % 2, 0.05, -0.06)
    told("half at +0.05, half at -0.06: all proven", [lifetime(mixed, None, seed) for seed in range(accounts)])
    worse = [lifetime(np.zeros(TASKS), np.full(TASKS, -0.2), seed) for seed in range(accounts)]
    told("0.0, from the middle on -0.2 (noticed: audits)", worse)
    many = audits(mixed, 0, 50_000, np.random.default_rng(1))
    started = time.perf_counter()
    rebuild(many, SETTINGS)
    print(f"a rebuild of 50,000 audits takes {1000 * (time.perf_counter() - started):.0f} ms")


if __name__ == "__main__":
    main()
