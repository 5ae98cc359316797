"""How often the cache answers a question with the answer to another, where that is right and where it is wrong."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec
import orjson

from neuralrouting.clock import unix_ms
from neuralrouting.engine import CachedReply, Engine, Inspection
from neuralrouting.exchange import Arrival, CacheEntry, Caller, Decider, Hints, Plan
from neuralrouting.intervals import percentile, wilson
from neuralrouting.layers.cache import remember
from neuralrouting.pipeline.second_look import SecondLook

Verifier = Literal["strict", "std", "off"]
ANSWER = b'{"object":"chat.completion","choices":[]}'
"""What is stored for every first question: whether it is served is all that counts."""
DAY_MS = 86_400_000
STORED = "stored: "
"""Opens the reason of a miss whose first question already took no part."""


class CacheRow(msgspec.Struct, frozen=True):
    """Two questions, and whether (1) or not (0) an answer to the first answers the second."""

    a: str
    b: str
    same_answer: Literal[0, 1]
    category: str = "all"


class Outcome(msgspec.Struct, frozen=True):
    """What became of one row. Served: `kind` and `similarity`; else `reason`. Times in microseconds.

    `decide_us` is there where the second embedder was asked.
    """

    row: CacheRow
    kind: str | None
    similarity: float | None
    reason: str | None
    lookup_us: float
    decide_us: float | None = None

    @property
    def served(self) -> bool:
        """Whether the second question got the answer to the first."""
        return self.kind is not None


class CacheTrial:
    """Puts pairs through the parts that serve requests, each pair for a tenant of its own.

    `decider` is the second embedder; None: the built-in one decides alone.
    """

    def __init__(
        self, *, threshold: float = 0.92, verifier: Verifier = "strict", decider: Decider | None = None
    ) -> None:
        self.threshold, self.verifier, self.decider = threshold, verifier, decider
        self._engine = Engine(similarity_threshold=threshold, verifier=verifier, decides=decider is not None)
        self._second_look = SecondLook(self._engine, None, decider)
        self._pairs = 0

    @property
    def embedder(self) -> str:
        """Which model has the last word."""
        return self._engine.embedder if self.decider is None else self.decider.id

    async def judge(self, row: CacheRow) -> Outcome:
        """Store an answer to `a`, then ask `b`.

        `lookup_us` is the whole `Engine.inspect` of `b`: parse, key, exact look-up, what is compared of the text, the
        built-in embedder, the neighbours, the verifier, and on a miss the classifier; no shield. `decide_us` is the
        second embedder's run, or the call that it takes, with the decision.
        """
        self._pairs += 1
        tenant = f"pair-{self._pairs}"
        first = self._engine.inspect(_body(row.a), tenant, semantic=True)
        await self._store(first)
        body = _body(row.b)
        started_ns = time.perf_counter_ns()
        second = self._engine.inspect(body, tenant, semantic=True)
        lookup_us = (time.perf_counter_ns() - started_ns) / 1000
        hit, decide_us = second.hit, None
        if hit is None and second.undecided and self.decider is not None:
            hit, decide_us = await self._decided(second)
        self._engine.forget(first.key)
        if hit is not None:
            return Outcome(row, hit.kind, round(hit.similarity, 6), None, lookup_us, decide_us)
        return Outcome(row, None, None, _reason(first, second), lookup_us, decide_us)

    async def _store(self, first: Inspection) -> None:
        """Store as a gateway does, the second embedder's vector with it."""
        embedder = self._engine.embedder if first.probe is not None else None
        now_ms = unix_ms()
        entry = CacheEntry(
            first.key, "evaluation", ANSWER, "none/none", simulated=True, prompt_tokens=0, completion_tokens=0,
            stored_ms=now_ms, expires_ms=now_ms + DAY_MS, scope=first.scope, probe=first.probe, embedder=embedder,
        )  # fmt: skip
        if first.probe is not None and self.decider is not None:
            vector = await self.decider.embed(first.last_user_text)
            if vector is not None:
                entry = msgspec.structs.replace(entry, decider=self.decider.id, decided=vector)
        remember(self._engine, entry)

    async def _decided(self, second: Inspection) -> tuple[CachedReply | None, float]:
        started_ns = time.perf_counter_ns()
        hit = await self._second_look.hit(_ARRIVAL, second)
        return hit, (time.perf_counter_ns() - started_ns) / 1000


