"""The routes of figures and of administration, each with who may call it."""

from collections.abc import Awaitable, Callable

from starlette.routing import Route

from neuralrouting.accounts.allowance import Allowance
from neuralrouting.api.access import GuardedRoute, Handler, Opening
from neuralrouting.api.admin import Accounts, Check, Plans
from neuralrouting.api.admin_keys import Keys
from neuralrouting.api.audit import Audit
from neuralrouting.api.budgets import Budgets
from neuralrouting.api.cache import Cache
from neuralrouting.api.credits import Credits
from neuralrouting.api.door import Door
from neuralrouting.api.dry_run import DryRun
from neuralrouting.api.premium import Premium, Proofs
from neuralrouting.api.routing import Routing
from neuralrouting.api.trail import TrailPages
from neuralrouting.api.usage import Usage
from neuralrouting.catalog import Catalog
from neuralrouting.clock import unix_ms
from neuralrouting.exchange import Role
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.audit import AuditRows
from neuralrouting.storage.books import Books
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.entries import EntryRows
from neuralrouting.storage.feedback import FeedbackRows
from neuralrouting.storage.judgements import Judgements
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.past import PastRows
from neuralrouting.storage.plans import PlanRows
from neuralrouting.storage.purges import Purges
from neuralrouting.storage.routing_settings import RoutingSettingsRows
from neuralrouting.storage.trail import Trail
from neuralrouting.storage.usage import UsageRows
from neuralrouting.storage.verify import verify


def account_routes(
    door: Door,
    database: Database,
    obey: Callable[[], Awaitable[None]],
    catalog: Catalog,
    default_plan: str,
    proofs: Proofs,
) -> list[Route]:
    """Return the routes of figures, budgets, stored answers, routing and administration.

    `obey` makes the memory of this worker follow what the database says of stored answers, `default_plan` is the id of
    the plan that a new account has unless told, `proofs` knows which model does which task well enough.
    """
    rows = AccountRows(database)
    accounts = Accounts(rows, Books(database), default_plan)
    cache = Cache(EntryRows(database), Purges(database), Judgements(database), rows, obey)
    return [
        *_figures(door, database, catalog, rows, proofs),
        _route(door, "/v1/cache", GET=("member", cache.show), DELETE=("owner", cache.purge)),
        _route(door, "/v1/cache/judgements", POST=("owner", cache.judge)),
        *_routing(door, database, catalog, rows),
        *_administration(door, database, accounts, rows),
    ]


def _routing(door: Door, database: Database, catalog: Catalog, accounts: AccountRows) -> list[Route]:
    routing = Routing(RoutingSettingsRows(database), accounts, catalog, Allowance(database))
    dry_run = DryRun(PastRows(database), accounts, catalog)
    return [
        _route(door, "/v1/routing/rules/dry-run", POST=("member", dry_run.run)),
        _route(door, "/v1/routing/rules", GET=("member", routing.rules), PUT=("owner", routing.put_rules)),
        _route(door, "/v1/routing/settings", GET=("member", routing.settings), PUT=("owner", routing.put_settings)),
    ]


def _figures(door: Door, database: Database, catalog: Catalog, accounts: AccountRows, proofs: Proofs) -> list[Route]:
    books = Books(database)
    usage = Usage(UsageRows(database), accounts, Premium(AuditRows(database), catalog, proofs))
    credits_ = Credits(books, accounts, PlanRows(database))
    budgets = Budgets(BudgetRows(database), accounts)
    audit = Audit(AuditRows(database), books, FeedbackRows(database), accounts)
    return [
        _route(door, "/v1/usage", GET=("member", usage.sums)),
        _route(door, "/v1/usage/premium-not-needed", GET=("member", usage.premium_not_needed)),
        _route(door, "/v1/credits", GET=("member", credits_.show)),
        _route(door, "/v1/budgets", GET=("member", budgets.all), POST=("owner", budgets.create)),
        _route(
            door,
            "/v1/budgets/{id}",
            GET=("member", budgets.one),
            PUT=("owner", budgets.replace),
            DELETE=("owner", budgets.remove),
        ),
        _route(door, "/v1/audit", GET=("member", audit.page)),
        _route(door, "/v1/audit/{request_id}", GET=("member", audit.one)),
    ]


def _administration(door: Door, database: Database, accounts: Accounts, account_rows: AccountRows) -> list[Route]:
    plans, key_rows, trail = Plans(PlanRows(database)), KeyRows(database), Trail(database)
    pages = TrailPages(trail, account_rows, key_rows)
    ledger = Check("ledger", lambda: verify(database, unix_ms()))
    keys = Keys(key_rows, account_rows, Allowance(database))
    one = "/v1/admin/accounts/{id}"
    return [
        _route(door, "/v1/admin/accounts", GET=("operator", accounts.all), POST=("operator", accounts.create)),
        _route(door, one, GET=("operator", accounts.one), PATCH=("operator", accounts.change)),
        _route(door, f"{one}/credits", POST=("operator", accounts.book)),
        _route(door, f"{one}/keys", GET=("operator", keys.all), POST=("operator", keys.create)),
        _route(door, "/v1/admin/keys/{id}", PATCH=("operator", keys.change), DELETE=("operator", keys.revoke)),
        _route(door, "/v1/admin/plans", GET=("operator", plans.all)),
        _route(door, "/v1/admin/plans/{id}", PUT=("operator", plans.put), DELETE=("operator", plans.remove)),
        _route(door, "/v1/admin/ledger/verify", POST=("operator", ledger.run)),
        _route(door, "/v1/admin/trail", GET=("owner", pages.page)),
        _route(door, "/v1/admin/trail/verify", POST=("operator", Check("trail", trail.verify).run)),
    ]


def _route(door: Door, path: str, **methods: tuple[Role, Handler]) -> GuardedRoute:
    return GuardedRoute(path, door, {method: Opening(*told) for method, told in methods.items()})
