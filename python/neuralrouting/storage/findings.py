"""What a check of the books finds wrong."""

from typing import Final

import msgspec

MOST: Final = 1_000
"""Most breaches that are told: whoever has more needs a backup, not a longer list."""


class Breach(msgspec.Struct, frozen=True):
    """One row that breaks one invariant; `says` is a sentence for the operator."""

    invariant: str
    row: str
    says: str


class Findings:
    """The breaches found so far, up to `MOST`."""

    def __init__(self) -> None:
        self.breaches: list[Breach] = []

    def expect(self, holds: bool, invariant: str, row: str, says: str) -> None:  # noqa: FBT001  it reads as a sentence
        """Note a breach unless something holds."""
        if not holds and len(self.breaches) < MOST:
            self.breaches.append(Breach(invariant, row, says))
