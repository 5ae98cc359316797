"""How figures and names are written in a report."""

import unicodedata
from typing import Final

from neuralrouting.reports.month import saved_permille
from neuralrouting.storage.usage import UsageSums

NAME_CHARS: Final = 80
"""Of a name, at most; what does not fit its column is cut again where its width is known."""
NOTHING: Final = "–"  # noqa: RUF001  the dash of tables
_SHOWN: Final = (
    (0x20, 0x7E), (0xA1, 0xAC), (0xAE, 0x2FF), (0x38E, 0x3A1), (0x3A3, 0x481), (0x48A, 0x4FF), (0x531, 0x556),
    (0x5D0, 0x5EA), (0x621, 0x63A), (0x641, 0x64A), (0x660, 0x669), (0x6F0, 0x6F9), (0x1E00, 0x1F15), (0x2010, 0x2015),
    (0x2018, 0x201E), (0x2020, 0x2022), (0x2026, 0x2026), (0x2030, 0x203A), (0x2070, 0x2071), (0x2074, 0x208E),
    (0x20A0, 0x20BF), (0x2190, 0x2193), (0x2200, 0x22FF),
)  # fmt: skip
"""Code points that the fonts inside typst 0.15 have a glyph for: Latin, Greek, Cyrillic, Armenian, Hebrew, Arabic, and
signs. Found by setting each of them; a test sets them all again."""


def readable(name: str, *, ascii_only: bool = False) -> str:
    """Write a client's name so that every character of it can be set; what no font has is written as its escape.

    A tagged PDF must not hold a character without a glyph, and typst refuses to make one. `ascii_only` escapes all
    that is not ASCII.
    """
    text = unicodedata.normalize("NFC", name)
    shown = "".join(c if _can_be_set(c, ascii_only=ascii_only) else _escape(c) for c in text[:NAME_CHARS])
    return shortened(shown, NAME_CHARS) if len(text) <= NAME_CHARS else shortened(shown + " ", NAME_CHARS)


def shortened(text: str, most: int) -> str:
    """Cut a text that is longer than `most` characters, with a mark that it goes on."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def percent(permille: int | None) -> str:
    """Write thousandths as percent: `93.4%`."""
    if permille is None:
        return NOTHING
    whole, rest = divmod(abs(permille), 10)
    return f"{'-' if permille < 0 else ''}{whole:,}.{rest}%"


def saved_percent(sums: UsageSums) -> str:
    """Write what was saved in percent of the baseline."""
    return percent(saved_permille(sums))


def rate_percent(rate: float) -> str:
    """Write a measured rate as percent with one decimal."""
    return f"{100 * rate:.1f}%"


def change(now: int, before: int) -> str:
    """Write by how much a figure changed: `+12.5%`; plus is more, also of what was below zero."""
    if before == 0:
        return NOTHING
    moved = now - before
    permille = (abs(moved) * 2000 + abs(before)) // (2 * abs(before))
    sign = "" if permille == 0 else "+" if moved > 0 else "-"
    return f"{sign}{percent(permille)}"


def plural(count: int, noun: str) -> str:
    """Write a number of things: `1 request`, `1,200 requests`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _can_be_set(char: str, *, ascii_only: bool) -> bool:
    if ascii_only:
        return " " <= char <= "~"
    code = ord(char)
    return any(first <= code <= last for first, last in _SHOWN)


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode()
