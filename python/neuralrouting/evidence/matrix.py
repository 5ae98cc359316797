"""The confidence matrix: what audits have proven of each candidate in each task. A pure function of the audits.

Equal audits, settings and matrix before give an equal matrix in every worker; nothing here asks the clock or draws.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from neuralrouting.evidence.audits import Audit, Columns, Flags, Ints, columns, newest
from neuralrouting.evidence.cells import Sums, believe, sums
from neuralrouting.evidence.drift import likeliest_change
from neuralrouting.evidence.judging import Judge, judge_error, stretched
from neuralrouting.evidence.sending import Bounds, Reach, sending
from neuralrouting.intervals import Z_95

State = Literal["unproven", "proven", "refused"]
_NORMAL = NormalDist()


class MatrixSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What counts as proof, and what may be spent on finding it."""

    margin: float = 0.05
    """How much worse a candidate may be than the reference, in quality from 0 to 1."""
    promote: float = 0.8
    """Probability of being no worse than that from which on a cell is proven; at 1 less this it is refused."""
    demote: float = 0.5
    """Probability at which a proven cell stops being so, and a refused one."""
    least: float = 20.0
    """Audits under which a cell is neither proven nor refused."""
    peeking: float = 2.0
    """Factor on the standard deviation of a cell before it is judged, because the matrix is looked at every half hour
    and chance is given as many turns; `benches/matrix.py` measures what it keeps out."""
    budget: float = 0.0025
    """How much quality per request of the account may be lost by all that one candidate is sent, from 0 to 1; held
    with a one-sided confidence of `promote`."""
    worst: float = 0.1
    """How much worse than the reference a candidate may be expected to be on a prompt that it is sent within the
    budget; gains elsewhere never pay for more."""
    drift: float = 4.5
    """Score of the change scan that resets all cells of a candidate."""
    cell_drift: float = 5.0
    """The same within one cell; higher because there are many."""
    audit: float = 0.1
    """Share of the requests that is audited where a cell is undecided."""
    served_audit: float = 0.05
    """The same where the candidate serves the cell: then the audit costs an answer of the reference."""
    floor: float = 0.01
    """Share of the requests that is always audited."""
    watch: float = 0.03
    """The least share where the reference serves, of a candidate that serves elsewhere: so a change is seen in time."""
    haste: tuple[float, float] = (0.5, 2.5)
    """Bounds of a factor on both shares, by which young cells are audited more often than old ones."""
    settled: float = 100.0
    """Audits of a cell at which that factor is 1; it falls as they grow, because the same gain in certainty takes ever
    more of them."""
    undecided: tuple[float, float] = (0.1, 0.98)
    """Between these probabilities a cell is undecided."""


class Cell(msgspec.Struct, frozen=True):
    """What is known of one candidate in one task; the defaults are a cell of which nothing is."""

    candidate: str
    task: str
    n: float = 0.0
    """Audits that count, by weight."""
    mean: float = 0.0
    """Mean difference to the reference, shrunk towards the candidate's other tasks."""
    low: float = -1.0
    """Lower end of its 95 % interval."""
    high: float = 1.0
    """Upper end of its 95 % interval."""
    probability: float = 0.5
    """That the difference is no worse than -margin, with the allowance for peeking."""
    state: State = "unproven"
    drifted: bool = False
    """Whether the evidence starts anew because a change was noticed."""
    version: str = ""
    """Versions of both models that the evidence is about."""
    since: int = 0
    """Audits judged before this, Unix milliseconds, do not count: the model has changed since."""
    needed: int | None = None
    """How many more audits would prove it, were mean and spread to stay; None where none would."""
    centre: float = 0.0
    """Mean prediction over its audits."""
    sent: float = 0.0
    """Share of its prompts that the candidate is good enough for."""


class Matrix(msgspec.Struct, frozen=True):
    """What is known of an account's candidates: cells by candidate and task, and how far each may be sent prompts."""

    cells: dict[str, dict[str, Cell]] = {}
    reaches: dict[str, Reach] = {}

    def cell(self, candidate: str, task: str) -> Cell:
        """Return a cell; one without evidence where there was never an audit."""
        found = self.cells.get(candidate, {}).get(task)
        return Cell(candidate, task) if found is None else found

    def reach(self, candidate: str) -> Reach:
        """Return how far a candidate may be sent prompts beyond its proven cells; nowhere without evidence."""
        return self.reaches.get(candidate, NOWHERE)


NOWHERE = Reach()


class _Restart(NamedTuple):
    """Where the evidence of each cell starts, (cells,), and which of them a change has just reset."""

    since: Ints
    fresh: Flags


