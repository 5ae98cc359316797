"""What is kept of decisions: documents as the gateway writes them, a few of each kind, made once and used again."""

from collections.abc import Mapping
from functools import lru_cache
from random import Random
from typing import Final, NamedTuple

import msgspec

from neuralrouting.catalog import Deployment, blended_picousd, cost_nanousd
from neuralrouting.exchange import (
    AskedNote,
    CacheNote,
    CacheOutcome,
    CandidateNote,
    Decision,
    RouteNote,
    ShieldNote,
    TaskNote,
)

from .customers import Feature

VARIANTS: Final = 4
"""Documents of each kind: what is in them changes little from one request to the next."""
LISTED: Final = 5
OUTPUT_TOKENS: Final = 512
RULES: Final = (
    ("override.prior-instructions", "CRITICAL", "override"), ("extraction.your-prompt", "HIGH", "extraction"),
    ("indirect.exfiltration", "CRITICAL", "indirect"), ("delimiter.system-says", "MEDIUM", "delimiter"),
    ("smuggling.decode-and-do", "HIGH", "smuggling"), ("safety.switch-off", "HIGH", "safety"),
)  # fmt: skip
"""Rules of the shield that made-up prompts break: id, tier, category."""
_encode = msgspec.json.Encoder().encode


class Routed(NamedTuple):
    """How a request was routed: the rule, the candidates as JSON and the whole decision as JSON."""

    rule: str
    candidates: str
    decision: str


class Decisions:
    """Writes the documents; `deployments` are those that can be reached, by id."""

    def __init__(self, deployments: Mapping[str, Deployment]) -> None:
        priced = [d for d in deployments.values() if d.price is not None]
        self._by_price = sorted(priced, key=lambda d: (blended_picousd(d.price), d.id) if d.price else (0, d.id))
        self._blocked = [_blocked(place) for place in range(len(RULES))]
        # Kept by values, which are few, not by requests.
        self._cached = lru_cache(maxsize=None)(_cached)
        self._routed = lru_cache(maxsize=None)(self._route)

    def blocked(self, random: Random) -> str:
        """Return the document of a prompt that the shield stopped."""
        return random.choice(self._blocked)

    def cached(self, outcome: CacheOutcome, random: Random) -> str:
        """Return the document of an answer from the cache."""
        return self._cached(outcome, random.randrange(VARIANTS * 8))

    def routed(self, feature: Feature, served: Deployment, random: Random) -> Routed:
        """Return how a request of this kind came to the deployment that served it."""
        return self._routed(feature, served.id, random.randrange(VARIANTS))

    def _route(self, feature: Feature, served_id: str, variant: int) -> Routed:
        name = served_id.removeprefix("simulated/")
        chosen = next((d for d in self._by_price if name in (d.id, d.model)), self._by_price[0])
        others = [d for d in self._by_price if d is not chosen]
        listed = [chosen, *others[variant : variant + LISTED - 1]]
        tokens = feature.prompt + 40 * variant
        proven = chosen.tier != "premium"
        rule = "cheapest that is proven" if proven else f"premium for complexity {feature.complexity}"
        first = served_id if served_id.startswith("simulated/") else chosen.id
        notes = tuple(_candidate(d, tokens, chosen, first, variant) for d in listed)
        route = RouteNote("auto", "default", rule, first, OUTPUT_TOKENS, notes, further=len(others) - LISTED + 1)
        decision = Decision(
            cache=CacheNote("miss"),
            shield=ShieldNote("pass"),
            asked=AskedNote(False, False, "none", tokens, 2 + variant),  # noqa: FBT003  a value of the gateway's
            task=TaskNote(feature.task, 0.81 + variant / 50, feature.complexity, risk=feature.risk),
            predicted={"cheap": round(-0.02 - variant / 100, 4)},
            route=route,
        )
        candidates = [first, *(d.id for d in listed[1:3])]
        return Routed(rule, _encode(candidates).decode(), _encode(decision).decode())


def _candidate(d: Deployment, tokens: int, chosen: Deployment, name: str, variant: int) -> CandidateNote:
    price = d.price
    assert price is not None
    cost = cost_nanousd(price, tokens, OUTPUT_TOKENS)
    first = d is chosen
    return CandidateNote(
        name if first else d.id,
        d.tier,
        price.input_picousd / 1e6,
        price.output_picousd / 1e6,
        cost,
        f"0.{cost:09d}",
        -0.01 if first else None,
        -0.03 if first else None,
        0.01 if first else None,
        40 + variant if first else 0,
        "proven" if first and d.tier != "premium" else "reference" if first else "unproven",
        None if first else "dearer",
    )


def _blocked(place: int) -> str:
    rule, _, _ = RULES[place]
    return _encode(Decision(CacheNote("miss"), ShieldNote("block", 0.97, (rule,)), refused="shield_blocked")).decode()


def _cached(outcome: CacheOutcome, variant: int) -> str:
    similarity = 1.0 if outcome != "semantic" else round(0.93 + variant / 1000, 4)
    return _encode(Decision(CacheNote(outcome, similarity, entry=f"{variant:064x}"), ShieldNote("pass"))).decode()
