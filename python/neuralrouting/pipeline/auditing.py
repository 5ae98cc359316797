"""One shadow audit from its draw to its row: the other model is asked, both answers judged, and what follows done."""

import asyncio
import logging
import random
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, Protocol

import msgspec

from neuralrouting.accounts.bounds import Size, output_bound
from neuralrouting.catalog import Deployment, nanousd_of
from neuralrouting.clock import unix_ms
from neuralrouting.config import Config
from neuralrouting.engine import Engine, Inspection, RejectedBody, estimate_tokens
from neuralrouting.errors import NotFound
from neuralrouting.evidence.rows import keep_row
from neuralrouting.exchange import Arrival, JsonObject, Lookup, Task
from neuralrouting.layers.cache import AnswerCache
from neuralrouting.layers.classification import task_of
from neuralrouting.layers.shadow import (
    DIFFERENCE,
    JUDGE_TOKENS,
    Arms,
    Ballot,
    Finding,
    Question,
    Said,
    combine,
    compare,
    judge_among,
    judge_body,
    question_of,
    read_ballot,
)
from neuralrouting.pipeline.shadow_calls import Called, Calls, ballot_size, most_of, output_limit, version_in
from neuralrouting.providers.base import Provider
from neuralrouting.storage.judgements import Judgement, Judgements
from neuralrouting.storage.shadow_audits import DAY_MS, AuditKind, SetAside, ShadowAudit, ShadowAudits

log = logging.getLogger("neuralrouting.shadow")
NO_ADVICE = "harmful"
"""Domain of requests to do harm: who refuses them does no worse than who answers."""
Ending = Literal["judged", "not_judged", "failed", "over_budget"]


WRITTEN_S = 2.0
"""By then the row of a stored answer is in the table, unless the database is away."""


class Portrait(msgspec.Struct, frozen=True):
    """What of a prompt is kept for predictions: numbers, not its text.

    Its words are hashed, so that who guesses a text can see whether the guess fits.
    """

    embedding: bytes | None = None
    features: bytes | None = None
    predicted: float | None = None


class Job(msgspec.Struct, frozen=True):
    """One answer that was drawn: in memory only, until its audit is done.

    `said` is the answer that was served, of `told_tokens`, and `data` the completion it is in. `pool` are the models
    that may judge. `hit` is how the cache answered, None where `kind` is "answer"; `task` None: nobody has looked yet.
    """

    kind: AuditKind
    arrival: Arrival
    inspection: Inspection
    size: Size
    task: Task | None
    served: Deployment
    arms: Arms
    pool: tuple[Deployment, ...]
    said: Said
    data: JsonObject
    told_tokens: int
    propensity: float
    hit: Lookup | None = None

    @property
    def account_id(self) -> str:
        """Whose prompt it is."""
        return self.arrival.caller.account_id


class Records(msgspec.Struct, frozen=True):
    """Where audits leave their marks; `obey` makes this worker's cache follow the judgements at once."""

    audits: ShadowAudits
    judgements: Judgements
    obey: Callable[[], Awaitable[None]]


class _Plan(msgspec.Struct, frozen=True):
    """What an audit may ask: tokens of the other model's answer, who judges, how large its question can be."""

    output_limit: int
    judge: Deployment | None
    ballot: Size


class _Judged(msgspec.Struct, frozen=True):
    finding: Finding
    method: str
    judge: str | None = None
    cost_nanousd: int = 0


class Predicts(Protocol):
    """What layer 3 makes of the core's predictions."""

    def predicted(self, deployment: str, predicted: Mapping[str, float]) -> float | None:
        """Return the difference that is predicted of a deployment, None where nothing is."""


def _portrait(inspection: Inspection, candidate: Deployment, predicts: Predicts) -> Portrait:
    embedding = inspection.embedding
    return Portrait(
        embedding if any(embedding) else None,
        keep_row(inspection.last_user_text),
        predicts.predicted(candidate.id, dict(inspection.predicted)),
    )


