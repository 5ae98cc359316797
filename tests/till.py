"""A pipeline with a paying account, without a gateway round it: parts that speak, wait and fail as told."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from granian.rsgi import ProtocolClosed

from caching import alone
from counting_house import opened_house
from neuralrouting.accounts.admission import Admission
from neuralrouting.accounts.bank import Bank
from neuralrouting.accounts.keys import KeyRing, create_key
from neuralrouting.accounts.rates import Rates
from neuralrouting.accounts.shields import Shields
from neuralrouting.api.door import Door
from neuralrouting.api.hot import Gate, HotRoute
from neuralrouting.api.idempotency import Idempotency
from neuralrouting.api.shapes import CHAT
from neuralrouting.catalog import build_catalog
from neuralrouting.config import Config, ModelConfig, RoutingConfig
from neuralrouting.engine import Engine, Inspection, Limits
from neuralrouting.errors import UpstreamError
from neuralrouting.exchange import Arrival, Attempt, Budget, Caller, Chunk, Hints, Plan, Route
from neuralrouting.pipeline import Accounts, Pipeline, Routing
from neuralrouting.pipeline.choosing import Choosing
from neuralrouting.providers.base import Call, Completion
from neuralrouting.providers.dispatcher import Dispatcher, OpenedStream, Served
from neuralrouting.providers.speeds import Speeds
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.idempotency import IdempotencyRows
from neuralrouting.storage.journal import Started
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.plans import PlanRows
from neuralrouting.storage.recorder import Recorder
from neuralrouting.storage.rules import RuleRows
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.turns import credits_purse
from neuralrouting.storage.verify import verify
from neuralrouting.storage.writer import Writer
from nothing_known import NoOdds, NoOrders
from settling import new_account
from stepping import Stepped

EVERY_MODE = ("auto", "cost", "quality", "speed")
PAID = Plan("paid", "Paid", 100, 1_000_000, None, None, None, EVERY_MODE, force_model=True)
ACME = credits_purse("acme")
GIVEN_MC = 10_000_000
CONFIG = Config(
    routing=RoutingConfig(max_attempts=2),
    models=tuple(
        ModelConfig(
            "m", name, context_tokens=8_000, max_output_tokens=400, tier="medium",
            input_usd_per_mtok="1", output_usd_per_mtok="2", credits_per_1k=10,
        )
        for name in ("first", "second")
    ),
)  # fmt: skip
_numbers = itertools.count(1)
THROWN: dict[str, Callable[[], BaseException]] = {
    "cancelled": asyncio.CancelledError,
    "upstream": lambda: UpstreamError("it broke"),
    "bug": lambda: RuntimeError("a bug"),
}


class Failing:
    """A provider that fails after a while."""

    name, simulated = "first", False

    async def complete(self, _call: Call) -> Completion:
        await asyncio.sleep(0)
        raise UpstreamError("the first always fails")

    async def stream(self, _call: Call) -> AsyncGenerator[Sequence[Chunk], None]:
        await asyncio.sleep(0)
        raise UpstreamError("the first always fails")
        yield ()


USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


class Speaking:
    """A provider that answers in three pieces, and waits before, between and after them."""

    name, simulated = "second", False

    async def complete(self, _call: Call) -> Completion:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        message = {"role": "assistant", "content": "one two three"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        data = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        data |= {"usage": USAGE}
        return Completion(msgspec.json.encode(data), data)

    async def stream(self, _call: Call) -> AsyncGenerator[Sequence[Chunk], None]:
        try:
            await asyncio.sleep(0)
            yield [_chunk({"role": "assistant", "content": ""})]
            for piece in ("one ", "two ", "three"):
                await asyncio.sleep(0)
                yield [_chunk({"content": piece})]
            await asyncio.sleep(0)
            yield [_chunk({}, "stop"), _chunk(None) | {"usage": USAGE}]
            await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)


def _chunk(delta: dict[str, str] | None, finish: str | None = None) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}


class Warm(Speeds):
    """Speeds that let no provider rest, so that each request meets the failing one first."""

    def cool(self, deployment: str, until_s: float) -> None:
        pass


class NeverLearning(Warm):
    """Speeds with a bug."""

    def learn(self, *_told: object) -> None:
        raise RuntimeError("speeds have a bug")


class NeverStoring:
    """An engine whose cache cannot be written."""

    def __init__(self) -> None:
        engine = Engine()
        self.inspect, self.embedder = engine.inspect, engine.embedder

    def store(self, *_told: object, **_more: object) -> bool:
        raise RuntimeError("the cache has a bug")


class NeverRecording:
    """A recorder that cannot keep what the cache has stored."""

    def entry(self, _entry: object) -> None:
        raise RuntimeError("the recorder has a bug")

    def sign(self, _sign: object) -> None:
        raise RuntimeError("the recorder has a bug")

    def ended(self, _done: object) -> None:
        raise RuntimeError("the recorder has a bug")


class Confused(Dispatcher):
    """A dispatcher that tells of a call of a model that nobody knows: no row can be made of that."""

    async def complete(
        self, route: Route, inspection: Inspection, attempts: list[Attempt], limit: int | None
    ) -> Served:
        served = await super().complete(route, inspection, attempts, limit)
        attempts.append(Attempt("nobody/knows", "nobody", "ok", 1))
        return served

    async def open(
        self, route: Route, inspection: Inspection, attempts: list[Attempt], limit: int | None
    ) -> OpenedStream:
        opened = await super().open(route, inspection, attempts, limit)
        attempts.append(Attempt("nobody/knows", "nobody", "ok", 1))
        return opened


class Forgetful:
    """A directory that knows a budget and fails when it is asked how much of it is spent."""

    def budgets_of(self, account_id: str) -> tuple[Budget, ...]:
        return (Budget("b1", account_id, "b1", "account", "", "total", 10**12, "warn"),)

    def used(self, _purse: str) -> int:
        raise RuntimeError("the directory has a bug")


class Client:
    """Granian's protocol object, for one request whose client may leave."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.status = 0
        self.sent = b""
        self.gone = asyncio.Event()

    async def __call__(self) -> bytes:
        await asyncio.sleep(0)
        return self.body

    async def client_disconnect(self) -> None:
        await self.gone.wait()

    def response_bytes(self, status: int, _headers: object, body: bytes) -> None:
        self.status, self.sent = status, body

    def response_stream(self, status: int, _headers: object) -> "Client":
        self.status = status
        return self

    async def send_bytes(self, data: bytes) -> None:
        await asyncio.sleep(0)
        if self.gone.is_set():
            raise ProtocolClosed
        self.sent += data


