"""The metrics of one worker: series by family and labels, in the file that all workers of a run share."""

from pathlib import Path
from typing import Final

from neuralrouting.engine import Metrics, Series
from neuralrouting.telemetry.families import FAMILIES, Family

REMEMBERED: Final = 8_192
"""Series that are found without asking the core: twice what it keeps, so that labels out of hand take no memory."""


class Registry:
    """Finds series. Raises OSError when the file cannot be made or used."""

    def __init__(self, directory: Path, families: tuple[Family, ...] = FAMILIES) -> None:
        self._metrics = Metrics(str(directory), [_given(family) for family in families])
        self._places = {family.name: place for place, family in enumerate(families)}
        self._known: dict[tuple[str, ...], Series] = {}

    def series(self, family: Family, *values: str) -> Series:
        """Return the series of a family with these values of its labels; ValueError for more or fewer."""
        key = (family.name, *values)
        found = self._known.get(key)
        if found is None:
            found = self._metrics.series(self._places[family.name], values)
            if len(self._known) < REMEMBERED:
                self._known[key] = found
        return found

    def render(self, *, openmetrics: bool = False) -> bytes:
        """Return all series of all workers, as Prometheus reads them."""
        return self._metrics.render(openmetrics=openmetrics)


def _given(family: Family) -> tuple[str, str, str, tuple[str, ...], int, tuple[int, ...]]:
    return family.name, family.help, family.kind, family.labels, family.per, family.bounds
