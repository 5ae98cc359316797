"""Who may call what: every route declares it for each of its methods, and is not reached by anybody else."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, NamedTuple, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from neuralrouting.api.door import Door, wanted
from neuralrouting.errors import NotFound, PermissionDenied
from neuralrouting.exchange import Caller, Role

Access = Literal["anyone", "member", "owner", "operator"]
"""`anyone` needs no key; else the role that a key must have, or one that may do more."""
Handler = Callable[[Request, Caller], Awaitable[Response]]
OpenHandler = Callable[[Request], Awaitable[Response]]

_RANK: Mapping[Role, int] = {"member": 0, "owner": 1, "operator": 2}


class Opening(NamedTuple):
    """One method of a path: who may call it, and what answers."""

    allowed: Role
    handler: Handler


class OpenRoute(Route):
    """A path that anyone may read, without a key."""

    def __init__(self, path: str, handler: OpenHandler) -> None:
        super().__init__(path, handler, methods=["GET"])
        self.allowed: Mapping[str, Access] = {"GET": "anyone"}


class GuardedRoute(Route):
    """A path whose methods need a key: its handlers are told whose, and run for the roles that may call them only."""

    def __init__(self, path: str, door: Door, openings: Mapping[str, Opening]) -> None:
        super().__init__(path, self._serve, methods=list(openings))
        self.allowed: Mapping[str, Access] = {method: opening.allowed for method, opening in openings.items()}
        self._door = door
        self._openings = openings

    async def _serve(self, request: Request) -> Response:
        caller = await self._door.caller(wanted(request.headers))
        # Where GET is taken Starlette takes HEAD too, and sends no body.
        opening = self._openings["GET" if request.method == "HEAD" else request.method]
        admit(caller, opening.allowed)
        return await opening.handler(request, caller)


def admit(caller: Caller, role: Role) -> None:
    """Let a caller pass who has a role or one that may do more; raises PermissionDenied."""
    if _RANK[caller.role] < _RANK[role]:
        raise PermissionDenied(f"this needs a key with the role `{role}`; this one's is `{caller.role}`")


class AccountBook(Protocol):
    """Where it is looked up whether there is such an account."""

    async def find(self, account_id: str) -> object | None:
        """Return the account, None where there is none."""
        ...


async def account_of(caller: Caller, named: str | None, accounts: AccountBook) -> str:
    """Return whose figures are asked for: the caller's own, or for an operator those of the account it names.

    Raises NotFound for one that does not exist, and the same, without looking, to whoever may see its own only.
    """
    if named is None or named == caller.account_id:
        return caller.account_id
    if caller.role != "operator" or "\0" in named or await accounts.find(named) is None:
        raise NotFound(f"no account {named[:64]!r}", param="account")
    return named
