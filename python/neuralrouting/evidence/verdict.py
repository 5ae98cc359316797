"""What the matrix says about one request: whether a candidate is good enough, and how likely it is to be audited."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from neuralrouting.evidence.matrix import Cell, Matrix, MatrixSettings

Basis = Literal["proven", "predicted", "unproven", "refused"]


class Verdict(msgspec.Struct, frozen=True):
    """Whether one candidate is good enough for one prompt, and why."""

    enough: bool
    basis: Basis
    expected: float
    """Expected difference to the reference."""
    low: float
    """The lower end of the cell's 95 % interval, moved as the expectation is."""
    n: float
    """Audits of the cell that count."""


def good_enough(matrix: Matrix, candidate: str, task: str, predicted: float | None = None) -> Verdict:
    """Say whether a candidate may answer a prompt of this task for which a predictor expects `predicted`.

    A proven cell is served whole. Elsewhere the expected difference decides: the cell's mean, moved by the predictor's
    difference to its own mean there, times how much it has shown that it knows. A prompt that reaches the candidate's
    threshold is sent, if its cell has the least number of audits; without a threshold, and in every cell of which
    nothing is known, none is.
    """
    cell, reach = matrix.cell(candidate, task), matrix.reach(candidate)
    moved = 0.0 if predicted is None else reach.slope * (predicted - cell.centre)
    expected = cell.mean + moved
    if cell.state == "proven":
        return Verdict(enough=True, basis="proven", expected=expected, low=cell.low + moved, n=cell.n)
    sent = cell.sent > 0 and reach.threshold is not None and expected >= reach.threshold
    return Verdict(
        enough=sent, basis="predicted" if sent else cell.state, expected=expected, low=cell.low + moved, n=cell.n
    )


def undecided(cell: Cell, settings: MatrixSettings) -> bool:
    """Return whether more audits of a cell could still change what it is used for.

    What the other tasks of a candidate tell may rule it out here before the least number of audits is reached.
    """
    low, high = settings.undecided
    return cell.probability > low and (cell.probability < high or cell.n < settings.least)


def audit_rate(cell: Cell, settings: MatrixSettings) -> float:
    """Return the share of a cell's requests to audit, the floor at least.

    The more of the cell the candidate serves, the dearer its audits are, and the fewer there are. The rate is the same
    for each prompt of the cell, whoever serves it, so that the plain mean of its audits is the mean of the cell.
    """
    if not undecided(cell, settings):
        return settings.floor
    least, most = settings.haste
    haste = min(most, max(least, settings.settled / max(cell.n, 1.0)))
    wanted = haste * (settings.audit + cell.sent * (min(settings.served_audit, settings.audit) - settings.audit))
    return max(settings.floor, wanted)


def audit_rates(matrix: Matrix, task: str, candidates: Sequence[str], settings: MatrixSettings) -> dict[str, float]:
    """Return by candidate, cheapest first, with which probability a request of this task is audited.

    One that a candidate serves is audited against the reference at that candidate's rate; one that the reference
    serves is shown to each candidate at its own. Those that serve something here have their full rate. Of the others
    the cheapest that is undecided gets what is left of the share that may be audited; a dearer one waits at the floor,
    or at the rate of a watch if it serves other tasks.
    """
    cells = [matrix.cell(candidate, task) for candidate in candidates]
    rates = {
        cell.candidate: audit_rate(cell, settings)
        if cell.sent
        else max(settings.floor, settings.watch if matrix.reach(cell.candidate).served else 0.0)
        for cell in cells
    }
    first = next((cell for cell in cells if not cell.sent and undecided(cell, settings)), None)
    if first is not None:
        others = sum(rate for candidate, rate in rates.items() if candidate != first.candidate)
        rates[first.candidate] = max(rates[first.candidate], audit_rate(first, settings) - others)
    return rates
