"""People who are signed in at a live gateway, through its pages."""

import asyncio
import re
import time
from dataclasses import dataclass
from itertools import count

import httpx

from live_gateway import LiveGateway
from neuralrouting.dashboard.links import make_link
from neuralrouting.exchange import UserRole
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.sign_in import SignInRows
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.users import NewUser, UserRow, UserRows

HERE = {"sec-fetch-site": "same-origin"}
"""What a browser sends with the requests that our own pages make."""
PASSWORD = "correct horse battery"
_numbers = count(1)


@dataclass(frozen=True)
class Person:
    """A user, and a client that holds its session."""

    user_id: str
    email: str
    client: httpx.Client


def browser(gateway: LiveGateway) -> httpx.Client:
    """A client that keeps cookies and says where its requests come from, signed in as nobody; needs no closing."""
    limits = httpx.Limits(max_keepalive_connections=0)  # each request may come to another worker, too
    return httpx.Client(base_url=gateway.url, headers=HERE, trust_env=False, timeout=60, limits=limits)


def invited(gateway: LiveGateway, role: UserRole = "owner", account_id: str = "default") -> tuple[UserRow, str]:
    """Make a user; returns it with the path of the link that lets it in."""

    async def make() -> tuple[UserRow, str]:
        now_ms = time.time_ns() // 1_000_000
        async with gateway.opened() as database:
            await AccountRows(database).ensure(account_id, account_id, now_ms, actor=GATEWAY)
            new = NewUser(account_id, f"{role}{next(_numbers)}.{now_ms}@example.com", role)
            user = await UserRows(database).add(new, now_ms, actor=GATEWAY)
            return user, await make_link(SignInRows(database), account_id, user.id, now_ms, actor=GATEWAY)

    return asyncio.run(make())


def new_person(gateway: LiveGateway, role: UserRole = "owner", account_id: str = "default") -> Person:
    """Make a user and sign it in by its link, with `PASSWORD`."""
    user, link = invited(gateway, role, account_id)
    client = browser(gateway)
    assert client.post(link, data={"password": PASSWORD}).status_code == 303
    return Person(user.id, user.email, client)


def sign_in(client: httpx.Client, email: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
    return client.post("/login", data={"email": email, "password": password, **fields})


def alert_of(answer: httpx.Response) -> str:
    """What a page says went wrong."""
    found = re.search(r'role="alert">([^<]*)<', answer.text)
    return found[1] if found is not None else ""
