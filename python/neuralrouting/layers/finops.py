"""Layer 7: what an answer cost, and what the same tokens would have cost on the baseline model."""

from neuralrouting.catalog import Deployment, cost_nanousd
from neuralrouting.exchange import Bill, Usage


def bill(served: Deployment, usage: Usage, baseline: Deployment) -> Bill:
    """Price an answer at the model that served it; an unpriced model gives None, never zero."""
    return _bill(_cost(served, usage), served, usage, baseline)


def free(served: Deployment, usage: Usage, baseline: Deployment) -> Bill:
    """Price an answer that came from the cache: it costs nothing and saves what the baseline would have cost."""
    return _bill(0, served, usage, baseline)


def _bill(cost: int | None, served: Deployment, usage: Usage, baseline: Deployment) -> Bill:
    compared = _cost(baseline, usage)
    version = served.price.version if served.price is not None else "unpriced"
    if cost is None or compared is None:
        return Bill(cost, compared, None, None, version)
    saved = compared - cost
    return Bill(cost, compared, saved, round(100 * saved / compared, 2) if compared else None, version)


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
