"""One request through the layers, in order: start reading here.

inspect (Rust: parse, key, shield, exact lookup, classifier) -> shield -> cache -> task -> route -> dispatch -> bill ->
store -> record.
"""

import hashlib
import logging
import time
from collections.abc import AsyncGenerator, Sequence

from neuralrouting.accounts.shields import Shields
from neuralrouting.catalog import VIRTUAL_MODELS, Catalog, Deployment
from neuralrouting.config import Config
from neuralrouting.engine import (
    CachedReply,
    Engine,
    Inspection,
    RejectedBody,
    Shield,
    Verdict,
    estimate_tokens,
    panicked,
    rejection,
)
from neuralrouting.errors import NeuralRoutingError, ShieldBlocked, UpstreamError, UpstreamInterrupted
from neuralrouting.exchange import (
    Answer,
    AnswerStream,
    Arrival,
    Attempt,
    CacheOutcome,
    Chunk,
    Exchange,
    Facts,
    Finding,
    JsonObject,
    Mode,
    Route,
    Task,
    Usage,
)
from neuralrouting.layers import finops
from neuralrouting.layers.cache import ExactCache
from neuralrouting.layers.classification import task_of
from neuralrouting.layers.routing import Ask, Router
from neuralrouting.layers.shield import FLAG_RISK, Guard, refusal
from neuralrouting.providers.base import usage_of
from neuralrouting.providers.dispatcher import CLIENT_CLOSED, Dispatcher, OpenedStream
from neuralrouting.providers.tally import Tally
from neuralrouting.storage.recorder import Recorder

CLIENT_CLOSED_STATUS = 499
"""Recorded status of a request whose client left; nginx's number, since HTTP has none."""
log = logging.getLogger("neuralrouting.pipeline")
_MODES: dict[str, Mode] = {"auto": "auto", "cost": "cost", "quality": "quality", "speed": "speed"}


class _Turn:
    """What one request has come to so far."""

    __slots__ = ("arrival", "attempts", "finding", "inspection", "route", "stream", "task")

    def __init__(self, arrival: Arrival, inspection: Inspection, *, stream: bool) -> None:
        self.arrival = arrival
        self.inspection = inspection
        self.stream = stream  # as the endpoint decided, which may not be what the body says
        self.finding: Finding | None = None
        self.task: Task | None = None
        self.route: Route | None = None
        self.attempts: list[Attempt] = []

    @property
    def outcome(self) -> CacheOutcome:
        return "miss" if self.arrival.hints.read_cache else "bypass"

    @property
    def upstream_us(self) -> int:
        return sum(attempt.latency_us for attempt in self.attempts)

    @property
    def end_user(self) -> str | None:
        return self.inspection.user or self.arrival.hints.end_user


