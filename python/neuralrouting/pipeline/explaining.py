"""What would become of a request: the same layers, without a call, a charge or a row."""

import time
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from neuralrouting.accounts.plans import allow_force, allow_mode
from neuralrouting.catalog import VIRTUAL_MODELS
from neuralrouting.errors import NeuralRoutingError
from neuralrouting.exchange import Arrival, Decision, Plan, Route, Spent
from neuralrouting.layers.classification import task_of
from neuralrouting.layers.shield import FLAG_RISK, Guard, refusal
from neuralrouting.pipeline.choosing import MODES, Choosing
from neuralrouting.pipeline.deciding import Deciding
from neuralrouting.pipeline.ending import lookup_of
from neuralrouting.pipeline.inspecting import Inspecting
from neuralrouting.pipeline.turn import Turn


class PlanBook(Protocol):
    """Which plans there are."""

    @property
    def plans(self) -> Iterable[Plan]:
        """All plans, cheapest first."""
        ...


class Explained(NamedTuple):
    """A decision, and how long each layer took over it."""

    decision: Decision
    spent: Spent


class Explaining:
    """Explains requests: one per worker. It knows of stored answers what this worker's memory has."""

    def __init__(
        self, inspecting: Inspecting, guard: Guard, choosing: Choosing, deciding: Deciding, plans: PlanBook
    ) -> None:
        self._inspecting = inspecting
        self._guard = guard
        self._choosing = choosing
        self._deciding = deciding
        self._plans = plans

    def explain(self, body: bytes, arrival: Arrival) -> Decision:
        """Return what every layer sees and decides. Raises RequestError for a body that cannot be read.

        All else that would refuse the request is told in the document. The route is told also where the cache or the
        shield would answer.
        """
        return self.timed(body, arrival).decision

    def timed(self, body: bytes, arrival: Arrival) -> Explained:
        """Explain a request and tell how long that took. Raises as `explain`."""
        shield = self._guard.shield_for(arrival.caller)
        found = self._inspecting.inspect(body, arrival, shield)
        read_ns, shield_ns, cache_ns, _, _ = found.spent_ns
        turn = Turn(arrival, found, stream=found.stream)
        cache = turn.missed if found.hit is None else lookup_of(found.hit, arrival)
        refused = self._judged(turn)
        if found.hit is not None:  # which is why nobody has looked at its task yet
            turn.inspection = found = self._inspecting.inspect(body, arrival, None, read_cache=False)
        turn.task = task_of(found.classified())
        began_ns = time.perf_counter_ns()
        route: Route | None = None
        try:
            route = self._route(turn)
        except NeuralRoutingError as error:
            refused = refused or error.message
        routing_ns = time.perf_counter_ns() - began_ns
        spent = Spent(read_ns, cache_ns, shield_ns, *found.spent_ns[3:], routing_ns)
        return Explained(self._deciding.decision(turn, cache, route, refused), spent)

    def _judged(self, turn: Turn) -> str | None:
        verdict = turn.inspection.verdict
        if verdict is None or verdict.risk < FLAG_RISK:
            return None
        turn.finding = self._guard.judge(verdict, turn.arrival.caller)
        return refusal(turn.finding).message if turn.finding.action == "block" else None

    def _route(self, turn: Turn) -> Route:
        arrival, mode, task = turn.arrival, turn.inspection.routing_mode, turn.task
        assert task is not None  # noqa: S101  set before
        if mode is not None:
            allow_mode(arrival.plan, MODES[mode], self._plans.plans)
        if arrival.hints.model is not None and arrival.hints.model not in VIRTUAL_MODELS:
            allow_force(arrival.plan, self._plans.plans)
        self._choosing.obey(turn)
        return self._choosing.route(turn, task)
