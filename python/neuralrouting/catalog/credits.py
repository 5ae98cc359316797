"""Credits: what a thousand tokens of a model cost a prepaid account."""

from typing import Final

from neuralrouting.catalog.models import Price
from neuralrouting.catalog.prices import blended_picousd

GPT_4O_CREDITS: Final = 100
GPT_4O_PICOUSD: Final = 4_375_000
"""$4.375 per million tokens, blended 3:1: the anchor of the rule."""


def credits_per_1k(price: Price) -> int:
    """Return the rate of a model that the catalog gives none: 100 credits for GPT-4o's price, others in proportion.

    Rounded up to whole credits and never below one, so that nothing with a price becomes free.
    """
    return max(1, -(-blended_picousd(price) * GPT_4O_CREDITS // GPT_4O_PICOUSD))


def millicredits(rate_per_1k: int, tokens: int) -> int:
    """Return what tokens cost: at a rate of r credits for a thousand, each token costs r millicredits exactly."""
    return rate_per_1k * max(0, tokens)
