"""The order of the four modes: who is asked first, who after that, and why not the others."""

from collections.abc import Callable, Sequence

import msgspec

from neuralrouting.catalog import TIER_RANK, Deployment, Price, Tier, best_first, blended_picousd
from neuralrouting.exchange import Mode, Odds
from neuralrouting.layers.routing.asking import DEFAULT_OUTPUT_TOKENS, Ask, OddsOf, SpeedSource

LONG_PROMPT_TOKENS = 2_000
"""`auto`: from here on a prompt counts as long, and the economy tier is passed over."""
LONG_CONVERSATION = 12
"""`auto`: so many messages or more count as a long conversation."""
SIMPLE_COMPLEXITY = 6.0
"""`auto`: what is more complex than this, on the scale from 0 to 10, needs the premium tier."""
NEAR_ESCALATED = 0.85
"""`auto`: from this cosine on a prompt is like one that went wrong, and needs the premium tier. Our judgement."""
NO_ADVICE = "harmful"
"""Domain of requests to do harm: high risk, but what is at stake is not how good the answer is."""
DEARER, EQUAL = "dearer", "costs the same"
LOWER, SLOWER = "a lower tier, or cheaper in the same", "slower, or not measured"
BEHIND = frozenset((DEARER, EQUAL, LOWER, SLOWER))
"""What models lose by of which nothing else is to be said."""


class Order(msgspec.Struct, frozen=True, gc=False):
    """One mode's order of the capable models. `rule` says what decided.

    The first `good` are good enough for the prompt, `escalated` means that premium is needed whatever was learnt.
    `lost` says of a model why it is not the first, where `behind`, which is true of all others, is not the reason.
    """

    rule: str
    ordered: list[Deployment]
    good: int
    behind: str
    lost: dict[str, str]
    odds: dict[str, Odds]
    escalated: bool = False


def blended(price: Price | None) -> float:
    """Blended list price of three prompt tokens to one completion token; unpriced sorts last."""
    return float("inf") if price is None else float(blended_picousd(price))


def cheapest(d: Deployment) -> tuple[float, str]:
    """Sort by price, and what costs the same by name."""
    return blended(d.price), d.id


def order_of(mode: Mode, capable: list[Deployment], ask: Ask, speeds: SpeedSource, odds: OddsOf) -> Order:
    """Order the capable models, of which there is one at least."""
    if mode == "auto":
        return _auto(capable, ask, odds)
    rule, ordered, behind = _PLAIN[mode](capable, ask, speeds)
    return Order(rule, ordered, len(ordered), behind, {}, {})


_Plain = tuple[str, list[Deployment], str]


def _by_cost(capable: list[Deployment], _ask: Ask, _speeds: SpeedSource) -> _Plain:
    return "cheapest capable", sorted(capable, key=cheapest), DEARER


def _by_quality(capable: list[Deployment], _ask: Ask, _speeds: SpeedSource) -> _Plain:
    return "highest tier, dearest first", sorted(capable, key=best_first), LOWER


def _by_speed(capable: list[Deployment], ask: Ask, speeds: SpeedSource) -> _Plain:
    """Fastest measured first. The `fast` tier goes before it until it has been measured once, the others after it."""
    tokens = min(ask.max_output_tokens or DEFAULT_OUTPUT_TOKENS, DEFAULT_OUTPUT_TOKENS)

    def key(d: Deployment) -> tuple[int, float, float, str]:
        latency_us = speeds.expected_latency_us(d.id, tokens)
        if latency_us is None:
            return (0 if d.tier == "fast" else 2, 0.0, *cheapest(d))
        return 1, latency_us, *cheapest(d)

    ordered = sorted(capable, key=key)
    measured = speeds.expected_latency_us(ordered[0].id, tokens) is not None
    unmeasured = "fast tier, not measured yet" if ordered[0].tier == "fast" else "not measured yet"
    return "fastest measured" if measured else unmeasured, ordered, SLOWER


_PLAIN: dict[Mode, Callable[[list[Deployment], Ask, SpeedSource], _Plain]] = {
    "cost": _by_cost,
    "quality": _by_quality,
    "speed": _by_speed,
}


