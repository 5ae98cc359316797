"""Makes the parts of a worker out of its configuration."""

import logging
import platform
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import msgspec
import orjson

from neuralrouting.accounts.bank import Bank
from neuralrouting.accounts.directory import Directory
from neuralrouting.accounts.housekeeping import Forget, Housekeeping
from neuralrouting.accounts.keys import KeyRing
from neuralrouting.accounts.orders import Orders
from neuralrouting.accounts.rates import Rates
from neuralrouting.accounts.sharing import Sharing
from neuralrouting.accounts.shields import Shields
from neuralrouting.catalog import Catalog, build_catalog
from neuralrouting.config import Config, resolved_providers
from neuralrouting.engine import Engine, Limits
from neuralrouting.exchange import JsonObject
from neuralrouting.layers.cache import remember
from neuralrouting.layers.confidence import Confidence, matrix_settings
from neuralrouting.pipeline.auditing import Auditor
from neuralrouting.pipeline.learning import Learning
from neuralrouting.pipeline.shadowing import Draws, Shadowing
from neuralrouting.pipeline.stock import CacheStock
from neuralrouting.providers.anthropic import AnthropicProvider
from neuralrouting.providers.base import Provider
from neuralrouting.providers.http import HttpClient
from neuralrouting.providers.local import PROCESS_FIELDS
from neuralrouting.providers.openai import OpenAIProvider, Quirks
from neuralrouting.providers.simulated import SimulatedProvider
from neuralrouting.reports.press import Press
from neuralrouting.reports.schedule import Schedule
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.books import Books
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.idempotency import IdempotencyRows
from neuralrouting.storage.journal import Journal
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.plans import PlanRows
from neuralrouting.storage.rates import RateRows
from neuralrouting.storage.routing_settings import RoutingSettingsRows
from neuralrouting.storage.rules import RuleRows
from neuralrouting.storage.shared_tier import NOMINATED, Reach, SharedTier

log = logging.getLogger("neuralrouting.app")
LOCAL_VARIABLE = "NEURALROUTING_LOCAL"
"""Set by `serve` for its workers: name and address of the local model, as JSON."""
CATALOG_VARIABLE = "NEURALROUTING_CATALOG"
"""Set by `serve` for its workers: the file that holds the catalog of today."""
JOURNALS, LIMITS = "journals", "limits"
"""Folders of the data directory that the workers of this machine share."""


async def open_keys(stack: AsyncExitStack, database: Database) -> KeyRing:
    """Open what knows every API key."""
    ring = KeyRing(KeyRows(database))
    await ring.start()
    stack.push_async_callback(ring.close)
    return ring


async def open_accounts(
    stack: AsyncExitStack, config: Config, database: Database, worker_id: str
) -> tuple[Directory, Bank, Shields, Rates]:
    """Open what knows and bills accounts; what dead workers left is settled before the first request."""
    directory = Directory(PlanRows(database), AccountRows(database), BudgetRows(database))
    await directory.start()
    stack.push_async_callback(directory.close)
    data, machine = Path(config.data_dir), _machine(config)
    bank = Bank(Books(database), Journal.create(data / JOURNALS, worker_id))
    await bank.start(machine)
    stack.push_async_callback(bank.close)
    limits = Limits(str(data / LIMITS))
    sharing = None
    if database.dialect == "postgres":
        sharing = Sharing(RateRows(database, worker_id, machine), limits, machine)
        await sharing.start()
        stack.push_async_callback(sharing.close)
    forget = _forget(IdempotencyRows(database), sharing)
    keeping = Housekeeping(database, data / JOURNALS, machine, forget, check=config.billing.nightly_check)
    await keeping.start()
    stack.push_async_callback(keeping.close)
    shields = Shields(RuleRows(database), config.shield)
    await shields.start()
    stack.push_async_callback(shields.close)
    return directory, bank, shields, Rates(limits, sharing)


async def open_learning(stack: AsyncExitStack, config: Config, database: Database, catalog: Catalog) -> Learning:
    """Open what knows how good models are at tasks, and what has that built and follows it."""
    confidence = Confidence(catalog, matrix_settings(config))
    learning = Learning(database, confidence, period_s=60 * config.confidence.rebuild_minutes)
    await learning.start()
    stack.push_async_callback(learning.close)
    return learning


def open_reports(stack: AsyncExitStack, config: Config, database: Database, catalog: Catalog) -> Press:
    """Open what makes monthly reports, on demand and, where that is configured, by itself."""
    press = Press(database, catalog, matrix_settings(config), Path(config.data_dir))
    if config.reports.schedule == "monthly":
        schedule = Schedule(database, press)
        schedule.start()
        stack.push_async_callback(schedule.close)
    return press


