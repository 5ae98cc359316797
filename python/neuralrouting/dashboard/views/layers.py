"""The eight layers of one request, each with what it says, on what that rests, and what it took."""

import time
from typing import Any, Final

import msgspec

from neuralrouting.accounts.orders import Orders
from neuralrouting.api.figures import money
from neuralrouting.catalog import Deployment, cost_nanousd
from neuralrouting.config import ShadowConfig
from neuralrouting.exchange import CandidateNote, Decision, JsonObject, RouteNote
from neuralrouting.layers.confidence import Confidence
from neuralrouting.pipeline.explaining import Explained

NAMES: Final = ("cache", "shield", "classification", "confidence", "routing", "shadow audits", "feedback", "finops")


class Layers(msgspec.Struct, frozen=True):
    """Writes the layers down; `confidence` and `orders` are those by which requests are served."""

    confidence: Confidence
    orders: Orders
    shadow: ShadowConfig
    baseline: Deployment

    def told(self, account_id: str, explained: Explained) -> JsonObject:
        """Return the layers in their order, each with its microseconds where it is on the way of the answer."""
        decision, spent = explained.decision, explained.spent
        began_ns = time.perf_counter_ns()
        finops = self._finops(decision)
        finops_ns = time.perf_counter_ns() - began_ns
        said = (
            (_cache(decision), spent.cache_ns),
            (_shield(decision), spent.shield_ns),
            (_classification(decision), spent.classification_ns),
            (_confidence(decision), spent.confidence_ns),
            (_routing(decision), spent.routing_ns),
            (self._shadow(account_id, decision), None),
            (self._feedback(account_id), None),
            (finops, finops_ns),
        )
        rows = [
            {"number": n, "name": NAMES[n], **one, "us": None if ns is None else ns / 1000}
            for n, (one, ns) in enumerate(said)
        ]
        deciding_ns = (ns or 0 for _, ns in said[: NAMES.index("routing") + 1])
        return {"reading_us": spent.read_ns / 1000, "total_us": (spent.read_ns + sum(deciding_ns)) / 1000, "data": rows}

    def _shadow(self, account_id: str, decision: Decision) -> JsonObject:
        if not self.shadow.enabled or not self.orders.of(account_id).shadow:
            return _row("off", "quiet", {})
        least, most = max(self.shadow.share, 0.01), max(self.shadow.share, self.shadow.most)
        evidence: JsonObject = {"share of such answers": f"{100 * least:g} % to {100 * most:g} %"}
        if decision.route is not None and decision.task is not None:
            cell = self.confidence.cell(account_id, decision.route.chosen, decision.task.task)
            evidence["audits of this model at this task"] = int(cell.n) if cell is not None else 0
        return _row("now and then another model is asked too", "pass", evidence)

    def _feedback(self, account_id: str) -> JsonObject:
        learned = self.confidence.snapshot(account_id).learned
        words = learned.feedback if learned is not None else 0
        return _row("waits for your users' word", "quiet", {"words that count by now": words})

    def _finops(self, decision: Decision) -> JsonObject:
        route, asked = decision.route, decision.asked
        if route is None or asked is None or self.baseline.price is None:
            return _row("no model, no cost", "quiet", {})
        chosen = next((one for one in route.candidates if one.model == route.chosen), None)
        cost = chosen.estimated_nanousd if chosen is not None else None
        baseline = cost_nanousd(self.baseline.price, asked.prompt_tokens, route.assumed_output_tokens)
        evidence: JsonObject = {
            **money("cost", cost),
            **money("baseline", baseline),
            **money("saved", baseline - cost if cost is not None else None),
            "assumed tokens of the answer": route.assumed_output_tokens,
        }
        return _row(f"compared with {self.baseline.model}", "pass", evidence)


def _row(says: str, tone: str, evidence: JsonObject) -> JsonObject:
    return {"says": says, "tone": tone, "evidence": evidence}


def _cache(decision: Decision) -> JsonObject:
    cache = decision.cache
    evidence = _there(similarity=cache.similarity, reason=cache.reason, entry=cache.entry)
    hit = cache.outcome in ("exact", "canonical", "semantic")
    words = f"{cache.outcome} hit: it would answer" if hit else cache.outcome
    return _row(words, "hit" if hit else "pass", evidence)


def _shield(decision: Decision) -> JsonObject:
    shield = decision.shield
    tone = {"pass": "pass", "off": "quiet", "block": "stop"}.get(shield.says, "warn")
    evidence = _there(risk=round(shield.risk, 2), rules=", ".join(shield.rules) or None)
    return _row(shield.says, tone, evidence)


def _classification(decision: Decision) -> JsonObject:
    task = decision.task
    if task is None:
        return _row("not looked at", "quiet", {})
    evidence = {"probability": round(task.confidence, 2), "complexity": f"{task.complexity:g} of 10"}
    evidence["high risk"] = task.risk or "no"
    words = f"{task.task}, unsure" if task.abstained else task.task
    return _row(words, "warn" if task.risk else "pass", evidence)


def _confidence(decision: Decision) -> JsonObject:
    told = {f"{head} models": f"{difference:+.3f}" for head, difference in decision.predicted.items()}
    first = _first(decision.route)
    if first is not None and first.basis is not None:
        words = f"{first.model}: {first.basis}"
        if first.expected is not None:
            told["expected of it"] = f"{first.expected:+.3f}"
        told["audits"] = str(first.n)
    else:
        words = "a prediction for cheaper models" if told else "nothing to say"
    if decision.escalated is not None:
        told["likeness to prompts that went wrong"] = f"{decision.escalated:.2f}"
    return _row(words, "pass" if told else "quiet", told)


def _routing(decision: Decision) -> JsonObject:
    route = decision.route
    if route is None:
        return _row(decision.refused or "no route", "stop", {})
    rule = f"{route.rule.name} (line {route.rule.line})" if route.rule is not None else None
    evidence = _there(
        mode=f"{route.mode}, from {route.source}",
        **{"decided by": route.affinity or route.reason, "rule": rule, "cascade": "yes" if route.cascade else None},
    )
    return _row(route.chosen, "pass", evidence)


def _first(route: RouteNote | None) -> CandidateNote | None:
    return next((one for one in route.candidates if one.model == route.chosen), None) if route is not None else None


def _there(**values: Any) -> JsonObject:  # noqa: ANN401  values of JSON
    return {name: value for name, value in values.items() if value is not None}
