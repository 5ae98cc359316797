"""Replays a file of outcomes as an account's traffic through the confidence matrix, and lets it see audits only.

Every model's outcome is known for every row, so that what a policy lost and saved is counted, not estimated. The
matrix, its rebuild and the two decisions per request (serve whom, audit whom) are those of the gateway.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from neuralrouting.errors import ConfigError
from neuralrouting.evaluation.replay_table import Floats, ReplayTable
from neuralrouting.evidence.audits import Audit
from neuralrouting.evidence.judging import Judge, calibrate
from neuralrouting.evidence.matrix import Matrix, MatrixSettings, rebuild
from neuralrouting.evidence.verdict import audit_rates, good_enough

Ints = npt.NDArray[np.int64]


class Drift(msgspec.Struct, frozen=True):
    """A model that silently becomes another from some request on; its price stays."""

    model: str
    becomes: str
    request: int


class ReplaySettings(msgspec.Struct, frozen=True):
    """What is replayed."""

    requests: int = 60_000
    seed: int = 1
    every: int = 1_000
    """Requests between two rebuilds of the matrix."""
    flips: float = 0.0
    """Share of the verdicts that the judge gets wrong: a win becomes a loss, a tie either of them."""
    checked: int = 100
    """Audits of each candidate, its first, that people check too; from these the judge's errors are estimated."""
    drift: Drift | None = None


class Traffic(NamedTuple):
    """The stream: which row each request is, and what each model would make of it."""

    rows: Ints
    """(requests,)."""
    quality: Floats
    """(requests, models), with the drift in it."""
    usd: Floats
    """(requests, models)."""
    cell: Ints
    """(requests,)."""
    truth: Floats
    """Mean difference to the reference by candidate and cell at the end, (models - 1, cells)."""


class Course(NamedTuple):
    """What happened: per request, and the matrix at the end."""

    served: Ints
    """Index of the model that answered, (requests,)."""
    audited: Ints
    """How many audits each request got, (requests,)."""
    audit_usd: Floats
    """What they cost, (requests,)."""
    matrix: Matrix


class Predictor(Protocol):
    """Expects the difference of a candidate on each row, without having learned from that row."""

    def learn(self, rows: Ints, candidates: Ints, differences: Floats) -> Floats:
        """Return expected differences, (rows of the file, candidates), after audits given as three arrays (audits,)."""
        ...


