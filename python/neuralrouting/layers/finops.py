"""Layer 7: what an answer cost, and what the same tokens would have cost on the baseline model."""

import msgspec

from neuralrouting.catalog import Deployment, cost_nanousd
from neuralrouting.errors import UpstreamUnreachable
from neuralrouting.exchange import Attempt, Bill, Usage


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
    percentage = round(100 * saved / compared, 2) if compared else None
    discount = _cost(served, msgspec.structs.replace(usage, cached_tokens=0, cache_write_tokens=0)) if cost else cost
    return Bill(cost, compared, saved, percentage, version, (discount or 0) - cost)


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
