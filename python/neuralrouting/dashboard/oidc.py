"""Asks an identity provider who somebody is: OpenID Connect, authorization code with PKCE."""

import asyncio
import hashlib
import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Final, Self
from urllib.parse import quote, urlencode, urlsplit

import httpx
import msgspec

from neuralrouting.config import OidcConfig
from neuralrouting.dashboard.rights import ROLES
from neuralrouting.dashboard.session import new_token
from neuralrouting.errors import ConfigError, InvalidField, PermissionDenied, Unavailable
from neuralrouting.exchange import UserRole
from neuralrouting.storage.users import email_of

TRIP_MS: Final = 10 * 60_000
"""How long somebody may take at the provider."""
_KNOWN_FOR_S = 3600.0
_KEYS_EVERY_S = 10.0
"""Tokens with unknown keys do not make us ask the provider for its keys more often than this."""
_LEEWAY_S = 60
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures that need the provider's private key: neither `none` nor one that our own secret could make."""
_SUBJECT_CHARS = 255
"""OpenID Connect Core, 2: no longer."""


class Identity(msgspec.Struct, frozen=True):
    """Who the provider says that somebody is. `subject`: issuer and subject, which never change."""

    subject: str
    email: str
    role: UserRole


class Trip(msgspec.Struct, frozen=True):
    """One way to the provider and back. The browser keeps it in a cookie; state, nonce and verifier follow from it.

    Only the browser that set out knows `secret`, so nothing needs to be kept here until it is back.
    """

    secret: str
    until_ms: int
    to: str

    @classmethod
    def begun(cls, to: str, now_ms: int) -> Self:
        """Set out; afterwards the browser goes on to `to`."""
        return cls(new_token(), now_ms + TRIP_MS, to)

    @classmethod
    def read(cls, cookie: str, now_ms: int) -> "Trip | None":
        """Read what `cookie` wrote; None for anything else, and for one that took too long."""
        secret, _, rest = cookie.partition(".")
        until, _, to = rest.partition(".")
        try:
            trip = cls(secret, int(until), urlsafe_b64decode(to).decode())
        except ValueError:
            return None
        return trip if len(secret) == 43 and now_ms < trip.until_ms <= now_ms + TRIP_MS else None

    def cookie(self) -> str:
        """Return it as the value of a cookie."""
        return f"{self.secret}.{self.until_ms}.{urlsafe_b64encode(self.to.encode()).decode()}"

    def derived(self, purpose: str) -> str:
        """Return 43 characters that only who knows the secret can tell, for `state`, `nonce` or `verifier`."""
        said = f"{purpose}|{self.until_ms}|{self.to}".encode()
        return _base64(hmac.digest(self.secret.encode(), said, "sha256"))


