"""Models, tiers, prices (dated, with source) and capabilities."""

from neuralrouting.catalog.build import build_catalog
from neuralrouting.catalog.catalog import VIRTUAL_MODELS, Catalog, names_of
from neuralrouting.catalog.credits import millicredits
from neuralrouting.catalog.models import Capabilities, Deployment, Price, Tier
from neuralrouting.catalog.prices import blended_picousd, cost_nanousd
from neuralrouting.catalog.tiers import tier_of

__all__ = [
    "VIRTUAL_MODELS",
    "Capabilities",
    "Catalog",
    "Deployment",
    "Price",
    "Tier",
    "blended_picousd",
    "build_catalog",
    "cost_nanousd",
    "millicredits",
    "names_of",
    "tier_of",
]
