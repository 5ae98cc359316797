"""What sums are asked for: which requests, and apart by what."""

from typing import Literal, get_args

import msgspec

from neuralrouting.storage.attribution import ANYTHING, COLUMNS, Attribution
from neuralrouting.storage.figures import Axes
from neuralrouting.storage.rollups import DAY_MS

Group = Literal["day", "hour", "user", "feature", "team", "model", "key", "endpoint"]
Attributed = Literal["user", "feature", "team", "model", "key", "endpoint"]
"""Groups that are no times."""
GROUPS: tuple[Group, ...] = get_args(Group)
Measure = Literal["cost", "saved", "requests"]
"""What groups are large by."""


class UsageQuery(msgspec.Struct, frozen=True):
    """Which sums are wanted: from `from_ms` on and before `to_ms` (Unix time), apart by each of `groups`.

    Both are on hours. `models` are the ids that `wanted.model` means, where they have been looked up.
    """

    account_id: str
    from_ms: int
    to_ms: int
    wanted: Attribution = ANYTHING
    groups: tuple[Group, ...] = ()
    models: tuple[str, ...] | None = None

    @property
    def grain(self) -> Literal["hour", "day"]:
        """Whether hours must be read, or days tell all."""
        on_days = self.from_ms % DAY_MS == 0 and self.to_ms % DAY_MS == 0
        return "day" if on_days and "hour" not in self.groups else "hour"

    @property
    def axes(self) -> Axes:
        """What is asked about: by groups or filters, in the order of `COLUMNS`."""
        return tuple(name for name in COLUMNS if name in self.groups or getattr(self.wanted, name) is not None)
