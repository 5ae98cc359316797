"""How browsers reach this gateway: by which names, over https or not, from which address. Pure."""

import ipaddress
from urllib.parse import urlsplit

import msgspec
from starlette.requests import HTTPConnection

from neuralrouting.config import DashboardConfig
from neuralrouting.errors import PermissionDenied

_MOST_ADDRESS = 64


class Site(msgspec.Struct, frozen=True):
    """How browsers reach this gateway, as configured. `host` is the address that it listens on."""

    host: str
    config: DashboardConfig = DashboardConfig()

    def https(self, request: HTTPConnection) -> bool:
        """Say whether the browser came by https."""
        if self.config.secure != "auto":
            return self.config.secure == "on"
        if self.config.trust_forwarded:
            told = _last(request.headers.getlist("x-forwarded-proto"))
            if told is not None:
                return told.lower() == "https"
        return request.scope["scheme"] == "https"  # `request.url` is put together from the Host header

    def takes_passwords(self, request: HTTPConnection) -> bool:
        """Say whether nobody on the way can read what is typed: https, or a browser on this machine, or told so."""
        return self.config.secure == "off" or self.https(request) or is_loopback(_name(request.headers.get("host")))

    def address(self, request: HTTPConnection) -> str:
        """Return whom failures are counted for: an IPv4 address, or the /64 of an IPv6 one, which one person has."""
        told = _last(request.headers.getlist("x-forwarded-for")) if self.config.trust_forwarded else None
        return network_of(told or (request.client.host if request.client is not None else ""))

    def check_host(self, host: str | None) -> None:
        """Raise PermissionDenied where a browser calls us by a name that is not ours.

        A page of somebody else whose name is made to lead here (DNS rebinding) comes by its own name. A gateway that
        listens beyond this machine is reached by names that it does not know, until `dashboard.hosts` tells them.
        """
        name, listed = _name(host), {_name(one) for one in self.config.hosts}
        anything = not listed and not is_loopback(self.host)
        if name is None or not (anything or name in listed or is_loopback(name)):
            raise PermissionDenied(
                "the dashboard does not answer to this name; list it under `dashboard.hosts`", code="unknown_host"
            )


def is_loopback(name: str | None) -> bool:
    """Say whether a name is this machine's for itself."""
    if name is None:
        return False
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def network_of(address: str) -> str:
    """Return an IPv4 address as it is, an IPv6 one as its /64, both without a port; what is neither, cut."""
    text = address.strip()
    bare = _name(text) if text.startswith("[") or text.count(":") == 1 else text
    try:
        found = ipaddress.ip_address(bare or text)
    except ValueError:
        return text[:_MOST_ADDRESS]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), 64), strict=False))


def _name(host: str | None) -> str | None:
    """Return a Host header without its port, in lower case, None where it is none."""
    if not host or "@" in host:
        return None
    try:
        parts = urlsplit(f"//{host}")
        name = parts.hostname if parts.netloc == host else None
    except ValueError:
        return None
    return name or None


def _last(lines: list[str]) -> str | None:
    """Return the last value of a list header: the nearest proxy appends, what comes before anybody may have sent."""
    return lines[-1].rpartition(",")[2].strip() or None if lines else None
