"""Signing in and out: with a password, by a link. Pages without a session; they work without a script."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from neuralrouting.accounts.passwords import PASSWORD_LEAST, PASSWORD_MOST, Passwords, check_password
from neuralrouting.clock import unix_ms
from neuralrouting.dashboard.origin import refuse_foreign
from neuralrouting.dashboard.render import HEADERS, Renderer
from neuralrouting.dashboard.routes import local_path, read_form
from neuralrouting.dashboard.session import SessionGate, digest_of
from neuralrouting.dashboard.throttle import Throttle
from neuralrouting.errors import AuthenticationError, BodyTooLarge, NeuralRoutingError, NotFound, PermissionDenied
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.failures import FailureRows
from neuralrouting.storage.sign_in import GONE, Link, SignInRows
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.users import UserRows, email_of

MAX_FORM_BYTES = 64 * 1024
_EMAIL_CHARS = 254
_WRONG = "This e-mail address and password do not belong together."
_DONE = {
    "/settings/password": "Your password was changed and every session ended. Sign in with the new one.",
    "/logout": "You are signed out.",
}
_log = logging.getLogger("neuralrouting.dashboard")
Answer = Callable[[Request], Awaitable[Response]]
Guard = Callable[[Answer], Answer]
"""Lets in only who may sign in from where it is, and tells what goes wrong as a page."""


class Signing:
    """Answers `/login`, `/login/link/{token}` and `/logout`.

    `plan_id` is the plan of the account that the first user makes, `provider` the name of the identity provider at
    `/login/oidc`, where there is one.
    """

    def __init__(
        self, gate: SessionGate, database: Database, passwords: Passwords, plan_id: str, provider: str | None = None
    ) -> None:
        self._gate = gate
        self._passwords = passwords
        self._plan_id = plan_id
        self._provider = provider
        self._users = UserRows(database)
        self._rows = SignInRows(database)
        self._accounts = AccountRows(database)
        self._throttle = Throttle(FailureRows(database))
        self._renderer: Renderer

    def routes(self, renderer: Renderer) -> list[Route]:
        """Return them as routes."""
        self._renderer = renderer
        return [
            Route("/login", self.guarded(self._login_page), methods=["GET"]),
            Route("/login", self.guarded(self._login), methods=["POST"]),
            Route("/login/link/{token}", self.guarded(self._link_page), methods=["GET"]),
            Route("/login/link/{token}", self.guarded(self._use_link), methods=["POST"]),
            Route("/logout", self.guarded(self._logout), methods=["POST"]),
        ]

    def guarded(self, answer: Answer) -> Answer:
        """Let in only who calls us by our name, from a page of ours; what goes wrong is told as a page."""

        async def guarded(request: Request) -> Response:
            try:
                self._gate.site.check_host(request.headers.get("host"))
                refuse_foreign(request)
                if not self._gate.site.takes_passwords(request):
                    return self._page("unsafe.html", "Not over plain http", {}, 403)
                if len(await request.body()) > MAX_FORM_BYTES:
                    raise BodyTooLarge(f"a form has {MAX_FORM_BYTES} bytes at most")
                return await answer(request)
            except NeuralRoutingError as error:
                return self._page("error.html", "That did not work", {"error": error}, error.status)

        return guarded

    async def _login_page(self, request: Request) -> Response:
        to = local_path(request.query_params.get("next", "/"))
        done = _DONE.get(request.query_params.get("done", ""), "")
        # Another worker may still remember the session that was just ended: who is told so is not sent on.
        if not done and await self._gate.viewer(request) is not None:
            return RedirectResponse(to, 303, headers=HEADERS)
        return await self._form(to, "", done=done)

    async def _login(self, request: Request) -> Response:
        form = await read_form(request)
        to, email = local_path(form.get("next", "/")), form.get("email", "").strip().lower()[:_EMAIL_CHARS]
        try:
            token = await self._sign_in(request, email, form.get("password", ""))
        except NeuralRoutingError as error:
            return await self._form(to, email, error=error)
        return await self._let_in(request, token, to)

    async def _sign_in(self, request: Request, email: str, password: str) -> str:
        """Return the token of a new session. Raises AuthenticationError, RateLimited, Unavailable."""
        address = self._gate.site.address(request)
        await self._throttle.tried(email, address, unix_ms())
        user, stored = await self._users.with_hash(email) or (None, None)
        if user is not None and user.disabled_ms is not None:
            user, stored = None, None
        checked = await self._passwords.check(stored, password)
        if user is None or stored is None or not checked.right:
            _log.warning("a sign-in from %s failed", address)
            raise AuthenticationError(_WRONG)
        token, session = self._gate.session_of(request, user.id)
        if not await self._rows.open(session, self._gate.idle_ms, proof=stored):
            raise AuthenticationError(_WRONG)
        if checked.rehashed is not None:
            await self._users.rehash(user.id, stored, checked.rehashed)
        await self._throttle.succeeded(email, address)
        return token

    async def _link_page(self, request: Request) -> Response:
        link = await self._rows.link(digest_of(request.path_params["token"]), unix_ms())
        if link is None:
            raise NotFound(GONE)
        return self._link_form(link)

    async def _use_link(self, request: Request) -> Response:
        form, digest = await read_form(request), digest_of(request.path_params["token"])
        link = await self._rows.link(digest, unix_ms())
        if link is None:
            raise NotFound(GONE)
        try:
            token = await self._enter(request, digest, link, form)
        except NeuralRoutingError as error:
            return self._link_form(link, form.get("email", ""), error)
        return await self._let_in(request, token, "/")

    async def _enter(self, request: Request, digest: bytes, link: Link, form: Mapping[str, str]) -> str:
        password, email = form.get("password"), None
        if link.user is None:
            email = email_of(form.get("email", ""))
            await self._accounts.ensure(link.account_id, link.account_id, unix_ms(), self._plan_id, actor=GATEWAY)
        if password is not None:
            check_password(password)
        elif link.needs_password:
            raise PermissionDenied("choose a password")
        hashed = await self._passwords.hash(password) if password is not None else None
        token, session = self._gate.session_of(request, "")
        user = await self._rows.use_link(digest, email, hashed, session, self._gate.idle_ms)
        self._gate.forget(user.id)
        _log.info("%s signed in by a link", user.id)
        return token

    async def _logout(self, request: Request) -> Response:
        await self._gate.leave(request)
        response = RedirectResponse("/login?done=/logout", 303, headers=HEADERS)
        self._gate.take(response, request)
        return response

    async def _let_in(self, request: Request, token: str, to: str) -> Response:
        await self._gate.leave(request)  # whoever was signed in here before
        response = RedirectResponse(to, 303, headers=HEADERS)
        self._gate.give(response, request, token)
        return response

    async def _form(self, to: str, email: str, *, done: str = "", error: NeuralRoutingError | None = None) -> Response:
        context = {
            "next": to, "email": email, "done": done, "error": error, "provider": self._provider,
            "empty": not await self._users.any(),
        }  # fmt: skip
        return self._page("login.html", "Sign in", context, 200, error)

    def _link_form(self, link: Link, email: str = "", error: NeuralRoutingError | None = None) -> Response:
        context = {
            "link": link, "email": email, "error": error, "least": PASSWORD_LEAST, "most": PASSWORD_MOST,
        }  # fmt: skip
        return self._page("login_link.html", "Sign in", context, 200, error)

    def _page(
        self,
        template: str,
        title: str,
        context: Mapping[str, Any],
        status: int,
        error: NeuralRoutingError | None = None,
    ) -> Response:
        status = error.status if error is not None else status
        response = self._renderer.page(template, title, None, context, status)
        if error is not None and error.retry_after_s is not None:
            response.headers["retry-after"] = str(int(error.retry_after_s))
        return response
