"""What an id, a name, a limit may be, for rows that people write."""

import re
from typing import Final

from neuralrouting.errors import InvalidField

ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]{0,99}")
"""Ids of plans and accounts: they stand in addresses, purses and commands."""
TEXT_CHARS: Final = 200
MOST: Final = 10**15
"""Upper bound of every figure, so that sums of them fit 64 bits."""


def check_id(value: str, param: str) -> None:
    """Raise InvalidField where this cannot be the id of a plan or account."""
    if not ID.fullmatch(value):
        raise InvalidField("an id is up to 100 letters, digits and . _ @ : -, the first no mark", param=param)


def check_text(value: str, param: str) -> None:
    """Raise InvalidField where this is not one line that says something."""
    if not value.strip() or len(value) > TEXT_CHARS or not value.isprintable():
        raise InvalidField(f"{param} is one line of 1 to {TEXT_CHARS} characters", param=param)


def check_figure(value: int | None, param: str, *, least: int = 1) -> None:
    """Raise InvalidField where this is out of bounds; None, where a type allows it, is no limit."""
    if value is not None and not least <= value <= MOST:
        raise InvalidField(f"{param} is a whole number from {least} to {MOST}", param=param)
