"""How browsers reach the gateway: by which names, over https or not, from which address."""

import pytest
from starlette.requests import Request

from neuralrouting.config import DashboardConfig
from neuralrouting.dashboard.site import Site, is_loopback, network_of
from neuralrouting.errors import PermissionDenied

LOCAL = Site("127.0.0.1")
OPEN = Site("0.0.0.0")
LISTED = Site("0.0.0.0", DashboardConfig(hosts=("Nr.Example", "nr.internal:8443")))
TRUSTING = DashboardConfig(trust_forwarded=True)


def asked(scheme: str = "http", client: str = "192.0.2.1", **headers: str) -> Request:
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request(
        {"type": "http", "method": "GET", "path": "/", "scheme": scheme, "headers": lines, "client": (client, 5)}
    )


@pytest.mark.parametrize(
    ("host", "local", "open_", "listed"),
    [
        ("127.0.0.1:8080", True, True, True),
        ("localhost", True, True, True),
        ("LOCALHOST:1", True, True, True),
        ("[::1]:8080", True, True, True),
        ("127.8.9.1", True, True, True),
        ("nr.example", False, True, True),
        ("NR.EXAMPLE:9", False, True, True),
        ("nr.internal", False, True, True),
        ("evil.test", False, True, False),
        ("evil.localhost", False, True, False),
        ("localhost.", False, True, False),
        ("127.0.0.1.evil.test", False, True, False),
        ("10.0.0.1", False, True, False),
        ("", False, False, False),
        ("a@localhost", False, False, False),
        ("localhost/x", False, False, False),
        ("[::1", False, False, False),
        (None, False, False, False),
    ],
)
def test_a_name_is_ours_or_it_is_not(host: str | None, *, local: bool, open_: bool, listed: bool):
    for site, good in ((LOCAL, local), (OPEN, open_), (LISTED, listed)):
        if good:
            site.check_host(host)
        else:
            with pytest.raises(PermissionDenied):
                site.check_host(host)


@pytest.mark.parametrize(
    ("config", "scheme", "told", "https"),
    [
        (DashboardConfig(), "https", None, True),
        (DashboardConfig(), "http", None, False),
        (DashboardConfig(), "http", "https", False),
        (TRUSTING, "http", "https", True),
        (TRUSTING, "http", "http, HTTPS", True),
        (TRUSTING, "http", "https, http", False),
        (TRUSTING, "https", None, True),
        (TRUSTING, "https", "http", False),
        (DashboardConfig(secure="on"), "http", None, True),
        (DashboardConfig(secure="off"), "https", None, False),
    ],
)
def test_https_is_what_the_request_or_a_trusted_proxy_tells(
    config: DashboardConfig, scheme: str, told: str | None, *, https: bool
):
    headers = {} if told is None else {"x_forwarded_proto": told}
    assert Site("0.0.0.0", config).https(asked(scheme, **headers)) == https


@pytest.mark.parametrize(
    ("config", "host", "takes"),
    [
        (DashboardConfig(), "localhost:8080", True),
        (DashboardConfig(), "10.0.0.1:8080", False),
        (DashboardConfig(), "nr.example", False),
        (DashboardConfig(secure="off"), "nr.example", True),
        (DashboardConfig(secure="on"), "nr.example", True),
    ],
)
def test_a_password_is_taken_where_nobody_reads_it_on_the_way(config: DashboardConfig, host: str, *, takes: bool):
    assert Site("0.0.0.0", config).takes_passwords(asked(host=host)) == takes


@pytest.mark.parametrize(
    ("config", "told", "address"),
    [
        (DashboardConfig(), "198.51.100.7", "192.0.2.1"),
        (TRUSTING, "198.51.100.7", "198.51.100.7"),
        (TRUSTING, "6.6.6.6, 198.51.100.7", "198.51.100.7"),
        (TRUSTING, "198.51.100.7:4711", "198.51.100.7"),
        (TRUSTING, "", "192.0.2.1"),
        (TRUSTING, None, "192.0.2.1"),
    ],
)
def test_failures_count_for_the_address_that_the_nearest_proxy_saw(
    config: DashboardConfig, told: str | None, address: str
):
    headers = {} if told is None else {"x_forwarded_for": told}
    assert Site("0.0.0.0", config).address(asked(**headers)) == address


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("2001:db8:1:2:3::5", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:80", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("unix:", "unix:"),
        ("x" * 500, "x" * 64),
    ],
)
def test_an_ipv6_address_counts_as_its_network(address: str, network: str):
    assert network_of(address) == network


def test_only_this_machine_is_this_machine():
    assert is_loopback("::1")
    assert not is_loopback(None)
    assert not is_loopback("0.0.0.0")
