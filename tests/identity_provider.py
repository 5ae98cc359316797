"""A small identity provider of our own: OpenID Connect over HTTP, which signs in whom a test names, right or wrong."""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "neuralrouting", "hush, hush"


@dataclass
class IdentityProvider:
    """What it says of the next who sign in: `claims` over its own, None leaves one out."""

    url: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": secrets.token_hex(4)}))
    signing_key: Any = None
    algorithm: str = "RS256"
    forging: bytes | None = None
    """The secret of an HMAC, with `algorithm` HS256; with `none` there is no signature."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def about(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Sign in whoever asks, and return where its browser goes."""
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe()
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """Trade a code for an ID token, once, and with the verifier of whoever began."""
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None or authorization != f"Basic {base64.b64encode(b'neuralrouting:hush%2C%20hush').decode()}":
            return None
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest())
        if challenge.rstrip(b"=").decode() != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            return None
        now = int(time.time())
        said = {
            "iss": self.url, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 300, "nonce": asked["nonce"],
            "email": "Ann@corp.example", "email_verified": True, "groups": ["staff"],
        } | self.claims  # fmt: skip
        said = {name: value for name, value in said.items() if value is not None}
        header = {"alg": self.algorithm, "kid": self.key.kid}
        signed = forged(header, said, self.forging) if self.forging is not None else ""
        signed = signed or jwt.encode(header, said, self.signing_key or self.key, algorithms=[self.algorithm])
        return {"id_token": signed, "access_token": "a", "token_type": "Bearer"}


def forged(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """A token that libraries refuse to make: signed with a secret that is none, or not at all."""
    said = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims))
    mac = hmac.digest(secret, said, "sha256") if header["alg"] == "HS256" else b""
    return f"{said.decode()}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """Run one on a free port."""
    provider = IdentityProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, query = urlsplit(self.path).path, dict(parse_qsl(urlsplit(self.path).query))
            if path == "/authorize":
                self.send_response(302)
                self.send_header("location", provider.authorize(query))
                self.end_headers()
            elif path == "/keys":
                self._tell(200, {"keys": [provider.key.as_dict(private=False)]})
            else:
                self._tell(200, provider.about())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            told = provider.token(form, self.headers.get("authorization", ""))
            self._tell(200 if told else 400, told or {"error": "invalid_grant"})

        def _tell(self, status: int, body: dict[str, Any]) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
