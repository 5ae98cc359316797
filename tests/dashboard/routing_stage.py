"""The page of routing over a real database: an account with rules, audits and a matrix, and another one beside it."""

import httpx
from looking import application, person, visiting
from starlette.applications import Starlette

from compared import CHEAP, MIDDLE, REFERENCE, series, write
from models_made_up import deployment
from neuralrouting.accounts.allowance import Allowance
from neuralrouting.api.confidence import ConfidenceMatrix
from neuralrouting.api.dry_run import DryRun
from neuralrouting.api.routing import Routing
from neuralrouting.api.shadow import Shadow
from neuralrouting.catalog import Catalog
from neuralrouting.config import RoutingConfig, ShadowConfig
from neuralrouting.dashboard.rights import UserRole
from neuralrouting.dashboard.views.routing import RoutingPage, RoutingParts
from neuralrouting.dashboard.views.routing_rules import RulesEditor
from neuralrouting.evidence.matrix import MatrixSettings
from neuralrouting.layers.confidence import Confidence
from neuralrouting.pipeline.learning import Learning
from neuralrouting.providers.speeds import Speeds
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.confidence import ConfidenceRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.past import PastRows
from neuralrouting.storage.routing_settings import RoutingSettingsRows
from neuralrouting.storage.shadow_audits import ShadowAudits

GRAND = deployment("gpt-4o", "premium", 10.0, provider="openai")
SIM = deployment("gpt-4o", "premium", 10.0, simulated=True)
MODELS = (
    deployment("gpt-4o-mini", "economy", 0.2, provider="openai"),
    deployment("gpt-6.1-terra", "medium", 1.0, provider="openai"),
    GRAND,
)


def catalog() -> Catalog:
    return Catalog(MODELS, MODELS, (SIM,), GRAND, stand_ins=False, unreachable={}, reference=GRAND)


def routing_app(database: Database, role: UserRole = "owner", account_id: str = "acme") -> Starlette:
    known, accounts, speeds = catalog(), AccountRows(database), Speeds()
    speeds.learn(CHEAP, 180_000, 100, 1_000_000)
    learning = Learning(database, Confidence(known, MatrixSettings()), period_s=3600)
    routing = Routing(RoutingSettingsRows(database), accounts, known, Allowance(database))
    matrix = ConfidenceMatrix(ConfidenceRows(database), learning.confidence, learning.rebuild, accounts)
    shadow = Shadow(ShadowAudits(database), accounts, ShadowConfig(), lambda _: {})
    editor = RulesEditor(routing, DryRun(PastRows(database), accounts, known), known, RoutingConfig())
    page = RoutingPage(RoutingParts(routing, matrix, shadow, known, speeds), editor)
    return application([page.page()], page.deeds(), viewer=person(role, account_id))


def routing_page(database: Database, role: UserRole = "owner", account_id: str = "acme") -> httpx.AsyncClient:
    return visiting(routing_app(database, role, account_id))


async def compare(database: Database, account_id: str = "acme") -> None:
    """Audits that prove the cheap model at `qa`, refuse it at `coding`, and leave another cell open."""
    told = {"account_id": account_id, "reference": REFERENCE}
    await write(database, series("tttttttw" * 10, task="qa", candidate=CHEAP, **told))
    await write(database, series("l" * 40, task="coding", candidate=CHEAP, **told))
    await write(database, series("ttlwttltt", task="summarization", candidate=MIDDLE, **told))
