"""Reads Prometheus text the way Prometheus does: families, and the value of every series."""

import re
from dataclasses import dataclass
from decimal import Decimal

SAMPLE = re.compile(r"(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Scrape:
    """One answer of `/metrics`."""

    kinds: dict[str, str]
    series: dict[tuple[str, frozenset[tuple[str, str]]], Decimal]

    def total(self, name: str, **labels: str) -> Decimal:
        """The sum of all series of a name that have these labels."""
        wanted = set(labels.items())
        return sum((value for (n, ls), value in self.series.items() if n == name and wanted <= ls), Decimal(0))

    def values(self, name: str, label: str) -> set[str]:
        return {value for (n, ls) in self.series for key, value in ls if n == name and key == label}


def scraped(text: str) -> Scrape:
    kinds: dict[str, str] = {}
    series: dict[tuple[str, frozenset[tuple[str, str]]], Decimal] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds, f"{name} is declared twice"
            kinds[name] = kind
        elif not line.startswith("#"):
            found = SAMPLE.fullmatch(line)
            assert found is not None, line
            key = found["name"], frozenset(LABEL.findall(found["labels"] or ""))
            assert key not in series, f"{line} is told twice"
            series[key] = Decimal(found["value"])
    return Scrape(kinds, series)
