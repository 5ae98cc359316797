"""Opens what signing in is made of."""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec
from starlette.routing import Route

from neuralrouting.accounts.passwords import Passwords
from neuralrouting.api.door import Door
from neuralrouting.config import Config
from neuralrouting.dashboard.render import Renderer
from neuralrouting.dashboard.session import SessionGate
from neuralrouting.dashboard.signing import Signing
from neuralrouting.dashboard.site import Site
from neuralrouting.dashboard.views.settings import Settings
from neuralrouting.storage.database import Database
from neuralrouting.storage.sign_in import SignInRows

if TYPE_CHECKING:
    from neuralrouting.dashboard.oidc_routes import OidcSigning

PROVIDER_TIMEOUT_S = 10.0


class People(msgspec.Struct, frozen=True):
    """Who is signed in, how they sign in, and the page where that is managed."""

    gate: SessionGate
    signing: Signing
    settings: Settings
    oidc: "OidcSigning | None" = None

    def routes(self, renderer: Renderer) -> list[Route]:
        """Return the routes of signing in and out."""
        routes = self.signing.routes(renderer)
        return routes if self.oidc is None else [*self.oidc.routes(self.signing.guarded), *routes]


def open_people(stack: AsyncExitStack, config: Config, door: Door, database: Database) -> People:
    """Make them; the threads that hash passwords end with the stack. Raises ConfigError without the extra `oidc`."""
    gate = SessionGate(door, SignInRows(database), Site(config.server.host, config.dashboard))
    passwords = Passwords()
    stack.callback(passwords.close)
    plan_id, settings = config.billing.default_plan, Settings(gate, database, passwords)
    if config.dashboard.oidc.issuer is None:
        return People(gate, Signing(gate, database, passwords, plan_id), settings)
    # Loaded only where it is used: httpx alone would cost every worker a fifth of a second.
    import httpx  # noqa: PLC0415

    from neuralrouting.dashboard.oidc import Provider  # noqa: PLC0415
    from neuralrouting.dashboard.oidc_routes import OidcSigning  # noqa: PLC0415

    http = httpx.AsyncClient(timeout=PROVIDER_TIMEOUT_S, trust_env=False, follow_redirects=False)
    stack.push_async_callback(http.aclose)
    provider = Provider(config.dashboard.oidc, http)
    signing = Signing(gate, database, passwords, plan_id, provider.name)
    return People(gate, signing, settings, OidcSigning(gate, provider, database, plan_id))
