"""Models, tiers, prices (dated, with source) and capabilities."""

from neuralrouting.catalog.build import build_catalog
from neuralrouting.catalog.catalog import VIRTUAL_MODELS, Catalog, names_of
from neuralrouting.catalog.credits import millicredits
from neuralrouting.catalog.models import Capabilities, Deployment, Price, Tier
from neuralrouting.catalog.prices import blended_picousd, cost_nanousd, nanousd_of
from neuralrouting.catalog.tiers import TIER_RANK, best_first, tier_of

__all__ = [
    "TIER_RANK",
    "VIRTUAL_MODELS",
    "Capabilities",
    "Catalog",
    "Deployment",
    "Price",
    "Tier",
    "best_first",
    "blended_picousd",
    "build_catalog",
    "cost_nanousd",
    "millicredits",
    "names_of",
    "nanousd_of",
    "tier_of",
]
