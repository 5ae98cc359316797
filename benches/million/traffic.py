"""What is asked: request rows, day by day, with the tokens, prices, failures and cache hits of ordinary weeks."""

import bisect
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Final, NamedTuple

import msgspec

from neuralrouting.catalog import Catalog, Deployment, build_catalog, millicredits
from neuralrouting.config import Config
from neuralrouting.exchange import Attempt, Bill, CacheOutcome, Usage
from neuralrouting.layers import finops
from neuralrouting.storage.requests import RequestRow

from .customers import Customer, Feature, Person, shares
from .decisions import Decisions

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
PROVIDERS: Final = ("openai", "anthropic", "google", "groq", "together")
CHEAP: Final = ("openai/gpt-4o-mini", "anthropic/claude-haiku-5-5", "together/llama-3.1-8b", "groq/gpt-oss-20b")
CHEAP_WEIGHTS: Final = (40, 28, 18, 14)
MEDIUM: Final = "google/gemini-3.5-flash-lite"
PREMIUM: Final = ("openai/gpt-4o", "anthropic/claude-sonnet-5-5", "openai/gpt-6.1-sol")
PREMIUM_WEIGHTS: Final = (46, 32, 22)
ENDPOINTS: Final = ("/v1/chat/completions", "/v1/dispatch", "/v1/dispatch/stream")
BLOCKED_SHARE: Final = 0.006
FAILED_SHARE: Final = 0.012
FORCED_SHARE: Final = 0.03
NOBODY_SHARE: Final = 0.05
"""Requests that name no user."""
SESSION_SHARE: Final = 0.5
SESSION_MS: Final = 1_800_000
"""A session goes on for at most this long after its last request."""

_HOURS = (3, 2, 2, 2, 3, 5, 12, 30, 62, 88, 96, 94, 78, 86, 95, 92, 84, 66, 44, 32, 26, 20, 12, 6)
"""How busy the hours of a day are, in UTC."""
_WEEKEND = 0.35
_GROWTH = 0.8
"""How much busier the last day is than the first."""
_FAILURES = (
    (503, "upstream_overloaded", 30), (504, "upstream_timeout", 22), (502, "upstream_bad_response", 8),
    (429, "rate_limited", 18), (402, "budget_exceeded", 12), (400, "invalid_field", 10),
)  # fmt: skip
_UPSTREAM = ("upstream_overloaded", "upstream_timeout", "upstream_bad_response")
_FAILURE_WEIGHTS = [weight for *_, weight in _FAILURES]
_encode = msgspec.json.Encoder().encode


class Sent(NamedTuple):
    """One request that has ended: its row, who sent it, what for, and the deployment that served it."""

    row: RequestRow
    customer: Customer
    feature: Feature
    served: Deployment | None
    usage: Usage | None