def _auto(capable: list[Deployment], ask: Ask, odds: OddsOf) -> Order:
    """Find who is good enough: by what was learnt of it, or by its tier where nothing was.

    These are asked by price, then those of whom nothing speaks for or against, dearest first, and at last those that
    were found wanting.
    """
    tier, rule = _floor(ask)
    floor, escalated = TIER_RANK[tier], tier == "premium"
    told = {one.deployment: one for one in odds(capable)}
    good: list[Deployment] = []
    open_: list[Deployment] = []
    refused: list[Deployment] = []
    lost: dict[str, str] = {}
    for d in capable:
        known = told.get(d.id)
        if known is not None and known.enough is False and known.basis != "reference":
            refused.append(d)
            lost[d.id] = _refused(known)
        elif TIER_RANK[d.tier] >= floor or (not escalated and known is not None and _proven(known)):
            good.append(d)
        else:
            open_.append(d)
            lost[d.id] = _BELOW[tier, escalated]
    good.sort(key=cheapest)
    open_.sort(key=cheapest, reverse=True)
    refused.sort(key=cheapest, reverse=True)
    ordered = good + open_ + refused
    return Order(_why(rule, ordered[0], told, good, refused), ordered, len(good), DEARER, lost, told, escalated)


def _proven(known: Odds) -> bool:
    return known.enough is True or known.basis == "reference"


_BELOW: dict[tuple[Tier, bool], str] = {
    ("premium", True): "below the premium tier, which this prompt needs",
    ("medium", False): "unproven and below the tier this prompt needs (medium)",
    ("economy", False): "unproven",  # no tier is below it
}


def _refused(known: Odds) -> str:
    audits = f" in {known.n} audits" if known.n else ""
    if known.expected is None or known.expected >= 0:
        return f"refused: it is too likely that it is worse{audits}"
    verb = "refused" if known.n else "predicted"
    return f"{verb}: {-100 * known.expected:.1f} points worse{audits}"


def _why(
    rule: str, first: Deployment, told: dict[str, Odds], good: Sequence[Deployment], refused: Sequence[Deployment]
) -> str:
    """Say what decided: what is known of the first, what was found wanting before it, or the floor alone."""
    known = told.get(first.id)
    if not good:
        return f"{rule}; nobody is good enough"
    if known is not None and known.enough is True and known.basis in ("proven", "predicted"):
        return f"cheapest that is good enough: {known.basis}" if not rule.startswith("premium") else rule
    price = blended(first.price)
    if any(blended(d.price) < price for d in refused):
        return f"{rule}; cheaper refused"
    return rule


def _floor(ask: Ask) -> tuple[Tier, str]:
    """Return the lowest tier this request is safe with while nothing was learnt, and why.

    A hard prompt, high-risk advice and what is like a prompt that went wrong need `premium`, whatever was learnt.
    Tools, images, a JSON schema, a long prompt or a long conversation ask for `medium`; all else starts at economy.
    """
    stakes: list[str] = []
    if ask.complexity > SIMPLE_COMPLEXITY:
        stakes.append(f"complexity {ask.complexity:.1f}")
    if ask.high_risk is not None and ask.high_risk != NO_ADVICE:
        stakes.append(f"{ask.high_risk.replace('_', ' ')} advice")
    if ask.escalated >= NEAR_ESCALATED:
        stakes.append("a prompt like it that went wrong")
    if stakes:
        return "premium", f"premium for {', '.join(stakes)}"
    needs = [
        (ask.has_tools, "tools"),
        (ask.has_images, "images"),
        (ask.json_mode == "schema", "JSON schema"),
        (ask.prompt_tokens >= LONG_PROMPT_TOKENS, "long prompt"),
        (ask.message_count >= LONG_CONVERSATION, "long conversation"),
    ]
    why = [name for wanted, name in needs if wanted]
    return ("medium", f"medium or better for {', '.join(why)}") if why else ("economy", "short and plain: cheapest")
