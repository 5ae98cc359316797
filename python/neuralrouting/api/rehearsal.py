"""What rules would have made of past requests: which of them, another model, and the difference in money. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from neuralrouting.catalog import VIRTUAL_MODELS, Catalog, Deployment, cost_nanousd
from neuralrouting.catalog.catalog import LOCAL
from neuralrouting.errors import NeuralRoutingError
from neuralrouting.exchange import Mode
from neuralrouting.layers.routing import Ask, Router, blended
from neuralrouting.rules import Rule, RuleFacts, RuleSet, Then
from neuralrouting.storage.past import Asked, PastRequest, Routed, decided

MAX_EXAMPLES: Final = 10
"""Ids of changed requests that are told, the newest first."""
OWN_MODE: Final = frozenset({"rule", "key", "account", "configuration", "plan", "default"})
"""Who may have chosen the mode of a request for which a rule could have chosen another."""
NAMED: Final = "models named by a rule"
"""How routing calls it when a rule had named the models: then no others were looked at."""
_UNKNOWN: Final = Asked(tools=False, images=False, json_mode="none", prompt_tokens=0, messages=1)
UNJUDGED: Final = {
    "failed": "no model answered them",
    "cached": "the cache answered them, and no model was chosen",
    "no_decision": "what was decided of them is not stored",
    "shape_not_stored": "a rule asks for tools, images or JSON, and whether they had those is not stored",
    "narrowed": "another rule had named their models, and no others were looked at",
    "auto": "a rule orders mode auto, and what it would have seen of them is not stored",
    "text_not_stored": "a rule asks for keywords, and their text is not stored",
    "speed": "a rule orders mode speed, and how fast the models were then is not stored",
    "cascade": "a rule orders a cascade, whose cost is known only once the cheap answer is looked at",
    "not_capable": "no model that a rule orders could have served them",
}
"""Why a request cannot be judged, by the name under which it is counted."""
_candidates: Final = msgspec.json.Decoder(list[str]).decode
_body: Final = msgspec.json.Decoder().decode


class Change(msgspec.Struct, frozen=True):
    """A request that would have gone elsewhere; `model` None: nowhere, it is blocked. No `delta_nanousd`: unpriced.

    `cost_nanousd` is what it did cost.
    """

    request_id: str
    served: str
    model: str | None
    simulated: bool
    delta_nanousd: int | None
    cost_nanousd: int | None


class RuleTally(msgspec.Struct):
    """What one rule came to: requests for which it was the first to hold, and those it would have changed.

    Costs are what the changed ones did cost, those without a price left out as in the differences.
    """

    name: str
    line: int
    matched: int = 0
    changed: int = 0
    delta_nanousd: int = 0
    simulated_delta_nanousd: int = 0
    unpriced: int = 0
    cost_nanousd: int = 0
    simulated_cost_nanousd: int = 0


class Rehearsal:
    """Tries rules on one page of requests after another."""

    def __init__(self, rules: RuleSet, catalog: Catalog) -> None:
        self._rules = rules
        self._chooser = _Chooser(catalog)
        self.examined = 0
        self.unjudged: Counter[str] = Counter()
        self.tallies = {rule.name: RuleTally(rule.name, rule.line) for rule in rules.rules}
        self.examples: list[Change] = []

    @property
    def judged(self) -> int:
        """How many requests it is known of what the rules would have made of them."""
        return self.examined - self.unjudged.total()

    @property
    def changed(self) -> int:
        """How many of them would have gone elsewhere, or nowhere."""
        return sum(tally.changed for tally in self.tallies.values())

    def add(self, requests: Iterable[PastRequest]) -> None:
        """Try the rules on some more requests."""
        for past in requests:
            self.examined += 1
            reason = self._try(past)
            if reason is not None:
                self.unjudged[reason] += 1

    def _try(self, past: PastRequest) -> str | None:
        """Try the rules on one request; return why it cannot be judged, None where it can."""
        obstacle = _obstacle(past)
        if obstacle is not None:
            return obstacle
        seen = decided(past)
        if seen is None or seen.route is None:
            return "no_decision"
        if seen.asked is None and self._rules.needs_shape:
            return "shape_not_stored"
        text = _last_text(past.request_body) if self._rules.needs_text else None
        facts = _facts(past, seen.asked or _UNKNOWN, text)
        rule = self._rules.first(facts) if text is not None else self._rules.first_unread(facts)
        if rule is not None and rule.when.keyword and text is None:
            return "text_not_stored"
        return self._obey(rule, past, seen.route, seen.asked) if rule is not None else None

    def _obey(self, rule: Rule, past: PastRequest, route: Routed, asked: Asked | None) -> str | None:
        tally = self.tallies[rule.name]
        served = past.deployment or ""
        if rule.then.block is not None:
            tally.matched += 1
            cost = past.cost_nanousd
            self._note(
                tally, Change(past.request_id, served, None, past.simulated, None if cost is None else -cost, cost)
            )
            return None
        if not _is_free(past, route):
            tally.matched += 1  # the request itself named a model or a mode, and that goes before any rule
            return None
        found = self._chooser.choose(past, asked, rule.then, ruled=route.rule is not None)
        if isinstance(found, str):
            return found
        tally.matched += 1
        if found.id not in {served, _first(past)}:
            delta = _delta(past, found)
            self._note(tally, Change(past.request_id, served, found.id, past.simulated, delta, past.cost_nanousd))
        return None

    def _note(self, tally: RuleTally, change: Change) -> None:
        tally.changed += 1
        if change.delta_nanousd is None:
            tally.unpriced += 1
        elif change.simulated:
            tally.simulated_delta_nanousd += change.delta_nanousd
            tally.simulated_cost_nanousd += change.cost_nanousd or 0
        else:
            tally.delta_nanousd += change.delta_nanousd
            tally.cost_nanousd += change.cost_nanousd or 0
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(change)


class _Chooser:
    """Finds who would have been asked first, among those that could serve the request when it came."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._router = Router(catalog, VIRTUAL_MODELS)
        self._everybody = {d.id: d for d in (*catalog.servable, *catalog.by_name_only)}
        self._servable = frozenset(d.id for d in catalog.servable)

    def choose(self, past: PastRequest, asked: Asked | None, then: Then, *, ruled: bool) -> Deployment | str:
        """Return the model that an order leads to, or why that cannot be told. `ruled`: another rule held then."""
        mode = then.mode or past.routing_mode or "auto"
        reason = self._obstacle(past, asked, then, mode)
        if reason is not None:
            return reason
        if then.model is not None:
            return self._named(past, (then.model, *then.fallback)) or "not_capable"
        capable = [self._everybody[name] for name in _candidates(past.candidates) if name in self._everybody]
        if mode != past.routing_mode or ruled:
            capable = self._ordered(capable, past, asked or _UNKNOWN, mode)
        capable.sort(key=lambda d: then.tier is not None and d.tier != then.tier)
        return capable[0] if capable else "not_capable"

    def _obstacle(self, past: PastRequest, asked: Asked | None, then: Then, mode: Mode) -> str | None:
        if then.cascade:
            return "cascade"
        if past.route_rule == NAMED:
            return "narrowed"
        if then.model is None and mode != past.routing_mode:
            if mode == "speed":
                return "speed"
            if mode == "auto" and asked is None:
                return "auto"
        return None

    def _named(self, past: PastRequest, names: Sequence[str]) -> Deployment | None:
        """Return the cheapest of the first of some models that could have served the request."""
        could = set(_candidates(past.candidates))
        for name in names:
            found = [d for d in self._catalog.named(name, live=self._is_live(could)) if d.id in could]
            if found:
                return min(found, key=lambda d: (blended(d.price), d.id))
        return None

    def _ordered(self, capable: list[Deployment], past: PastRequest, asked: Asked, mode: Mode) -> list[Deployment]:
        could = {d.id for d in capable}
        ask = Ask(
            model=None,
            mode=mode,
            prompt_tokens=asked.prompt_tokens or past.prompt_tokens,
            message_count=asked.messages,
            has_tools=asked.tools,
            has_images=asked.images,
            json_mode=asked.json_mode,
            live=self._is_live(could),
            complexity=(past.complexity_tenths or 0) / 10,
            high_risk=past.risk_domain,
        )
        try:
            route = self._router.choose(ask, _UNMEASURED, 0.0)
        except NeuralRoutingError:  # none of those that are here now
            return []
        return [d for d in route.candidates if d.id in could]

    def _is_live(self, could: set[str]) -> bool:
        """Whether a live key asked; a test key reaches stand-ins that nobody else is routed to."""
        known = [self._everybody[name] for name in could if name in self._everybody]
        only_pretend = all(d.simulated or d.provider == LOCAL for d in known)
        return not only_pretend or could <= self._servable