class Pipeline:
    """The layers of one worker, wired."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        catalog: Catalog,
        dispatcher: Dispatcher,
        shields: Shields,
        recorder: Recorder,
    ) -> None:
        self._engine = engine
        self._baseline = catalog.baseline
        everything = (*catalog.known, *catalog.servable, *catalog.by_name_only)
        self._deployments = {d.id: d for d in everything}
        # A stored answer is found again only while the same models can be reached: a simulated one never outlives
        # the moment in which a real provider takes over.
        reachable = "\n".join(sorted(d.id for d in catalog.servable))
        self._policy = hashlib.sha256(reachable.encode()).hexdigest()[:16]
        self._default_mode: Mode = config.routing.default_mode
        self._keep_bodies = config.store_bodies
        self._cache = ExactCache(engine, config.cache, recorder.entry)
        self._router = Router(catalog, VIRTUAL_MODELS)
        self._dispatcher = dispatcher
        self._speeds = dispatcher.speeds
        self._guard = Guard(config.shield, shields)
        self._recorder = recorder

    def inspect(self, body: bytes, arrival: Arrival) -> Inspection:
        """Parse, scan and look up in one native call; raises RequestError for a body that cannot be served."""
        shield = self._guard.shield_for(arrival.caller)
        try:
            return self._inspect(body, arrival, shield)
        except BaseException as error:
            if shield is None or not (self._guard.lets_pass_unscanned and panicked(error)):
                raise
            return self._pass_unscanned(body, arrival)

    def _inspect(self, body: bytes, arrival: Arrival, shield: Shield | None) -> Inspection:
        caller, hints = arrival.caller, arrival.hints
        try:
            return self._engine.inspect(
                body,
                f"{caller.account_id}/{'live' if caller.live else 'test'}/{self._policy}",
                model=hints.model,
                routing_mode=hints.routing_mode,
                read_cache=hints.read_cache and self._cache.enabled,
                shield=shield,
            )
        except RejectedBody as error:
            raise rejection(error) from error

    def _pass_unscanned(self, body: bytes, arrival: Arrival) -> Inspection:
        """Go on without the shield, which panicked; panics again when it was not the shield's fault."""
        inspection = self._inspect(body, arrival, None)
        log.error("request %s passed unscanned: the shield panicked (SHIELD_ON_ERROR=open)", arrival.request_id)
        self._audit(_Turn(arrival, inspection, stream=False))
        return inspection

    def _begin(self, arrival: Arrival, inspection: Inspection, *, stream: bool) -> _Turn:
        """Let the shield's verdict take effect, before anything answers. Raises ShieldBlocked."""
        turn = _Turn(arrival, inspection, stream=stream)
        verdict = inspection.verdict
        if verdict is not None and verdict.risk >= FLAG_RISK:
            self._enforce(turn, verdict)
        return turn

    def _enforce(self, turn: _Turn, verdict: Verdict) -> None:
        turn.finding = self._guard.judge(verdict, turn.arrival.caller)
        self._audit(turn)
        if turn.finding.action == "block":
            blocked = refusal(turn.finding)
            self._record(turn, None, failure=blocked)
            raise blocked

    def _audit(self, turn: _Turn) -> None:
        body = turn.inspection.body if self._keep_bodies else None
        self._recorder.security(self._guard.event(turn.arrival, turn.finding, turn.end_user, body))

    async def complete(self, arrival: Arrival, inspection: Inspection) -> Answer:
        """Answer as a whole. Raises RequestError or UpstreamError; whatever happens, one row is recorded."""
        turn = self._begin(arrival, inspection, stream=False)
        hit = inspection.hit
        if hit is not None:
            facts = self._hit_facts(arrival, hit)
            body = self._cache.replay_body(hit, arrival)
            self._record(turn, facts, response_body=body)
            return Answer(body, facts, turn.finding)
        try:
            turn.route = self._decide(turn)
            served = await self._dispatcher.complete(turn.route, inspection, turn.attempts)
        except BaseException as error:
            self._record(turn, None, failure=error)
            raise
        completion, deployment = served.completion, served.deployment
        usage = usage_of(completion.data) or _estimated(completion.data, inspection.prompt_tokens)
        self._speeds.learn(deployment.id, None, usage.completion_tokens, turn.attempts[-1].latency_us)
        facts = self._facts(turn, deployment, usage, _since_us(arrival) - turn.upstream_us)
        self._cache.store(arrival, inspection.key, deployment, usage, completion.data)
        self._record(turn, facts, response_body=completion.body)
        return Answer(completion.body, facts, turn.finding, turn.task)

    async def open(self, arrival: Arrival, inspection: Inspection) -> AnswerStream:
        """Begin a streamed answer; the first token is there when this returns. Raises as `complete` does."""
        turn = self._begin(arrival, inspection, stream=True)
        hit = inspection.hit
        if hit is not None:
            return self._open_from_cache(turn, hit)
        try:
            turn.route = self._decide(turn)
            opened = await self._dispatcher.open(turn.route, inspection, turn.attempts)
        except BaseException as error:
            self._record(turn, None, failure=error)
            raise
        overhead_us = _since_us(arrival) - turn.upstream_us - opened.ttft_us
        stream = AnswerStream(opened.deployment, turn.outcome, overhead_us, turn.finding, turn.task)
        stream.batches = self._watch(turn, opened, stream)
        return stream

    def _open_from_cache(self, turn: _Turn, hit: CachedReply) -> AnswerStream:
        facts = self._hit_facts(turn.arrival, hit)
        self._record(turn, facts, response_body=hit.body)
        stream = AnswerStream(facts.deployment, "exact", facts.overhead_us, turn.finding, turn.task)
        stream.batches = _once(self._cache.replay_chunks(hit, turn.arrival))
        stream.facts = facts
        return stream

    async def _watch(
        self, turn: _Turn, opened: OpenedStream, stream: AnswerStream
    ) -> AsyncGenerator[Sequence[Chunk], None]:
        """Hand the batches on, and settle exactly once however the stream ends."""
        tally = Tally(turn.inspection.prompt_tokens)
        failure: BaseException | None = None
        try:
            tally.see(opened.first)
            yield opened.first
            async for batch in opened.rest:
                tally.see(batch)
                yield batch
        except UpstreamError as error:
            failure = error
            raise UpstreamInterrupted(f"the stream broke: {error.message}") from error
        except BaseException as error:
            failure = error
            raise
        finally:
            await opened.rest.aclose()
            self._settle(turn, opened, stream, tally, failure)

    def _settle(
        self, turn: _Turn, opened: OpenedStream, stream: AnswerStream, tally: Tally, failure: BaseException | None
    ) -> None:
        """After the last byte: what was used, what it cost, what was learnt."""
        usage, served = tally.usage(), opened.deployment
        latency_us = int((time.monotonic() - opened.started_s) * 1_000_000)
        outcome = "ok" if failure is None else _code(failure)
        turn.attempts.append(Attempt(served.id, served.provider, outcome, latency_us, opened.ttft_us, 200))
        stream.facts = self._facts(turn, served, usage, stream.overhead_us)
        if failure is None:
            generation_us = latency_us - opened.ttft_us
            self._speeds.learn(served.id, opened.ttft_us, usage.completion_tokens, generation_us)
            if tally.plain:
                self._cache.store(turn.arrival, turn.inspection.key, served, usage, tally.completion())
        body = tally.completion_bytes() if self._keep_bodies else None
        self._record(turn, stream.facts, failure=failure, ttft_us=opened.ttft_us, response_body=body)

    def _decide(self, turn: _Turn) -> Route:
        """See what is asked for, then choose who is asked. Raises RequestError where nobody can be."""
        found = turn.inspection.classification
        assert found is not None  # noqa: S101  only what the cache answers has none
        turn.task = task_of(found)
        return self._route(turn.arrival, turn.inspection, turn.task)

    def _route(self, arrival: Arrival, inspection: Inspection, task: Task) -> Route:
        mode = inspection.routing_mode
        ask = Ask(
            inspection.model,
            _MODES[mode] if mode is not None else self._default_mode,
            inspection.prompt_tokens,
            inspection.max_output_tokens,
            inspection.message_count,
            inspection.has_tools,
            inspection.has_images,
            inspection.has_audio,
            inspection.json_mode,
            inspection.logprobs,
            arrival.caller.live,
            task.complexity,
            task.risk_domain,
        )
        return self._router.choose(ask, self._speeds, time.monotonic())

    def _facts(self, turn: _Turn, served: Deployment, usage: Usage, overhead_us: int) -> Facts:
        bill = finops.bill(served, usage, self._baseline)
        return Facts(turn.arrival.request_id, served, turn.outcome, usage, bill, max(0, overhead_us))

    def _hit_facts(self, arrival: Arrival, hit: CachedReply) -> Facts:
        served = self._deployments[hit.deployment]
        usage = Usage(hit.prompt_tokens, hit.completion_tokens)
        bill = finops.free(served, usage, self._baseline)
        return Facts(arrival.request_id, served, "exact", usage, bill, _since_us(arrival))

    def _record(
        self,
        turn: _Turn,
        facts: Facts | None,
        *,
        failure: BaseException | None = None,
        ttft_us: int | None = None,
        response_body: bytes | None = None,
    ) -> None:
        arrival, inspection, keep = turn.arrival, turn.inspection, self._keep_bodies
        self._recorder.exchange(
            Exchange(
                arrival=arrival,
                requested_model=inspection.model,
                end_user=turn.end_user,
                session_id=inspection.session_id,
                feature=inspection.feature or arrival.hints.feature,
                stream=turn.stream,
                task=turn.task,
                route=turn.route,
                attempts=tuple(turn.attempts),
                facts=facts,
                status=_status(failure),
                error_code=None if failure is None else _code(failure),
                latency_us=_since_us(arrival),
                ttft_us=ttft_us,
                cost_nanousd=0 if isinstance(failure, ShieldBlocked) else None,
                request_body=inspection.body if keep else None,
                response_body=response_body if keep else None,
            )
        )


def _status(failure: BaseException | None) -> int:
    if failure is None:
        return 200
    return failure.status if isinstance(failure, NeuralRoutingError) else CLIENT_CLOSED_STATUS


def _code(failure: BaseException) -> str:
    if isinstance(failure, NeuralRoutingError):
        return failure.code or failure.type
    return CLIENT_CLOSED


def _estimated(data: JsonObject, prompt_tokens: int) -> Usage:
    """Count the answer ourselves where the provider told no usage."""
    text = "".join(str((choice.get("message") or {}).get("content") or "") for choice in data["choices"])
    return Usage(prompt_tokens, estimate_tokens(text), source="estimated")


def _since_us(arrival: Arrival) -> int:
    return (time.perf_counter_ns() - arrival.started_ns) // 1000


async def _once(chunks: Sequence[Chunk]) -> AsyncGenerator[Sequence[Chunk], None]:
    yield chunks
