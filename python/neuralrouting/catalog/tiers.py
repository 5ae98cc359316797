"""The rule that puts a deployment into a tier: by what it costs and can hold, never by its name."""

from typing import Final

from neuralrouting.catalog.models import Deployment, Price, Tier
from neuralrouting.catalog.prices import blended_picousd

MEDIUM_FROM_PICOUSD: Final = 500_000
"""$0.50 per million tokens, blended 3:1."""
PREMIUM_FROM_PICOUSD: Final = 3_500_000
"""$3.50 per million tokens, blended 3:1: GPT-4o, the usual baseline, costs $4.375."""
MEDIUM_CONTEXT_TOKENS: Final = 32_000
"""Who takes over what the economy tier cannot do must hold a long prompt."""

TIER_RANK: Final[dict[Tier, int]] = {"economy": 0, "fast": 1, "medium": 2, "premium": 3}


def best_first(d: Deployment) -> tuple[int, float, float, str]:
    """Sort by tier, then the dearer list price as the market's estimate, then measured quality, best first.

    Public measurements cover few models and mostly mathematics, so they only break ties.
    """
    price = float(blended_picousd(d.price)) if d.price is not None else 0.0
    return -TIER_RANK[d.tier], -price, -(d.quality or 0.0), d.id


def tier_of(price: Price | None, context_tokens: int, *, fast_hardware: bool) -> Tier:
    """Return the tier of a deployment.

    The rule, with bands set on 2026-11-22 where the list prices of general chat models leave gaps: a blended
    price (three prompt tokens to one completion token, smallest prompts) of $3.50 per million tokens and more
    is premium. Below that, a context under 32,000 tokens is economy, hardware built for fast decoding (a fact of
    the provider) is fast, $0.50 and more is medium, and less is economy. Without a price: as medium, which is
    neither trusted with the hardest prompts nor taken for cheap.
    """
    blended = blended_picousd(price) if price is not None else MEDIUM_FROM_PICOUSD
    if blended >= PREMIUM_FROM_PICOUSD:
        return "premium"
    if context_tokens < MEDIUM_CONTEXT_TOKENS:
        return "economy"
    if fast_hardware:
        return "fast"
    return "medium" if blended >= MEDIUM_FROM_PICOUSD else "economy"
