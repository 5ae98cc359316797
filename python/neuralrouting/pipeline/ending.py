"""How a request ends: what it cost, a row of what became of it, and what its account pays."""

import logging
import math

import msgspec

from neuralrouting.accounts.admission import started_of
from neuralrouting.accounts.bank import Bank
from neuralrouting.catalog import Catalog, Deployment
from neuralrouting.engine import CachedReply
from neuralrouting.errors import NeuralRoutingError
from neuralrouting.exchange import Arrival, Attempt, CacheEntry, CacheOutcome, Exchange, Facts, Lookup, Usage
from neuralrouting.layers import finops
from neuralrouting.pipeline.chunklog import ChunkLog
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

    def __init__(self, catalog: Catalog, bank: Bank, *, keep_bodies: bool) -> None:
        everything = (*catalog.known, *catalog.servable, *catalog.by_name_only)
        self._deployments = {d.id: d for d in everything}
        self._baseline = catalog.baseline
        self._bank = bank
        self._keep_bodies = keep_bodies

    def facts(self, turn: Turn, served: Deployment, usage: Usage, overhead_us: int) -> Facts:
        """Return the facts of an answer by a model."""
        usage = turn.admitted.believed(served, usage) if turn.admitted is not None else usage
        bill = finops.bill(served, usage, self._baseline)
        return Facts(turn.arrival.request_id, served, turn.missed, usage, bill, max(0, overhead_us))

    def hit_facts(self, turn: Turn, hit: CachedReply | CacheEntry) -> Facts:
        """Return the facts of an answer from the cache; one that it has kept just now is an equal request's."""
        usage = Usage(hit.prompt_tokens, hit.completion_tokens)
        return self._free(turn, self._deployments[hit.deployment], usage, _lookup(hit, turn.arrival))

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
        attempts = self._priced(turn, facts)
        answered = facts is not None and admitted is not None
        row = row_of(
            Exchange(
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
                charged_mc=admitted.charged_mc(facts.deployment, facts.usage) if facts and admitted else 0,
                house_nanousd=sum(a.cost_nanousd or 0 for a in (attempts[:-1] if answered else attempts)),
            )
        )
        if admitted is None:
            turn.ended = True
            self._bank.settle(None, Settlement(row, metered=False))
            return
        spends = admitted.spends(facts.deployment, facts.usage, facts.bill.cost_nanousd) if facts is not None else ()
        turn.ended = True  # not before: what fails up to here is ended again, as a failure
        self._bank.settle(admitted.hold, Settlement(row, admitted.tab.credits is not None, spends))

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

    def _priced(self, turn: Turn, facts: Facts | None) -> tuple[Attempt, ...]:
        """Say of each attempt what it cost; the last one is the one that answered, where there is an answer."""
        bound = turn.inspection.prompt_tokens
        priced = [
            msgspec.structs.replace(a, cost_nanousd=finops.lost_call_nanousd(a, self._deployments[a.deployment], bound))
            for a in turn.attempts
        ]
        if facts is not None and turn.attempts:
            priced[-1] = msgspec.structs.replace(turn.attempts[-1], cost_nanousd=facts.bill.cost_nanousd)
        return tuple(priced)


def _lookup(hit: CachedReply | CacheEntry, arrival: Arrival) -> Lookup:
    """How the cache answered; a similarity is cut after four decimals, so that none is told that was not reached."""
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
