"""Counts what has happened: one finished request, or one finding of the shield, into the series that tell of it."""

from collections.abc import Callable

from neuralrouting.engine import Series
from neuralrouting.errors import NeuralRoutingError
from neuralrouting.exchange import Attempt, Exchange, Facts, Lookup, SecurityEvent, Spent
from neuralrouting.telemetry import families
from neuralrouting.telemetry.registry import Registry

NOBODY = "none"
"""Model and provider of a request that nobody has answered, and the kind of a lookup that found nothing."""
LAYERS = ("read", "shield", "cache", "classification", "confidence", "routing", "admission")
"""What is timed of a request, in the order of `Spent`."""
CLIENT_CLOSED = "client_closed"


class _Answering:
    """The series of one model's answers, found once."""

    __slots__ = (
        "baseline", "cached", "compared", "completion", "cost", "prompt", "reasoning", "unpriced", "written",
    )  # fmt: skip

    def __init__(self, find: Callable[..., Series], model: str, provider: str) -> None:
        self.cost = find(families.COST, model, provider)
        self.baseline = find(families.BASELINE, model, provider)
        self.compared = find(families.PRICED_COST, model, provider)
        self.unpriced = find(families.UNPRICED, model, provider)
        self.prompt = find(families.TOKENS, model, provider, "prompt")
        self.completion = find(families.TOKENS, model, provider, "completion")
        self.cached = find(families.TOKENS, model, provider, "cached")
        self.written = find(families.TOKENS, model, provider, "cache_write")
        self.reasoning = find(families.TOKENS, model, provider, "reasoning")

    def count(self, facts: Facts) -> None:
        bill, usage = facts.bill, facts.usage
        if bill.cost_nanousd is None:
            self.unpriced.add(1)
        else:
            self.cost.add(bill.cost_nanousd)
            if bill.baseline_nanousd is not None:
                self.baseline.add(bill.baseline_nanousd)
                self.compared.add(bill.cost_nanousd)
        self.prompt.add(usage.prompt_tokens)
        self.completion.add(usage.completion_tokens)
        if usage.cached_tokens:
            self.cached.add(usage.cached_tokens)
        if usage.cache_write_tokens:
            self.written.add(usage.cache_write_tokens)
        if usage.reasoning_tokens:
            self.reasoning.add(usage.reasoning_tokens)


class Counting:
    """Turns events into counts: one per worker."""

    def __init__(self, registry: Registry) -> None:
        self._find = registry.series
        self._answering: dict[str, _Answering] = {}
        self._layers = tuple(registry.series(families.LAYER_SECONDS, layer) for layer in LAYERS)
        self._house = registry.series(families.HOUSE_COST)

    def read(self, event: Exchange | SecurityEvent) -> None:
        """Count one event."""
        if isinstance(event, Exchange):
            self._request(event)
        else:
            self._find(families.SECURITY, event.action, event.rule_category or NOBODY).add(1)

    def refused(self, error: NeuralRoutingError) -> None:
        """Count an error that was answered before the first byte."""
        self._find(families.REFUSALS, error.code or error.type, str(error.status)).add(1)

    def _request(self, done: Exchange) -> None:
        find, facts, endpoint = self._find, done.facts, done.arrival.hints.endpoint
        status = str(done.status)
        if facts is None:
            find(families.REQUESTS, endpoint, NOBODY, NOBODY, decided_by(done), status).add(1)
            find(families.REQUEST_SECONDS, endpoint, NOBODY).observe(done.latency_us)
        else:
            served, cache = facts.deployment, facts.cache
            find(families.REQUESTS, endpoint, served.id, served.provider, decided_by(done), status).add(1)
            find(families.REQUEST_SECONDS, endpoint, "hit" if cache.hit else "miss").observe(done.latency_us)
            find(families.OVERHEAD_SECONDS, endpoint).observe(facts.overhead_us)
            find(families.LOOKUPS, *looked(cache)).add(1)
            answering = self._answering.get(served.id)
            if answering is None:
                answering = self._answering[served.id] = _Answering(find, served.id, served.provider)
            answering.count(facts)
            if facts.cascade is not None:
                find(families.CASCADES, facts.cascade.outcome).add(1)
        if done.error_code is not None:
            find(families.ERRORS, done.error_code, status).add(1)
        for attempt in done.attempts:
            self._attempt(attempt)
        if done.house_nanousd:
            self._house.add(done.house_nanousd)
        for note in done.budgets:
            find(families.BUDGET_NOTES, "spent" if note.spent else "warned").add(1)
        if done.spent is not None:
            self._spent(done.spent)

    def _attempt(self, attempt: Attempt) -> None:
        model, provider = attempt.deployment, attempt.provider
        self._find(families.ATTEMPTS, model, provider, attempt.outcome).add(1)
        self._find(families.UPSTREAM_SECONDS, model, provider).observe(attempt.latency_us)
        if attempt.ttft_us is not None:
            self._find(families.TTFT_SECONDS, model, provider).observe(attempt.ttft_us)

    def _spent(self, spent: Spent) -> None:
        read, shield, cache, classification, confidence, routing, admission = self._layers
        read.observe(spent.read_ns)
        cache.observe(spent.cache_ns)
        if spent.shield_ns is not None:
            shield.observe(spent.shield_ns)
        if spent.classification_ns is not None:
            classification.observe(spent.classification_ns)
        if spent.confidence_ns is not None:
            confidence.observe(spent.confidence_ns)
        if spent.routing_ns is not None:
            routing.observe(spent.routing_ns)
        if spent.admission_ns is not None:
            admission.observe(spent.admission_ns)


def decided_by(done: Exchange) -> str:
    """Return what decided who answers: the cache, the client, a rule, a cascade, or the mode; `none` where nobody."""
    facts, route = done.facts, done.route
    if facts is not None:
        if facts.cache.hit:
            return "cache"
        if facts.cascade is not None:
            return "cascade"
    if route is None:
        return NOBODY
    if route.rule == "forced":  # statistics go by it: `layers.routing.FORCED`
        return "client"
    return "rule" if route.order is not None else route.mode


def looked(cache: Lookup) -> tuple[str, str]:
    """Return the kind and the result of a lookup."""
    if not cache.hit and not cache.shared:
        return NOBODY, cache.outcome
    return cache.outcome, "shared" if cache.shared else "hit"
