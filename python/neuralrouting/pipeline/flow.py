"""One request through the layers, in order: start reading here.

inspect (Rust: parse, key, shield, cache, classifier) -> shield -> plan -> cache -> second look -> an equal request
under way -> task -> route and hold -> dispatch -> bill -> settle -> store. Whatever happens, one row is recorded and
every hold ends once (see `ending`).
"""

import logging
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import contextmanager

import msgspec
import orjson

from neuralrouting.accounts.admission import Admission, Admitted
from neuralrouting.accounts.bank import Bank
from neuralrouting.accounts.directory import Directory
from neuralrouting.accounts.plans import allow_force, allow_mode
from neuralrouting.accounts.shields import Shields
from neuralrouting.catalog import VIRTUAL_MODELS, Catalog
from neuralrouting.config import Config
from neuralrouting.engine import (
    CachedReply,
    Engine,
    Inspection,
    Verdict,
    panicked,
)
from neuralrouting.exchange import (
    Answer,
    AnswerStream,
    Arrival,
    Attempt,
    CacheEntry,
    Chunk,
    Facts,
    JsonObject,
    Mode,
    Route,
)
from neuralrouting.layers.cache import AnswerCache
from neuralrouting.layers.classification import task_of
from neuralrouting.layers.shield import FLAG_RISK, Guard, refusal
from neuralrouting.pipeline.cascading import Cascading, used_by
from neuralrouting.pipeline.choosing import MODES, Choosing
from neuralrouting.pipeline.chunklog import Follower
from neuralrouting.pipeline.deciding import Deciding
from neuralrouting.pipeline.ending import Ending, code_of
from neuralrouting.pipeline.explaining import Explaining
from neuralrouting.pipeline.inspecting import Inspecting
from neuralrouting.pipeline.joining import Joining
from neuralrouting.pipeline.replay import chunks_of
from neuralrouting.pipeline.second_look import SecondLook
from neuralrouting.pipeline.shadowing import Shadowing
from neuralrouting.pipeline.signals import Signals
from neuralrouting.pipeline.turn import Turn
from neuralrouting.providers.dispatcher import Dispatcher, OpenedStream, Served
from neuralrouting.providers.tally import Tally
from neuralrouting.providers.watch import Watch
from neuralrouting.storage.recorder import Recorder

log = logging.getLogger("neuralrouting.pipeline")


class Accounts(msgspec.Struct, frozen=True):
    """What the pipeline asks about accounts: rules of their shields, plans, and what they may spend."""

    shields: Shields
    directory: Directory
    admission: Admission
    bank: Bank


class Caching(msgspec.Struct, frozen=True):
    """Layer 0: the core, the answers of this worker, and who is asked beyond them."""

    engine: Engine
    answers: AnswerCache
    second_look: SecondLook


class Routing(msgspec.Struct, frozen=True):
    """Which models there are, who chooses among them, who calls them."""

    catalog: Catalog
    choosing: Choosing
    dispatcher: Dispatcher


