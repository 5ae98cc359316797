"""Every part of one worker, opened and wired: read here what meets what."""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from neuralrouting.accounts.admission import Admission
from neuralrouting.api.account_routes import account_routes
from neuralrouting.api.bridge import AsgiBridge
from neuralrouting.api.confidence import MatrixProofs
from neuralrouting.api.door import Door
from neuralrouting.api.edge import Edge
from neuralrouting.api.explain import explain_route
from neuralrouting.api.health import Health
from neuralrouting.api.hot import Gate, HotRoute
from neuralrouting.api.idempotency import Idempotency
from neuralrouting.api.learning_routes import learning_routes
from neuralrouting.api.models import Models
from neuralrouting.api.room import Room
from neuralrouting.api.shadow import Shadow
from neuralrouting.api.shapes import CHAT, DISPATCH, DISPATCH_STREAM
from neuralrouting.app import parts
from neuralrouting.app.dashboard import Running, dashboard_routes
from neuralrouting.app.observing import Watched, metrics_route, open_observing
from neuralrouting.app.rest import rest_of
from neuralrouting.config import Config
from neuralrouting.layers.cache import AnswerCache
from neuralrouting.pipeline import Accounts, Caching, Pipeline, Routing
from neuralrouting.pipeline.auditing import Auditor, Records
from neuralrouting.pipeline.choosing import Choosing
from neuralrouting.pipeline.second_look import SecondLook
from neuralrouting.pipeline.shadowing import Draws
from neuralrouting.providers.deciders import open_decider
from neuralrouting.providers.dispatcher import Dispatcher
from neuralrouting.providers.speeds import Speeds
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.idempotency import IdempotencyRows
from neuralrouting.storage.judgements import Judgements
from neuralrouting.storage.recorder import Recorder
from neuralrouting.storage.shadow_audits import ShadowAudits
from neuralrouting.storage.writer import Writer


@asynccontextmanager
async def gateway(config: Config, environ: Mapping[str, str]) -> AsyncGenerator[Edge, None]:
    """Open every part of one worker and wire them; closes them in the opposite order, rows written first."""
    worker_id = os.urandom(8).hex()
    async with AsyncExitStack() as stack:
        observing = open_observing(stack, config, environ)
        database = await open_database(config.database_url, Path(config.data_dir))
        stack.push_async_callback(database.close)
        writer = Writer(database)
        writer.start()
        stack.push_async_callback(writer.close)
        ring = await parts.open_keys(stack, database)
        directory, bank, shields, rates = await parts.open_accounts(stack, config, database, worker_id)
        http, providers, catalog = parts.open_models(stack, config, environ)
        engine = parts.engine_of(config)
        stock, shared = await parts.open_stored_answers(stack, engine, database, config)
        learning = await parts.open_learning(stack, config, database, catalog)
        recorder = Recorder(writer, observing.events.note)
        dispatcher = Dispatcher(providers, Speeds(), config.upstream, config.routing.max_attempts)
        baseline = catalog.baseline.price
        assert baseline is not None  # noqa: S101  the catalog takes no other
        admission = Admission(bank, directory, baseline, config.routing.max_attempts)
        accounts = Accounts(shields, directory, admission, bank)
        decider = await stack.enter_async_context(open_decider(config.semantic_cache, http))
        cache = AnswerCache(engine, config.cache, recorder.entry, decider, stock.covers)
        stack.push_async_callback(cache.close)
        caching = Caching(engine, cache, SecondLook(engine, shared, decider))
        orders = await parts.open_orders(stack, database)
        choosing = Choosing(config.routing, catalog, dispatcher.speeds, orders, learning.confidence)
        records = Records(ShadowAudits(database), Judgements(database), stock.apply_now)
        auditor = Auditor(config, providers, records, engine, cache, learning.confidence)
        shadowing = parts.start_shadowing(stack, Draws(config.shadow, learning.confidence, orders), auditor, catalog)
        routing = Routing(catalog, choosing, dispatcher)
        pipeline = Pipeline(config, routing, accounts, caching, recorder, shadowing)
        door = Door(ring, directory, config.server)
        idempotency = open_idempotency(stack, config, database, worker_id)
        room = Room((recorder, bank), config.server.max_in_flight)
        gate = Gate(door, rates, idempotency, drains=config.upstream.on_disconnect == "drain")
        hot = {
            path: HotRoute(path, shape, gate, pipeline)
            for path, shape in (
                ("/v1/chat/completions", CHAT),
                ("/v1/dispatch", DISPATCH),
                ("/v1/dispatch/stream", DISPATCH_STREAM),
            )
        }

        shield = parts.shield_told(config, shields)
        health = Health(catalog, (writer, bank), lambda: database.fetch("SELECT 1"), shield, learning.confidence.told)
        routes = account_routes(
            door, database, stock.apply_now, catalog, config.billing.default_plan, MatrixProofs(learning.confidence)
        )
        shadow = Shadow(records.audits, AccountRows(database), config.shadow, shadowing.counts)
        routes += [*learning_routes(door, database, learning, shadow), explain_route(door, pipeline.explaining)]
        running = Running(
            config, database, door, catalog, learning, orders, dispatcher.speeds, shadow, pipeline.explaining,
            hot["/v1/chat/completions"], room, parts.open_reports(stack, config, database, catalog),
            stock.apply_now, shields.for_account,
        )  # fmt: skip
        routes.append(metrics_route(door, config, observing))
        rest = AsgiBridge(rest_of(door, Models(catalog), health, routes, dashboard_routes(stack, running)), door)
        edge = Edge(hot, rest, door, room, observing.refused)
        yield observing.watch(Watched(edge, engine, bank, writer, shadowing, auditor, dispatcher.speeds, catalog))


def open_idempotency(stack: AsyncExitStack, config: Config, database: Database, worker_id: str) -> Idempotency:
    """Open what keeps the answers of repeated keys."""
    idempotency = Idempotency(IdempotencyRows(database), worker_id, config.server.idempotency_hours)
    idempotency.start()
    stack.push_async_callback(idempotency.close)
    return idempotency
