"""Every page of the dashboard, wired: which there are, in the order of the navigation."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import chain

import msgspec
from starlette.routing import Route

from neuralrouting.accounts.allowance import Allowance
from neuralrouting.accounts.orders import Orders
from neuralrouting.api.budgets import Budgets
from neuralrouting.api.cache import Cache
from neuralrouting.api.confidence import ConfidenceMatrix, MatrixProofs
from neuralrouting.api.door import Door
from neuralrouting.api.dry_run import DryRun
from neuralrouting.api.hot import HotRoute
from neuralrouting.api.premium import Premium
from neuralrouting.api.room import Room
from neuralrouting.api.routing import Routing
from neuralrouting.api.shadow import Shadow
from neuralrouting.app.people import open_people
from neuralrouting.app.watching import open_watching
from neuralrouting.catalog import Catalog
from neuralrouting.config import Config
from neuralrouting.dashboard.assets import Assets
from neuralrouting.dashboard.links import base_url
from neuralrouting.dashboard.page import Section
from neuralrouting.dashboard.render import Renderer
from neuralrouting.dashboard.routes import Pages
from neuralrouting.dashboard.views.attribution import AttributionPage, AttributionRows
from neuralrouting.dashboard.views.cache import CachePage
from neuralrouting.dashboard.views.control_center import ControlCenter, ControlRows
from neuralrouting.dashboard.views.keys import KeysAndPlans, KeysRows
from neuralrouting.dashboard.views.layers import Layers
from neuralrouting.dashboard.views.needless import NeedlessList
from neuralrouting.dashboard.views.playground import Playground, PlaygroundParts
from neuralrouting.dashboard.views.providers import Providers
from neuralrouting.dashboard.views.reports import MonthlyReports
from neuralrouting.dashboard.views.routing import RoutingPage, RoutingParts
from neuralrouting.dashboard.views.routing_rules import RulesEditor
from neuralrouting.dashboard.views.security import ShieldOf
from neuralrouting.pipeline.explaining import Explaining
from neuralrouting.pipeline.learning import Learning
from neuralrouting.providers.speeds import Speeds
from neuralrouting.reports.press import Press
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.audit import AuditRows
from neuralrouting.storage.books import Books
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.calls import CallRows
from neuralrouting.storage.confidence import ConfidenceRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.entries import EntryRows
from neuralrouting.storage.judgements import Judgements
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.overheads import OverheadRows
from neuralrouting.storage.past import PastRows
from neuralrouting.storage.plans import PlanRows
from neuralrouting.storage.purges import Purges
from neuralrouting.storage.routing_settings import RoutingSettingsRows
from neuralrouting.storage.usage import UsageRows


class Running(msgspec.Struct, frozen=True):
    """What pages show of the worker itself, and what they have it do.

    `obey` makes it follow what the database says of stored answers, `shield_of` returns what judges the requests of an
    account, `route` answers a question as the API does, within `room`.
    """

    config: Config
    database: Database
    door: Door
    catalog: Catalog
    learning: Learning
    orders: Orders
    speeds: Speeds
    shadow: Shadow
    explaining: Explaining
    route: HotRoute
    room: Room
    press: Press
    obey: Callable[[], Awaitable[None]]
    shield_of: ShieldOf

    @property
    def address(self) -> str:
        """Where this gateway is reached, for commands to copy."""
        return base_url(self.config.server.host, self.config.server.port)


def dashboard_routes(stack: AsyncExitStack, running: Running) -> list[Route]:
    """Return the routes of every page, form and service, and of what pages are made of; none where it is off."""
    config, database = running.config, running.database
    if not config.dashboard.enabled:
        return []
    assets = Assets()
    renderer = Renderer(assets, config.dashboard.notice)
    people = open_people(stack, config, running.door, database)
    routing = Routing(
        RoutingSettingsRows(database), AccountRows(database), running.catalog, Allowance(database)
    )  # fmt: skip
    sections = (
        _money(running, routing),
        open_watching(stack, people.gate, database, running.shield_of),
        _machine(running, routing),
        _account(running),
        Section((people.settings.page(),), tuple(people.settings.deeds())),
    )
    return [
        Route("/static/{name:path}", assets.serve, methods=["GET"]),
        *people.routes(renderer),
        *Pages(people.gate, renderer).routes(
            list(chain.from_iterable(section.pages for section in sections)),
            list(chain.from_iterable(section.deeds for section in sections)),
            list(chain.from_iterable(section.services for section in sections)),
        ),
    ]


def _money(running: Running, routing: Routing) -> Section:
    """Control Center and Attribution."""
    database = running.database
    usage, budgets = UsageRows(database), BudgetRows(database)
    premium = Premium(AuditRows(database), running.catalog, MatrixProofs(running.learning.confidence))
    rows = ControlRows(usage, OverheadRows(database))
    control = ControlCenter(rows, NeedlessList(premium, routing), running.address)
    attribution = AttributionPage(
        AttributionRows(usage, budgets, KeyRows(database), Budgets(budgets, AccountRows(database)))
    )
    return Section((control.page(), attribution.page()), (*control.deeds(), *attribution.deeds()))


def _machine(running: Running, routing: Routing) -> Section:
    """Routing, Cache, Providers and Playground."""
    config, database, catalog, learning = running.config, running.database, running.catalog, running.learning
    accounts = AccountRows(database)
    matrix = ConfidenceMatrix(ConfidenceRows(database), learning.confidence, learning.rebuild, accounts)
    editor = RulesEditor(routing, DryRun(PastRows(database), accounts, catalog), catalog, config.routing)
    routing_page = RoutingPage(RoutingParts(routing, matrix, running.shadow, catalog, running.speeds), editor)
    stored = Cache(EntryRows(database), Purges(database), Judgements(database), accounts, running.obey)
    cache = CachePage(UsageRows(database), stored, config.cache, config.semantic_cache)
    providers = Providers(CallRows(database), catalog, running.speeds)
    layers = Layers(learning.confidence, running.orders, config.shadow, catalog.baseline)
    playground = Playground(
        PlaygroundParts(
            running.door, running.room, running.route, running.explaining, layers, catalog, running.address
        )
    )  # fmt: skip
    return Section(
        (routing_page.page(), cache.page(), providers.page(), playground.page()),
        (*routing_page.deeds(), *cache.deeds(), *playground.deeds()),
        (*playground.services(),),
    )


def _account(running: Running) -> Section:
    """Keys & plans and Reports."""
    database = running.database
    rows = KeysRows(
        KeyRows(database), AccountRows(database), PlanRows(database), Books(database), BudgetRows(database),
        UsageRows(database),
    )  # fmt: skip
    keys = KeysAndPlans(rows, running.address)
    reports = MonthlyReports(running.press, running.config.reports.schedule)
    return Section((keys.page(), reports.page()), tuple(keys.deeds()), tuple(reports.services()))
