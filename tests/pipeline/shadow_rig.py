"""Shadow audits over real parts: models that answer over a socket as the test says, rows in a real database."""

import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from fake_replies import Answer
from fake_upstream import Entry, FakeUpstream, Recorded, Reply
from neuralrouting.accounts.admission import Admitted
from neuralrouting.accounts.bank import Hold
from neuralrouting.accounts.bounds import Tab
from neuralrouting.catalog import Catalog, Deployment, build_catalog
from neuralrouting.config import Config, ModelConfig, ProviderConfig, RoutingConfig, ShadowConfig, UpstreamConfig
from neuralrouting.engine import Engine
from neuralrouting.exchange import Arrival, Bill, CacheEntry, Caller, Facts, Hints, Lookup, Plan, Route, Usage
from neuralrouting.layers.cache import AnswerCache
from neuralrouting.layers.classification import task_of
from neuralrouting.layers.confidence import Confidence, matrix_settings
from neuralrouting.pipeline.auditing import Auditor, Records
from neuralrouting.pipeline.shadowing import Draws, Shadowing
from neuralrouting.pipeline.turn import Turn
from neuralrouting.providers.http import HttpClient
from neuralrouting.providers.openai import OpenAIProvider
from neuralrouting.storage.database import Database
from neuralrouting.storage.judgements import Judgements
from neuralrouting.storage.shadow_audits import ShadowAudit, ShadowAudits, ShadowFilter
from nothing_known import NoOrders

PLAN = Plan("paid", "Paid", 100, None, None, None, None, ("auto", "cost", "quality", "speed"), force_model=True)
CHEAP, GOOD, JUDGE = "house/cheap", "house/good", "house/judge"
SETTINGS = ShadowConfig(share=1, most=1, cache_share=1, daily_usd="1")
ANYTHING = ShadowFilter()
_numbers = itertools.count(1)


def config_of(settings: ShadowConfig = SETTINGS, **changes: object) -> Config:
    """Three models at one provider: one that costs little, the reference, and a better one that judges."""
    prices = {"house/cheap": ("0.1", "0.4"), "house/good": ("4", "12"), "house/judge": ("5", "15")}
    models = tuple(
        ModelConfig(
            name.partition("/")[2], "house", context_tokens=64_000, max_output_tokens=8_000, json_schema=True,
            json_mode=True, input_usd_per_mtok=paid_in, output_usd_per_mtok=paid_out,
        )
        for name, (paid_in, paid_out) in prices.items()
    )  # fmt: skip
    config = Config(
        routing=RoutingConfig(reference_model="good"),
        shadow=settings,
        upstream=UpstreamConfig(total_timeout_s=5),
        models=models,
    )
    return msgspec.structs.replace(config, **changes)


def says(better: str, reason: str = "correctness", note: str = "") -> Callable[[Recorded], Reply]:
    """A judge that always says the same, whichever side it sees."""
    return Answer(msgspec.json.encode({"better": better, "reason": reason, "note": note}).decode(), usage=(300, 20))


def prefers(text: str) -> Callable[[Recorded], Reply]:
    """A judge that finds this text better, on whichever side it is."""

    def answer(request: Recorded) -> Reply:
        shown = request.json()["messages"][1]["content"]
        first = shown.partition("<<<ANSWER B")[0]
        return says("A" if text in first else "B")(request)

    return answer