def rebuild(
    audits: Sequence[Audit],
    settings: MatrixSettings,
    before: Matrix | None = None,
    judges: Mapping[str, Judge] | None = None,
) -> Matrix:
    """Return the matrix that the audits of one account prove.

    `before` is the matrix of the last rebuild: what was proven or refused stays so until it crosses the other
    threshold, and what a change has ended stays ended. `judges` correct the judge's errors, by candidate.
    """
    by_candidate: dict[str, list[Audit]] = {}
    for audit in audits:
        by_candidate.setdefault(audit.candidate, []).append(audit)
    cells: dict[str, dict[str, Cell]] = {}
    reaches: dict[str, Reach] = {}
    for candidate in sorted(by_candidate):
        version = newest(by_candidate[candidate])
        tasks, seen = columns([audit for audit in by_candidate[candidate] if audit.version == version])
        judge = (judges or {}).get(candidate, Judge())
        seen = seen._replace(difference=stretched(seen.difference, seen.certain, judge))
        old = [_old(before or Matrix(), Cell(candidate, task, version=version)) for task in tasks]
        row, reaches[candidate] = _row(old, seen, judge, settings)
        cells[candidate] = {cell.task: cell for cell in row}
    return Matrix(cells, reaches)


def _old(before: Matrix, empty: Cell) -> Cell:
    """What was known of a cell, which is nothing if that was about another version."""
    known = before.cell(empty.candidate, empty.task)
    return known if known.version == empty.version else empty


def _row(old: list[Cell], seen: Columns, judge: Judge, settings: MatrixSettings) -> tuple[list[Cell], Reach]:
    """Make the cells of one candidate anew."""
    restart = _restarts(seen, np.array([cell.since for cell in old], np.int64), settings)
    seen = seen.only(seen.judged_ms >= restart.since[seen.task])
    counted = sums(seen.task, seen.difference, seen.weight, len(old))
    beliefs = believe(counted)
    deviation = np.hypot(beliefs.deviation, judge_error(beliefs.mean, judge))
    probability = [
        _NORMAL.cdf(float(above)) for above in (beliefs.mean + settings.margin) / (settings.peeking * deviation)
    ]
    states: list[State] = [
        _state(chance, n, "unproven" if fresh else cell.state, settings)
        for chance, n, fresh, cell in zip(probability, counted.weight, restart.fresh, old, strict=True)
    ]
    proven = np.array([state == "proven" for state in states], np.bool_)
    z = _NORMAL.inv_cdf(settings.promote)
    sent = sending(seen, proven, Bounds(settings.worst, settings.budget, z, settings.least, judge))
    needed = _needed(counted, settings)
    row = [
        Cell(
            cell.candidate,
            cell.task,
            n=float(counted.weight[place]),
            mean=float(beliefs.mean[place]),
            low=float(max(-1.0, beliefs.mean[place] - Z_95 * deviation[place])),
            high=float(min(1.0, beliefs.mean[place] + Z_95 * deviation[place])),
            probability=probability[place],
            state=states[place],
            drifted=bool(restart.fresh[place]) or cell.drifted,
            version=cell.version,
            since=int(restart.since[place]),
            needed=0 if states[place] == "proven" else needed[place],
            centre=float(sent.centre[place]),
            sent=float(sent.sent[place]),
        )
        for place, cell in enumerate(old)
    ]
    return row, sent.reach


def _state(probability: float, n: float, before: State, settings: MatrixSettings) -> State:
    """Promote, demote or leave a cell; a threshold once crossed must be crossed back as far as `demote`."""
    if n < settings.least:
        return "unproven"
    if probability >= settings.promote or (before == "proven" and probability >= settings.demote):
        return "proven"
    if probability <= 1 - settings.promote or (before == "refused" and probability < settings.demote):
        return "refused"
    return "unproven"


def _needed(counted: Sums, settings: MatrixSettings) -> list[int | None]:
    """How many more audits would prove each cell, were what was measured the truth."""
    z = _NORMAL.inv_cdf(settings.promote) * settings.peeking
    found: list[int | None] = []
    for n, mean, variance in zip(*counted, strict=True):
        lead = float(mean) + settings.margin
        if n < 1 or lead <= 0:
            found.append(None)
        else:
            enough = max(settings.least, z * z * float(variance) / (lead * lead))
            found.append(max(1, math.ceil(enough - float(n))))
    return found


def _restarts(seen: Columns, since: Ints, settings: MatrixSettings) -> _Restart:
    """Look for a change, first in all cells of the candidate together, then in each."""
    seen = seen.only(seen.judged_ms >= since[seen.task])
    counted = sums(seen.task, seen.difference, seen.weight, len(since))
    # What weighs less is noisier by as much: some complaints in a row are no new model.
    residuals = (seen.difference - counted.mean[seen.task]) * np.sqrt(seen.weight / counted.variance[seen.task])
    everywhere = likeliest_change(residuals)
    if everywhere.score > settings.drift:
        return _Restart(np.maximum(since, seen.judged_ms[everywhere.at]), np.ones(len(since), np.bool_))
    fresh, started = np.zeros(len(since), np.bool_), since.copy()
    for place in range(len(since)):
        own = np.flatnonzero(seen.task == place)
        change = likeliest_change(residuals[own])
        if change.score > settings.cell_drift:
            fresh[place], started[place] = True, seen.judged_ms[own[change.at]]
    return _Restart(started, fresh)