def traffic(table: ReplayTable, settings: ReplaySettings) -> Traffic:
    """Stream permutations of the rows, one after the other; raises ConfigError for a drift of unknown models."""
    rng = np.random.default_rng(settings.seed)
    turns = -(-settings.requests // len(table.prompts))
    rows = np.concatenate([rng.permutation(len(table.prompts)) for _ in range(turns)])[: settings.requests]
    quality, final = table.quality[rows], table.quality.copy()
    if settings.drift is not None:
        column = _column(table, settings.drift.model)
        after = _quality(table, settings.drift.becomes)
        quality[settings.drift.request :, column] = after[rows[settings.drift.request :]]
        final[:, column] = after
    sizes = np.bincount(table.cell, minlength=len(table.cells))
    apart = final - final[:, -1:]
    truth = np.array([np.bincount(table.cell, own, len(table.cells)) / sizes for own in apart.T[:-1]])
    return Traffic(rows, quality, table.usd[rows], table.cell[rows], truth)


def _column(table: ReplayTable, model: str) -> int:
    if model not in table.models:
        raise ConfigError(f"{model} takes no part in the replay; there are {', '.join(table.models)}")
    return table.models.index(model)


def _quality(table: ReplayTable, model: str) -> Floats:
    if model in table.others:
        return table.others[model]
    return table.quality[:, _column(table, model)]


class Ledger:
    """The audits of a replay: what the judge said of them, and what people said of the first ones."""

    def __init__(self, table: ReplayTable, settings: ReplaySettings) -> None:
        self._table = table
        self._settings = settings
        self._random = np.random.default_rng((settings.seed, 1))
        self._rows: list[int] = []
        self._candidates: list[int] = []
        self._differences: list[float] = []
        self._at: list[int] = []
        self._rates: list[float] = []
        self._checked: dict[int, list[tuple[float, float]]] = {}

    def judge(self, request: int, row: int, candidate: int, truth: float, rate: float) -> None:
        """Judge one pair, and write it down."""
        read = truth
        if self._random.random() < self._settings.flips:
            read = -truth if truth else float(self._random.choice((-1.0, 1.0)))
        checked = self._checked.setdefault(candidate, [])
        if len(checked) < self._settings.checked:
            checked.append((read, truth))
        self._rows.append(row)
        self._candidates.append(candidate)
        self._differences.append(read)
        self._at.append(request)
        self._rates.append(rate)

    def predicted(self, predictor: Predictor | None) -> Floats | None:
        """What the predictor expects of every row, once it has learned from all audits."""
        if predictor is None:
            return None
        return predictor.learn(np.array(self._rows), np.array(self._candidates), np.array(self._differences))

    def audits(self, predicted: Floats | None) -> list[Audit]:
        """All audits so far, with what is expected of their rows now."""
        names, cells, cell = self._table.models, self._table.cells, self._table.cell
        columns = (self._rows, self._candidates, self._differences, self._at, self._rates)
        return [
            Audit(
                candidate=names[candidate],
                task=cells[cell[row]],
                difference=difference,
                judged_ms=at,
                propensity=rate,
                predicted=None if predicted is None else float(predicted[row, candidate]),
            )
            for row, candidate, difference, at, rate in zip(*columns, strict=True)
        ]

    def judges(self) -> dict[str, Judge]:
        """What is known of the judge, by candidate."""
        everyone = [pair for pairs in self._checked.values() for pair in pairs]
        judge = calibrate([read for read, _ in everyone], [truth for _, truth in everyone])
        return dict.fromkeys(self._table.models[:-1], judge)


def replay(
    table: ReplayTable,
    stream: Traffic,
    settings: ReplaySettings,
    matrix_settings: MatrixSettings,
    predictor: Predictor | None = None,
    watch: Callable[[int], None] = lambda _: None,
) -> Course:
    """Send the stream through the matrix; `watch` hears after each rebuild how many requests are done."""
    ledger = Ledger(table, settings)
    random = np.random.default_rng((settings.seed, 2))
    requests = len(stream.rows)
    course = Course(np.zeros(requests, np.int64), np.zeros(requests, np.int64), np.zeros(requests), Matrix())
    predicted: Floats | None = None
    for start in range(0, requests, settings.every):
        end = min(start + settings.every, requests)
        _serve(range(start, end), table, stream, course, predicted)
        _audit(
            range(start, end), stream, course, _Drawing(ledger, random, _rates(table, course.matrix, matrix_settings))
        )
        predicted = ledger.predicted(predictor)
        audits = ledger.audits(predicted)
        course = course._replace(matrix=rebuild(audits, matrix_settings, course.matrix, ledger.judges()))
        watch(end)
    return course


def _serve(period: range, table: ReplayTable, stream: Traffic, course: Course, predicted: Floats | None) -> None:
    """Let the cheapest candidate answer that is good enough, else the reference."""
    candidates = table.models[:-1]
    for request in period:
        row, task = stream.rows[request], table.cells[stream.cell[request]]
        expected = None if predicted is None else predicted[row]
        chosen = len(candidates)
        for place, candidate in enumerate(candidates):
            own = None if expected is None else float(expected[place])
            if good_enough(course.matrix, candidate, task, own).enough:
                chosen = place
                break
        course.served[request] = chosen


def _rates(table: ReplayTable, matrix: Matrix, settings: MatrixSettings) -> Floats:
    """Audit rates of a period, (cells, candidates)."""
    names = table.models[:-1]
    rates = [audit_rates(matrix, task, names, settings) for task in table.cells]
    return np.array([[own[name] for name in names] for own in rates])


class _Drawing(NamedTuple):
    ledger: Ledger
    random: np.random.Generator
    rates: Floats


def _audit(period: range, stream: Traffic, course: Course, drawing: _Drawing) -> None:
    """Draw audits: of an answer of a candidate against the reference, of one of the reference against candidates."""
    reference = stream.quality.shape[1] - 1
    draws = drawing.random.random((len(period), reference))
    for request, draw in zip(period, draws, strict=True):
        served = course.served[request]
        shown = range(reference) if served == reference else (served,)
        rates = drawing.rates[stream.cell[request]]
        for candidate in shown:
            if draw[candidate] >= rates[candidate]:
                continue
            truth = float(stream.quality[request, candidate] - stream.quality[request, reference])
            drawing.ledger.judge(request, int(stream.rows[request]), int(candidate), truth, float(rates[candidate]))
            course.audited[request] += 1
            course.audit_usd[request] += stream.usd[request, candidate if served == reference else reference]
