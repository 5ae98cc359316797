"""Amounts on the command line: decimal text to whole numbers of small units and back, past every float."""

import re
from typing import Final, NamedTuple

import click

_DECIMAL: Final = re.compile(r"([0-9]{1,15})(?:\.([0-9]+))?")


class Given(NamedTuple):
    """An option that was given, so that `none` differs from one that was not."""

    value: int | None


def parse_decimal(text: str, places: int) -> int | None:
    """Read `12.5` as a whole number of units of which one has `places` zeros; None where it is none, or finer."""
    found = _DECIMAL.fullmatch(text)
    if found is None:
        return None
    fraction = found[2] or ""
    if len(fraction.rstrip("0")) > places:
        return None
    return int(found[1] + fraction[:places].ljust(places, "0"))


def decimal_text(value: int, places: int) -> str:
    """Write a number of small units as decimal text without needless zeros: the opposite of `parse_decimal`."""
    whole, rest = divmod(abs(value), 10**places)
    fraction = f"{rest:0{places}d}".rstrip("0") if rest else ""
    return f"{'-' if value < 0 else ''}{whole}{'.' if fraction else ''}{fraction}"


class Amount(click.ParamType[int]):
    """Decimal text such as 12.50, as a whole number of the smallest unit: 9 places are nano-dollars."""

    def __init__(self, name: str, places: int) -> None:
        self.name = name
        self._places = places

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it, or fail with what it should look like."""
        if isinstance(value, int):
            return value
        read = parse_decimal(value, self._places)
        if read is None:
            self.fail(f"{value!r} is no amount: write 12 or 12.5, with up to {self._places} decimals", param, ctx)
        return read


class Bound(click.ParamType[Given]):
    """A number, or a word that stands for having no bound."""

    def __init__(self, word: str, places: int = 0) -> None:
        self.name = f"n|{word}"
        self._word = word
        self._finest = f" with up to {places} decimals" if places else ""
        self._places = places

    def convert(self, value: str | Given, param: click.Parameter | None, ctx: click.Context | None) -> Given:
        """Read it, or fail with what it should look like."""
        if isinstance(value, Given):
            return value
        if value.lower() == self._word:
            return Given(None)
        read = parse_decimal(value, self._places)
        if read is None:
            self.fail(f"{value!r} is neither {self._word!r} nor a number{self._finest}", param, ctx)
        return Given(read)


USD: Final = Amount("usd", 9)
"""Dollars, as nano-dollars."""
PRICE: Final = Amount("usd", 2)
"""Dollars, as cents."""
CREDITS: Final = Amount("credits", 3)
"""Credits, as millicredits."""
LIMIT: Final = Bound("none")
MONTHLY: Final = Bound("unlimited", 3)
"""Credits of a month, as millicredits."""


def usd_text(nanousd: int) -> str:
    """Write nano-dollars as dollars."""
    return decimal_text(nanousd, 9)


def credits_text(mc: int) -> str:
    """Write millicredits as credits."""
    return decimal_text(mc, 3)
