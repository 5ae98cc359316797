"""Explains a request without a gateway: the parts of one that decide, over the same configuration and database."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from neuralrouting.accounts.directory import Directory
from neuralrouting.accounts.shields import Shields
from neuralrouting.app import parts
from neuralrouting.catalog import Catalog
from neuralrouting.clock import unix_ms
from neuralrouting.config import Config
from neuralrouting.errors import NotFound
from neuralrouting.exchange import Arrival, Caller, Decision, Hints, Plan
from neuralrouting.layers.confidence import Confidence, matrix_settings
from neuralrouting.layers.shield import Guard
from neuralrouting.pipeline.choosing import Choosing
from neuralrouting.pipeline.deciding import Deciding
from neuralrouting.pipeline.explaining import Explaining
from neuralrouting.pipeline.inspecting import Inspecting
from neuralrouting.pipeline.learning import Learning
from neuralrouting.providers.speeds import Speeds
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.database import open_database
from neuralrouting.storage.plans import PlanRows
from neuralrouting.storage.rules import RuleRows

DEFAULT_ACCOUNT = "default"
"""The account that `serve` makes when there is none."""


async def explained(config: Config, catalog: Catalog, account_id: str, body: bytes) -> Decision:
    """Return what a gateway with this configuration would make of a request of an account's live key.

    Raises NotFound for an account that is not there, RequestError for a body that cannot be read. A gateway that runs
    knows more: answers in its memory, speeds it has measured, conversations under way.
    """
    async with _parts(config, catalog) as (explaining, directory):
        plan = await _plan(directory, account_id, config.billing.default_plan)
        caller = Caller(account_id, "explain", live=True)
        now_ms = unix_ms()
        arrival = Arrival("explain", caller, plan, Hints("/v1/chat/completions"), time.perf_counter_ns(), now_ms)
        return await asyncio.to_thread(explaining.explain, body, arrival)


async def _plan(directory: Directory, account_id: str, default: str) -> Plan:
    """Return an account's plan; the default account has one before it is made, since `serve` will make it."""
    try:
        return await directory.find_plan(account_id)
    except NotFound:
        plan = next((plan for plan in directory.plans if plan.id == default), None)
        if account_id != DEFAULT_ACCOUNT or plan is None:
            raise
        return plan


@asynccontextmanager
async def _parts(config: Config, catalog: Catalog) -> AsyncGenerator[tuple[Explaining, Directory], None]:
    async with AsyncExitStack() as stack:
        database = await open_database(config.database_url, Path(config.data_dir))
        stack.push_async_callback(database.close)
        directory = Directory(PlanRows(database), AccountRows(database), BudgetRows(database))
        shields = Shields(RuleRows(database), config.shield)
        orders = await parts.open_orders(stack, database)
        for part in (directory, shields):
            await part.start()
            stack.push_async_callback(part.close)
        learning = Learning(database, Confidence(catalog, matrix_settings(config)), period_s=1.0)
        await learning.follow()  # once: it is not started, so it builds nothing
        choosing = Choosing(config.routing, catalog, Speeds(), orders, learning.confidence)
        inspecting = Inspecting(config, catalog, parts.engine_of(config), choosing)
        guard = Guard(config.shield, shields)
        yield Explaining(inspecting, guard, choosing, Deciding(catalog), directory), directory
