"""Who is signed in: a random cookie, whose digest the database keeps until the session ends."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api.door import Door, wanted
from neuralrouting.clock import unix_ms
from neuralrouting.dashboard.origin import refuse_foreign
from neuralrouting.dashboard.site import Site
from neuralrouting.dashboard.viewer import Viewer
from neuralrouting.errors import RequestError
from neuralrouting.storage.sign_in import AGENT_CHARS, SEEN_EVERY_MS, SessionRow, SignedIn, SignInRows

REMEMBERED_S: Final = 1.0
"""How long a worker believes what the database said of a session; one that was ended works no longer than this."""
REMEMBERED: Final = 1_000
"""Sessions remembered in a worker."""
_SECURE_COOKIE, _PLAIN_COOKIE = "__Host-nr_session", "nr_session"
"""`__Host-`: browsers take it over https only, and from this very host only (RFC 6265bis, 4.1.3.2)."""
_TOKEN_CHARS = 43
"""32 random bytes in base64url."""
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_KEYS = ("authorization", "x-api-key")


def digest_of(token: str) -> bytes:
    """Return what the database keeps of a cookie's or link's token. It is random and long: no salt is needed."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def new_token() -> str:
    """Return 256 random bits as text for cookies and links."""
    return secrets.token_urlsafe(32)


class _Remembered(msgspec.Struct, frozen=True):
    found: SignedIn
    until_s: float


class SessionGate:
    """The gate of the dashboard (`viewer.Gate`), and where sessions begin and end; one per worker.

    `clock` gives Unix milliseconds.
    """

    def __init__(self, door: Door, rows: SignInRows, site: Site, *, clock: Callable[[], int] = unix_ms) -> None:
        self.site: Final = site
        self.idle_ms: Final = int(site.config.session_idle_hours * _HOUR_MS)
        self.most_ms: Final = int(site.config.session_days * _DAY_MS)
        self._door = door
        self._rows = rows
        self._clock = clock
        self._remembered: dict[bytes, _Remembered] = {}

    async def viewer(self, request: Request, *, keys: bool = False) -> Viewer | None:
        """Return who is signed in, None for nobody; `keys`: an API key in the usual header counts as well.

        Raises PermissionDenied for a name that is not ours or a change that another page sends, AuthenticationError
        for a key that is wrong, RequestError for a key beside a session.
        """
        token = self._token(request)
        self.site.check_host(request.headers.get("host"))
        if token is not None:
            refuse_foreign(request)
        if not keys or not any(name in request.headers for name in _KEYS):
            return await self._of_cookie(token) if token is not None else None
        if token is not None:
            raise RequestError("send a session's cookie or an API key, not both", code="ambiguous_credentials")
        return await self._of_key(request)

    def session_of(self, request: Request, user_id: str) -> tuple[str, SessionRow]:
        """Return a new session for whoever asks, and the token for its cookie; it counts once it is written down."""
        token, now = new_token(), self._clock()
        agent = "".join(c for c in request.headers.get("user-agent", "") if c.isprintable())[:AGENT_CHARS]
        row = SessionRow(digest_of(token), user_id, now, now, now + self.most_ms, self.site.address(request), agent)
        return token, row

    async def leave(self, request: Request) -> None:
        """End the session that a request comes with, where there is one."""
        token = self._token(request)
        if token is not None:
            await self.end(digest_of(token))

    async def end(self, digest: bytes, user_id: str | None = None) -> bool:
        """End one session, with `user_id` only if it is that user's; False where there is none such."""
        ended = await self._rows.end(digest, user_id)
        self._remembered.pop(digest, None)
        return ended

    def forget(self, user_id: str) -> None:
        """Ask the database anew about the sessions of a user who was changed."""
        for digest in [digest for digest, one in self._remembered.items() if one.found.session.user_id == user_id]:
            del self._remembered[digest]

    def give(self, response: Response, request: Request, token: str) -> None:
        """Put a session's cookie into a response."""
        self._set(response, request, token, self.most_ms // 1_000)

    def take(self, response: Response, request: Request) -> None:
        """Have the browser forget the cookie."""
        self._set(response, request, "", 0)

    def _set(self, response: Response, request: Request, token: str, most_s: int) -> None:
        https = self.site.https(request)
        # The way back from an identity provider begins on its page: a strict cookie would not come along.
        same_site = "lax" if self.site.config.oidc.issuer is not None else "strict"
        response.set_cookie(
            _cookie(https=https), token, max_age=most_s, path="/", secure=https, httponly=True, samesite=same_site
        )

    def _token(self, request: Request) -> str | None:
        return request.cookies.get(_cookie(https=self.site.https(request))) or None

    async def _of_key(self, request: Request) -> Viewer:
        caller = await self._door.caller(wanted(request.headers))
        role = "viewer" if caller.role == "member" else "owner"
        return Viewer(f"key_{caller.key_id}", f"API key {caller.key_id}", caller.account_id, role)

    async def _of_cookie(self, token: str) -> Viewer | None:
        if len(token) != _TOKEN_CHARS:
            return None
        found = await self._find(digest_of(token))
        if found is None or not alive(found.session, self._clock(), self.idle_ms):
            return None
        return Viewer(found.session.user_id, found.email, found.account_id, found.role, found.session.id)

    async def _find(self, digest: bytes) -> SignedIn | None:
        known = self._remembered.get(digest)
        asked_s = asyncio.get_running_loop().time()
        if known is not None and asked_s < known.until_s:
            return known.found
        found = await self._rows.find(digest)
        if found is None:
            self._remembered.pop(digest, None)
            return None
        now = self._clock()
        if alive(found.session, now, self.idle_ms) and now - found.session.seen_ms >= SEEN_EVERY_MS:
            await self._rows.seen(digest, now)
            found = msgspec.structs.replace(found, session=msgspec.structs.replace(found.session, seen_ms=now))
        self._remember(digest, _Remembered(found, asked_s + REMEMBERED_S))
        return found

    def _remember(self, digest: bytes, found: _Remembered) -> None:
        self._remembered.pop(digest, None)
        while len(self._remembered) >= REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[digest] = found


def alive(session: SessionRow, now: int, idle_ms: int) -> bool:
    """Say whether a session has not run out: neither its time, nor the time since it was used."""
    return now < session.expires_ms and now < session.seen_ms + idle_ms


def _cookie(*, https: bool) -> str:
    return _SECURE_COOKIE if https else _PLAIN_COOKIE
