"""Layer 7: what an answer cost, and what the same tokens would have cost on the baseline model."""

from neuralrouting.catalog import Deployment, cost_nanousd
from neuralrouting.exchange import Bill, Usage


def bill(served: Deployment, usage: Usage, baseline: Deployment) -> Bill:
    """Price an answer at the model that served it; an unpriced model gives None, never zero."""
    return Bill(_cost(served, usage), _cost(baseline, usage), _version(served))


def free(served: Deployment, usage: Usage, baseline: Deployment) -> Bill:
    """Price an answer that came from the cache: it costs nothing and saves what the baseline would have cost."""
    return Bill(0, _cost(baseline, usage), _version(served))


def _cost(deployment: Deployment, usage: Usage) -> int | None:
    if deployment.price is None:
        return None
    return cost_nanousd(
        deployment.price,
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
    )


def _version(deployment: Deployment) -> str:
    return deployment.price.version if deployment.price is not None else "unpriced"