class Pipeline:
    """The layers of one worker, wired."""

    def __init__(
        self,
        config: Config,
        models: Routing,
        accounts: Accounts,
        caching: Caching,
        recorder: Recorder,
        shadowing: Shadowing | None = None,
    ) -> None:
        self._keep_bodies = config.store_bodies
        self._cache = caching.answers
        self._second_look = caching.second_look
        self._choosing = models.choosing
        self._inspecting = Inspecting(config, models.catalog, caching.engine, models.choosing)
        self._dispatcher = models.dispatcher
        self._speeds = models.dispatcher.speeds
        self._guard = Guard(config.shield, accounts.shields)
        self._directory = accounts.directory
        self._admission = accounts.admission
        deciding = Deciding(models.catalog)
        self.explaining = Explaining(self._inspecting, self._guard, models.choosing, deciding, accounts.directory)
        signals = Signals(recorder.sign)
        self._ending = Ending(
            models.catalog, accounts.bank, deciding, signals, recorder.ended, keep_bodies=config.store_bodies
        )
        self._cascading = Cascading(models.dispatcher, self._ending)
        self._recorder = recorder
        self._joining = Joining(self._cache, self._ending, config.upstream.total_timeout_s)
        self._shadowing = shadowing

    def inspect(self, body: bytes, arrival: Arrival) -> Inspection:
        """Parse, scan and look up in one native call; raises RequestError for a body that cannot be served."""
        shield = self._guard.shield_for(arrival.caller)
        try:
            return self._inspecting.inspect(body, arrival, shield)
        except BaseException as error:
            if shield is None or not (self._guard.lets_pass_unscanned and panicked(error)):
                raise
            return self._pass_unscanned(body, arrival)

    def _pass_unscanned(self, body: bytes, arrival: Arrival) -> Inspection:
        """Go on without the shield, which panicked; panics again when it was not the shield's fault."""
        inspection = self._inspecting.inspect(body, arrival, None)
        log.error("request %s passed unscanned: the shield panicked (SHIELD_ON_ERROR=open)", arrival.request_id)
        self._audit(Turn(arrival, inspection, stream=False))
        return inspection

    def screen(self, arrival: Arrival, inspection: Inspection) -> None:
        """Let shield and plan judge a request that is answered without the layers below. Raises as `_begin`."""
        turn = Turn(arrival, inspection, stream=inspection.stream)
        with self._guarded(turn):
            self._begin(turn)

    def _begin(self, turn: Turn) -> None:
        """Let shield, plan and rules take effect, before anything answers.

        Raises ShieldBlocked, PlanRequired or PermissionDenied.
        """
        verdict = turn.inspection.verdict
        if verdict is not None and verdict.risk >= FLAG_RISK:
            self._enforce(turn, verdict)
        arrival, mode = turn.arrival, turn.inspection.routing_mode
        if mode is not None:
            allow_mode(arrival.plan, MODES[mode], self._directory.plans)
        if arrival.hints.model is not None and arrival.hints.model not in VIRTUAL_MODELS:
            allow_force(arrival.plan, self._directory.plans)
        self._choosing.obey(turn)

    def _enforce(self, turn: Turn, verdict: Verdict) -> None:
        turn.finding = self._guard.judge(verdict, turn.arrival.caller)
        self._audit(turn)
        if turn.finding.action == "block":
            raise refusal(turn.finding)

    def _audit(self, turn: Turn) -> None:
        body = turn.inspection.body if self._keep_bodies else None
        self._recorder.security(self._guard.event(turn.arrival, turn.finding, turn.spender.end_user, body))

    @contextmanager
    def _guarded(self, turn: Turn) -> Generator[None]:
        """Whatever ends a request before its own end, an exception of ours or a cancellation, ends its hold too."""
        try:
            yield
        except BaseException as error:
            turn.stand_up()
            if not turn.ended:
                self._ending.fail(turn, error)
            raise

    async def complete(self, arrival: Arrival, inspection: Inspection) -> Answer:
        """Answer as a whole. Raises NeuralRoutingError; whatever happens, one row is recorded."""
        turn = Turn(arrival, inspection, stream=False)
        with self._guarded(turn):
            self._begin(turn)
            hit = inspection.hit or await self._look_again(turn) or await self._joining.shared(turn)
            if hit is not None:
                assert not isinstance(hit, Follower)  # noqa: S101  only streams follow
                facts = self._ending.hit_facts(turn, hit)
                body = self._cache.replay_body(hit, arrival)
                self._ending.end(turn, facts, response_body=body)
                self._offer(turn, facts, lambda: orjson.loads(hit.body))
                return Answer(body, facts, turn.finding)
            admitted = turn.admitted = await self._admit(turn)
            served = await self._cascading.complete(turn, admitted)
            facts = self._deliver(turn, served)
            return Answer(served.completion.body, facts, turn.finding, turn.task, admitted.notes)

    async def open(self, arrival: Arrival, inspection: Inspection) -> AnswerStream:
        """Begin a streamed answer; the first token is there when this returns. Raises as `complete` does.

        The answer's `batches` must be closed, read or not.
        """
        turn = Turn(arrival, inspection, stream=True)
        with self._guarded(turn):
            self._begin(turn)
            hit = inspection.hit or await self._look_again(turn) or await self._joining.shared(turn)
            if isinstance(hit, Follower):
                return self._joining.follow(turn, hit)
            if hit is not None:
                return self._open_from_cache(turn, hit)
            admitted = turn.admitted = await self._admit(turn)
            opened = await self._cascading.open(turn, admitted)
            if isinstance(opened, Served):
                return self._open_whole(turn, opened, admitted)
            tally = Tally(inspection.prompt_tokens, admitted.most_output(opened.deployment))
            overhead_us = turn.since_us() - turn.upstream_us - opened.ttft_us
            stream = AnswerStream(opened.deployment, turn.missed, overhead_us, turn.finding, turn.task)
            stream.budgets, stream.cascade = admitted.notes, turn.cascade
            watch = Watch(opened, tally, lambda failure: self._settle(turn, opened, stream, tally, failure))
            stream.batches = watch if turn.seat is None else turn.seat.logged(watch, opened.deployment, tally)
            return stream

    async def unshared(self, arrival: Arrival, inspection: Inspection) -> None:
        """Wait until no other request needs the answer that this one gets from a model; returns where none does."""
        await self._joining.unshared(arrival, inspection)

    async def _look_again(self, turn: Turn) -> CachedReply | None:
        """Ask those who may know an answer that this worker's memory has not."""
        if self._second_look.idle or not turn.arrival.hints.read_cache:
            return None
        return await self._second_look.hit(turn.arrival, turn.inspection)

    def _deliver(self, turn: Turn, served: Served) -> Facts:
        """End a request with a whole answer, and keep that: but not one that is sent although it is doubtful."""
        completion, deployment, first = served.completion, served.deployment, turn.cascade
        usage = used_by(completion.data, turn.inspection)
        facts = self._ending.facts(turn, deployment, usage, turn.since_us() - turn.upstream_us)
        self._ending.end(turn, facts, response_body=completion.body)
        if first is None or first.outcome == "escalated":  # what came first has been learnt from
            self._speeds.learn(deployment.id, None, usage.completion_tokens, turn.attempts[-1].latency_us)
        self._choosing.learn(turn, facts)
        kept = None
        if first is None or first.outcome != "fell_back":
            kept = self._cache.store(turn.arrival, turn.inspection, deployment, usage, completion.data)
        if turn.seat is not None:
            turn.seat.land(kept)
        self._offer(turn, facts, lambda: completion.data)
        return facts

    def _open_whole(self, turn: Turn, served: Served, admitted: Admitted) -> AnswerStream:
        """Stream an answer that came whole. It is paid for by now, read or not."""
        facts = self._deliver(turn, served)
        stream = AnswerStream(served.deployment, turn.missed, facts.overhead_us, turn.finding, turn.task)
        arrival = turn.arrival
        stream.batches = _once(chunks_of(served.completion.data, arrival.request_id, arrival.created_ms // 1000))
        stream.budgets, stream.cascade, stream.facts = admitted.notes, turn.cascade, facts
        return stream

    def _open_from_cache(self, turn: Turn, hit: CachedReply | CacheEntry) -> AnswerStream:
        facts = self._ending.hit_facts(turn, hit)
        self._ending.end(turn, facts, response_body=hit.body)
        self._offer(turn, facts, lambda: orjson.loads(hit.body))
        stream = AnswerStream(facts.deployment, facts.cache, facts.overhead_us, turn.finding, turn.task)
        stream.batches = _once(self._cache.replay_chunks(hit, turn.arrival))
        stream.facts = facts
        return stream

    def _settle(
        self, turn: Turn, opened: OpenedStream, stream: AnswerStream, tally: Tally, failure: BaseException | None
    ) -> None:
        """After the last byte: what was used, what it cost, what was learnt."""
        with self._guarded(turn):
            usage, served = tally.usage(), opened.deployment
            latency_us = int((time.monotonic() - opened.started_s) * 1_000_000)
            outcome = "ok" if failure is None else code_of(failure)
            turn.attempts.append(Attempt(served.id, served.provider, outcome, latency_us, opened.ttft_us, 200))
            stream.facts = self._ending.facts(turn, served, usage, stream.overhead_us)
            body = tally.completion_bytes() if self._keep_bodies else None
            self._ending.end(turn, stream.facts, failure=failure, ttft_us=opened.ttft_us, response_body=body)
            if failure is not None:
                turn.stand_up()
                return
            if turn.seat is not None:
                turn.seat.bill(stream.facts.usage)
            generation_us = latency_us - opened.ttft_us
            self._speeds.learn(served.id, opened.ttft_us, usage.completion_tokens, generation_us)
            self._choosing.learn(turn, stream.facts)
            kept = None
            if tally.plain:
                kept = self._cache.store(turn.arrival, turn.inspection, served, usage, tally.completion())
            if turn.seat is not None:
                turn.seat.land(kept)
            if tally.plain:
                self._offer(turn, stream.facts, tally.completion)

    def _offer(self, turn: Turn, facts: Facts, data: Callable[[], JsonObject]) -> None:
        if self._shadowing is not None:
            self._shadowing.offer(turn, facts, data)

    async def _admit(self, turn: Turn) -> Admitted:
        """See what is asked for, choose who is asked, and set aside what it may cost. Raises NeuralRoutingError."""
        found = turn.inspection.classification
        assert found is not None  # noqa: S101  only what the cache answers has none
        task = turn.task = task_of(found)

        def choose(mode: Mode | None) -> Route:
            began_ns = time.perf_counter_ns()
            route = self._choosing.route(turn, task, mode)
            turn.routing_ns = (turn.routing_ns or 0) + time.perf_counter_ns() - began_ns
            return route

        began_ns = time.perf_counter_ns()
        admitted = await self._admission.admit(turn.arrival, turn.spender, turn.size, choose, stream=turn.stream)
        admitted_ns = time.perf_counter_ns()
        turn.admission_ns = admitted_ns - began_ns - (turn.routing_ns or 0)
        turn.admitted_ns = admitted_ns - turn.arrival.started_ns
        return admitted


async def _once(chunks: Sequence[Chunk]) -> AsyncGenerator[Sequence[Chunk], None]:
    yield chunks