def engine_of(config: Config) -> Engine:
    """The native core with an empty cache."""
    cache, semantic = config.cache, config.semantic_cache
    if semantic.enabled and semantic.verifier == "off":
        log.warning("SEMANTIC_CACHE_VERIFIER=off: nearly alike questions that ask different things share answers")
    return Engine(
        cache_bytes=cache.memory_mb * 1024 * 1024,
        cache_ttl_s=int(cache.ttl_days * 86_400),
        similarity_threshold=cache.similarity_threshold,
        verifier=semantic.verifier,
        decides=semantic.embedder != "builtin",
        per_user=semantic.scope == "user",
    )


def _machine(config: Config) -> str:
    """Name those who share journals and counts: two gateways may run on one host, two hosts keep data in one place."""
    return f"{platform.node()}:{Path(config.data_dir).resolve()}"


def _forget(idempotency: IdempotencyRows, sharing: Sharing | None) -> Forget:
    """What else a worker leaves behind when it dies: answers that it was making, and what its machine let in."""

    async def forget(worker_id: str) -> None:
        await idempotency.forget_worker(worker_id)
        if sharing is not None:
            await sharing.bury(worker_id)

    return forget


def open_models(
    stack: AsyncExitStack, config: Config, environ: Mapping[str, str]
) -> tuple[HttpClient, dict[str, Provider], Catalog]:
    """Open what calls providers: the client, every provider by name, and the models that they have."""
    http = HttpClient(
        connect_timeout_s=config.upstream.connect_timeout_s, max_answer_bytes=config.upstream.max_answer_bytes
    )
    stack.push_async_callback(http.close)
    local = local_model(environ)
    providers = providers_of(config, environ, http, local)
    return http, providers, catalog_of(config, environ, providers.keys(), local)


def catalog_of(
    config: Config, environ: Mapping[str, str], providers: Collection[str], local: dict[str, str] | None
) -> Catalog:
    """The catalog as `serve` had it built, or one of our own where the application is started without it."""
    snapshot = environ.get(CATALOG_VARIABLE)
    if snapshot:
        return msgspec.json.decode(Path(snapshot).read_bytes(), type=Catalog)
    return build_catalog(config, providers, local["name"] if local else None)


def local_model(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Name and address of the local model that `serve` has started, None where it has none."""
    told = environ.get(LOCAL_VARIABLE)
    return orjson.loads(told) if told else None


def providers_of(
    config: Config, environ: Mapping[str, str], http: HttpClient, local: dict[str, str] | None
) -> dict[str, Provider]:
    """Every provider that can be called, by name."""
    made: dict[str, Provider] = {}
    for name, row in resolved_providers(config, environ).items():
        key = row.api_key.reveal() if row.api_key is not None else None
        if row.kind == "anthropic":
            made[name] = AnthropicProvider(name, http, row.base_url, key or "")
        else:
            made[name] = OpenAIProvider(name, http, row.base_url, key, Quirks(row.rename, row.drop))
    if local is not None:
        made["local"] = OpenAIProvider("local", http, local["url"], None, Quirks(drop=PROCESS_FIELDS))
    simulated = config.simulated
    if simulated.enabled != "off":
        made["simulated"] = SimulatedProvider(
            latency_ms=simulated.latency_ms, token_ms=simulated.token_ms, fail=simulated.fail
        )
    return made


def shield_told(config: Config, shields: Shields) -> Callable[[], JsonObject]:
    """Say which rules judge just now."""
    return lambda: {"mode": config.shield.mode, "pack": shields.hash}


async def open_orders(stack: AsyncExitStack, database: Database) -> Orders:
    """Open what knows the rules and settings of every account."""
    orders = Orders(RoutingSettingsRows(database))
    await orders.start()
    stack.push_async_callback(orders.close)
    return orders


def start_shadowing(stack: AsyncExitStack, draws: Draws, auditor: Auditor, catalog: Catalog) -> Shadowing:
    """Start the queue of shadow audits."""
    shadowing = Shadowing(draws, auditor, catalog.reference, catalog.servable)
    shadowing.start()
    stack.push_async_callback(shadowing.close)
    return shadowing


async def open_stored_answers(
    stack: AsyncExitStack, engine: Engine, database: Database, config: Config
) -> tuple[CacheStock, SharedTier | None]:
    """Open what keeps the cache as the database says, and the tier that replicas share, where there is one."""
    cache, semantic = config.cache, config.semantic_cache
    stock = CacheStock(
        engine,
        partial(remember, engine),
        database,
        memory_bytes=cache.memory_mb * 1024 * 1024 if cache.persist else 0,
        alone=not cache.persist or (config.server.workers == 1 and config.database_url is None),
    )
    if not cache.enabled:
        return stock, None
    stock.start()
    stack.push_async_callback(stock.close)
    if database.dialect != "postgres" or not cache.persist or semantic.shared == "off":
        return stock, None
    floor = cache.similarity_threshold if semantic.embedder == "builtin" else NOMINATED
    shared = await SharedTier.open(
        database, stock.covers, Reach(semantic.enabled, floor, semantic.shared_timeout_ms / 1_000)
    )
    stack.push_async_callback(shared.close)
    return stock, shared
