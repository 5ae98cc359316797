"""The reference: the model whose answers count as good, so that cheaper ones are compared with it."""

import difflib
from collections.abc import Sequence

from neuralrouting.catalog.catalog import names_of
from neuralrouting.catalog.models import Deployment
from neuralrouting.catalog.prices import blended_picousd
from neuralrouting.catalog.tiers import best_first
from neuralrouting.config import RoutingConfig
from neuralrouting.errors import ConfigError


def choose_reference(
    routing: RoutingConfig, known: Sequence[Deployment], servable: Sequence[Deployment]
) -> Deployment | None:
    """Return the reference among what can be reached: the configured one, the baseline, or the best premium one.

    A real deployment goes before a simulated one at each step, and any real one before all simulated ones unless it
    is configured. The best has the dearest list price, then the better measured quality, as routing in mode `quality`
    sees it. The same for every worker, since all have one catalog. None where nothing of the kind can be reached.

    Raises ConfigError for a configured reference that nobody knows.
    """
    if routing.reference_model is not None:
        named = _named(routing.reference_model, servable)
        if named is not None:
            return named
        _check(routing.reference_model, known)
    for pool in ([d for d in servable if not d.simulated], [d for d in servable if d.simulated]):
        found = _named(routing.baseline_model, pool) or min(
            (d for d in pool if d.tier == "premium"), key=best_first, default=None
        )
        if found is not None:
            return found
    return None


def _named(name: str, pool: Sequence[Deployment]) -> Deployment | None:
    """Of several that a name means the real one, then the dearest: they are one model in several places."""
    return min((d for d in pool if name in names_of(d)), key=lambda d: (d.simulated, -_price(d), d.id), default=None)


def _price(d: Deployment) -> float:
    return float(blended_picousd(d.price)) if d.price is not None else 0.0


def _check(name: str, known: Sequence[Deployment]) -> None:
    names = sorted({n for d in known for n in names_of(d)})
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; see `neuralrouting models`"
        raise ConfigError(f"routing.reference_model: no model {name!r} in the catalog{hint}")
