"""The first user: by a link or from the environment, and neither where there is a user."""

import pytest

from neuralrouting.accounts.passwords import Passwords
from neuralrouting.config import Config
from neuralrouting.dashboard.first import first_link
from neuralrouting.dashboard.links import base_url
from neuralrouting.errors import ConfigError
from neuralrouting.storage.database import Database
from neuralrouting.storage.users import UserRows
from people import new_user

GOOD = {"NEURALROUTING_ADMIN_EMAIL": "Root@example.com", "NEURALROUTING_ADMIN_PASSWORD": "correct horse battery"}


@pytest.mark.anyio
async def test_without_a_user_there_is_a_new_link_at_every_start_and_then_none(database: Database):
    links = [await first_link(database, Config(), {}) for _ in range(2)]
    assert links[0] != links[1]
    await new_user(database, "viewer")
    assert await first_link(database, Config(), {}) is None


@pytest.mark.anyio
async def test_the_environment_makes_the_first_user_and_no_second(database: Database):
    environ = dict(GOOD)
    assert await first_link(database, Config(), environ) is None
    assert "NEURALROUTING_ADMIN_PASSWORD" not in environ
    found = await UserRows(database).with_hash("root@example.com")
    assert found is not None
    user, stored = found
    assert (user.role, user.account_id) == ("owner", "default")
    passwords = Passwords()
    assert (await passwords.check(stored, "correct horse battery")).right
    passwords.close()
    assert await first_link(database, Config(), GOOD | {"NEURALROUTING_ADMIN_EMAIL": "two@example.com"}) is None
    assert len(await UserRows(database).all(None)) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"NEURALROUTING_ADMIN_EMAIL": "a@b"}, "needs both"),
        ({"NEURALROUTING_ADMIN_PASSWORD": "correct horse battery"}, "needs both"),
        ({"NEURALROUTING_ADMIN_EMAIL": "a@b", "NEURALROUTING_ADMIN_PASSWORD": "short"}, "ADMIN_PASSWORD: a password"),
        (GOOD | {"NEURALROUTING_ADMIN_EMAIL": "ab"}, "ADMIN_EMAIL: an e-mail"),
    ],
)
async def test_a_first_user_that_cannot_be_is_told(database: Database, given: dict[str, str], told: str):
    with pytest.raises(ConfigError, match=told) as caught:
        await first_link(database, Config(), dict(given))
    assert "correct horse" not in caught.value.message
    assert not await UserRows(database).any()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("nr.example", "http://nr.example:80"),
    ],
)
def test_the_printed_address_is_one_that_a_browser_can_open(host: str, url: str):
    assert base_url(host, 80) == url
