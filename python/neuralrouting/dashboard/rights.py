"""What people may do in the dashboard: four roles, and what each of them may see and change. Pure."""

from collections.abc import Mapping
from typing import Literal, get_args

from neuralrouting.exchange import UserRole

ROLES: tuple[UserRole, ...] = get_args(UserRole)
Right = Literal[
    "see_money", "see_requests", "play", "judge", "set_budgets", "set_routing", "set_keys", "set_users",
]  # fmt: skip
"""`see_money`: figures, keys without secrets, reports. `see_requests`: single requests, what the shield found, routing,
cache and providers. `play` spends credits in the playground; `judge` marks false positives and verdicts."""
RIGHTS: tuple[Right, ...] = get_args(Right)

_OF_ROLE: Mapping[UserRole, frozenset[Right]] = {
    "owner": frozenset(RIGHTS),
    "member": frozenset(("see_money", "see_requests", "play", "judge", "set_routing")),
    "billing": frozenset(("see_money", "set_budgets")),
    "viewer": frozenset(("see_money", "see_requests")),
}


def may(role: UserRole, right: Right) -> bool:
    """Say whether a role has a right."""
    return right in _OF_ROLE[role]
