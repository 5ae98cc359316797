"""The queue of shadow audits behind the requests of one worker: what is drawn into it, and who works it off."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from neuralrouting.background import Background
from neuralrouting.catalog import VIRTUAL_MODELS, Deployment
from neuralrouting.config import ShadowConfig
from neuralrouting.engine import panicked
from neuralrouting.errors import Unavailable
from neuralrouting.exchange import Facts, JsonObject
from neuralrouting.layers.shadow import LEAST_SHARE, Arms, Evidence, Orders, arms_of, cheaper, draw, said_in
from neuralrouting.pipeline.auditing import Auditor, Ending, Job
from neuralrouting.pipeline.turn import Turn

log = logging.getLogger("neuralrouting.shadow")
Count = Literal["drawn", "dropped", "opted_out", "unwritten", "broken", Ending]
COUNTS: tuple[Count, ...] = (
    "drawn", "dropped", "opted_out", "over_budget", "judged", "not_judged", "failed", "unwritten", "broken",
)  # fmt: skip
"""What became of answers that were drawn, by this worker since it started."""
_NEAR = ("canonical", "semantic")


class Draws(msgspec.Struct, frozen=True):
    """By what answers are drawn; `number` gives random numbers in [0, 1)."""

    settings: ShadowConfig
    evidence: Evidence
    orders: Orders
    number: Callable[[], float] = random.random


class Shadowing:
    """Takes finished answers, draws some, and has them audited by `settings.parallel` tasks, never on their path.

    `reference` is the model whose answers count as good, None where there is none: then only hits of the cache are
    audited. `servable` are the models that can be reached.
    """

    def __init__(
        self, draws: Draws, auditor: Auditor, reference: Deployment | None, servable: Sequence[Deployment]
    ) -> None:
        settings = draws.settings
        self._settings = settings
        self._draws = draws
        self._auditor = auditor
        self._reference = reference
        self._servable = {d.id: d for d in servable}
        self._ceiling = max(settings.share, settings.most, LEAST_SHARE)
        self._queue: asyncio.Queue[Job] = asyncio.Queue(settings.queue)
        self._counts: dict[str, Counter[str]] = {}
        self.totals: Counter[str] = Counter()
        """What became of answers that were drawn, of all accounts."""
        self._background = Background()

    def start(self) -> None:
        """Begin to work the queue off; needs a running event loop."""
        if self._settings.enabled:
            self._background.start(**{f"shadow-{n}": self._work() for n in range(self._settings.parallel)})

    async def close(self) -> None:
        """Stop at once: what waits is forgotten, and what is under way is cut off and leaves no row."""
        await self._background.close()
        while not self._queue.empty():
            self._queue.get_nowait()
            self._queue.task_done()

    @property
    def waiting(self) -> int:
        """Answers that wait for their audit."""
        return self._queue.qsize()

    async def idle(self) -> None:
        """Wait until everything that was drawn is done or forgotten."""
        await self._queue.join()

    def counts(self, account_id: str) -> dict[str, int]:
        """Return what became of an account's drawn answers: this worker's, since it started."""
        found = self._counts.get(account_id, Counter())
        return {name: found[name] for name in COUNTS}

    def offer(self, turn: Turn, facts: Facts, data: Callable[[], JsonObject]) -> None:
        """Draw, or not, an answer that is complete; `data` gives its `chat.completion`. Never waits, never raises."""
        if not self._settings.enabled:
            return
        try:
            number = self._draws.number()
            if number < (self._settings.cache_share if facts.cache.hit else self._ceiling):
                self._take(turn, facts, data, number)
        except Exception:
            # The answer has left: whatever is wrong here must not become its failure.
            log.exception("request %s could not be considered for an audit", facts.request_id)

    def _take(self, turn: Turn, facts: Facts, data: Callable[[], JsonObject], number: float) -> None:
        account_id = turn.arrival.caller.account_id
        if not _auditable(turn):
            return
        arms, propensity, pool = self._drawn(turn, facts, number)
        if arms is None or propensity is None:
            return
        answered = data()
        said = said_in(answered)
        if said is None or (said.cut and turn.admitted is not None and turn.admitted.output_limit is not None):
            return  # not to be compared, or cut off for want of credits, which is no fault of the model
        if not self._draws.orders.of(account_id).shadow:
            self._count(account_id, "opted_out")
            return
        hit = facts.cache if facts.cache.hit else None
        job = Job(
            "answer" if hit is None else "cache", turn.arrival, turn.inspection, turn.size, turn.task,
            facts.deployment, arms, pool, said, answered, facts.usage.completion_tokens, propensity, hit,
        )  # fmt: skip
        self._count(account_id, "drawn")
        try:
            self._queue.put_nowait(job)
        except asyncio.QueueFull:
            self._count(account_id, "dropped")

    def _drawn(
        self, turn: Turn, facts: Facts, number: float
    ) -> tuple[Arms | None, float | None, tuple[Deployment, ...]]:
        """Return who would be compared, with which probability this answer was drawn for it, and who may judge."""
        if facts.cache.hit:
            fit = facts.cache.outcome in _NEAR and not facts.cache.shared
            arms = self._afresh(facts.deployment) if fit else None
            return arms, self._settings.cache_share, tuple(self._servable.values())
        if turn.admitted is None or turn.task is None or self._reference is None:
            return None, None, ()
        capable, task = turn.admitted.route.capable, turn.task.task
        account_id, served, evidence = turn.arrival.caller.account_id, facts.deployment, self._draws.evidence
        below = [d for d in capable if d.price is not None and cheaper(d, served)]
        stands = not cheaper(served, self._reference)  # for answers that are good
        undecided = evidence.undecided(account_id, task, below) if stands and below else None
        arms = arms_of(served, self._reference, capable, undecided)
        if arms is None:
            return None, None, ()
        rate = evidence.audit_rate(account_id, arms.candidate.id, task)
        return arms, draw(number, self._settings.share, self._settings.most, rate), capable

    def _afresh(self, stored: Deployment) -> Arms | None:
        """Return who answers anew what the cache has answered: the model that did, or else the reference."""
        asked = self._servable.get(stored.id, self._reference)
        if asked is None or asked.price is None or asked.simulated != stored.simulated:
            return None
        return Arms(stored, asked, asks_candidate=False)

    async def _work(self) -> None:
        while True:
            job = await self._queue.get()
            try:
                self._count(job.account_id, await self._audited(job))
            finally:
                self._queue.task_done()

    async def _audited(self, job: Job) -> Count:
        if not self._draws.orders.of(job.account_id).shadow:  # since it was drawn
            return "opted_out"
        try:
            return await self._auditor.run(job)
        except Unavailable as error:
            log.warning("the audit of request %s is lost: %s", job.arrival.request_id, error.message)
            return "unwritten"
        except BaseException as error:
            if not isinstance(error, Exception) and not panicked(error):
                raise
            # Its message may hold text of the prompt.
            log.error("the audit of request %s broke: %s", job.arrival.request_id, type(error).__name__)  # noqa: TRY400
            return "broken"

    def _count(self, account_id: str, what: Count) -> None:
        self._counts.setdefault(account_id, Counter())[what] += 1
        self.totals[what] += 1


def _auditable(turn: Turn) -> bool:
    """Whether a request may be asked a second time at all.

    Not for test keys, not where the client wants nothing kept (`no-store`) or names the model, not with tools, images,
    sound or several choices, and not where the shield found something.
    """
    found, hints = turn.inspection, turn.arrival.hints
    if not turn.arrival.caller.live or not hints.write_cache or turn.finding is not None:
        return False
    if found.model is not None and found.model not in VIRTUAL_MODELS:
        return False
    classified = found.classification
    if classified is not None and classified.tool_loop:
        return False
    return found.n == 1 and not (found.has_tools or found.has_images or found.has_audio or found.logprobs)
