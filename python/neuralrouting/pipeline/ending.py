"""How a request ends: what it cost, a row of what became of it, and what its account pays."""

import logging
import math
from collections.abc import Callable

import msgspec

from neuralrouting.accounts.admission import Admitted, started_of
from neuralrouting.accounts.bank import Bank
from neuralrouting.catalog import Catalog, Deployment
from neuralrouting.engine import CachedReply
from neuralrouting.errors import NeuralRoutingError
from neuralrouting.exchange import (
    Arrival,
    Attempt,
    CacheEntry,
    CacheOutcome,
    Cascade,
    Exchange,
    Facts,
    Lookup,
    Spent,
    Usage,
)
from neuralrouting.layers import finops
from neuralrouting.pipeline.chunklog import ChunkLog
from neuralrouting.pipeline.deciding import Deciding
from neuralrouting.pipeline.signals import Signals
from neuralrouting.pipeline.turn import Turn
from neuralrouting.providers.dispatcher import CLIENT_CLOSED
from neuralrouting.storage.recorder import row_of
from neuralrouting.storage.turns import Settlement

log = logging.getLogger("neuralrouting.pipeline")
_OUTCOMES: dict[str, CacheOutcome] = {"exact": "exact", "canonical": "canonical", "semantic": "semantic"}
CLIENT_CLOSED_STATUS = 499
"""Recorded status of a request whose client left; nginx's number, since HTTP has none."""


class Ending:
    """Prices answers and ends requests: one per worker."""

    def __init__(
        self,
        catalog: Catalog,
        bank: Bank,
        deciding: Deciding,
        signals: Signals,
        ended: Callable[[Exchange], None],
        *,
        keep_bodies: bool,
    ) -> None:
        everything = (*catalog.known, *catalog.servable, *catalog.by_name_only)
        self._deployments = {d.id: d for d in everything}
        self._baseline = catalog.baseline
        self._deciding = deciding
        self._bank = bank
        self._signals = signals
        self._ended = ended
        self._keep_bodies = keep_bodies

    def facts(self, turn: Turn, served: Deployment, usage: Usage, overhead_us: int) -> Facts:
        """Return the facts of an answer by a model."""
        cascade = turn.cascade
        replaced = cascade if cascade is not None and cascade.outcome == "escalated" else None
        usage = turn.admitted.believed(served, usage, replaced) if turn.admitted is not None else usage
        own = finops.bill(served, usage, self._baseline)
        bill = own if replaced is None else finops.both(replaced.bill, own)
        request_id, overhead_us = turn.arrival.request_id, max(0, overhead_us)
        return Facts(request_id, served, turn.missed, usage, bill, overhead_us, cascade, own.cost_nanousd)

    def first_of_two(self, turn: Turn, served: Deployment, usage: Usage, doubt: str | None) -> Cascade:
        """Return what the first call of a cascade came to, before anybody else is asked."""
        usage = turn.admitted.believed(served, usage) if turn.admitted is not None else usage
        outcome = "kept" if doubt is None else "escalated"
        return Cascade(served, usage, finops.bill(served, usage, self._baseline), doubt, outcome)

    def hit_facts(self, turn: Turn, hit: CachedReply | CacheEntry) -> Facts:
        """Return the facts of an answer from the cache; one that it has kept just now is an equal request's."""
        usage = Usage(hit.prompt_tokens, hit.completion_tokens)
        return self._free(turn, self._deployments[hit.deployment], usage, lookup_of(hit, turn.arrival))

    def end_shared(self, turn: Turn, log: ChunkLog, failure: BaseException | None) -> Facts:
        """End a request that has read along with an equal one; return its facts."""
        facts = self._free(turn, log.deployment, log.usage, turn.followed)
        self.end(turn, facts, failure=failure, response_body=log.body if self._keep_bodies else None)
        return facts

    def _free(self, turn: Turn, served: Deployment, usage: Usage, cache: Lookup) -> Facts:
        bill, overhead_us = finops.free(served, usage, self._baseline), max(0, turn.since_us() - turn.upstream_us)
        return Facts(turn.arrival.request_id, served, cache, usage, bill, overhead_us)

    def end(
        self,
        turn: Turn,
        facts: Facts | None,
        *,
        failure: BaseException | None = None,
        ttft_us: int | None = None,
        response_body: bytes | None = None,
    ) -> None:
        """End a request and its hold, once: a row of what became of it, and what its account pays."""
        arrival, inspection, admitted, keep = turn.arrival, turn.inspection, turn.admitted, self._keep_bodies
        spender = turn.spender
        paid = _paid(turn, facts)
        attempts = self._priced(turn, paid)
        answered = facts is not None and admitted is not None
        done = Exchange(
            arrival=arrival,
            requested_model=inspection.model,
            end_user=spender.end_user,
            session_id=inspection.session_id,
            feature=spender.feature,
            stream=turn.stream,
            task=turn.task,
            route=admitted.route if admitted is not None else None,
            attempts=attempts,
            facts=facts,
            status=status_of(failure),
            error_code=None if failure is None else code_of(failure),
            latency_us=turn.since_us(),
            ttft_us=ttft_us,
            request_body=inspection.body if keep else None,
            response_body=response_body if keep else None,
            hold_state="none" if admitted is None else "settled" if answered else "voided",
            held_mc=admitted.held_mc if admitted is not None else 0,
            charged_mc=_charged_mc(admitted, facts),
            house_nanousd=sum(a.cost_nanousd or 0 for n, a in enumerate(attempts) if n not in paid),
            decision=self._deciding.text(turn, facts),
            finding=turn.finding,
            budgets=admitted.notes if admitted is not None else (),
            spent=spent_on(turn),
        )
        row = row_of(done)
        if admitted is None:
            turn.ended = True
            self._bank.settle(None, Settlement(row, metered=False))
            self._ended(done)
            return
        spends = ()
        if facts is not None:
            spends = admitted.spends(facts.deployment, facts.usage, facts.own_nanousd, facts.replaced)
        turn.ended = True  # not before: what fails up to here is ended again, as a failure
        self._bank.settle(admitted.hold, Settlement(row, admitted.tab.credits is not None, spends))
        self._ended(done)
        if facts is not None and failure is None:
            self._signals.note(turn, facts)

    def fail(self, turn: Turn, failure: BaseException) -> None:
        """End a request that has not ended; where not even its row can be made, its hold ends all the same."""
        try:
            self.end(turn, None, failure=failure)
        except Exception:
            if turn.ended:
                raise
            log.exception("the row of request %s cannot be made: it goes free of charge", turn.arrival.request_id)
            turn.ended = True
            held = turn.admitted
            started = started_of(turn.arrival, held.held_mc if held is not None else 0, stream=turn.stream)
            lost = started.lost("internal_error", "voided" if held is not None else "none")
            self._bank.settle(held.hold if held is not None else None, lost)

    def _priced(self, turn: Turn, paid: dict[int, int | None]) -> tuple[Attempt, ...]:
        """Say of each attempt what it cost: of those that are paid for as billed, of the others what they may have."""
        bound, known = turn.inspection.prompt_tokens, dict(paid)
        if turn.cascade is not None:  # it has answered, whoever pays for that
            known.setdefault(0, turn.cascade.bill.cost_nanousd)
        for n, a in enumerate(turn.attempts):
            called = self._deployments[a.deployment]  # nothing is billed of a call of nobody that is known
            if n not in known:
                known[n] = finops.lost_call_nanousd(a, called, bound)
        return tuple(msgspec.structs.replace(a, cost_nanousd=known[n]) for n, a in enumerate(turn.attempts))


