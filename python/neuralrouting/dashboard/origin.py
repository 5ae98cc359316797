"""Whether a request that changes something comes from a page of ours. Pure.

The rule is that of Go 1.25's CrossOriginProtection: browsers say where a request comes from in Sec-Fetch-Site, older
ones in Origin; no token is needed.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.requests import Request

from neuralrouting.errors import PermissionDenied

SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


def refuse_foreign(request: Request) -> None:
    """Raise PermissionDenied for a request that changes something and does not come from a page of ours."""
    if not is_ours(request.method, request.headers):
        raise PermissionDenied("another site sent this, or a program without an `Origin` header; open the page again")


def is_ours(method: str, headers: Mapping[str, str]) -> bool:
    """Say whether a request is harmless or comes from a page of this address."""
    if method in SAFE:
        return True
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
