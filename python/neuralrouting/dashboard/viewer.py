"""Who looks at the dashboard, and how it is found out who that is."""

from typing import Protocol

import msgspec
from starlette.requests import Request

from neuralrouting.dashboard.rights import Right, may
from neuralrouting.errors import PermissionDenied
from neuralrouting.exchange import Caller, UserRole


class Viewer(msgspec.Struct, frozen=True):
    """One person, signed in, or one API key that asks for a page's JSON or CSV (`session_id` is None then).

    `id` is what the trail of admin actions names: `user_...` or `key_...`. `name` is an e-mail address or a key's name.
    """

    id: str
    name: str
    account_id: str
    role: UserRole
    session_id: str | None = None

    def may(self, right: Right) -> bool:
        """Say whether this viewer has a right."""
        return may(self.role, right)

    def need(self, right: Right) -> None:
        """Raise PermissionDenied without a right."""
        if not self.may(right):
            raise PermissionDenied(f"your role `{self.role}` does not allow this (it takes the right `{right}`)")

    @property
    def caller(self) -> Caller:
        """The viewer as the API knows callers: an owner for owners, else a member."""
        return Caller(self.account_id, self.id, live=True, role="owner" if self.role == "owner" else "member")


class Gate(Protocol):
    """Finds out who asks."""

    async def viewer(self, request: Request, *, keys: bool = False) -> Viewer | None:
        """Return who is signed in, None for nobody; `keys`: an API key in the usual header counts as well.

        Raises AuthenticationError for a key that is wrong, PermissionDenied for one that may not look.
        """
        ...