def spent_on(turn: Turn) -> Spent:
    """Return how long each layer took."""
    read_ns, shield_ns, cache_ns, classification_ns, confidence_ns = turn.inspection.spent_ns
    scanned, asked = turn.inspection.verdict is not None, turn.inspection.classification is not None
    return Spent(
        read_ns,
        cache_ns,
        shield_ns if scanned else None,
        classification_ns if asked else None,
        confidence_ns if asked else None,
        turn.routing_ns,
        turn.admission_ns,
        turn.inspected_ns,
        turn.admitted_ns,
    )


def _charged_mc(admitted: Admitted | None, facts: Facts | None) -> int:
    if admitted is None or facts is None:
        return 0
    return admitted.charged_mc(facts.deployment, facts.usage, facts.replaced)


def _paid(turn: Turn, facts: Facts | None) -> dict[int, int | None]:
    """Return the places of the attempts that the account pays for, and what they cost: those that made the answer."""
    if facts is None or facts.cache.hit or not turn.attempts:
        return {}
    cascade = facts.cascade
    if cascade is None:
        return {len(turn.attempts) - 1: facts.own_nanousd}
    if cascade.outcome != "escalated":
        return {0: facts.own_nanousd}
    return {0: cascade.bill.cost_nanousd, len(turn.attempts) - 1: facts.own_nanousd}


def lookup_of(hit: CachedReply | CacheEntry, arrival: Arrival) -> Lookup:
    """Return how the cache answered; a similarity is cut after four decimals: none is told that was not reached."""
    if isinstance(hit, CacheEntry):  # kept just now, for an equal request
        return Lookup("exact", 1.0, 0, hit.key.hex(), shared=True)
    similarity = math.floor(hit.similarity * 10_000) / 10_000
    age_s = max(0, arrival.created_ms // 1000 - hit.stored_at_s)
    return Lookup(_OUTCOMES[hit.kind], similarity, age_s, hit.key.hex())


def status_of(failure: BaseException | None) -> int:
    """Return the status that a request is recorded with."""
    if failure is None:
        return 200
    return failure.status if isinstance(failure, NeuralRoutingError) else CLIENT_CLOSED_STATUS


def code_of(failure: BaseException) -> str:
    """Return the code that a failure is recorded with."""
    if isinstance(failure, NeuralRoutingError):
        return failure.code or failure.type
    return CLIENT_CLOSED