class Scope:
    """What Granian tells of a request."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers


@dataclass
class Till:
    """A pipeline with a paying account, the route before it, and what is in the books."""

    database: Database
    books: Books
    bank: Bank
    pipeline: Pipeline
    route: HotRoute
    key: str

    def arrival(self) -> Arrival:
        caller = Caller("acme", "AbCdEfGhIjKl", live=True)
        number = next(_numbers)
        return Arrival(f"req_{number}", caller, PAID, Hints("/v1/dispatch"), time.perf_counter_ns(), 1_795_867_200_000)

    async def complete(self, arrival: Arrival) -> None:
        await self.pipeline.complete(arrival, self.pipeline.inspect(chat_body(stream=False), arrival))

    async def read(self, arrival: Arrival, batches: int | None = None) -> None:
        """Read a stream, to its end or so many batches of it, and close it."""
        stream = await self.pipeline.open(arrival, self.pipeline.inspect(chat_body(stream=True), arrival))
        try:
            read = 0
            while read != batches:
                try:
                    await anext(aiter(stream.batches))
                except StopAsyncIteration:
                    break
                read += 1
                await asyncio.sleep(0)
        finally:
            await stream.batches.aclose()

    async def serve(self, arrival: Arrival, *, stream: bool, client: Client | None = None) -> None:
        """The whole way through the endpoint, from the headers on."""
        headers = {"authorization": f"Bearer {self.key}", "content-length": "1"}
        await self.route(arrival.request_id, Scope(headers), client or Client(chat_body(stream=stream)))

    async def check(self, arrival: Arrival, *, within: str = "", read: bool = True) -> tuple[str, int]:
        """The hold is gone, there is one row, and the ledger has what the row says; return state and charge.

        Of a request whose body never came there is no row.
        """
        await self.bank.flush()
        rows = await self.database.fetch(
            "SELECT hold_state, held_mc, charged_mc, status FROM requests WHERE request_id = $1", arrival.request_id
        )
        assert len(rows) == read, f"{within}: {len(rows)} rows"
        if not read:
            await self.nothing_is_held(within)
            return "none", 0
        state, held_mc, charged_mc, _ = rows[0]
        entries = await self.books.entries_of(arrival.request_id, "acme")
        assert len(entries) == (state == "settled"), within
        assert -sum(entry.delta_mc for entry in entries) == charged_mc, within
        assert charged_mc <= held_mc, within
        assert state in ("settled", "voided") or held_mc == 0, within
        await self.nothing_is_held(within)
        return state, charged_mc

    async def nothing_is_held(self, within: str = "") -> None:
        """Everything that the account has can be held at once."""
        posted = (await self.books.balance("acme")).posted_mc
        async with asyncio.timeout(5):
            hold = await self.bank.hold(((ACME, posted),), _probe())
        assert hold.is_open, within
        self.bank.settle(hold, _probe().expired())
        await self.bank.flush()

    async def throw_everywhere(
        self,
        name: str,
        work: Callable[[Arrival], Coroutine[Any, Any, object]],
        error: Callable[[], BaseException],
    ) -> int:
        """Throw at the first, second, ... place where it waits, until there is none; return how many there were."""
        for at in itertools.count(1):
            arrival = self.arrival()
            run = Stepped(work(arrival), at, error())
            try:
                await run
            except (asyncio.CancelledError, UpstreamError, RuntimeError) as raised:
                assert run.hit, f"{name} failed untouched: {raised!r}"  # noqa: PT017
            body_came = at > 1 or not name.startswith("endpoint")
            state, _ = await self.check(arrival, within=f"{name}, place {at}", read=body_came)
            if not run.hit:
                assert state == "settled"
                return at - 1
        raise AssertionError


Build = Callable[..., Awaitable[Till]]


@contextlib.asynccontextmanager
async def opened_tills(root: Path, plan: Plan = PAID) -> AsyncIterator[Build]:
    """Make tills of these parts, the usual ones where none is named; the books must balance when this ends."""
    database = await open_database(None, root / "data")
    books = await new_account(database, "acme", GIVEN_MC)
    await PlanRows(database).put(plan, 1, actor=GATEWAY)
    await database.execute("UPDATE accounts SET plan_id = 'paid', changed_ms = 2 WHERE id = 'acme'")
    writer = Writer(database)
    writer.start()
    shields = Shields(RuleRows(database), CONFIG.shield)
    await shields.start()
    ring = KeyRing(KeyRows(database))
    key = await create_key(KeyRows(database), "acme", "tests", live=True, now_ms=1, actor=GATEWAY)
    await ring.start()
    idempotency = Idempotency(IdempotencyRows(database), "w1", 1.0)
    async with opened_house(database, root, flush_s=0.001) as house:

        async def till(
            *, engine: object | None = None, speeds: object | None = None, dispatcher: type[Dispatcher] = Dispatcher,
            recorder: object | None = None, directory: object | None = None, config: Config = CONFIG,
            providers: dict[str, Any] | None = None,
        ) -> Till:  # fmt: skip
            providers = providers or {"first": Failing(), "second": Speaking()}
            catalog = build_catalog(config, list(providers), None)
            price = catalog.baseline.price
            assert price is not None
            attempts = config.routing.max_attempts
            admission = Admission(house.bank, directory or house.directory, price, attempts)
            accounts = Accounts(shields, house.directory, admission, house.bank)
            keeper = recorder or Recorder(writer)
            caching = alone(engine or Engine(), config, keeper.entry)
            called = dispatcher(providers, speeds or Speeds(), config.upstream, attempts)
            choosing = Choosing(config.routing, catalog, called.speeds, NoOrders(), NoOdds())
            models = Routing(catalog, choosing, called)
            pipeline = Pipeline(config, models, accounts, caching, keeper)
            gate = Gate(
                Door(ring, house.directory, config.server), Rates(Limits(str(root / "limits"))), idempotency,
                drains=False,
            )  # fmt: skip
            route = HotRoute("/v1/chat/completions", CHAT, gate, pipeline)
            return Till(database, books, house.bank, pipeline, route, key.key)

        yield till
    assert await verify(database, time.time_ns() // 1_000_000) == []
    for part in (shields, ring, writer, database):
        await part.close()


def _probe() -> Started:
    return Started(f"probe_{next(_numbers)}", 1, "acme", "AbCdEfGhIjKl", "/v1/dispatch", stream=False, held_mc=0)


def chat_body(*, stream: bool) -> bytes:
    prompt = f"prompt {next(_numbers)}"
    return msgspec.json.encode({"model": "m", "stream": stream, "messages": [{"role": "user", "content": prompt}]})
