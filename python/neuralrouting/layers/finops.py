"""Layer 7: what an answer cost, and what the same tokens would have cost on the baseline model."""

import msgspec

from neuralrouting.catalog import Deployment, cost_nanousd
from neuralrouting.errors import UpstreamUnreachable
from neuralrouting.exchange import Attempt, Bill, Usage


def bill(served: Deployment, usage: Usage, baseline: Deployment) -> Bill:
    """Price an answer at the model that served it; an unpriced model gives None, never zero."""
    return _bill(_cost(served, usage), served, usage, baseline)


def both(first: Bill, last: Bill) -> Bill:
    """Add the call whose answer was replaced to the one that replaced it: the baseline would have been asked once."""
    costs = [bill.cost_nanousd for bill in (first, last) if bill.cost_nanousd is not None]
    discount = first.provider_cache_nanousd + last.provider_cache_nanousd
    return _compared(sum(costs) if len(costs) == 2 else None, last.baseline_nanousd, last.price_version, discount)


def free(served: Deployment, usage: Usage, baseline: Deployment) -> Bill:
    """Price an answer that came from the cache: it costs nothing and saves what the baseline would have cost."""
    return _bill(0, served, usage, baseline)


def _bill(cost: int | None, served: Deployment, usage: Usage, baseline: Deployment) -> Bill:
    version = served.price.version if served.price is not None else "unpriced"
    uncached = _cost(served, msgspec.structs.replace(usage, cached_tokens=0, cache_write_tokens=0)) if cost else cost
    return _compared(cost, _cost(baseline, usage), version, (uncached or 0) - (cost or 0))


def _compared(cost: int | None, baseline: int | None, version: str, discount: int) -> Bill:
    if cost is None or baseline is None:
        return Bill(cost, baseline, None, None, version)
    saved = baseline - cost
    percentage = round(100 * saved / baseline, 2) if baseline else None
    return Bill(cost, baseline, saved, percentage, version, discount)


def lost_call_nanousd(failed: Attempt, called: Deployment, prompt_tokens: int) -> int | None:
    """Return what a failed call cost: nothing when it reached nobody or was answered with an error, else its prompt.

    A call that was cut off, by us or by the network, may have been answered and billed; its answer is not known.
    """
    answered_no = failed.provider_status is not None and failed.provider_status >= 400
    if answered_no or failed.outcome == UpstreamUnreachable.code:
        return 0
    return _cost(called, Usage(prompt_tokens, 0))


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
