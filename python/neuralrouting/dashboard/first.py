"""The first user: made from two environment variables, or by whoever opens the link that the first start prints."""

from collections.abc import MutableMapping
from typing import Final

from neuralrouting.accounts.passwords import Passwords
from neuralrouting.clock import unix_ms
from neuralrouting.config import ADMIN_EMAIL_VARIABLE, ADMIN_PASSWORD_VARIABLE, Config
from neuralrouting.dashboard.links import make_link
from neuralrouting.errors import ConfigError, InvalidField
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.sign_in import SignInRows
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.users import NewUser, UserRows, email_of

DEFAULT_ACCOUNT: Final = "default"


async def first_link(database: Database, config: Config, environ: MutableMapping[str, str]) -> str | None:
    """Return the path of a link that makes the first user; None where there is one, or the environment names it.

    The password is taken out of the environment, which programs that are started later inherit. Raises ConfigError for
    a first user that cannot be.
    """
    email, password = environ.get(ADMIN_EMAIL_VARIABLE, ""), environ.pop(ADMIN_PASSWORD_VARIABLE, "")
    users = UserRows(database)
    if await users.any():
        return None
    if not email and not password:
        return await make_link(SignInRows(database), DEFAULT_ACCOUNT, None, unix_ms(), actor=GATEWAY)
    if not email or not password:
        raise ConfigError(f"the first user needs both {ADMIN_EMAIL_VARIABLE} and {ADMIN_PASSWORD_VARIABLE}")
    await _make_owner(database, config.billing.default_plan, email, password)
    return None


async def _make_owner(database: Database, plan_id: str, email: str, password: str) -> None:
    passwords = Passwords()
    try:
        owner = NewUser(DEFAULT_ACCOUNT, email_of(email), "owner", await passwords.hash(password))
    except InvalidField as error:
        variable = ADMIN_EMAIL_VARIABLE if error.param == "email" else ADMIN_PASSWORD_VARIABLE
        raise ConfigError(f"{variable}: {error.message}") from error
    finally:
        passwords.close()
    await AccountRows(database).ensure(DEFAULT_ACCOUNT, DEFAULT_ACCOUNT, unix_ms(), plan_id, actor=GATEWAY)
    await UserRows(database).add(owner, unix_ms(), actor=GATEWAY)
