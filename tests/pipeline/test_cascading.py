"""Which model is better than another one: whom a cascade asks about a doubtful answer."""

import pytest

from neuralrouting.catalog import Capabilities, Deployment, Price, Tier
from neuralrouting.pipeline.cascading import is_better


def model(name: str, tier: Tier, picousd: int | None = 1_000_000) -> Deployment:
    price = None if picousd is None else Price(picousd, picousd, picousd, picousd, "v", "s")
    return Deployment(f"p/{name}", name, "p", name, tier, 8_000, 400, Capabilities(), price)


SMALL, CHEAPER = model("small", "economy", 500), model("cheaper", "economy", 100)
MIDDLE, FREE = model("middle", "medium"), model("free", "economy", None)
GRAND, OTHER = model("grand", "premium", 9_000_000), model("other", "premium", 5_000_000)


@pytest.mark.parametrize(
    ("one", "other"), [(MIDDLE, SMALL), (OTHER, MIDDLE), (GRAND, OTHER), (SMALL, CHEAPER), (SMALL, FREE)]
)
def test_a_higher_tier_is_better_and_in_one_tier_the_dearer_model(one: Deployment, other: Deployment):
    assert is_better(one, other)
    assert not is_better(other, one)


@pytest.mark.parametrize("one", [SMALL, FREE, GRAND])
def test_no_model_is_better_than_itself(one: Deployment):
    assert not is_better(one, one)
