"""Layer 4: which models may serve this request, and in which order they are asked. Pure: nothing is awaited."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from neuralrouting.catalog import Catalog, Deployment, Price, Tier, blended_picousd
from neuralrouting.errors import NoCapableModel, UnknownModel
from neuralrouting.exchange import Mode, Route

LONG_PROMPT_TOKENS = 2_000
"""`auto`: from here on a prompt counts as long, and the economy tier is passed over."""
LONG_CONVERSATION = 12
"""`auto`: so many messages or more count as a long conversation."""
SIMPLE_COMPLEXITY = 6.0
"""`auto`: what is more complex than this, on the scale from 0 to 10, needs the premium tier."""
NO_ADVICE = "harmful"
"""Domain of requests to do harm: high risk, but what is at stake is not how good the answer is."""
DEFAULT_OUTPUT_TOKENS = 512
"""Room kept for the answer where the client names no limit."""
_TIER_RANK: dict[Tier, int] = {"economy": 0, "fast": 1, "medium": 2, "premium": 3}


class Ask(msgspec.Struct, frozen=True, gc=False):
    """What routing looks at: a few facts of the request, none of its text.

    `complexity` goes from 0 to 10; `high_risk` is the domain in which a wrong answer could hurt, None for all else.
    """

    model: str | None
    mode: Mode
    prompt_tokens: int
    max_output_tokens: int | None = None
    message_count: int = 1
    has_tools: bool = False
    has_images: bool = False
    has_audio: bool = False
    json_mode: str = "none"
    logprobs: bool = False
    live: bool = True
    complexity: float = 0.0
    high_risk: str | None = None


class SpeedSource(Protocol):
    """Where measured speeds come from."""

    def expected_latency_us(self, deployment: str, completion_tokens: int) -> float | None:
        """Microseconds to the last of so many tokens, None where nothing was measured."""
        ...

    def cooling(self, deployment: str, now_s: float) -> bool:
        """Whether it failed a moment ago."""
        ...


class Router:
    """Chooses among the servable deployments of one catalog."""

    def __init__(self, catalog: Catalog, virtual_models: Sequence[str]) -> None:
        self._catalog = catalog
        self._virtual = frozenset(virtual_models)
        self._named: dict[tuple[str, bool], tuple[Deployment, ...]] = {}
        self._reachable = {live: catalog.reachable(live=live) for live in (True, False)}

    def choose(self, ask: Ask, speeds: SpeedSource, now_s: float) -> Route:
        """Return the candidates in the order in which they are asked.

        Raises UnknownModel for a name that is not in the catalog and NoCapableModel where nobody can serve it.
        """
        forced = ask.model is not None and ask.model not in self._virtual
        pool = self._forced(ask) if forced else self._reachable[ask.live]
        capable = [d for d in pool if incapable(d, ask) is None]
        if not capable:
            raise NoCapableModel(_nobody(pool, ask))
        mode: Mode = "cost" if forced and ask.mode == "auto" else ask.mode
        rule, ordered = _ORDERS[mode](capable, ask, speeds)
        # A real model never falls back to a simulated one: an invented answer is worse than a clear error.
        ordered = [d for d in ordered if d.simulated == ordered[0].simulated]
        if len(ordered) > 1:
            ordered.sort(key=lambda d: speeds.cooling(d.id, now_s))
        return Route(mode, "forced" if forced else rule, tuple(ordered))

    def _forced(self, ask: Ask) -> Sequence[Deployment]:
        name = ask.model or ""
        pool = self._named.get((name, ask.live))
        if pool is None:
            pool = self._catalog.named(name, live=ask.live)
            if not pool:
                raise UnknownModel(self._catalog.missing(name), param="model")
            self._named[name, ask.live] = pool  # only names of the catalog get here, so this stays small
        return pool


def incapable(deployment: Deployment, ask: Ask) -> str | None:  # noqa: PLR0911  one line per need
    """Return what a deployment lacks to serve a request, None when it lacks nothing."""
    can = deployment.capabilities
    if ask.has_tools and not can.tools:
        return "tools"
    if ask.has_images and not can.vision:
        return "images"
    if ask.has_audio and not can.audio:
        return "audio"
    if ask.json_mode == "object" and not can.json_mode:
        return "JSON mode"
    if ask.json_mode == "schema" and not can.json_schema:
        return "a JSON schema"
    if ask.logprobs and not can.logprobs:
        return "log probabilities"
    if (ask.max_output_tokens or 0) > deployment.max_output_tokens:
        return f"{ask.max_output_tokens} output tokens"
    if _room(ask) > deployment.context_tokens:
        return f"a context of {_room(ask)} tokens"
    return None


def _room(ask: Ask) -> int:
    return ask.prompt_tokens + (ask.max_output_tokens or DEFAULT_OUTPUT_TOKENS)


def _nobody(pool: Sequence[Deployment], ask: Ask) -> str:
    if not pool:
        return "no model is configured: set a provider key or install the local model"
    reasons = sorted({reason for d in pool if (reason := incapable(d, ask)) is not None})
    names = f"{pool[0].model} does" if len({d.model for d in pool}) == 1 else "the models configured here do"
    return f"{names} not serve a request with {' and '.join(reasons)}; `GET /v1/models` lists what each can do"


def blended(price: Price | None) -> float:
    """Blended list price of three prompt tokens to one completion token; unpriced sorts last."""
    return float("inf") if price is None else float(blended_picousd(price))


def _cheapest(d: Deployment) -> tuple[float, str]:
    return blended(d.price), d.id


def _best(d: Deployment) -> tuple[int, float, float, str]:
    """Best first: higher tier, then the dearer list price as the market's estimate, then measured quality.

    Public measurements cover few models and mostly mathematics, so they only break ties.
    """
    price = blended(d.price) if d.price is not None else 0.0
    return -_TIER_RANK[d.tier], -price, -(d.quality or 0.0), d.id


def _by_cost(capable: list[Deployment], _ask: Ask, _speeds: SpeedSource) -> tuple[str, list[Deployment]]:
    return "cheapest capable", sorted(capable, key=_cheapest)


def _by_quality(capable: list[Deployment], _ask: Ask, _speeds: SpeedSource) -> tuple[str, list[Deployment]]:
    return "highest tier, dearest first", sorted(capable, key=_best)


def _by_speed(capable: list[Deployment], ask: Ask, speeds: SpeedSource) -> tuple[str, list[Deployment]]:
    """Fastest measured first. The `fast` tier goes before it until it has been measured once, the others after it."""
    tokens = min(ask.max_output_tokens or DEFAULT_OUTPUT_TOKENS, DEFAULT_OUTPUT_TOKENS)

    def key(d: Deployment) -> tuple[int, float, float, str]:
        latency_us = speeds.expected_latency_us(d.id, tokens)
        if latency_us is None:
            return (0 if d.tier == "fast" else 2, 0.0, *_cheapest(d))
        return 1, latency_us, *_cheapest(d)

    ordered = sorted(capable, key=key)
    measured = speeds.expected_latency_us(ordered[0].id, tokens) is not None
    unmeasured = "fast tier, not measured yet" if ordered[0].tier == "fast" else "not measured yet"
    return "fastest measured" if measured else unmeasured, ordered


def _auto(capable: list[Deployment], ask: Ask, _speeds: SpeedSource) -> tuple[str, list[Deployment]]:
    """Find the lowest tier this request is safe with, then go up from there by price, and only then down."""
    tier, rule = _floor(ask)
    floor = _TIER_RANK[tier]
    enough = sorted((d for d in capable if _TIER_RANK[d.tier] >= floor), key=_cheapest)
    below = sorted((d for d in capable if _TIER_RANK[d.tier] < floor), key=_cheapest, reverse=True)
    return rule, enough + below


def _floor(ask: Ask) -> tuple[Tier, str]:
    """Return the lowest tier this request is safe with, and why.

    A hard prompt and high-risk advice need `premium`. Tools, images, a JSON schema, a long prompt or a long
    conversation ask for `medium`; all else starts at economy.
    """
    stakes: list[str] = []
    if ask.complexity > SIMPLE_COMPLEXITY:
        stakes.append(f"complexity {ask.complexity:.1f}")
    if ask.high_risk is not None and ask.high_risk != NO_ADVICE:
        stakes.append(f"{ask.high_risk.replace('_', ' ')} advice")
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


_Order = Callable[[list[Deployment], Ask, SpeedSource], tuple[str, list[Deployment]]]
_ORDERS: dict[Mode, _Order] = {"auto": _auto, "cost": _by_cost, "quality": _by_quality, "speed": _by_speed}
