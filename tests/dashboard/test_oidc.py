"""Signing in through an identity provider of our own: who comes in, as what, and every token that is wrong."""

import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest
from joserfc.jwk import RSAKey

from identity_provider import CLIENT, SECRET, IdentityProvider, identity_provider
from live_gateway import LiveGateway, running_gateway
from neuralrouting.dashboard.oidc import TRIP_MS, Trip
from signed_in import alert_of, browser, new_person

_numbers = count(1)
CONFIG = """
local: {{enabled: "off"}}
dashboard:
  oidc:
    issuer: {url}
    client_id: {client}
    client_secret: {secret!r}
    roles: {{staff: viewer, finance: billing, root: owner}}
    domains: [corp.example]
    account: corp
"""


@pytest.fixture(scope="module")
def running() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


@pytest.fixture
def provider(running: IdentityProvider) -> IdentityProvider:
    """The provider, which knows somebody new."""
    number = next(_numbers)
    running.claims = {"sub": f"sub{number}", "email": f"P{number}@corp.example"}
    running.algorithm, running.signing_key, running.forging = "RS256", None, None
    return running


@pytest.fixture(scope="module")
def site(running: IdentityProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    config = CONFIG.format(url=running.url, client=CLIENT, secret=SECRET)
    with running_gateway(tmp_path_factory.mktemp("oidc"), config=config) as gateway:
        yield gateway


def go(client: httpx.Client, to: str = "/") -> httpx.Response:
    """Go to the provider and back, as a browser does: the way back comes from another site."""
    asked = client.get("/login/oidc", params={"next": to})
    assert asked.status_code == 303, asked.text
    sent = httpx.get(asked.headers["location"], trust_env=False)
    return client.get(sent.headers["location"], headers={"sec-fetch-site": "cross-site"})


def user_of(client: httpx.Client) -> Any:  # noqa: ANN401  JSON
    return client.get("/settings.json").json()["user"]


def test_somebody_new_comes_in_with_the_role_of_the_group(site: LiveGateway, provider: IdentityProvider):
    provider.claims["groups"] = ["other", "finance"]
    client = browser(site)
    assert provider.url.removeprefix("http://") in client.get("/login?next=/settings").text
    answer = go(client, "/settings")
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings")
    told = user_of(client)
    assert (told["account"], told["role"]) == ("corp", "billing")
    assert told["name"] == provider.claims["email"].lower()
    assert "SameSite=lax" in answer.headers["set-cookie"]
    assert "nr_oidc" not in client.cookies


def test_the_role_follows_the_groups_and_the_strongest_counts(site: LiveGateway, provider: IdentityProvider):
    provider.claims["groups"] = ["staff", "root"]
    first, second = browser(site), browser(site)
    go(first)
    assert user_of(first)["role"] == "owner"
    provider.claims["groups"] = "staff"
    other = dict(provider.claims)
    provider.claims = {"sub": "another owner", "email": f"o{next(_numbers)}@corp.example", "groups": ["root"]}
    go(browser(site))
    provider.claims = other
    go(second)
    assert user_of(second)["role"] == "viewer"
    assert user_of(second)["id"] == first_id(site, other["email"])
    time.sleep(1.1)
    assert first.get("/settings.json").status_code == 401


def first_id(site: LiveGateway, email: str) -> str:
    import asyncio  # noqa: PLC0415

    from neuralrouting.storage.users import UserRows  # noqa: PLC0415

    async def find() -> str:
        async with site.opened() as database:
            user = await UserRows(database).of_email(email.lower())
            assert user is not None
            return user.id

    return asyncio.run(find())


NOW = int(time.time())
WRONG: dict[str, dict[str, Any]] = {
    "nonce of another trip": {"nonce": "x"},
    "no nonce": {"nonce": None},
    "for another client": {"aud": "somebody else"},
    "for several, us not the one who asked": {"aud": [CLIENT, "x"], "azp": "x"},
    "of another issuer": {"iss": "https://evil.test"},
    "too old": {"exp": NOW - 3600, "iat": NOW - 7200},
    "without an end": {"exp": None},
    "not yet": {"nbf": NOW + 86_400},
    "nobody": {"sub": None},
    "nobody with a name": {"sub": ""},
    "a number": {"sub": 7},
    "address not verified": {"email_verified": False},
    "address verified by words": {"email_verified": "true"},
    "address of which nothing is said": {"email_verified": None},
    "no address": {"email": None},
    "no real address": {"email": "x"},
    "another domain": {"email": "a@evil.test"},
    "a domain that only ends alike": {"email": "a@notcorp.example"},
    "no group": {"groups": None},
    "a group without a role": {"groups": ["others"]},
    "groups of another kind": {"groups": {"staff": True}},
    "groups in groups": {"groups": [["staff"]]},
}


@pytest.mark.parametrize("claims", WRONG.values(), ids=WRONG)
def test_a_token_that_is_wrong_lets_nobody_in(site: LiveGateway, provider: IdentityProvider, claims: dict[str, Any]):
    provider.claims |= claims
    client = browser(site)
    answer = go(client)
    assert answer.status_code == 403
    assert alert_of(answer)
    assert "nr_session" not in client.cookies
    assert client.get("/settings.json").status_code == 401


@pytest.mark.parametrize("kind", ["another key", "our own secret", "the public key as a secret", "none"])
def test_a_signature_that_is_not_the_providers_lets_nobody_in(site: LiveGateway, provider: IdentityProvider, kind: str):
    if kind == "another key":
        provider.signing_key = RSAKey.generate_key(2048, {"kid": provider.key.kid})
    else:
        provider.algorithm = "none" if kind == "none" else "HS256"
        provider.forging = SECRET.encode() if kind == "our own secret" else provider.key.as_pem(private=False)
    assert "cannot be trusted" in alert_of(go(browser(site)))


def test_who_comes_back_without_having_set_out_is_refused(site: LiveGateway, provider: IdentityProvider):
    mine, victims = browser(site), browser(site)
    asked = mine.get("/login/oidc")
    back = httpx.get(asked.headers["location"], trust_env=False).headers["location"]
    assert victims.get(back).status_code == 403  # no cookie
    victims.get("/login/oidc")
    assert victims.get(back).status_code == 403  # the cookie of another trip
    assert mine.get(back).status_code == 303
    assert mine.get(back).status_code == 403  # a second time
    assert mine.get("/login/oidc/return?error=access_denied").status_code == 403


def test_a_code_counts_once_also_where_the_cookie_was_kept(site: LiveGateway, provider: IdentityProvider):
    client = browser(site)
    asked = client.get("/login/oidc")
    cookie = client.cookies["nr_oidc"]
    back = httpx.get(asked.headers["location"], trust_env=False).headers["location"]
    assert client.get(back).status_code == 303
    again = browser(site)
    again.cookies.set("nr_oidc", cookie)
    assert again.get(back).status_code == 403


def test_a_user_that_is_disabled_or_of_another_account_stays_out(site: LiveGateway, provider: IdentityProvider):
    stranger = new_person(site, account_id="zebra")
    provider.claims["email"] = stranger.email
    assert go(browser(site)).status_code == 403  # another domain, to begin with
    owner = new_person(site, account_id="corp")
    provider.claims["email"] = f"d{next(_numbers)}@corp.example"
    client = browser(site)
    go(client)
    assert owner.client.post("/settings/users/disable", data={"user": user_of(client)["id"]}).status_code == 303
    assert "cannot sign in here" in alert_of(go(browser(site)))


def test_an_address_that_went_to_somebody_else_does_not_take_its_user_along(
    site: LiveGateway, provider: IdentityProvider
):
    go(browser(site))
    provider.claims["sub"] = "somebody else"
    assert "cannot sign in here" in alert_of(go(browser(site)))


def test_a_new_key_of_the_provider_is_asked_for(site: LiveGateway, provider: IdentityProvider):
    assert go(browser(site)).status_code == 303
    old, provider.key = provider.key, RSAKey.generate_key(2048, {"kid": "new"})
    try:
        until_s = time.monotonic() + 15  # it is asked again every ten seconds at most
        while go(browser(site)).status_code != 303:
            assert time.monotonic() < until_s
            time.sleep(0.5)
    finally:
        provider.key = old


def test_no_secret_of_the_way_is_in_the_log(site: LiveGateway, provider: IdentityProvider):
    client = browser(site)
    asked = client.get("/login/oidc")
    secret = client.cookies["nr_oidc"].partition(".")[0]
    back = httpx.get(asked.headers["location"], trust_env=False).headers["location"]
    client.get(back)
    log = site.log.read_text()
    assert SECRET not in log
    assert secret not in log
    assert back.partition("code=")[2].partition("&")[0] not in log


def test_a_trip_that_was_changed_or_took_too_long_is_none():
    trip = Trip.begun("/settings?a=ü", 1_000)
    assert Trip.read(trip.cookie(), 1_000 + TRIP_MS - 1) == trip
    assert Trip.read(trip.cookie(), 1_000 + TRIP_MS) is None
    later = Trip.read(trip.cookie().replace(f".{trip.until_ms}.", f".{trip.until_ms + 1}."), 2_000)
    assert later is not None
    assert later.derived("state") != trip.derived("state")
    assert len({trip.derived(name) for name in ("state", "nonce", "verifier")}) == 3
    for text in ("", "x", "..", trip.cookie()[1:], "a" * 43 + ".x.", "\ud800"):
        assert Trip.read(text, 2_000) is None
