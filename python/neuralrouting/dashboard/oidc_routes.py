"""Signing in through an identity provider: the way there, the way back, and which user that is here."""

import logging

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from neuralrouting.api import filters
from neuralrouting.clock import unix_ms
from neuralrouting.dashboard.oidc import Identity, Provider, Trip
from neuralrouting.dashboard.render import HEADERS
from neuralrouting.dashboard.routes import local_path
from neuralrouting.dashboard.session import SessionGate
from neuralrouting.dashboard.signing import Guard
from neuralrouting.errors import PermissionDenied
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.sign_in import SignInRows
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.users import NewUser, UserRow, UserRows

_BACK = "/login/oidc/return"
_log = logging.getLogger("neuralrouting.dashboard")


class OidcSigning:
    """Answers `/login/oidc` and `/login/oidc/return`."""

    def __init__(self, gate: SessionGate, provider: Provider, database: Database, plan_id: str) -> None:
        self._gate = gate
        self._provider = provider
        self._plan_id = plan_id
        self._users = UserRows(database)
        self._rows = SignInRows(database)
        self._accounts = AccountRows(database)

    def routes(self, guard: Guard) -> list[Route]:
        """Return them as routes."""
        return [
            Route("/login/oidc", guard(self._leave), methods=["GET"]),
            Route(_BACK, guard(self._return), methods=["GET"]),
        ]

    async def _leave(self, request: Request) -> Response:
        trip = Trip.begun(local_path(request.query_params.get("next", "/")), unix_ms())
        response = RedirectResponse(await self._provider.address(trip, self._back(request)), 303, headers=HEADERS)
        self._keep(response, request, trip.cookie(), 600)
        return response

    async def _return(self, request: Request) -> Response:
        trip = Trip.read(request.cookies.get(self._cookie(request), ""), unix_ms())
        if trip is None:
            raise PermissionDenied("this sign-in was not begun in this browser, or too long ago; try again")
        told = filters.parameters(request.query_params.multi_items())
        user = await self._user_of(await self._provider.identity(trip, told, self._back(request)))
        token, session = self._gate.session_of(request, user.id)
        if not await self._rows.open(session, self._gate.idle_ms):
            raise _closed()
        _log.info("%s signed in through the identity provider", user.id)
        response = RedirectResponse(local_path(trip.to), 303, headers=HEADERS)
        self._gate.give(response, request, token)
        self._keep(response, request, "", 0)
        return response

    async def _user_of(self, who: Identity) -> UserRow:
        """Return the user, made or with the role that its groups give. Raises PermissionDenied, AlreadyExists."""
        account = self._provider.settings.account
        user = await self._users.of_subject(who.subject) or await self._users.of_email(who.email)
        if user is None:
            await self._accounts.ensure(account, account, unix_ms(), self._plan_id, actor=GATEWAY)
            return await self._users.add(
                NewUser(account, who.email, who.role, subject=who.subject), unix_ms(), actor=GATEWAY
            )
        if user.account_id != account or user.disabled_ms is not None:
            raise _closed()
        if user.subject is None and not await self._users.set_subject(user.id, who.subject):
            raise _closed()
        if user.subject not in (None, who.subject):
            raise _closed()  # the address had another owner before
        changed = await self._users.set_role(user.id, who.role, actor=GATEWAY)
        self._gate.forget(user.id)
        return changed or user

    def _back(self, request: Request) -> str:
        scheme = "https" if self._gate.site.https(request) else "http"
        return f"{scheme}://{request.headers['host']}{_BACK}"

    def _cookie(self, request: Request) -> str:
        return "__Host-nr_oidc" if self._gate.site.https(request) else "nr_oidc"

    def _keep(self, response: Response, request: Request, value: str, most_s: int) -> None:
        response.set_cookie(
            self._cookie(request), value, max_age=most_s, path="/",
            secure=self._gate.site.https(request), httponly=True, samesite="lax",
        )  # fmt: skip


def _closed() -> PermissionDenied:
    return PermissionDenied("this address cannot sign in here; ask an owner of your account")
