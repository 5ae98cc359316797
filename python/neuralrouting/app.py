"""The composition root: configuration in, application out; the only place where all parts meet."""

import asyncio
import gc
import logging
import os
import platform
import sys
import time
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import orjson
from granian.rsgi import HTTPProtocol, Scope
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from neuralrouting.accounts.admission import Admission
from neuralrouting.accounts.bank import Bank
from neuralrouting.accounts.directory import Directory
from neuralrouting.accounts.housekeeping import Forget, Housekeeping
from neuralrouting.accounts.keys import KeyRing
from neuralrouting.accounts.rates import Rates
from neuralrouting.accounts.sharing import Sharing
from neuralrouting.accounts.shields import Shields
from neuralrouting.api import answers, schema
from neuralrouting.api.access import GuardedRoute, Opening, OpenRoute
from neuralrouting.api.account_routes import account_routes
from neuralrouting.api.bridge import AsgiBridge
from neuralrouting.api.door import Door
from neuralrouting.api.edge import Edge
from neuralrouting.api.health import Health
from neuralrouting.api.hot import Gate, HotRoute
from neuralrouting.api.idempotency import Idempotency
from neuralrouting.api.models import Models
from neuralrouting.api.shapes import CHAT, DISPATCH, DISPATCH_STREAM
from neuralrouting.catalog import Catalog, build_catalog
from neuralrouting.config import Config, load, resolved_providers
from neuralrouting.engine import Engine, Limits, version
from neuralrouting.errors import NeuralRoutingError, Unavailable
from neuralrouting.exchange import JsonObject
from neuralrouting.layers.cache import remember
from neuralrouting.pipeline import Accounts, Pipeline
from neuralrouting.providers.anthropic import AnthropicProvider
from neuralrouting.providers.base import Provider
from neuralrouting.providers.dispatcher import Dispatcher
from neuralrouting.providers.http import HttpClient
from neuralrouting.providers.local import PROCESS_FIELDS
from neuralrouting.providers.openai import OpenAIProvider, Quirks
from neuralrouting.providers.simulated import SimulatedProvider
from neuralrouting.providers.speeds import Speeds
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.books import Books
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.entries import EntryRows
from neuralrouting.storage.idempotency import IdempotencyRows
from neuralrouting.storage.journal import Journal
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.plans import PlanRows
from neuralrouting.storage.rates import RateRows
from neuralrouting.storage.recorder import Recorder
from neuralrouting.storage.rules import RuleRows
from neuralrouting.storage.writer import Writer

LOCAL_VARIABLE = "NEURALROUTING_LOCAL"
"""Set by `serve` for its workers: name and address of the local model, as JSON."""
CATALOG_VARIABLE = "NEURALROUTING_CATALOG"
"""Set by `serve` for its workers: the file that holds the catalog of today."""
GC_ALLOCATIONS = 20_000
"""Allocations between two collections of the youngest generation; Python's 700 cost 5 % of a busy worker."""
JOURNALS, LIMITS = "journals", "limits"
"""Folders of the data directory that the workers of this machine share."""
ENTRY_POLL_S = 1.0
"""How often a worker looks for answers that other workers have stored."""
ENTRIES_A_POLL = 5_000
START_S, START_AGAIN_S = 7.0, 0.5
"""How long a new worker waits for a database that is away, in seconds, and how often it asks.

Granian takes one that ends within 5.5 s of being replaced for a crash loop and ends the whole gateway, workers that
serve well included.
"""

log = logging.getLogger("neuralrouting.app")


def create() -> "Application":
    """Build the application of one worker from the environment; what Granian calls."""
    config = load(None, os.environ)
    log_to_stderr(config.log_level)
    return Application(config, os.environ)


def log_to_stderr(level: str) -> None:
    """Send the log of this process to its standard error, one line an event."""
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)