def report(outcomes: Sequence[Outcome], trial: CacheTrial) -> dict[str, Any]:
    """Count. Rates are from 0 to 1 with their 95 % Wilson intervals; None where there is no row of that kind.

    `hit_true`: served among pairs with the same answer; `wrong_false`: served among the others. `refused` counts the
    misses by reason, `missed_true` those of pairs with the same answer; a reason that begins with `stored: ` is of the
    first question.
    """
    times = [one.lookup_us for one in outcomes]
    decided = [one.decide_us for one in outcomes if one.decide_us is not None]
    return {
        "n": len(outcomes),
        "threshold": trial.threshold,
        "verifier": trial.verifier,
        "embedder": trial.embedder,
        **_rates(outcomes),
        "by_category": _by_category(outcomes),
        "by_kind": _by_kind(outcomes),
        "refused": _reasons(outcomes),
        "missed_true": _reasons(one for one in outcomes if one.row.same_answer),
        "lookup_us": _percentiles(times),
        **({"decide_us": {"n": len(decided), **_percentiles(decided)}} if trial.decider is not None else {}),
    }


def wrong(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Return the pairs that were served and must not be, the likest first, as rows to read."""
    served = [one for one in outcomes if one.served and not one.row.same_answer]
    served.sort(key=lambda one: -(one.similarity or 0.0))
    return [_pair(one) | {"kind": one.kind, "similarity": one.similarity} for one in served]


def missed(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Return the pairs with the same answer that were not served, as rows to read."""
    return [_pair(one) | {"reason": one.reason} for one in outcomes if one.row.same_answer and not one.served]


def _body(text: str) -> bytes:
    return orjson.dumps({"model": "auto", "messages": [{"role": "user", "content": text}]})


def _reason(first: Inspection, second: Inspection) -> str:
    """Say why the second question was not served; where it found nothing, perhaps nothing was there to find."""
    reason = second.miss_reason or "none"
    return f"{STORED}{first.miss_reason}" if reason == "none" and first.probe is None else reason


def _pair(one: Outcome) -> dict[str, Any]:
    return {"a": one.row.a, "b": one.row.b, "category": one.row.category}


def _rates(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    same = [one.served for one in outcomes if one.row.same_answer]
    different = [one.served for one in outcomes if not one.row.same_answer]
    return {**_rate("hit_true", same), **_rate("wrong_false", different)}


def _rate(name: str, served: Sequence[bool]) -> dict[str, Any]:
    hits, n = sum(served), len(served)
    interval = [round(bound, 6) for bound in wilson(hits, n)] if n else None
    return {name: round(hits / n, 6) if n else None, f"{name}_n": n, f"{name}_interval": interval}


def _by_category(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[Outcome]] = {}
    for one in outcomes:
        groups.setdefault(one.row.category, []).append(one)
    return {name: _category(own) for name, own in sorted(groups.items())}


def _category(own: Sequence[Outcome]) -> dict[str, Any]:
    kinds = {"same" if one.row.same_answer else "different" for one in own}
    served = sum(one.served for one in own)
    return {
        "n": len(own),
        "kind": "both" if len(kinds) == 2 else kinds.pop(),
        "served": round(served / len(own), 6),
        **_rates(own),
    }


def _by_kind(outcomes: Iterable[Outcome]) -> dict[str, dict[str, int]]:
    """Count what was served, by the level that served it."""
    kinds = {kind: {"true": 0, "false": 0} for kind in ("exact", "canonical", "semantic")}
    for one in outcomes:
        if one.kind is not None:
            kinds[one.kind]["true" if one.row.same_answer else "false"] += 1
    return kinds


def _reasons(outcomes: Iterable[Outcome]) -> dict[str, int]:
    return dict(Counter(one.reason for one in outcomes if one.reason is not None).most_common())


def _percentiles(taken: list[float]) -> dict[str, float | None]:
    if not taken:
        return {"p50": None, "p99": None}
    return {"p50": round(percentile(taken, 0.5), 2), "p99": round(percentile(taken, 0.99), 2)}


_ARRIVAL = Arrival(
    "evaluation",
    Caller("evaluation", "evaluation", live=False),
    Plan("none", "none", 0, None, None, None, None, (), force_model=False),
    Hints("evaluation"),
    started_ns=0,
    created_ms=0,
)
"""Who asks: nobody whom the shared tier, which is not there, would know."""