class _Unmeasured:
    """Speeds of models that nobody has measured: those of the past are not stored."""

    def expected_latency_us(self, deployment: str, completion_tokens: int) -> float | None:  # noqa: ARG002
        """Return None."""
        return None

    def cooling(self, deployment: str, now_s: float) -> bool:  # noqa: ARG002
        """Return False."""
        return False


_UNMEASURED = _Unmeasured()


def _obstacle(past: PastRequest) -> str | None:
    """Return why rules had nothing to say about a request, None where they had."""
    if past.cache not in ("miss", "bypass"):
        return "cached"
    return "failed" if past.status != 200 or past.deployment is None else None


def _facts(past: PastRequest, asked: Asked, text: str | None) -> RuleFacts:
    return RuleFacts(
        at=datetime.fromtimestamp(past.created_ms / 1000, UTC),
        task=past.task,
        complexity=None if past.complexity_tenths is None else past.complexity_tenths / 10,
        risk=past.risk_domain,
        user=past.end_user,
        feature=past.feature,
        key=past.key_id,
        team=past.team,
        model=past.requested_model,
        prompt_tokens=asked.prompt_tokens or past.prompt_tokens,
        has_tools=asked.tools,
        has_images=asked.images,
        json_mode=asked.json_mode != "none",
        stream=past.stream,
        text=text,
    )


def _is_free(past: PastRequest, route: Routed) -> bool:
    """Whether a rule may choose: the request named neither model nor mode, and no budget chose for it."""
    named = past.route_rule == "forced" or (past.requested_model or "auto") not in VIRTUAL_MODELS
    return not named and route.source in OWN_MODE


def _first(past: PastRequest) -> str | None:
    """Return who was to be asked first; another one answered where that failed."""
    return next(iter(_candidates(past.candidates)), None)


def _delta(past: PastRequest, other: Deployment) -> int | None:
    """Return what the same tokens cost there, less what they cost; None where either has no price."""
    if past.cost_nanousd is None or other.price is None:
        return None
    tokens = past.prompt_tokens, past.completion_tokens, past.cached_tokens, past.cache_write_tokens
    return cost_nanousd(other.price, *tokens) - past.cost_nanousd


def _last_text(body: bytes | None) -> str | None:
    """Return the text of the last message of the user in a stored body, None where there is no such body."""
    if body is None:
        return None
    try:
        told: Any = _body(body)
        messages = [one for one in told["messages"] if one.get("role") == "user"]
        content = messages[-1]["content"] if messages else ""
        return content if isinstance(content, str) else "\n".join(part.get("text") or "" for part in content)
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return None
