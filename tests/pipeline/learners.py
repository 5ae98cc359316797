"""A worker that learns: what tests of the confidence matrix are made of."""

from neuralrouting.catalog import Catalog, build_catalog
from neuralrouting.config import ConfidenceConfig, Config
from neuralrouting.layers.confidence import Confidence, matrix_settings
from neuralrouting.pipeline.learning import Learning
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.trail import GATEWAY

POLL_S = 0.02
CONFIG = Config(confidence=ConfidenceConfig(least=20))
CATALOG = build_catalog(CONFIG, ["openai"], None)
WELL = "t" * 60
"""Enough equal verdicts to prove a model."""


def learner(database: Database, catalog: Catalog = CATALOG, *, period_s: float = 3_600.0) -> Learning:
    """A worker; it follows and builds when it is told to, or by itself once it is started."""
    return Learning(database, Confidence(catalog, matrix_settings(CONFIG)), period_s=period_s, poll_s=POLL_S)


async def first_learner(database: Database) -> Learning:
    """The first worker of a database, with the accounts `acme` and `zeta`."""
    for account_id in ("acme", "zeta"):
        await AccountRows(database).ensure(account_id, account_id, 1, actor=GATEWAY)
    return learner(database)
