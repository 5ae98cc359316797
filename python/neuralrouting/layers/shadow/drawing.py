"""Which answers are audited: a draw whose probability is known and kept, and what it depends on."""

from collections.abc import Sequence
from typing import Protocol

from neuralrouting.catalog import Deployment

LEAST_SHARE = 0.01
"""No cell is ever looked at less than this: a provider that got worse has to be noticed."""


def draw(number: float, share: float, most: float, rate: float) -> float | None:
    """Return the probability with which this answer was drawn, None where it was not.

    `number` is uniform in [0, 1). `share` is the floor, whatever is known (1 % at least), `most` the ceiling, `rate`
    what the cell asks for between them. Where the floor is above the ceiling the floor counts.
    """
    floor = max(share, LEAST_SHARE)
    propensity = min(1.0, max(floor, min(rate, most)))
    return propensity if number < propensity else None


class Evidence(Protocol):
    """What layer 3 knows about the need for audits."""

    def audit_rate(self, account_id: str, candidate_id: str, task: str) -> float:
        """Return the share of this cell's answers that should be audited, 0 to 1."""
        ...

    def undecided(self, account_id: str, task: str, candidates: Sequence[Deployment]) -> Deployment | None:
        """Return the cheapest candidate that is neither proven nor refused at this task."""
        ...


class _AccountOrders(Protocol):
    @property
    def shadow(self) -> bool:
        """False: prompts of this account are never answered a second time."""
        ...


class Orders(Protocol):
    """What accounts have ordered, from memory."""

    def of(self, account_id: str) -> _AccountOrders:
        """Return the orders of one account."""
        ...
