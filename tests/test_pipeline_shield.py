"""When the shield itself fails: refused or let through, as the operator says, and never unseen."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from caching import alone
from counting_house import UNLIMITED, opened_house
from neuralrouting.accounts.admission import Admission
from neuralrouting.accounts.shields import Shields
from neuralrouting.catalog import build_catalog
from neuralrouting.config import Config, ShieldConfig
from neuralrouting.engine import Engine, Inspection
from neuralrouting.errors import MalformedBody
from neuralrouting.exchange import Arrival, Caller, Hints
from neuralrouting.pipeline import Accounts, Pipeline, Routing
from neuralrouting.pipeline.choosing import Choosing
from neuralrouting.providers.dispatcher import Dispatcher
from neuralrouting.providers.speeds import Speeds
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.recorder import Recorder
from neuralrouting.storage.rules import RuleRows
from neuralrouting.storage.security import SecurityRows
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.writer import Writer
from nothing_known import NoOdds, NoOrders

pytestmark = pytest.mark.anyio
BODY = b'{"model":"auto","messages":[{"role":"user","content":"hello"}],"user":"anna"}'


class PanicException(BaseException):
    """What a native panic looks like from here."""


class BrokenShield:
    """An engine whose shield panics on every prompt."""

    def __init__(self, *, everything: bool = False) -> None:
        self._engine = Engine()
        self._everything = everything

    def inspect(self, body: bytes, tenant: str, *, shield: object = None, **hints: object) -> Inspection:
        if shield is not None or self._everything:
            raise PanicException("index out of bounds")
        return self._engine.inspect(body, tenant, **hints)


@pytest.fixture
async def writer(database: Database) -> AsyncIterator[Writer]:
    opened = Writer(database)
    opened.start()
    yield opened
    await opened.close()


Build = Callable[[object, str], Awaitable[Pipeline]]


@pytest.fixture
async def build(database: Database, writer: Writer, tmp_path: Path) -> AsyncIterator[Build]:
    opened: list[Shields] = []
    await AccountRows(database).ensure("acme", "acme", 1, actor=GATEWAY)

    async def pipeline(engine: object, on_error: str) -> Pipeline:
        config = Config(shield=ShieldConfig(on_error=on_error))
        shields = Shields(RuleRows(database), config.shield)
        await shields.start()
        opened.append(shields)
        dispatcher = Dispatcher({}, Speeds(), config.upstream, 1)
        catalog = build_catalog(config, ["simulated"], None)
        price = catalog.baseline.price
        assert price is not None
        admission = Admission(house.bank, house.directory, price, 1)
        accounts = Accounts(shields, house.directory, admission, house.bank)
        choosing = Choosing(config.routing, catalog, dispatcher.speeds, NoOrders(), NoOdds())
        models = Routing(catalog, choosing, dispatcher)
        return Pipeline(config, models, accounts, alone(engine, config), Recorder(writer))

    async with opened_house(database, tmp_path) as house:
        yield pipeline
        for shields in opened:
            await shields.close()


def arrival(mode: str | None = None) -> Arrival:
    caller = Caller("acme", "AbCdEfGhIjKl", live=True, shield_mode=mode)
    return Arrival("req_1", caller, UNLIMITED, Hints("/v1/dispatch"), time.perf_counter_ns(), 1)


async def test_closed_a_panic_fails_the_request(build: Build, writer: Writer, database: Database):
    pipeline = await build(BrokenShield(), "closed")
    with pytest.raises(PanicException):
        pipeline.inspect(BODY, arrival())
    await writer.flush()
    assert await SecurityRows(database).page("acme") == []


async def test_open_a_panic_lets_the_request_pass_with_a_line_and_an_event(
    build: Build, writer: Writer, database: Database, caplog: pytest.LogCaptureFixture
):
    pipeline = await build(BrokenShield(), "open")
    inspection = pipeline.inspect(BODY, arrival())
    assert inspection.verdict is None
    assert "request req_1 passed unscanned: the shield panicked" in caplog.text
    assert "hello" not in caplog.text
    await writer.flush()
    [event] = await SecurityRows(database).page("acme")
    assert (event.action, event.request_id, event.end_user, event.body) == ("unscanned", "req_1", "anna", None)


async def test_a_panic_that_is_not_the_fault_of_the_shield_is_no_reason_to_go_on(build: Build):
    pipeline = await build(BrokenShield(everything=True), "open")
    with pytest.raises(PanicException):
        pipeline.inspect(BODY, arrival())


async def test_open_is_not_open_for_a_body_that_is_refused(build: Build):
    pipeline = await build(Engine(), "open")
    with pytest.raises(MalformedBody):
        pipeline.inspect(b"{", arrival())


async def test_a_key_with_the_shield_off_does_not_meet_a_broken_one(build: Build):
    pipeline = await build(BrokenShield(), "closed")
    assert pipeline.inspect(BODY, arrival("off")).verdict is None
