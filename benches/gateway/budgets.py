"""What must hold, as ratios within one run: they survive another machine, absolute times do not."""

from collections.abc import Iterable

import msgspec

from .crowd import Crowd
from .measure import Result
from .scenarios import BARE, GATEWAY, SCENARIOS, TENSORZERO


class Budget(msgspec.Struct, frozen=True):
    """The gateway's CPU per request in a scenario, at most `limit` times that of another target."""

    scenario: str
    against: str
    limit: float


class Verdict(msgspec.Struct, frozen=True):
    """One rule: what it asks, what was found, and whether it holds; None: it could not be looked at."""

    rule: str
    found: str
    holds: bool | None


BUDGETS = (
    Budget("exact hit", BARE, 1.6),
    Budget("pass-through", TENSORZERO, 1.0),
    Budget("stream", TENSORZERO, 0.5),
)
"""With a provider that answers at once; waiting for a slow one costs CPU of its own."""
CALLS_TOLERANCE = 0.01
"""Requests under way while the mock's count is read."""


def judge(budgets: Iterable[Budget], results: Iterable[Result], crowd: Crowd | None) -> list[Verdict]:
    """Return every rule with what was found: ratios first, then that the numbers are those of good answers."""
    by_place = {(result.scenario, result.target): result for result in results}
    verdicts = [_ratio(budget, by_place) for budget in budgets]
    if by_place:
        errors, wrong = sum(result.errors for result in by_place.values()), _wrong_calls(by_place)
        verdicts.append(Verdict("no errors", f"{errors:,}", errors == 0))
        verdicts.append(Verdict("calls to the provider per request are as expected", wrong or "yes", not wrong))
    if crowd is not None:
        verdicts.append(Verdict("crowd: no errors", f"{crowd.load.errors:,}", crowd.load.errors == 0))
        verdicts.append(Verdict("crowd: no request row lost", f"{crowd.rows_lost:,}", crowd.rows_lost == 0))
    return verdicts


def _ratio(budget: Budget, by_place: dict[tuple[str, str], Result]) -> Verdict:
    rule = f"{budget.scenario}: CPU per request <= {budget.limit:g}x {budget.against}"
    ours, theirs = (by_place.get((budget.scenario, name)) for name in (GATEWAY, budget.against))
    if ours is None or theirs is None:
        return Verdict(rule, "not compared", None)
    ratio = ours.cpu_us / theirs.cpu_us
    return Verdict(rule, f"{ratio:.2f}x", ratio <= budget.limit)


def _wrong_calls(by_place: dict[tuple[str, str], Result]) -> str:
    expected = {(s.name, target): s.calls_expected(target) for s in SCENARIOS for target in s.targets}
    return ", ".join(
        f"{place[0]}, {place[1]}: {result.upstream_calls:.3f} instead of {expected[place]}"
        for place, result in by_place.items()
        if abs(result.upstream_calls - expected[place]) > CALLS_TOLERANCE
    )
