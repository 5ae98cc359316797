"""What this gateway knows and what it can reach now."""

import difflib
from collections.abc import Mapping
from typing import Final

import msgspec

from neuralrouting.catalog.models import Deployment
from neuralrouting.catalog.prices import blended_picousd

VIRTUAL_MODELS: Final = ("auto", "neural-router-v2", "neural-optimizer")
"""Model names that mean: choose for me."""
LOCAL: Final = "local"
"""The provider that is a process of ours on this machine."""
SIMULATED: Final = "simulated"
"""The provider of stand-ins; their ids begin with it."""


class Catalog(msgspec.Struct, frozen=True):
    """All deployments, and among them those that can be reached.

    `servable` is what routing chooses from. `by_name_only` can be reached too, but only by who asks for it:
    models that their provider has retired, and simulated twins that routing does not use. `stand_ins`: twins
    answer to the names of the models they stand for, not only to `simulated/...`. `unreachable` says why not.
    `notices` tell the operator what the catalog had to assume. `reference` is the one whose answers count as good,
    which cheaper ones are compared with; None: there is none to be reached.
    """

    known: tuple[Deployment, ...]
    servable: tuple[Deployment, ...]
    by_name_only: tuple[Deployment, ...]
    baseline: Deployment
    stand_ins: bool
    unreachable: Mapping[str, str]
    notices: tuple[str, ...] = ()
    reference: Deployment | None = None

    @property
    def candidates(self) -> tuple[Deployment, ...]:
        """The real, priced deployments that routing may use and that are cheaper than the reference, cheapest first."""
        best = self.reference
        if best is None or best.price is None:
            return ()
        dear = blended_picousd(best.price)
        priced = [(blended_picousd(d.price), d.id, d) for d in self.servable if d.price is not None]
        return tuple(d for price, _, d in sorted(priced, key=lambda p: p[:2]) if price < dear and not d.simulated)

    def reachable(self, *, live: bool = True) -> tuple[Deployment, ...]:
        """Return what routing chooses from; a test key reaches all simulated and local models, and no others."""
        if live:
            return self.servable
        return tuple(d for d in (*self.servable, *self.by_name_only) if d.simulated or d.provider == LOCAL)

    def named(self, name: str, *, live: bool = True) -> tuple[Deployment, ...]:
        """Return the reachable deployments that a client may mean by an id, model, upstream name or alias.

        A real deployment hides simulated ones; these are then reached by their own `simulated/...` name only.
        For a test key every simulated twin answers to the names of the model it stands for.
        """
        matches = [d for d in self.reachable(live=live) if name in names_of(d)]
        if live and not matches:
            names = names_of if self.stand_ins else _own_names
            matches = [d for d in self.by_name_only if name in names(d)]
        real = [d for d in matches if not d.simulated]
        return tuple(real or matches)

    def missing(self, name: str) -> str:
        """Say why no deployment is reached by `name`, and what to do about it."""
        known = [d for d in self.known if name in names_of(d) and d.id in self.unreachable]
        reasons = [f"{d.id}: {self.unreachable[d.id]}" for d in known]
        if reasons:
            return f"model {name!r} is known but cannot be reached here; {'; '.join(reasons)}"
        names = sorted({n for d in (*self.servable, *self.known) for n in (d.model, d.id)} | {*VIRTUAL_MODELS})
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"no model is named {name!r}; {hint}`GET /v1/models` lists what can be reached"


def names_of(deployment: Deployment) -> set[str]:
    """Return all names that mean this deployment."""
    return {deployment.id, deployment.model, deployment.upstream_model, *deployment.aliases}


def _own_names(deployment: Deployment) -> set[str]:
    """Return a twin's names without those of the model it stands for; all names of a real deployment."""
    names = names_of(deployment)
    return {n for n in names if n.startswith(f"{SIMULATED}/")} if deployment.simulated else names
