"""What is so just now in one worker, told once a second: nobody could ask another worker for it."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from neuralrouting.background import Background, Complaints, again
from neuralrouting.engine import Series
from neuralrouting.telemetry.families import BREAKER, PROVIDER_UP, Family
from neuralrouting.telemetry.registry import Registry

EVERY_S: Final = 1.0

log = logging.getLogger("neuralrouting.telemetry")


class Resting:
    """Which models rest after a failure: a breaker for each model that was asked, and a word on each provider."""

    def __init__(
        self,
        registry: Registry,
        seen: Callable[[], set[str]],
        rests: Callable[[str], bool],
        providers: Mapping[str, str],
    ) -> None:
        """`providers` names the provider of each deployment; those that no catalog has are not told of."""
        self._registry = registry
        self._seen = seen
        self._rests = rests
        self._providers = providers

    def tell(self) -> None:
        """Set every gauge."""
        up: dict[str, bool] = {}
        for deployment in self._seen():
            provider = self._providers.get(deployment)
            if provider is None:
                continue
            rests = self._rests(deployment)
            self._registry.series(BREAKER, deployment, provider).set(int(rests))
            up[provider] = up.get(provider, False) or not rests
        for provider, answers in up.items():
            self._registry.series(PROVIDER_UP, provider).set(int(answers))


class Tally:
    """Turns what a worker has counted by itself, since it started, into a counter that all share."""

    def __init__(self, registry: Registry, family: Family, counts: Counter[str]) -> None:
        self._registry = registry
        self._family = family
        self._counts = counts
        self._told: Counter[str] = Counter()

    def tell(self) -> None:
        """Add what is new."""
        for name, count in self._counts.items():
            new = count - self._told[name]
            if new:
                self._registry.series(self._family, name).add(new)
                self._told[name] = count


class Gauges:
    """Sets the gauges of one worker every second."""

    def __init__(self) -> None:
        self._tells: list[Callable[[], None]] = []
        self._background = Background()

    def watch(self, series: Series, read: Callable[[], int]) -> None:
        """Set a gauge to what `read` returns, from now on."""
        self._tells.append(lambda: series.set(read()))

    def add(self, tell: Callable[[], None]) -> None:
        """Have something told whenever the gauges are."""
        self._tells.append(tell)

    def tell(self) -> None:
        """Set all of them now."""
        for tell in self._tells:
            tell()

    def start(self) -> None:
        """Begin; needs a running event loop."""
        trouble = "gauges cannot be told"
        self._background.start(gauges=again("gauges", self._step, Complaints(log), trouble, EVERY_S))

    async def close(self) -> None:
        """Stop."""
        await self._background.close()

    async def _step(self) -> float:
        self.tell()
        return EVERY_S
