"""Whatever goes wrong in a request, at every place where it waits: its hold ends once, and one row says how."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from counting_house import opened_house
from neuralrouting.accounts.admission import Admission
from neuralrouting.accounts.keys import KeyRing, create_key
from neuralrouting.accounts.rates import Rates
from neuralrouting.accounts.shields import Shields
from neuralrouting.api.door import Door
from neuralrouting.api.hot import Gate, HotRoute
from neuralrouting.api.idempotency import Idempotency
from neuralrouting.api.shapes import CHAT
from neuralrouting.catalog import build_catalog
from neuralrouting.engine import Engine, Limits
from neuralrouting.exchange import Arrival
from neuralrouting.pipeline import Accounts, Pipeline
from neuralrouting.providers.dispatcher import Dispatcher
from neuralrouting.providers.speeds import Speeds
from neuralrouting.storage.database import open_database
from neuralrouting.storage.idempotency import IdempotencyRows
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.plans import PlanRows
from neuralrouting.storage.recorder import Recorder
from neuralrouting.storage.rules import RuleRows
from neuralrouting.storage.verify import verify
from neuralrouting.storage.writer import Writer
from settling import new_account
from till import (
    CONFIG,
    GIVEN_MC,
    PAID,
    THROWN,
    Client,
    Confused,
    Failing,
    Forgetful,
    NeverLearning,
    NeverRecording,
    NeverStoring,
    Speaking,
    Till,
    Warm,
    chat_body,
)

pytestmark = pytest.mark.anyio
Build = Callable[..., Awaitable[Till]]


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Build]:
    """Make a till of these parts, the usual ones where none is named."""
    database = await open_database(None, tmp_path / "data")
    books = await new_account(database, "acme", GIVEN_MC)
    await PlanRows(database).put(PAID, 1)
    await database.execute("UPDATE accounts SET plan_id = 'paid', changed_ms = 2 WHERE id = 'acme'")
    writer = Writer(database)
    writer.start()
    shields = Shields(RuleRows(database), CONFIG.shield)
    await shields.start()
    ring = KeyRing(KeyRows(database))
    key = await create_key(KeyRows(database), "acme", "tests", live=True, now_ms=1)
    await ring.start()
    idempotency = Idempotency(IdempotencyRows(database), "w1", 1.0)
    async with opened_house(database, tmp_path, flush_s=0.001) as house:

        async def till(
            *, engine: object | None = None, speeds: object | None = None, dispatcher: type[Dispatcher] = Dispatcher,
            recorder: object | None = None, directory: object | None = None,
        ) -> Till:  # fmt: skip
            providers = {"first": Failing(), "second": Speaking()}
            catalog = build_catalog(CONFIG, list(providers), None)
            price = catalog.baseline.price
            assert price is not None
            admission = Admission(house.bank, directory or house.directory, price, 2)
            accounts = Accounts(shields, house.directory, admission, house.bank)
            pipeline = Pipeline(
                CONFIG, engine or Engine(), catalog, dispatcher(providers, speeds or Speeds(), CONFIG.upstream, 2),
                accounts, recorder or Recorder(writer),
            )  # fmt: skip
            gate = Gate(
                Door(ring, house.directory, CONFIG.server), Rates(Limits(str(tmp_path / "limits"))), idempotency,
                drains=False,
            )  # fmt: skip
            route = HotRoute("/v1/chat/completions", CHAT, gate, pipeline)
            return Till(database, books, house.bank, pipeline, route, key.key)

        yield till
    assert await verify(database, time.time_ns() // 1_000_000) == []
    for part in (shields, ring, writer, database):
        await part.close()


@pytest.mark.parametrize("error", THROWN)
async def test_whatever_is_raised_wherever_a_request_waits_its_hold_ends_once(
    build: Build, error: str, capsys: pytest.CaptureFixture[str]
):
    till = await build(speeds=Warm())
    works: dict[str, Callable[[Arrival], Coroutine[Any, Any, object]]] = {
        "complete": till.complete,
        "stream": till.read,
        "stream left early": lambda arrival: till.read(arrival, 2),
        "endpoint": lambda arrival: till.serve(arrival, stream=False),
        "endpoint, stream": lambda arrival: till.serve(arrival, stream=True),
    }
    covered = {name: await till.throw_everywhere(name, work, THROWN[error]) for name, work in works.items()}
    with capsys.disabled():
        told = ", ".join(f"{name} {count}" for name, count in covered.items())
        print(f"\n{error} thrown at {sum(covered.values())} places: {told}")  # noqa: T201
    assert covered["complete"] >= 4
    assert min(covered["stream"], covered["endpoint, stream"]) > covered["complete"] + 4


async def test_a_stream_that_is_closed_after_any_batch_ends_its_hold_and_never_charges_less_for_more(build: Build):
    till = await build()
    charges: list[int] = []
    for batches in range(7):
        arrival = till.arrival()
        await till.read(arrival, batches)
        state, charged_mc = await till.check(arrival, within=f"closed after {batches}")
        assert state == "settled"
        charges.append(charged_mc)
    assert charges == sorted(charges)
    assert charges[-1] == 10 * (11 + 7)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("parts", "state"),
    [
        ({"speeds": NeverLearning()}, "settled"),
        ({"engine": NeverStoring(), "speeds": Warm()}, "settled"),
        ({"recorder": NeverRecording()}, "settled"),
        ({"dispatcher": Confused}, "voided"),
        ({"directory": Forgetful()}, "none"),
    ],
    ids=["learning", "storing", "recording", "making the row", "telling of budgets"],
)
async def test_a_bug_in_a_part_ends_the_hold_once_all_the_same(
    build: Build, parts: dict[str, Any], state: str, *, stream: bool
):
    till = await build(**parts)
    arrival = till.arrival()
    with pytest.raises((RuntimeError, KeyError)):
        await (till.read(arrival) if stream else till.complete(arrival))
    assert (await till.check(arrival))[0] == state


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_client_that_leaves_while_the_provider_is_silent_pays_for_what_came(build: Build, *, stream: bool):
    till = await build(speeds=Warm())
    for after in range(12):
        arrival, client = till.arrival(), Client(chat_body(stream=stream))
        serving = asyncio.create_task(till.serve(arrival, stream=stream, client=client))
        for _ in range(after):
            await asyncio.sleep(0)
        client.gone.set()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await till.check(arrival, read=after > 1)