class Application:
    """What Granian calls: its own protocol (RSGI), which costs half of what ASGI does under it.

    Everything that needs a loop is opened before the first request and closed after the last.
    """

    def __init__(self, config: Config, environ: Mapping[str, str]) -> None:
        self._config = config
        self._environ = environ
        self._parts = AsyncExitStack()
        self._edge: Edge

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open the parts; a worker that cannot says why in one line and ends, and another one tries."""
        try:
            self._edge = loop.run_until_complete(self._open(time.monotonic() + START_S))
        except NeuralRoutingError as error:
            log.critical("this worker cannot start: %s", error.message)
            sys.exit(1)
        # What is here now stays: the collector need not look at it again, nor often at short-lived requests.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_ALLOCATIONS)

    async def _open(self, until_s: float) -> Edge:
        while True:
            try:
                return await self._parts.enter_async_context(gateway(self._config, self._environ))
            except Unavailable as error:
                if time.monotonic() > until_s:
                    raise
                log.warning("this worker cannot start yet: %s", error.message)
            await asyncio.sleep(START_AGAIN_S)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write what is not written yet and close the parts."""
        loop.run_until_complete(self._parts.aclose())

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Serve one request."""
        await self._edge(scope, protocol)


@asynccontextmanager
async def gateway(config: Config, environ: Mapping[str, str]) -> AsyncGenerator[Edge, None]:
    """Open every part of one worker and wire them; closes them in the opposite order, rows written first."""
    worker_id = os.urandom(8).hex()
    async with AsyncExitStack() as stack:
        database = await open_database(config.database_url, Path(config.data_dir))
        stack.push_async_callback(database.close)
        writer = Writer(database)
        writer.start()
        stack.push_async_callback(writer.close)
        ring = KeyRing(KeyRows(database))
        await ring.start()
        stack.push_async_callback(ring.close)
        directory, bank, shields, rates = await _accounts(stack, config, database, worker_id)
        http = HttpClient(
            connect_timeout_s=config.upstream.connect_timeout_s, max_answer_bytes=config.upstream.max_answer_bytes
        )
        stack.push_async_callback(http.close)
        local = _local(environ)
        providers = _providers(config, environ, http, local)
        catalog = _catalog(config, environ, providers.keys(), local)
        engine = Engine(
            cache_bytes=config.cache.memory_mb * 1024 * 1024, cache_ttl_s=int(config.cache.ttl_days * 86_400)
        )
        if config.cache.enabled and config.cache.persist:
            following = asyncio.create_task(_follow_entries(engine, EntryRows(database), config))
            stack.callback(following.cancel)
        recorder = Recorder(writer)
        dispatcher = Dispatcher(providers, Speeds(), config.upstream, config.routing.max_attempts)
        baseline = catalog.baseline.price
        assert baseline is not None  # noqa: S101  the catalog takes no other
        admission = Admission(bank, directory, baseline, config.routing.max_attempts)
        accounts = Accounts(shields, directory, admission, bank)
        pipeline = Pipeline(config, engine, catalog, dispatcher, accounts, recorder)
        door = Door(ring, directory, config.server)
        idempotency = Idempotency(IdempotencyRows(database), worker_id, config.server.idempotency_hours)
        idempotency.start()
        stack.push_async_callback(idempotency.close)
        gate = Gate(door, rates, idempotency, drains=config.upstream.on_disconnect == "drain")
        hot = {
            path: HotRoute(path, shape, gate, pipeline)
            for path, shape in (
                ("/v1/chat/completions", CHAT),
                ("/v1/dispatch", DISPATCH),
                ("/v1/dispatch/stream", DISPATCH_STREAM),
            )
        }

        def shield() -> JsonObject:
            return {"mode": config.shield.mode, "pack": shields.hash}

        health = Health(catalog, (writer, bank), lambda: database.fetch("SELECT 1"), shield)
        accounts = account_routes(door, database, Books(database), catalog, config.billing.default_plan)
        rest = AsgiBridge(_rest(door, Models(catalog), health, accounts), door)
        yield Edge(hot, rest, door, (recorder, bank), config.server.max_in_flight)


async def _accounts(
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


def _catalog(
    config: Config, environ: Mapping[str, str], providers: Collection[str], local: dict[str, str] | None
) -> Catalog:
    """The catalog as `serve` had it built, or one of our own where the application is started without it."""
    snapshot = environ.get(CATALOG_VARIABLE)
    if snapshot:
        return msgspec.json.decode(Path(snapshot).read_bytes(), type=Catalog)
    return build_catalog(config, providers, local["name"] if local else None)


def _local(environ: Mapping[str, str]) -> dict[str, str] | None:
    told = environ.get(LOCAL_VARIABLE)
    return orjson.loads(told) if told else None


def _providers(
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


async def _follow_entries(engine: Engine, rows: EntryRows, config: Config) -> None:
    """Fill the cache with what was stored before, then with what other workers store, where there are any."""
    last: int | None = None
    alone = config.server.workers == 1 and config.database_url is None
    while last is None or not alone:
        try:
            if last is None:
                await rows.purge_expired(time.time_ns() // 1_000_000)
                warm = await rows.newest(config.cache.memory_mb * 1024 * 1024)
                fresh, last = warm[::-1], warm[0][0] if warm else 0
            else:
                fresh = await rows.since(last, ENTRIES_A_POLL)
        except NeuralRoutingError as error:
            log.warning("stored answers cannot be read: %s", error.message)
            fresh = []
        for place, (seq, entry) in enumerate(fresh):
            remember(engine, entry)
            last = seq
            if place % 1_000 == 999:
                await asyncio.sleep(0)  # requests come first
        await asyncio.sleep(ENTRY_POLL_S)


def _rest(door: Door, models: Models, health: Health, accounts: Sequence[Route]) -> Starlette:
    """The routes off the hot path."""
    described = schema.document(version())

    async def openapi(_request: Request) -> Response:
        return answers.json_response(described)

    async def docs(request: Request) -> Response:
        return HTMLResponse(schema.page(described, str(request.base_url)), headers=schema.PAGE_HEADERS)

    app = Starlette(
        routes=[
            GuardedRoute("/v1/models", door, {"GET": Opening("member", models.all)}),
            GuardedRoute("/v1/models/{name:path}", door, {"GET": Opening("member", models.one)}),
            *accounts,
            OpenRoute("/healthz", health.alive),
            OpenRoute("/readyz", health.ready),
            OpenRoute("/openapi.json", openapi),
            OpenRoute("/docs", docs),
        ],
        exception_handlers={
            NeuralRoutingError: answers.on_own_error,
            HTTPException: answers.on_http_error,
            Exception: answers.on_any_error,
        },
    )
    app.router.redirect_slashes = False  # its redirects repeat the client's Host header
    return app