class Provider:
    """One identity provider. What it says of itself, and its keys, are asked for when they are first needed."""

    def __init__(self, settings: OidcConfig, http: httpx.AsyncClient) -> None:
        require_oidc()
        self.settings: Final = settings
        self.issuer: Final = settings.issuer or ""
        self.name: Final = urlsplit(self.issuer).netloc
        self._http = http
        self._about: Mapping[str, Any] = {}
        self._about_until_s = 0.0
        self._keys: Mapping[str, Any] = {}
        self._keys_at_s = -_KEYS_EVERY_S
        self._asking = asyncio.Lock()

    async def address(self, trip: Trip, back: str) -> str:
        """Return where the browser is to go; `back` is where the provider sends it afterwards. Raises Unavailable."""
        challenge = _base64(hashlib.sha256(trip.derived("verifier").encode()).digest())
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": back,
            "scope": "openid email profile",
            "state": trip.derived("state"),
            "nonce": trip.derived("nonce"),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = self._endpoint(await self._known(), "authorization_endpoint")
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def identity(self, trip: Trip, told: Mapping[str, str], back: str) -> Identity:
        """Return who came back, from the parameters that the provider sent along.

        Raises PermissionDenied where that is not what it should be, or nobody who may come in, Unavailable.
        """
        if not hmac.compare_digest(told.get("state", "").encode(), trip.derived("state").encode()):
            raise _foreign()
        about = await self._known()
        if told.get("iss", about["issuer"]) != about["issuer"]:  # RFC 9207
            raise _foreign()
        if "code" not in told:
            raise PermissionDenied(f"{self.name} did not sign you in; try again, or ask whoever runs it")
        form = {
            "grant_type": "authorization_code",
            "code": told["code"],
            "redirect_uri": back,
            "code_verifier": trip.derived("verifier"),
        }
        answer = await self._traded(about, form)
        return self._admitted(await self._claims(about, answer, trip.derived("nonce")))

    async def _traded(self, about: Mapping[str, Any], form: dict[str, str]) -> Mapping[str, Any]:
        client, secret = self.settings.client_id, self.settings.client_secret
        ways = about.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        headers: dict[str, str] = {}
        if secret is not None and "client_secret_basic" in ways:
            pair = f"{quote(client, safe='')}:{quote(secret.reveal(), safe='')}"  # RFC 6749, 2.3.1
            headers["authorization"] = f"Basic {_base64(pair.encode(), url=False)}"
        else:
            form |= {"client_id": client} | ({"client_secret": secret.reveal()} if secret is not None else {})
        return await self._ask("POST", self._endpoint(about, "token_endpoint"), form, headers)

    async def _claims(self, about: Mapping[str, Any], answer: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        """Return what an ID token says that is the provider's, for us, of this trip and of now."""
        from authlib.oidc.core import CodeIDToken  # noqa: PLC0415  the extra `oidc`, which may not be there
        from joserfc import jwt  # noqa: PLC0415
        from joserfc.errors import InvalidKeyIdError, JoseError  # noqa: PLC0415
        from joserfc.jwk import KeySet  # noqa: PLC0415
        from joserfc.jws import JWSRegistry  # noqa: PLC0415

        token = answer.get("id_token")
        told = about.get("id_token_signing_alg_values_supported", ["RS256"])
        registry = JWSRegistry(algorithms=[name for name in _ALGORITHMS if name in told], strict_check_header=False)
        options = {
            "iss": {"essential": True, "value": about["issuer"]},
            "aud": {"essential": True, "value": self.settings.client_id},
        }
        known = {"nonce": nonce, "client_id": self.settings.client_id, "access_token": answer.get("access_token")}
        try:
            keys = KeySet.import_key_set(dict(await self._signing_keys(about)))  # pyright: ignore[reportArgumentType]
            try:
                read = jwt.decode(str(token), keys, registry=registry)
            except (InvalidKeyIdError, ValueError):  # perhaps a new key
                keys = KeySet.import_key_set(dict(await self._signing_keys(about, again=True)))  # pyright: ignore[reportArgumentType]
                read = jwt.decode(str(token), keys, registry=registry)
            claims = CodeIDToken(read.claims, read.header, options, known)
            claims.validate(leeway=_LEEWAY_S)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise PermissionDenied(
                f"what {self.name} says of you cannot be trusted ({type(error).__name__}); try again"
            ) from None
        return dict(claims)

    def _admitted(self, claims: Mapping[str, Any]) -> Identity:
        """Return who that is to us. Raises PermissionDenied for whoever may not come in."""
        if claims.get("email_verified") is not True or not isinstance(claims.get("email"), str):
            raise PermissionDenied(f"{self.name} does not vouch for your e-mail address (claim `email_verified`)")
        try:
            email = email_of(claims["email"])
        except InvalidField as error:
            raise PermissionDenied(error.message) from error
        domains = {domain.lower() for domain in self.settings.domains}
        if domains and email.rpartition("@")[2] not in domains:
            raise PermissionDenied("addresses of this domain do not sign in here (`dashboard.oidc.domains`)")
        role, sub = self._role(claims.get(self.settings.group_claim)), claims["sub"]
        if not isinstance(sub, str) or not sub or len(sub) > _SUBJECT_CHARS:
            raise PermissionDenied(f"{self.name} does not say who you are (claim `sub`)")
        return Identity(f"{claims['iss']} {sub}", email, role)

    def _role(self, told: object) -> UserRole:
        listed: list[object] = told if isinstance(told, list) else [told]
        groups = {group for group in listed if isinstance(group, str)}
        given = {role for group, role in self.settings.roles.items() if group in groups}
        for role in ROLES:
            if role in given:
                return role
        raise PermissionDenied("you are in no group that may look at this dashboard (`dashboard.oidc.roles`)")

    async def _known(self) -> Mapping[str, Any]:
        async with self._asking:
            if time.monotonic() >= self._about_until_s:
                about = await self._ask("GET", f"{self.issuer}/.well-known/openid-configuration")
                if str(about.get("issuer", "")).rstrip("/") != self.issuer:
                    raise Unavailable(f"{self.name} calls itself by another name than `dashboard.oidc.issuer`")
                self._about, self._about_until_s = about, time.monotonic() + _KNOWN_FOR_S
            return self._about

    async def _signing_keys(self, about: Mapping[str, Any], *, again: bool = False) -> Mapping[str, Any]:
        async with self._asking:
            old = time.monotonic() - self._keys_at_s
            if old >= _KNOWN_FOR_S or not self._keys or (again and old >= _KEYS_EVERY_S):
                self._keys = await self._ask("GET", self._endpoint(about, "jwks_uri"))
                self._keys_at_s = time.monotonic()
            return self._keys

    def _endpoint(self, about: Mapping[str, Any], name: str) -> str:
        url = str(about.get(name, ""))
        if not url.startswith(("https://", "http://" if self.issuer.startswith("http://") else "https://")):
            raise Unavailable(f"{self.name} has no `{name}` that could be used")
        return url

    async def _ask(
        self, method: str, url: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        try:
            answer = await self._http.request(method, url, data=form, headers=headers)
            if answer.status_code in (400, 401) and form is not None:
                raise PermissionDenied(f"{self.name} does not know this sign-in any more; try again")
            answer.raise_for_status()
            return msgspec.json.decode(answer.content, type=dict[str, Any])
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.MsgspecError) as error:
            raise Unavailable(f"{self.name} cannot be asked just now ({type(error).__name__}); try again") from None


def require_oidc() -> None:
    """Raise ConfigError where the extra `oidc` is not installed."""
    try:
        import authlib.oidc.core  # noqa: F401, PLC0415  # pyright: ignore[reportUnusedImport]
    except ModuleNotFoundError as error:
        raise ConfigError(
            "dashboard.oidc.issuer: sign-in through an identity provider needs `pip install 'neuralrouting[oidc]'`"
        ) from error


def _foreign() -> PermissionDenied:
    return PermissionDenied("this sign-in was not begun in this browser, or too long ago; try again")


def _base64(data: bytes, *, url: bool = True) -> str:
    text = urlsafe_b64encode(data).decode()
    return text.rstrip("=") if url else text.replace("-", "+").replace("_", "/")
