"""Figures drawn in characters: a line of days, a bar of shares."""

from collections.abc import Sequence
from typing import Final

_HEIGHTS: Final = "▁▂▃▄▅▆▇█"
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


def sparkline(values: Sequence[int]) -> str:
    """Draw a column for each value, as high as its share of the highest; nothing, or less, is a blank."""
    most = max(values, default=0)
    if most <= 0:
        return " " * len(values)
    return "".join(_HEIGHTS[max(0, (value * 8 + most - 1) // most - 1)] if value > 0 else " " for value in values)


def bar(value: int, most: int, width: int) -> str:
    """Draw a bar of `width` characters at most for a share of `most`, to an eighth of a character."""
    if most <= 0 or value <= 0:
        return ""
    eighths = max(1, (value * width * 8 + most // 2) // most)
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