@dataclass
class Rig:
    """Parts of one worker; `lines` says what each model answers."""

    config: Config
    database: Database
    catalog: Catalog
    upstream: FakeUpstream
    engine: Engine
    answers: AnswerCache
    audits: ShadowAudits
    auditor: Auditor
    shadowing: Shadowing
    lines: dict[str, Entry]
    kept: list[CacheEntry] = field(default_factory=list)

    def model(self, name: str) -> Deployment:
        return next(d for d in self.catalog.servable if d.id == name)

    def turn(self, prompt: str | None = None, *, account: str = "acme", **fields: Any) -> Turn:  # noqa: ANN401  a body
        """A request that was routed; `live`, `hints` and `route` are of its arrival, the rest of its body."""
        caller = Caller(account, "AbCdEfGhIjKl", live=fields.pop("live", True))
        hints = fields.pop("hints", Hints("/v1/dispatch"))
        route = fields.pop("route", tuple(d for d in self.catalog.servable if d.provider == "house"))
        now_ms = time.time_ns() // 1_000_000
        number = next(_numbers)
        arrival = Arrival(f"req_{number}", caller, PLAN, hints, time.perf_counter_ns(), now_ms)
        messages = [{"role": "user", "content": prompt or f"prompt {number}"}]
        body = msgspec.json.encode({"model": "auto", "messages": messages, **fields})
        inspection = self.engine.inspect(body, f"{account}/live", model=hints.model, semantic=True)
        turn = Turn(arrival, inspection, stream=False)
        if inspection.classification is not None:
            turn.task = task_of(inspection.classification)
            price = self.catalog.baseline.price
            assert price is not None
            tab = Tab(None, (), price)
            chosen = Route("auto", "tests", route, capable=route)
            turn.admitted = Admitted(chosen, Hold(()), 0, None, tab, turn.size, (), ())
        return turn

    def serve(self, turn: Turn, served: str, text: str, finish: str = "stop") -> None:
        """Answer a request by a model, keep the answer, and offer it for an audit."""
        deployment = self.model(served)
        data = Answer(text, finish=finish, model=deployment.model).completion()
        usage = Usage(11, 7)
        facts = Facts(turn.arrival.request_id, deployment, turn.missed, usage, Bill(1, 1, 0, None, "v"), 0)
        self.answers.store(turn.arrival, turn.inspection, deployment, usage, data)
        self.shadowing.offer(turn, facts, lambda: data)

    def hit(self, turn: Turn) -> Lookup:
        """Answer a request from the cache, and offer it."""
        hit = turn.inspection.hit
        assert hit is not None
        outcome = "canonical" if hit.kind == "canonical" else "semantic"
        cache = Lookup(outcome, hit.similarity, 0, hit.key.hex())
        self.offer(turn, self.model(hit.deployment), cache, hit.body)
        return cache

    def offer(self, turn: Turn, served: Deployment, cache: Lookup, body: bytes) -> None:
        """Offer an answer from the cache that was given like this."""
        facts = Facts(turn.arrival.request_id, served, cache, Usage(11, 7), Bill(0, 1, 1, None, "v"), 0)
        self.shadowing.offer(turn, facts, lambda: msgspec.json.decode(body))

    async def rows(self, account: str = "acme") -> list[ShadowAudit]:
        """The audits, oldest first, once all that were drawn are done."""
        await self.shadowing.idle()
        return (await self.audits.page(account, ANYTHING, 1_000))[::-1]

    async def row(self) -> ShadowAudit:
        [audit] = await self.rows()
        return audit

    def calls(self, name: str) -> list[Recorded]:
        """What a model was asked."""
        return [one for one in list(self.upstream.requests) if one.json()["model"] == name.partition("/")[2]]


@contextlib.asynccontextmanager
async def opened_rig(
    database: Database,
    config: Config | None = None,
    *,
    started: bool = True,
    simulated: bool = False,
    **draws: Any,  # noqa: ANN401  parts of several types
) -> AsyncIterator[Rig]:
    """Open the parts. `draws` replaces evidence, orders or the random numbers."""
    config = config or config_of()
    lines: dict[str, Entry] = {CHEAP: Answer("cheap says"), GOOD: Answer("good says"), JUDGE: says("tie", "equal")}

    def reply(request: Recorded) -> Reply:
        entry = lines[f"house/{request.json()['model']}"]
        return entry(request) if callable(entry) else entry

    with FakeUpstream(reply) as upstream:
        http = HttpClient(connect_timeout_s=2, max_answer_bytes=1 << 20)
        named = msgspec.structs.replace(config, providers={"house": ProviderConfig(base_url=upstream.url)})
        catalog = build_catalog(named, ["house"], None)
        if simulated:
            played = tuple(msgspec.structs.replace(d, simulated=True) for d in catalog.servable)
            catalog = msgspec.structs.replace(catalog, servable=played)
        kept: list[CacheEntry] = []
        engine = Engine()
        answers = AnswerCache(engine, config.cache, kept.append)
        audits = ShadowAudits(database)

        async def obey() -> None:
            for retired in await Judgements(database).against(0, time.time_ns() // 1_000_000):
                engine.forget(retired.key)

        records = Records(audits, Judgements(database), obey)
        providers = {"house": OpenAIProvider("house", http, upstream.url, None)}
        nothing_proven = Confidence(catalog, matrix_settings(config))
        auditor = Auditor(config, providers, records, engine, answers, nothing_proven)
        told = {"evidence": nothing_proven, "orders": NoOrders(), **draws}
        reference = next(d for d in catalog.servable if d.id == GOOD)
        shadowing = Shadowing(Draws(config.shadow, **told), auditor, reference, catalog.servable)
        if started:
            shadowing.start()
        yield Rig(config, database, catalog, upstream, engine, answers, audits, auditor, shadowing, lines, kept)
        await shadowing.close()
        await http.close()
