"""How a figure is written: the rate, what was counted, and how far it can be trusted."""

from statistics import fmean, pstdev

import msgspec

from neuralrouting.intervals import wilson


class Rate(msgspec.Struct, frozen=True):
    """So many of so many."""

    hits: int
    n: int

    @classmethod
    def of(cls, share: float | None, n: int) -> "Rate":
        """Turn a rounded share back into the count it was made of."""
        return cls(round((share or 0.0) * n), n)

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.hits / self.n if self.n else 0.0

    @property
    def percent(self) -> str:
        """The rate alone: two digits where it is small."""
        return f"{100 * self.share:.{2 if 0 < self.share < 0.01 else 1}f} %"

    @property
    def told(self) -> str:
        """The rate, the count, and the 95 % Wilson interval in percent."""
        low, high = (100 * bound for bound in wilson(self.hits, self.n))
        digits = 2 if high < 2 else 1
        return f"{self.percent} ({self.hits:,} of {self.n:,}; {low:.{digits}f} to {high:.{digits}f})"


def total(rates: list[Rate]) -> Rate:
    """Put rates of parts together."""
    return Rate(sum(rate.hits for rate in rates), sum(rate.n for rate in rates))


def table(head: list[str], rows: list[list[str]]) -> str:
    """Write a Markdown table."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def spread(values: list[float], *, digits: int) -> str:
    """Write mean and standard deviation of a figure that was measured a few times."""
    return f"{fmean(values):.{digits}f} +- {pstdev(values):.{digits}f}"


def percents(shares: list[float]) -> str:
    """The same of shares, in percent."""
    return f"{spread([100 * share for share in shares], digits=1)} %"