class Auditor:
    """Runs audits, one after the other for each of its callers."""

    def __init__(
        self,
        config: Config,
        providers: Mapping[str, Provider],
        records: Records,
        engine: Engine,
        answers: AnswerCache,
        predicts: Predicts,
    ) -> None:
        self._named_judge = config.shadow.judge_model
        self._daily_nanousd = nanousd_of(config.shadow.daily_usd)
        self._keep_notes = config.store_bodies
        self._calls = Calls(providers, config.upstream.total_timeout_s)
        self._records = records
        self._engine = engine
        self._answers = answers
        self._predicts = predicts
        self.verdicts: Counter[str] = Counter()
        """Verdicts of this worker's audits since it started."""

    async def run(self, job: Job) -> Ending:
        """Run one audit. Raises Unavailable where its row cannot be written: then it has no other consequence."""
        plan = self._plan(job)
        kept = await self._set_aside(job, plan)
        if kept is None:
            return "over_budget"
        called = await self._calls.ask(job.arms.asked, job.inspection, job.size, plan.output_limit)
        task = job.task or self._task(job)
        judged = await self._judge(job, task, called, plan)
        await self._records.audits.write(self._row(job, task, called, judged), kept)
        if judged.finding.verdict is None:
            return "failed" if judged.method == "failed" else "not_judged"
        self.verdicts[judged.finding.verdict] += 1
        if not job.served.simulated:
            await self._act(job, called, judged.finding)
        return "judged"

    def _plan(self, job: Job) -> _Plan:
        arms = job.arms
        answer_tokens = max(job.told_tokens, estimate_tokens(job.said.text))
        limit = output_limit(job.size, arms.asked, answer_tokens)
        ballot = ballot_size(job.size, answer_tokens + limit)
        room, pair = ballot.prompt_bound + JUDGE_TOKENS, (arms.candidate, arms.reference)
        return _Plan(limit, judge_among(job.pool, pair, self._named_judge, room), ballot)

    async def _set_aside(self, job: Job, plan: _Plan) -> SetAside | None:
        """Take the most that this audit can cost off the account's day; None where that is too much for it."""
        most = most_of(job.arms.asked, job.size, plan.output_limit)
        if plan.judge is not None:
            most += 2 * most_of(plan.judge, plan.ballot, JUDGE_TOKENS)
        wanted = SetAside(job.account_id, unix_ms() // DAY_MS, most)
        return wanted if await self._records.audits.set_aside(wanted, self._daily_nanousd) else None

    def _task(self, job: Job) -> Task:
        """See what a request asks for that the cache has answered before anybody looked."""
        found = self._engine.inspect(job.inspection.body, "shadow", read_cache=False).classification
        assert found is not None  # noqa: S101  only what the cache answers has none
        return task_of(found)

    async def _judge(self, job: Job, task: Task, called: Called, plan: _Plan) -> _Judged:
        if called.said is None:
            return _Judged(Finding(None, called.fault), "failed")
        if called.said.cut and plan.output_limit < output_bound(job.size, job.arms.asked, None):
            return _Judged(Finding(None, "cut_by_us"), "failed")
        question = question_of(job.inspection.body, task.task, harmful=task.risk_domain == NO_ADVICE)
        candidate, reference = (called.said, job.said) if job.arms.asks_candidate else (job.said, called.said)
        # Parsing code and JSON can take milliseconds, in which nobody else would be served.
        finding = await asyncio.to_thread(compare, question, candidate, reference)
        if finding.verdict is not None:
            return _Judged(finding, "check")
        if plan.judge is None:
            return _Judged(Finding(None, "no_judge"), "none")
        return await self._vote(plan.judge, plan.ballot, question, (candidate, reference))

    async def _vote(self, judge: Deployment, most: Size, question: Question, answers: tuple[Said, Said]) -> _Judged:
        """Ask the judge in both orders, the first of them by chance; never more than was set aside for."""
        ballots: list[tuple[Ballot, bool]] = []
        cost, first = 0, random.random() < 0.5  # noqa: S311  a coin, not a secret
        for candidate_first in (first, not first):
            asking = self._ballot(
                judge, question, (answers[0], answers[1]) if candidate_first else (answers[1], answers[0])
            )
            size = _size_of(asking) if asking is not None else None
            if asking is None or size is None or size.prompt_bound > most.prompt_bound:
                return _Judged(Finding(None, "too_long_to_judge"), "none", judge.id, cost)
            called = await self._calls.ask(judge, asking, size, JUDGE_TOKENS)
            cost += called.cost_nanousd
            ballot = read_ballot(called.said.text) if called.said is not None else None
            if ballot is None:
                reason = f"judge_{called.fault}" if called.said is None else "judge_unreadable"
                return _Judged(Finding(None, reason), "none", judge.id, cost)
            ballots.append((ballot, candidate_first))
        verdict, reason = combine(ballots)
        if self._keep_notes and ballots[0][0].note:
            reason = f"{reason}: {ballots[0][0].note}"
        return _Judged(Finding(verdict, reason), "judge", judge.id, cost)

    def _ballot(self, judge: Deployment, question: Question, answers: tuple[Said, Said]) -> Inspection | None:
        """Return the question to the judge as the providers take it; None where it is larger than a request may be."""
        first, second = answers
        body = judge_body(judge, question, first.text, second.text, secrets.token_hex(8))
        try:
            return self._engine.inspect(body, "shadow", read_cache=False)
        except RejectedBody:
            return None

    def _row(self, job: Job, task: Task, called: Called, judged: _Judged) -> ShadowAudit:
        arms, finding, hit = job.arms, judged.finding, job.hit
        portrait = _portrait(job.inspection, arms.candidate, self._predicts)
        served_version = version_in(job.data)
        return ShadowAudit(
            id=f"aud_{secrets.token_hex(12)}",
            account_id=job.account_id,
            request_id=job.arrival.request_id,
            kind=job.kind,
            task=task.task,
            complexity_tenths=round(10 * task.complexity),
            served=job.served.id,
            candidate=arms.candidate.id,
            reference=arms.reference.id,
            candidate_version=called.version if arms.asks_candidate else served_version,
            reference_version=served_version if arms.asks_candidate else called.version,
            entry=bytes.fromhex(hit.entry) if hit is not None and hit.entry is not None else None,
            similarity=hit.similarity if hit is not None else None,
            propensity=job.propensity,
            predicted=portrait.predicted,
            features=portrait.features,
            embedding=portrait.embedding,
            verdict=finding.verdict,
            difference=DIFFERENCE[finding.verdict] if finding.verdict is not None else None,
            method=judged.method,
            judge=judged.judge,
            reason=finding.reason,
            cost_nanousd=called.cost_nanousd + judged.cost_nanousd,
            simulated=job.served.simulated,
            judged_ms=unix_ms(),
        )

    async def _act(self, job: Job, called: Called, finding: Finding) -> None:
        """Let a verdict take effect: a better answer is stored, a hit that was wrong is given no more."""
        if job.hit is not None:
            await self._judge_hit(job, job.hit, agreed=finding.verdict != "lose")
        elif finding.verdict == "lose" and not job.arms.asks_candidate:
            assert called.data is not None  # noqa: S101  there is a verdict, so there is an answer
            assert called.usage is not None  # noqa: S101
            self._answers.store(job.arrival, job.inspection, job.arms.asked, called.usage, called.data)

    async def _judge_hit(self, job: Job, hit: Lookup, *, agreed: bool) -> None:
        kind = "canonical" if hit.outcome == "canonical" else "semantic"
        key = bytes.fromhex(hit.entry or "")
        judgement = Judgement(job.account_id, key, kind, hit.similarity or 0.0, agreed, "shadow")
        try:
            await self._records.judgements.judge(judgement, unix_ms(), actor=None)
        except NotFound:
            await asyncio.sleep(WRITTEN_S)  # an answer's row is written a moment behind it
            try:
                await self._records.judgements.judge(judgement, unix_ms(), actor=None)
            except NotFound:  # it has expired or was purged meanwhile: nothing is left to be judged
                return
        if not agreed:
            await self._records.obey()


def _size_of(asking: Inspection) -> Size:
    return Size(asking.prompt_tokens, asking.message_count, 1, JUDGE_TOKENS, has_media=False)
