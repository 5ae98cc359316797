"""How well prompts can be routed between models whose outcomes are known, told with the controls that matter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuralrouting.errors import ConfigError
from neuralrouting.evaluation.curves import (
    Curve,
    best_mix,
    interval,
    least_loss,
    shuffled_apgr,
)
from neuralrouting.evaluation.outcomes import (
    Outcomes,
    RoutingRow,
    listed_price,
    models_of,
    need,
    place,
    read_outcomes,
    table,
)
from neuralrouting.evidence.fitted import Labels, Router, folds_of, train
from neuralrouting.evidence.ridge import Rows
from neuralrouting.evidence.thresholds import LEVEL, PRICES, choose, gained

Array = NDArray[np.float64]
REFERENCE = "gpt-4o"
"""The product's baseline."""
BUDGET = 0.01
"""Relative loss of quality that is allowed."""
TRAINING_SHARE = 0.7
FEWEST_LABELS = 50
PERMUTATIONS = 100


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked: file, labelled file or None (a split), models, reference, how many labels, seed."""

    file: Path
    train: Path | None = None
    pair: tuple[str, str] | None = None
    reference: str | None = None
    models: tuple[str, ...] = ()
    labels: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Field:
    """Who competes: the reference, the candidates by rising cost, and what had to be said about the data."""

    reference: str
    candidates: tuple[str, ...]
    training: Outcomes
    test: Outcomes
    notices: tuple[str, ...]

    @property
    def price(self) -> float:
        """The reference's mean cost of a prompt in training: the unit of savings."""
        return float(self.training.usd[self.reference].mean())

    def savings(self, outcomes: Outcomes) -> Array:
        """Share of a mean reference call that each candidate saves (rows, candidates)."""
        paid = outcomes.usd[self.reference]
        return np.stack([paid - outcomes.usd[name] for name in self.candidates], axis=1) / self.price


