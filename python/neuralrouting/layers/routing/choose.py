"""Chooses who serves a request: all that was looked at, in order, and why each of the others was not the first."""

from collections.abc import Sequence

from neuralrouting.catalog import Catalog, Deployment
from neuralrouting.errors import NoCapableModel, UnknownModel
from neuralrouting.exchange import Mode, Odds, Route
from neuralrouting.layers.routing.asking import NO_WISH, Ask, OddsOf, SpeedSource, Wish
from neuralrouting.layers.routing.capable import incapable, nobody
from neuralrouting.layers.routing.orders import order_of
from neuralrouting.layers.routing.settle import Choice

FORCED = "forced"
"""The rule of a route whose model the client named; statistics go by it."""
NAMED = "models named by a rule"


def _nothing_known(_capable: Sequence[Deployment]) -> tuple[Odds, ...]:
    return ()


class Router:
    """Chooses among the servable deployments of one catalog."""

    def __init__(self, catalog: Catalog, virtual_models: Sequence[str]) -> None:
        self._catalog = catalog
        self._virtual = frozenset(virtual_models)
        self._named: dict[tuple[str, bool], tuple[Deployment, ...]] = {}
        self._reachable = {live: catalog.reachable(live=live) for live in (True, False)}

    def is_named(self, model: str | None) -> bool:
        """Whether a client that asks for this means one model, not any."""
        return model is not None and model not in self._virtual

    def choose(
        self, ask: Ask, speeds: SpeedSource, now_s: float, odds: OddsOf = _nothing_known, wish: Wish = NO_WISH
    ) -> Route:
        """Return the candidates in the order in which they are asked, and what became of all that were looked at.

        Only mode `auto` asks for `odds`. A model that the client names goes before what is wished. Raises UnknownModel
        for a name that is not in the catalog and NoCapableModel where nobody can serve the request.
        """
        forced = self.is_named(ask.model)
        named = forced or bool(wish.models)
        pool = self._forced(ask) if forced else self._wished(ask, wish) if named else self._reachable[ask.live]
        lacking: list[tuple[Deployment, str]] = []
        capable: list[Deployment] = []
        for d in pool:
            lack = incapable(d, ask)
            if lack is None:
                capable.append(d)
            else:
                lacking.append((d, f"cannot serve {lack}"))
        if not capable:
            raise NoCapableModel(nobody(pool, ask))
        mode: Mode = "cost" if named and ask.mode == "auto" else ask.mode
        order = order_of(mode, capable, ask, speeds, odds)
        choice = Choice(mode, ask, wish, order, frozenset(d.id for d in capable if speeds.cooling(d.id, now_s)))
        choice.settle(named=forced)
        rule = FORCED if forced else NAMED if named else order.rule
        return Route(
            mode,
            rule,
            tuple(choice.ordered),
            cascade=choice.cascades,
            considered=choice.considered(sorted(lacking, key=_id)),
            affinity=choice.affinity,
            capable=tuple(choice.ordered),
        )

    def _wished(self, ask: Ask, wish: Wish) -> Sequence[Deployment]:
        pool = {d.id: d for name in wish.models for d in self._catalog.named(name, live=ask.live)}
        if not pool:
            raise NoCapableModel(f"none of the models that the rule names can be reached: {', '.join(wish.models)}")
        return tuple(pool.values())

    def _forced(self, ask: Ask) -> Sequence[Deployment]:
        name = ask.model or ""
        pool = self._named.get((name, ask.live))
        if pool is None:
            pool = self._catalog.named(name, live=ask.live)
            if not pool:
                raise UnknownModel(self._catalog.missing(name), param="model")
            self._named[name, ask.live] = pool  # only names of the catalog get here, so this stays small
        return pool


def _id(lacking: tuple[Deployment, str]) -> str:
    return lacking[0].id
