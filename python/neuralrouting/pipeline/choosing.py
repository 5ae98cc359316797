"""From an inspected request to a route: the account's rules, the mode and who chose it, odds, the conversation."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from neuralrouting.accounts.orders import AccountOrders
from neuralrouting.catalog import VIRTUAL_MODELS, Catalog, Deployment
from neuralrouting.config import RoutingConfig
from neuralrouting.engine import Inspection, Predictor
from neuralrouting.errors import PermissionDenied
from neuralrouting.exchange import Arrival, Caller, Facts, Mode, Odds, Route, Task
from neuralrouting.layers.classification import task_of
from neuralrouting.layers.routing import Ask, Router, SpeedSource, Stay, Wish
from neuralrouting.pipeline.conversations import Answered, Conversations
from neuralrouting.pipeline.turn import Turn
from neuralrouting.rules import Rule, RuleFacts, RuleSet

MODES: dict[str, Mode] = {"auto": "auto", "cost": "cost", "quality": "quality", "speed": "speed"}


class OrdersSource(Protocol):
    """Where it is looked up what an account orders."""

    def of(self, account_id: str) -> AccountOrders:
        """Return what it orders, from memory."""
        ...


class OddsSource(Protocol):
    """Layer 3, as routing sees it; all of it from memory."""

    def odds(
        self, account_id: str, task: Task, predicted: Mapping[str, float], candidates: Sequence[Deployment]
    ) -> tuple[Odds, ...]:
        """Return what is known of each candidate, in their order; empty where nothing is known of any."""
        ...

    def predictor(self, account_id: str) -> Predictor | None:
        """Return what predicts for this account, None where the shipped heads do."""
        ...


class Choosing:
    """Chooses routes: one per worker. Nothing is awaited, no database is asked."""

    def __init__(
        self,
        settings: RoutingConfig,
        catalog: Catalog,
        speeds: SpeedSource,
        orders: OrdersSource,
        odds: OddsSource,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._router = Router(catalog, VIRTUAL_MODELS)
        self._speeds = speeds
        self._orders = orders
        self._odds = odds
        self._clock = clock
        self._conversations = Conversations()

    def predictor(self, account_id: str) -> Predictor | None:
        """Return what predicts for this account in the native core."""
        return self._odds.predictor(account_id)

    def obey(self, turn: Turn) -> None:
        """Find the account's rule that holds; it is told by `turn.order`.

        Raises PermissionDenied (`rule_blocked`) where that rule blocks, whether or not the cache could answer.
        """
        rules = self._orders.of(turn.arrival.caller.account_id).rules
        if not rules:
            return
        if turn.inspection.hit is not None and not any(rule.then.block is not None for rule in rules.rules):
            return  # what the cache answers needs no route, and nothing forbids it
        turn.order = rules.first(_facts(turn, rules))
        if turn.order is not None and turn.order.then.block is not None:
            message = f"rule {turn.order.name!r} of this account blocks the request: {turn.order.then.block}"
            raise PermissionDenied(message, code="rule_blocked")

    def route(self, turn: Turn, task: Task, mode: Mode | None = None) -> Route:
        """Choose who serves a request, in `mode` where a budget asks for another than its own. Raises RequestError."""
        arrival, found = turn.arrival, turn.inspection
        orders, order = self._orders.of(arrival.caller.account_id), self._order(turn)
        chosen, source = self._mode(arrival, found, order, orders.mode)
        if mode is not None:
            chosen, source = mode, "budget"
        route = self._router.choose(
            _ask(arrival, found, task, chosen),
            self._speeds,
            self._clock(),
            lambda capable: self._odds.odds(arrival.caller.account_id, task, dict(found.predicted), capable),
            self._wish(turn, order, orders),
        )
        return msgspec.structs.replace(route, source=source, order=order.name if order is not None else None)

    def learn(self, turn: Turn, facts: Facts) -> None:
        """Remember which model answered a conversation, so that it can stay there."""
        arrival, admitted = turn.arrival, turn.admitted
        key = turn.inspection.session_id or _opening(turn)
        if key is None or admitted is None:
            return
        usage = facts.usage
        said = usage.prompt_tokens + usage.completion_tokens
        self._conversations.keep(
            (_whose(arrival.caller), key),
            Answered(
                facts.deployment.id,
                admitted.route.mode,
                _opening(turn),
                said,
                usage.completion_tokens,
                self._clock(),
            ),
        )

    def _order(self, turn: Turn) -> Rule | None:
        """The rule that holds, unless the request itself says by which model or in which mode it is to be served."""
        found = turn.inspection
        told = found.routing_mode is not None or self._router.is_named(found.model)
        return None if told else turn.order

    def _mode(self, arrival: Arrival, found: Inspection, order: Rule | None, account: Mode | None) -> tuple[Mode, str]:
        """Return the mode and who chose it: the most specific one that the plan has."""
        hints, caller = arrival.hints, arrival.caller
        if found.routing_mode is not None:
            return MODES[found.routing_mode], "header" if hints.routing_mode is not None else "body"
        if self._router.is_named(found.model):
            return "auto", "header" if hints.model is not None else "body"
        said: tuple[tuple[Mode | None, str], ...] = (
            (order.then.mode if order is not None else None, "rule"),
            (caller.routing_mode, "key"),
            (account, "account"),
            (self._settings.default_mode, "configuration"),
        )
        modes = arrival.plan.modes
        for mode, who in said:
            if mode is not None and mode in modes:
                return mode, who
        return "auto", "plan"

    def _wish(self, turn: Turn, order: Rule | None, orders: AccountOrders) -> Wish:
        then = order.then if order is not None else None
        said = (
            turn.arrival.hints.cascade,
            turn.inspection.cascade,
            then.cascade if then is not None else None,
            orders.cascade,
        )
        cascade = next((one for one in said if one is not None), self._settings.cascade)
        stay = self._stay(turn)
        if then is None:
            return Wish(cascade=cascade, stay=stay)
        return Wish((then.model, *then.fallback) if then.model is not None else (), then.tier, cascade, stay)

    def _stay(self, turn: Turn) -> Stay | None:
        """Where the conversation is, of a request that goes on from others."""
        if not len(self._conversations):
            return None
        found = turn.inspection
        key = found.session_id or _continued(turn)
        if key is None:
            return None
        task = found.classification
        tool_loop = task is not None and task.tool_loop
        place = (_whose(turn.arrival.caller), key)
        return self._conversations.stay(place, _opening(turn), self._clock(), tool_loop=tool_loop)


def _opening(turn: Turn) -> bytes | None:
    if turn.opening is None:
        turn.opening = turn.inspection.opening
    return turn.opening


def _continued(turn: Turn) -> bytes | None:
    found = turn.inspection.conversation
    if found is not None:
        turn.opening = found
    return found


def _whose(caller: Caller) -> tuple[str, bool]:
    return caller.account_id, caller.live


def _facts(turn: Turn, rules: RuleSet) -> RuleFacts:
    """What the rules look at; what the cache answers is classified for them alone."""
    arrival, found, spender = turn.arrival, turn.inspection, turn.spender
    task = task_of(found.classified())
    return RuleFacts(
        at=datetime.fromtimestamp(arrival.created_ms / 1_000, UTC),
        task=task.task,
        complexity=task.complexity,
        risk=task.risk_domain,
        user=spender.end_user,
        feature=spender.feature,
        key=spender.key_id,
        team=spender.team,
        model=found.model,
        prompt_tokens=found.prompt_tokens,
        has_tools=found.has_tools,
        has_images=found.has_images,
        json_mode=found.json_mode != "none",
        stream=turn.stream,
        text=found.last_user_text if rules.needs_text else None,
    )


def _ask(arrival: Arrival, found: Inspection, task: Task, mode: Mode) -> Ask:
    return Ask(
        found.model,
        mode,
        found.prompt_tokens,
        found.max_output_tokens,
        found.message_count,
        found.has_tools,
        found.has_images,
        found.has_audio,
        found.json_mode,
        found.logprobs,
        arrival.caller.live,
        task.complexity,
        task.risk_domain,
        found.escalated,
    )