def evaluate(ask: Ask, tell: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Train on the labelled rows, judge on the others. Raises ConfigError for files that cannot be used."""
    field = prepare(ask)
    labels = Labels(field.training.quality, field.savings(field.training), field.reference, field.candidates)
    tell("reading prompts")
    rows = Rows.of(field.training.prompts)
    folds = folds_of([place(prompt, ask.seed + 1) for prompt in field.training.prompts])
    router = train(rows, labels, folds, BUDGET, tell)
    tell("judging")
    return Report(field, router, ask.seed).told()


def prepare(ask: Ask) -> Field:
    """Read, split and line up. Raises ConfigError."""
    rows = read_outcomes(ask.file)
    training, test, notices = _split(ask, rows)
    everyone = models_of(training)
    reference = _reference(ask, training, everyone)
    wanted = list(ask.pair or ask.models or [name for name in everyone if name in models_of(test)])
    need(training, ask.train or ask.file, [*wanted, reference])
    need(test, ask.file, [*wanted, reference])
    wanted = list(dict.fromkeys([*wanted, reference]))
    # Models that do not compete still say which prompts are hard.
    pooled = [name for name in everyone if name not in wanted and all(name in row.models for row in training)]
    known, said = table(training, [*wanted, *pooled], reference, listed_price)
    unseen, said_too = table(test, wanted, reference, listed_price)
    if ask.labels is not None and len(known) < ask.labels:
        said.append(f"{len(known)} labelled rows, not the {ask.labels} asked for")
    if len(known) < FEWEST_LABELS or len(unseen) < FEWEST_LABELS:
        raise ConfigError(
            f"{ask.file}: {len(known)} rows to learn from and {len(unseen)} to judge on; both need {FEWEST_LABELS}"
        )
    wanted = _priced(ask, wanted, reference, (known, unseen), said)
    candidates = tuple(sorted((n for n in wanted if n != reference), key=lambda name: known.usd[name].mean()))
    return Field(reference, candidates, known, unseen, tuple(dict.fromkeys([*notices, *said, *said_too])))


def _split(ask: Ask, rows: list[RoutingRow]) -> tuple[list[RoutingRow], list[RoutingRow], list[str]]:
    """Labelled rows, rows to judge on. Equal prompts are never on both sides."""
    notices: list[str] = []
    if ask.train is not None:
        training = sorted(read_outcomes(ask.train), key=lambda row: place(row.prompt, ask.seed))
        training = training[: ask.labels]
        seen = {row.prompt for row in training}
        test = [row for row in rows if row.prompt not in seen]
        if len(test) < len(rows):
            notices.append(f"{len(rows) - len(test)} rows whose prompt is among the labelled ones are left out")
        return training, test, notices
    ordered = sorted(rows, key=lambda row: place(row.prompt, ask.seed))
    count = ask.labels if ask.labels is not None else round(TRAINING_SHARE * len(ordered))
    training = ordered[:count]
    seen = {row.prompt for row in training}
    return training, [row for row in ordered[count:] if row.prompt not in seen], notices


def _reference(ask: Ask, rows: Sequence[RoutingRow], everyone: Sequence[str]) -> str:
    if ask.pair is not None:
        return ask.pair[1]
    if ask.reference is not None:
        return ask.reference
    known = ask.models or tuple(everyone)
    if REFERENCE in known or not known:
        return REFERENCE
    means = {name: np.mean([row.models[name].q for row in rows if name in row.models] or [0.0]) for name in known}
    return max(means, key=lambda name: (means[name], name))


def _priced(
    ask: Ask, wanted: list[str], reference: str, tables: tuple[Outcomes, Outcomes], said: list[str]
) -> list[str]:
    """Leave out what has no price; without a price of the reference, or of a pair, count requests."""
    lacking = [name for name in wanted if any(np.isnan(outcomes.usd[name]).any() for outcomes in tables)]
    if lacking and (ask.pair is not None or reference in lacking):
        said.append(f"no cost known for {', '.join(lacking)}: give usd; here a reference call costs 1, any other 0")
        for outcomes in tables:
            for name in wanted:
                outcomes.usd[name] = np.full(len(outcomes), float(name == reference))
        return wanted
    if lacking:
        said.append(f"no cost known for {', '.join(lacking)}: left out; give usd, or in_tok and out_tok")
    kept = [name for name in wanted if name not in lacking]
    if len(kept) < 2:
        raise ConfigError(f"{ask.file}: nothing to choose from beside {reference}")
    return kept


class Report:
    """Figures of one router on rows that it has not seen."""

    def __init__(self, field: Field, router: Router, seed: int) -> None:
        self.field, self.router = field, router
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        test = field.test
        self.quality = float(test.quality[field.reference].mean())
        self.differences = np.stack(
            [test.quality[name] - test.quality[field.reference] for name in field.candidates], axis=1
        )
        # Savings are told as a share of what the reference would have cost on these very rows.
        self.savings = field.savings(test) * (field.price / test.usd[field.reference].mean())
        self.predicted = router.predict(Rows.of(test.prompts))
        self.chosen = choose(*self.predicted, router.point.price)

    def told(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        gains, scores = -self.differences[:, 0], -self.predicted[0][:, 0]
        curve = Curve.of(gains, scores, self.rng)
        field = self.field
        return {
            "rows": len(field.test),
            "labels": len(field.training),
            "reference": field.reference,
            "models": [*field.candidates, field.reference],
            "pair": [field.candidates[0], field.reference],
            "seed": self.seed,
            "notices": list(field.notices),
            "apgr": _rounded(curve.apgr),
            "cpt": {str(percent): _rounded(curve.calls_for(percent)) for percent in (50, 80, 95)},
            "curve": curve.points(),
            "frontier": self._frontier(),
            "save_at_1pct": self._operating(),
            "oracle_gap_closed": self._gap_closed(),
            "controls": self._controls(gains, scores),
        }

    def _mean(self, chosen: NDArray[np.intp]) -> tuple[float, float]:
        """Relative loss and share saved of a choice."""
        lost = -float(gained(self.differences, chosen).mean()) / self.quality
        return lost, float(gained(self.savings, chosen).mean())

    def _frontier(self) -> list[dict[str, float]]:
        points: list[dict[str, float]] = []
        for price in PRICES[::8]:
            loss, saved = self._mean(choose(*self.predicted, float(price)))
            points.append({"price": _rounded(price), "saved": _rounded(saved), "loss": _rounded(loss)})
        return points

    def _operating(self) -> dict[str, Any]:
        loss, saved = self._mean(self.chosen)
        brought, kept = gained(self.differences, self.chosen), gained(self.savings, self.chosen)
        between = interval(brought, kept, self.quality, self.rng)
        away, tokens = self.chosen >= 0, self.field.test.tokens
        names = self.field.candidates
        return {
            "saved": _rounded(saved),
            "loss": _rounded(loss),
            "loss_upper": between["loss"][1],
            "interval": between,
            "threshold": _rounded(self.router.point.price),
            "promised": {
                "loss": _rounded(self.router.point.loss),
                "loss_upper": _rounded(self.router.point.loss_upper),
                "saved": _rounded(self.router.point.saved),
                "level": LEVEL,
            },
            "offload_requests": _rounded(float(away.mean())),
            "offload_tokens": _rounded(float(tokens[away].sum() / tokens.sum())),
            "by_model": {name: _rounded(float((self.chosen == nth).mean())) for nth, name in enumerate(names)},
        }

    def _lines(self) -> tuple[Array, Array]:
        """Loss and saving of each single model, the reference first."""
        losses = np.concatenate(([0.0], -self.differences.mean(axis=0) / self.quality))
        return losses, np.concatenate(([0.0], self.savings.mean(axis=0)))

    def _gap_closed(self) -> float | None:
        """(router - best fixed split) / (oracle - best fixed split), in savings at the loss of the router."""
        loss, saved = self._mean(self.chosen)
        allowed = max(loss, 0.0)
        split = best_mix(*self._lines(), allowed)
        oracle = 0.0
        for price in PRICES:
            lost, kept = self._mean(choose(self.differences, self.savings, float(price)))
            oracle = max(oracle, kept) if lost <= allowed else oracle
        return _rounded((saved - split) / (oracle - split)) if oracle > split else None

    def _controls(self, gains: Array, scores: Array) -> dict[str, dict[str, Any]]:
        losses, savings = self._lines()
        _, saved = self._mean(self.chosen)
        cheapest = int(np.argmax(savings))
        share = saved / savings[cheapest] if savings[cheapest] > 0 else 0.0
        shuffles = [self._mean(self.rng.permutation(self.chosen)) for _ in range(PERMUTATIONS)]
        lost, kept = np.mean(shuffles, axis=0)
        return {
            "always_cheapest": self._control(losses[cheapest], savings[cheapest]),
            "always_premium": self._control(0.0, 0.0),
            "fixed_split": self._control(least_loss(losses, savings, saved), saved),
            "random_split": self._control(share * losses[cheapest], saved) | {"apgr": 0.5},
            "shuffled": self._control(lost, kept) | {"apgr": _rounded(shuffled_apgr(gains, scores, self.rng))},
        }

    def _control(self, loss: float, saved: float) -> dict[str, float]:
        """Cost is in dollars for a thousand prompts."""
        cost = 1000 * float(self.field.test.usd[self.field.reference].mean()) * (1 - saved)
        return {
            "cost": _rounded(cost),
            "quality": _rounded(self.quality * (1 - loss)),
            "loss": _rounded(loss),
            "saved": _rounded(saved),
        }


def _rounded(value: float) -> float:
    return round(float(value), 6)
