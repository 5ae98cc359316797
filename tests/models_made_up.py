"""Deployments, catalogs and answers made up for the layers, which see values only."""

import time
from collections.abc import Iterable, Sequence

import msgspec

from counting_house import UNLIMITED
from neuralrouting.catalog import VIRTUAL_MODELS, Capabilities, Catalog, Deployment, Price, Tier
from neuralrouting.exchange import Arrival, Caller, Hints, Odds, Route
from neuralrouting.layers.routing import NO_WISH, Ask, Router, Wish
from neuralrouting.providers.speeds import Speeds

NOW_S = int(time.time())
"""When every made-up request came in: now, since what is old is not stored."""
ABLE = Capabilities(tools=True, vision=True, audio=True, json_mode=True, json_schema=True, logprobs=True)


def price_of(usd_per_mtok: float) -> Price:
    """The same list price in and out, so that the blended one is this too."""
    picousd = int(usd_per_mtok * 1_000_000)
    return Price(picousd, picousd, picousd, picousd, "v1", "made up")


def deployment(
    name: str,
    tier: Tier = "economy",
    usd: float | None = 1.0,
    *,
    provider: str = "acme",
    can: Capabilities = ABLE,
    context_tokens: int = 100_000,
    quality: float | None = None,
    simulated: bool = False,
    aliases: tuple[str, ...] = (),
) -> Deployment:
    owner = "simulated" if simulated else provider
    price = None if usd is None else price_of(usd)
    return Deployment(
        f"{owner}/{name}", name, owner, name, tier, context_tokens, context_tokens, can, price,
        quality=quality, simulated=simulated, aliases=aliases,
    )  # fmt: skip


def catalog_of(deployments: Iterable[Deployment], by_name_only: Iterable[Deployment] = ()) -> Catalog:
    servable, named = tuple(deployments), tuple(by_name_only)
    known = tuple(d for d in (*servable, *named) if not d.simulated)
    return Catalog(known, servable, named, deployment("baseline", "premium", 5.0), stand_ins=False, unreachable={})


def arrival(**hints: object) -> Arrival:
    told = msgspec.convert({"endpoint": "/v1/chat/completions", **hints}, Hints)
    return Arrival("req_1", Caller("acme", "key", live=True), UNLIMITED, told, 0, NOW_S * 1000 + 500)


SMALL = deployment("small", "economy", 0.1)
QUICK = deployment("quick", "fast", 0.3)
MIDDLE = deployment("middle", "medium", 1.0)
GRAND = deployment("grand", "premium", 9.0)
LADDER = (GRAND, MIDDLE, QUICK, SMALL)


def choose(
    ask: Ask,
    *deployments: Deployment,
    speeds: Speeds | None = None,
    now_s: float = 0.0,
    odds: Iterable[Odds] = (),
    wish: Wish = NO_WISH,
) -> Route:
    """Choose among these; `odds` of deployments that are not capable are left out, as layer 3 would."""
    known = {one.deployment: one for one in odds}

    def told(capable: Sequence[Deployment]) -> list[Odds]:
        return [known[d.id] for d in capable if d.id in known]

    return Router(catalog_of(deployments), VIRTUAL_MODELS).choose(ask, speeds or Speeds(), now_s, told, wish)


def lost(route: Route) -> dict[str, str | None]:
    """Why each model that was looked at was not the first, by its name."""
    return {one.deployment.partition("/")[2]: one.lost for one in route.considered}


def names(route: Route) -> list[str]:
    return [d.model for d in route.candidates]
