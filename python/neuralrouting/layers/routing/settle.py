"""From a mode's order to the order in which models are asked: wishes, failures of a moment ago, the conversation."""

from collections.abc import Sequence

from neuralrouting.catalog import TIER_RANK, Deployment, blended_picousd, names_of
from neuralrouting.exchange import Considered, Mode
from neuralrouting.layers.routing.affinity import CACHE, TOOL_LOOP, Stay, keeps
from neuralrouting.layers.routing.asking import Ask, Wish, expected_output_tokens
from neuralrouting.layers.routing.orders import DEARER, EQUAL, Order

_COOLING = "it failed a moment ago"
_REAL = "simulated: it never stands in for a real model"
_SIMULATED = "real: it never stands in for a simulated model"


class Choice:
    """One choice in the making. `ordered` is who is asked, `lost` why somebody is not the first."""

    def __init__(self, mode: Mode, ask: Ask, wish: Wish, order: Order, cooling: frozenset[str]) -> None:
        self.affinity: str | None = None
        self.cascades = False
        self.ordered = list(order.ordered)
        self.lost = dict(order.lost)
        self._behind = order.behind
        self._mode = mode
        self._ask = ask
        self._wish = wish
        self._order = order
        self._cooling = cooling
        self._good = frozenset(d.id for d in order.ordered[: order.good])

    def settle(self, *, named: bool) -> None:
        """Do all that comes after the mode's own order, in this order. `named`: these models are the client's wish."""
        if self._wish.models and not named:
            self._by_name(self._wish.models)
        elif self._wish.tier is not None and not named:
            self._tier_first()
        self._apart()
        if self._cooling and len(self.ordered) > 1:
            self.ordered.sort(key=lambda d: d.id in self._cooling)
        if self._wish.stay is not None:
            self._stay(self._wish.stay)
        if self._wish.cascade and self._mode == "auto" and not self._order.escalated:
            self._cascade()

    def considered(self, lacking: Sequence[tuple[Deployment, str]]) -> tuple[Considered, ...]:
        """Return all that were looked at, candidates first, with what they lost by."""
        ordered, odds, lost = self.ordered, self._order.odds, self.lost
        told = [_considered(ordered[0], None, self._order)]
        least = told[0].price_picousd if self._behind == DEARER else -1  # no price is below zero
        for d in ordered[1:]:
            price = _price(d)
            why = _COOLING if d.id in self._cooling else lost.get(d.id)
            told.append(
                Considered(d.id, d.tier, price, odds.get(d.id), why or (EQUAL if price == least else self._behind))
            )
        asked = {d.id for d in ordered}
        told += [_considered(d, lost[d.id], self._order) for d in self._order.ordered if d.id not in asked]
        told += [Considered(d.id, d.tier, _price(d), None, why) for d, why in lacking]
        return tuple(told)

    def _by_name(self, names: Sequence[str]) -> None:
        places = {name: place for place, name in reversed(list(enumerate(names)))}
        most = len(names)
        self.ordered.sort(key=lambda d: min(places.get(name, most) for name in names_of(d)))
        self._behind = "named later by the rule, or not cheaper"

    def _tier_first(self) -> None:
        tier = self._wish.tier
        others = [d for d in self.ordered if d.tier != tier]
        if len(others) == len(self.ordered):
            return
        self.ordered = [d for d in self.ordered if d.tier == tier] + others
        self.lost.update((d.id, f"the rule asks for the {tier} tier") for d in others)

    def _apart(self) -> None:
        # A real model never falls back to a simulated one: an invented answer is worse than a clear error.
        simulated = self.ordered[0].simulated
        others = [d for d in self.ordered if d.simulated != simulated]
        if others:
            self.ordered = [d for d in self.ordered if d.simulated == simulated]
            self.lost.update((d.id, _SIMULATED if simulated else _REAL) for d in others)

    def _stay(self, stay: Stay) -> None:
        """Leave a conversation where it is, if that is capable, reachable, and good enough or in a tool loop."""
        first = self.ordered[0]
        here = next((d for d in self.ordered if d.id == stay.deployment), None)
        if here is None or here.id in self._cooling:
            return
        if stay.tool_loop and self._mode in ("auto", stay.mode):
            self.affinity = TOOL_LOOP
        elif self._mode == "auto" and here.id in self._good and not self._is_unwished(here):
            output_tokens = expected_output_tokens(self._ask.max_output_tokens, stay)
            if here is first or not keeps(here, first, stay, self._ask.prompt_tokens, output_tokens):
                return
            self.affinity = CACHE
        else:
            return
        if here is not first:
            place = self.ordered.index(here)
            for d in self.ordered[:place]:
                self.lost.setdefault(d.id, f"the conversation {self.affinity}")
            self.ordered.insert(0, self.ordered.pop(place))

    def _is_unwished(self, here: Deployment) -> bool:
        return self._wish.tier is not None and here.tier != self._wish.tier and self.ordered[0].tier == self._wish.tier

    def _cascade(self) -> None:
        """Put the one behind the first who is asked where its answer is doubtful: the reference, or the best tier."""
        first, odds = self.ordered[0], self._order.odds
        better = [d for d in self.ordered[1:] if TIER_RANK[d.tier] > TIER_RANK[first.tier]]
        if not better or (first.id in odds and odds[first.id].basis == "reference"):
            return

        def rank(d: Deployment) -> tuple[bool, bool, int]:
            reference = d.id in odds and odds[d.id].basis == "reference"
            return d.id in self._cooling, not reference, -TIER_RANK[d.tier]

        judge = min(better, key=rank)  # the first of equals: these are in the order of their price
        self.ordered.remove(judge)
        self.ordered.insert(1, judge)
        self.cascades = True


def _considered(d: Deployment, lost: str | None, order: Order) -> Considered:
    return Considered(d.id, d.tier, _price(d), order.odds.get(d.id), lost)


def _price(d: Deployment) -> int | None:
    return None if d.price is None else blended_picousd(d.price)
