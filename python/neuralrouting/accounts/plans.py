"""What a plan allows: routing modes and X-Force-Model, refused with the plans that have them."""

from collections.abc import Iterable

from neuralrouting.errors import PlanRequired
from neuralrouting.exchange import Mode, Plan


def cheapest_first(plans: Iterable[Plan]) -> list[Plan]:
    """Sort plans by price; those that do not count credits are the operator's own, not for sale, and come last."""
    return sorted(plans, key=lambda plan: (plan.monthly_mc is None, plan.price_cents, plan.name, plan.id))


def allow_mode(plan: Plan, mode: Mode, plans: Iterable[Plan]) -> None:
    """Raise PlanRequired unless the plan has this routing mode; the message names those of `plans` that do."""
    if mode not in plan.modes:
        raise _refusal(f"routing mode {mode!r}", plan, (other for other in plans if mode in other.modes))


def allow_force(plan: Plan, plans: Iterable[Plan]) -> None:
    """Raise PlanRequired unless the plan obeys X-Force-Model; the message names those of `plans` that do."""
    if not plan.force_model:
        raise _refusal("X-Force-Model", plan, (other for other in plans if other.force_model))


def _refusal(what: str, plan: Plan, having: Iterable[Plan]) -> PlanRequired:
    names = [other.name for other in cheapest_first(having)]
    if not names:
        found = "no plan here has it"
    elif len(names) == 1:
        found = f"{names[0]} has it"
    else:
        found = f"{', '.join(names[:-1])} and {names[-1]} have it"
    return PlanRequired(f"{what} is not in the plan {plan.name}; {found}")
