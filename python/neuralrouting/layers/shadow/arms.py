"""Who is compared with whom, and who judges them."""

from collections.abc import Sequence

import msgspec

from neuralrouting.catalog import TIER_RANK, Deployment, blended_picousd


class Arms(msgspec.Struct, frozen=True):
    """The two sides of one audit, which for a hit of the cache may be one model; one of them has answered already."""

    candidate: Deployment
    reference: Deployment
    asks_candidate: bool

    @property
    def asked(self) -> Deployment:
        """The one that has not answered yet."""
        return self.candidate if self.asks_candidate else self.reference


def arms_of(
    served: Deployment, reference: Deployment, capable: Sequence[Deployment], undecided: Deployment | None
) -> Arms | None:
    """Return who is compared after `served` has answered; None where there is nobody.

    What is cheaper than the reference is compared with it. The reference, and what is no cheaper, stands for good
    answers: the undecided candidate is asked too. Nobody is asked who was not among those `capable` of the request, so
    that a prompt never reaches a model that routing could not have chosen for it; nobody is asked who has no price;
    a simulated answer is never compared with a real one.
    """
    if cheaper(served, reference):
        asked = next((d for d in capable if same_weights(d, reference)), None)
        arms = Arms(served, asked, asks_candidate=False) if asked is not None else None
    else:
        fit = undecided is not None and undecided in capable and cheaper(undecided, served)
        arms = Arms(undecided, served, asks_candidate=True) if fit and undecided is not None else None
    if arms is None or arms.asked.simulated != served.simulated:
        return None
    return arms if arms.asked.price is not None else None


def judge_among(
    deployments: Sequence[Deployment], arms: tuple[Deployment, ...], named: str | None, room_tokens: int
) -> Deployment | None:
    """Return the best of these models that may judge, or the one that is named; None where there is none.

    A judge is neither of the arms nor the same model at another provider, has a price, holds `room_tokens`, and is
    simulated only where the arms are.
    """
    fit = [
        d
        for d in deployments
        if d.price is not None
        and d.context_tokens >= room_tokens
        and all(d.simulated == arm.simulated and not same_weights(d, arm) for arm in arms)
        and (named is None or named in (d.id, d.model, d.upstream_model, *d.aliases))
    ]
    return min(fit, key=_best, default=None)


def same_weights(one: Deployment, other: Deployment) -> bool:
    """Whether two deployments are one model, maybe at two providers."""
    return bool({one.model, one.upstream_model} & {other.model, other.upstream_model})


def cheaper(one: Deployment, other: Deployment) -> bool:
    """Whether the first is another model and costs less by list price; by tier where one of them has no price."""
    if same_weights(one, other):
        return False
    if one.price is None or other.price is None:
        return TIER_RANK[one.tier] < TIER_RANK[other.tier]
    return blended_picousd(one.price) < blended_picousd(other.price)


def _best(d: Deployment) -> tuple[int, int, str]:
    """Best first: higher tier, then the dearer list price as the market's estimate."""
    return -TIER_RANK[d.tier], -blended_picousd(d.price) if d.price is not None else 0, d.id