class Traffic:
    """Makes requests up, in the order of their time."""

    def __init__(self, customers: list[Customer], random: Random, day_ms: int) -> None:
        day = datetime.fromtimestamp(day_ms // 1_000, UTC).date()
        self.catalog: Catalog = build_catalog(Config(), PROVIDERS, None, day)
        self._real = {d.id: d for d in self.catalog.servable}
        self._twins = {d.model: d for d in self.catalog.by_name_only if d.simulated}
        self._decisions = Decisions(self._real)
        self._customers = customers
        self._shares = list(itertools.accumulate(shares(len(customers))))
        self._random = random
        self._hours = list(itertools.accumulate(_HOURS))
        self._number = 0

    def day(self, start_ms: int, end_ms: int, count: int) -> Iterator[Sent]:
        """Yield so many requests of one UTC day, all of them before `end_ms`."""
        for created_ms in self._moments(start_ms, end_ms, count):
            random = self._random
            customer = self._customers[bisect.bisect(self._shares, random.random(), hi=len(self._shares) - 1)]
            customer.requests += 1
            [person] = random.choices(customer.people, cum_weights=customer.weights)
            yield self._request(created_ms, customer, person)

    def _moments(self, start_ms: int, end_ms: int, count: int) -> list[int]:
        random, whole = self._random, self._hours[-1]
        moments: list[int] = []
        while len(moments) < count:
            hour = bisect.bisect(self._hours, random.random() * whole)
            at_ms = start_ms + hour * HOUR_MS + int(random.random() * HOUR_MS)
            moments.append(at_ms if at_ms < end_ms else start_ms + int(random.random() * (end_ms - start_ms)))
        return sorted(moments)

    def _request(self, created_ms: int, customer: Customer, person: Person) -> Sent:
        random = self._random
        self._number += 1
        feature = person.features[0] if random.random() < 0.6 else random.choice(person.features)
        named = random.random() >= NOBODY_SHARE
        session = self._session(customer, person, created_ms) if named and random.random() < SESSION_SHARE else None
        chance = random.random()
        row = RequestRow(
            request_id=f"req_{created_ms:012x}{self._number:012x}{random.getrandbits(64):016x}",
            created_ms=created_ms,
            account_id=customer.id,
            key_id=person.key.id,
            endpoint=ENDPOINTS[0 if chance < 0.84 else 1 if chance < 0.95 else 2],
            stream=chance >= 0.95 or random.random() < 0.45,
            end_user=person.name if named else None,
            session_id=session,
            feature=feature.name if random.random() < 0.95 else None,
            requested_model="auto",
            routing_mode=None,
            route_rule=None,
            deployment=None,
            model=None,
            provider=None,
            simulated=False,
            cache="miss",
            status=200,
            error_code=None,
            attempts="[]",
            candidates="[]",
            prompt_tokens=0,
            completion_tokens=0,
            cached_tokens=0,
            cache_write_tokens=0,
            reasoning_tokens=0,
            usage_source=None,
            cost_nanousd=0,
            baseline_nanousd=None,
            price_version=None,
            latency_us=400 + int(random.random() * 2_000),
            ttft_us=None,
            overhead_us=None,
            team=person.key.team,
        )
        chance = random.random()
        if chance < BLOCKED_SHARE:
            blocked = {"status": 403, "error_code": "shield_blocked", "decision": self._decisions.blocked(random)}
            return Sent(msgspec.structs.replace(row, **blocked), customer, feature, None, None)
        if chance < BLOCKED_SHARE + FAILED_SHARE:
            return self._failed(row, customer, feature)
        return self._answered(row, customer, person, feature)

    def _failed(self, row: RequestRow, customer: Customer, feature: Feature) -> Sent:
        random = self._random
        [(status, code, _)] = random.choices(_FAILURES, weights=_FAILURE_WEIGHTS)
        changes: dict[str, object] = {"status": status, "error_code": code}
        if code in _UPSTREAM:
            called = self._served(feature, forced=False)
            took_us = 900_000 + int(random.random() * 9_000_000)
            answered = status if code == "upstream_overloaded" else None
            lost = Attempt(called.id, called.provider, code, took_us, None, answered)
            cost = finops.lost_call_nanousd(lost, called, feature.prompt)
            attempt = msgspec.structs.replace(lost, cost_nanousd=cost)
            changes |= self._routed(feature, called) | {
                "attempts": _encode((attempt,)).decode(),
                "latency_us": took_us + row.latency_us,
                "house_nanousd": cost or 0,
                "hold_state": "voided",
            }
        return Sent(msgspec.structs.replace(row, **changes), customer, feature, None, None)

    def _answered(self, row: RequestRow, customer: Customer, person: Person, feature: Feature) -> Sent:
        random = self._random
        forced = random.random() < FORCED_SHARE
        served = self._served(feature, forced=forced)
        if not person.key.live:
            served = self._twins.get(served.model, next(iter(self._twins.values())))
        outcome = self._outcome(feature)
        hit = outcome in ("exact", "canonical", "semantic")
        usage = self._usage(feature, served, hit=hit)
        price = finops.free if hit else finops.bill
        bill = price(served, usage, self.catalog.baseline)
        due = millicredits(served.credits_per_1k, usage.prompt_tokens + usage.completion_tokens)
        charged = due if customer.metered and not hit and not served.simulated else 0
        overhead_us = int(random.lognormvariate(5.6, 0.5))
        took_us = (
            0
            if hit
            else int(usage.completion_tokens * random.uniform(3_000, 14_000)) + random.randrange(90_000, 900_000)
        )
        changes: dict[str, object] = {
            **self._served_columns(served, usage, bill, outcome),
            "latency_us": overhead_us + took_us,
            "overhead_us": overhead_us,
            "ttft_us": overhead_us + took_us // 3 if row.stream and not hit else None,
            "hold_state": "settled",
            "held_mc": charged + charged // 4,
            "charged_mc": charged,
        }
        if hit:
            changes["decision"] = self._decisions.cached(outcome, random)
        else:
            attempt = Attempt(served.id, served.provider, "ok", took_us, took_us // 3, 200, bill.cost_nanousd)
            changes |= self._routed(feature, served, forced=forced)
            changes["attempts"] = _encode((attempt,)).decode()
        return Sent(msgspec.structs.replace(row, **changes), customer, feature, served, usage)

    def _served(self, feature: Feature, *, forced: bool) -> Deployment:
        random = self._random
        if forced:
            return self._real[PREMIUM[0]]
        chance = random.random()
        if chance < feature.hard:
            return self._real[random.choices(PREMIUM, weights=PREMIUM_WEIGHTS)[0]]
        if chance < feature.hard + 0.1:
            return self._real[MEDIUM]
        return self._real[random.choices(CHEAP, weights=CHEAP_WEIGHTS)[0]]

    def _outcome(self, feature: Feature) -> CacheOutcome:
        chance = self._random.random()
        if chance < feature.alike:
            kind = self._random.random()
            return "exact" if kind < 0.58 else "canonical" if kind < 0.72 else "semantic"
        return "bypass" if chance > 0.985 else "miss"

    def _usage(self, feature: Feature, served: Deployment, *, hit: bool) -> Usage:
        random = self._random
        prompt = 8 + int(feature.prompt * random.lognormvariate(0, 0.55))
        answer = 1 + int(feature.answer * random.lognormvariate(0, 0.45))
        cached = prompt * 2 // 3 if not hit and prompt > 1_024 and random.random() < 0.4 else 0
        thought = answer // 3 if served.tier == "premium" and "gpt-6" in served.model else 0
        return Usage(prompt, answer + thought, cached, 0, thought)

    @staticmethod
    def _served_columns(served: Deployment, usage: Usage, bill: Bill, outcome: CacheOutcome) -> dict[str, object]:
        return {
            "deployment": served.id,
            "model": served.model,
            "provider": served.provider,
            "simulated": served.simulated,
            "cache": outcome,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cached_tokens": usage.cached_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "usage_source": usage.source,
            "cost_nanousd": bill.cost_nanousd,
            "baseline_nanousd": bill.baseline_nanousd,
            "price_version": bill.price_version,
            "provider_cache_nanousd": bill.provider_cache_nanousd,
        }

    def _routed(self, feature: Feature, served: Deployment, *, forced: bool = False) -> dict[str, object]:
        random = self._random
        complexity = min(100, max(0, int(10 * random.gauss(feature.complexity, 1.1))))
        told = self._decisions.routed(feature, served, random)
        return {
            "requested_model": served.model if forced else "auto",
            "routing_mode": "auto" if feature.hard < 0.4 else "quality",
            "route_rule": "forced" if forced else told.rule,
            "candidates": told.candidates,
            "task": feature.task,
            "complexity_tenths": complexity,
            "high_risk": feature.risk is not None,
            "risk_domain": feature.risk,
            "decision": told.decision,
        }

    def _session(self, customer: Customer, person: Person, created_ms: int) -> str:
        """Go on with a person's session, or begin one."""
        name, last_ms = customer.sessions.get(person.name, ("", 0))
        if created_ms - last_ms > SESSION_MS:
            name = f"session-{created_ms:x}-{self._number:x}"
        customer.sessions[person.name] = name, created_ms
        return name


def daily(requests: int, first_ms: int, days: int) -> list[int]:
    """Return how many of all requests each day has: more and more of them, fewer at weekends."""
    weights = [
        (1 + _GROWTH * day / days)
        * (_WEEKEND if datetime.fromtimestamp((first_ms + day * DAY_MS) / 1_000, UTC).weekday() > 4 else 1)
        for day in range(days)
    ]
    whole = list(itertools.accumulate(weights))
    ends = [round(requests * upto / whole[-1]) for upto in whole]
    return [end - begin for begin, end in itertools.pairwise([0, *ends])]
