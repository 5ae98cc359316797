"""What is told of a decision: one document, kept with every request and given by who asks for it beforehand."""

import msgspec

from neuralrouting.catalog import Catalog, Deployment, cost_nanousd
from neuralrouting.engine import Inspection
from neuralrouting.exchange import (
    AskedNote,
    CacheNote,
    CandidateNote,
    Considered,
    Decision,
    Facts,
    Finding,
    Lookup,
    Route,
    RouteNote,
    RuleNote,
    ShieldNote,
    Task,
    TaskNote,
)
from neuralrouting.layers.routing import BEHIND, expected_output_tokens
from neuralrouting.pipeline.turn import Turn

LISTED = 5
"""Candidates that are told whatever there is to tell: those that are tried, and a few to compare them with.

A document is kept with every request; with a dozen models and more, most of it would be that they are dearer.
"""
_PLACES = 4
_NANO = 1_000_000_000
_PICO_PER_MICRO = 1_000_000


class Deciding:
    """Writes decisions: one per worker."""

    def __init__(self, catalog: Catalog) -> None:
        everything = (*catalog.known, *catalog.servable, *catalog.by_name_only)
        self._known = {d.id: (d, *_prices(d)) for d in everything}
        self._encode = msgspec.json.Encoder().encode

    def text(self, turn: Turn, facts: Facts | None) -> str:
        """Return the document of a request that has ended, as JSON."""
        admitted = turn.admitted
        cache = facts.cache if facts is not None else turn.missed
        return self._encode(self.decision(turn, cache, admitted.route if admitted is not None else None)).decode()

    def decision(self, turn: Turn, cache: Lookup, route: Route | None, refused: str | None = None) -> Decision:
        """Return what is known of a request by now."""
        found, task = turn.inspection, turn.task
        escalated = found.escalated if task is not None else -1.0
        return Decision(
            cache=CacheNote(cache.outcome, cache.similarity, cache.reason, cache.entry),
            shield=_shield(turn),
            asked=_asked(found) if task is not None else None,
            task=_task(task) if task is not None else None,
            predicted={head: round(value, _PLACES) for head, value in found.predicted} if task is not None else {},
            escalated=round(escalated, _PLACES) if escalated > -1.0 else None,
            route=self._route(turn, route) if route is not None else None,
            refused=refused,
        )

    def _route(self, turn: Turn, route: Route) -> RouteNote:
        found, order = turn.inspection, turn.order
        output_tokens = expected_output_tokens(found.max_output_tokens)
        rule = RuleNote(order.name, order.line) if order is not None and route.order is not None else None
        telling = [one for place, one in enumerate(route.considered) if place < LISTED or _tells(one)]
        return RouteNote(
            route.mode,
            route.source,
            route.rule,
            route.candidates[0].id,
            output_tokens,
            tuple(self._candidate(one, found.prompt_tokens, output_tokens) for one in telling),
            rule,
            route.affinity,
            route.cascade,
            len(route.considered) - len(telling),
        )

    def _candidate(self, one: Considered, prompt_tokens: int, output_tokens: int) -> CandidateNote:
        deployment, paid_in, paid_out = self._known[one.deployment]
        price, odds = deployment.price, one.odds
        estimated = cost_nanousd(price, prompt_tokens, output_tokens) if price is not None else None
        dollars = None if estimated is None else f"{estimated // _NANO}.{estimated % _NANO:09d}"
        if odds is None:
            return CandidateNote(one.deployment, one.tier, paid_in, paid_out, estimated, dollars, lost=one.lost)
        return CandidateNote(
            one.deployment,
            one.tier,
            paid_in,
            paid_out,
            estimated,
            dollars,
            None if odds.expected is None else round(odds.expected, _PLACES),
            None if odds.low is None else round(odds.low, _PLACES),
            None if odds.high is None else round(odds.high, _PLACES),
            odds.n,
            odds.basis,
            one.lost,
        )


def _tells(one: Considered) -> bool:
    """Whether there is more to tell of a model than that it stood behind the others."""
    return one.lost not in BEHIND or (one.odds is not None and one.odds.basis != "unproven")


def _prices(d: Deployment) -> tuple[float | None, float | None]:
    """Dollars for a million tokens in and out."""
    if d.price is None:
        return None, None
    return d.price.input_picousd / _PICO_PER_MICRO, d.price.output_picousd / _PICO_PER_MICRO


def _asked(found: Inspection) -> AskedNote:
    return AskedNote(found.has_tools, found.has_images, found.json_mode, found.prompt_tokens, found.message_count)


def _task(task: Task) -> TaskNote:
    return TaskNote(task.task, round(task.confidence, _PLACES), task.complexity, task.abstained, task.risk_domain)


def _shield(turn: Turn) -> ShieldNote:
    verdict, finding = turn.inspection.verdict, turn.finding
    if finding is not None:
        return _found(finding)
    if verdict is None:
        return _OFF
    return ShieldNote("pass", round(verdict.risk, _PLACES)) if verdict.risk else _PASSED


def _found(finding: Finding) -> ShieldNote:
    verdict = finding.verdict
    return ShieldNote(finding.action, round(verdict.risk, _PLACES), tuple(verdict.rules))


_OFF, _PASSED = ShieldNote("off"), ShieldNote("pass")
