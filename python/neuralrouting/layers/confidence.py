"""Layer 3: how good each candidate will be for this prompt, as far as audits have shown. Pure: nothing is awaited.

Every worker holds what was learned of each account as one frozen value, which `take` replaces as a whole. Without it,
where it is broken, too old, or about another reference, the shipped prior speaks and nothing counts as proven.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from neuralrouting.catalog import Catalog, Deployment, blended_picousd
from neuralrouting.config import Config
from neuralrouting.engine import Predictor
from neuralrouting.evidence.judging import Judge
from neuralrouting.evidence.matrix import Cell, Matrix, MatrixSettings
from neuralrouting.evidence.verdict import audit_rate, good_enough, undecided
from neuralrouting.exchange import JsonObject, Odds, Task

FORMAT: Final = 1
"""Of `Learned` as JSON; another one is not read."""
OLD_MS: Final = 7 * 86_400_000
"""A matrix that nobody has built anew for so long counts as too old: with evidence it is built every
`confidence.rebuild_minutes`, without every day, so something is wrong, and no drift would be noticed."""
SMALL_BELOW_QUALITY: Final = 0.64
"""Midway between the measured qualities of Llama-3.1-8B (0.559) and 70B (0.727), the kinds of model that the shipped
heads `small` and `mid` were trained on."""
SMALL_BELOW_PICOUSD: Final = 150_000
"""$0.15 per million tokens, blended 3:1, where no quality is measured: models of that kind cost less, those like
GPT-4o mini ($0.26) more."""

ROOM_OF_THE_UNPROVEN: Final = 0.35
"""A prompt of which a prediction expects more loss than this is not sent to a model that has no audits of such tasks.

Our judgement: on the public benchmarks that the shipped heads learned from, small models lose 27 points on the mean
prompt, which ordinary prompts are far from being. Beyond 35 points lie nearly all traces of programs (CRUXEval), a
quarter of ordinary coding prompts and 2 % of the others, and no school mathematics.
"""

State = Literal["priors", "learned", "broken"]


class Learned(msgspec.Struct, frozen=True):
    """All that was learned of one account, as it is kept: compared with `reference`, from so many audits.

    `judges`: how well the judge agreed with people, by candidate, where people have looked. `heads` names candidates
    with a predictor of their own.
    """

    reference: str
    audits: int
    feedback: int
    settings: MatrixSettings
    matrix: Matrix
    judges: dict[str, Judge] = {}
    heads: tuple[str, ...] = ()
    format: int = FORMAT


class Snapshot(msgspec.Struct, frozen=True):
    """What one worker knows of one account; `predictor` None: the shipped heads speak alone.

    `learned` None: what is kept cannot be used, and `broken` says so.
    """

    learned: Learned | None
    built_ms: int
    predictor: Predictor | None = None
    broken: bool = False


_NOTHING = Snapshot(None, 0)


def matrix_settings(config: Config) -> MatrixSettings:
    """Return what counts as proof, as configured."""
    told = config.confidence
    return MatrixSettings(
        margin=told.margin,
        promote=told.promote,
        demote=told.demote,
        least=told.least,
        audit=config.shadow.most,
        floor=config.shadow.share,
    )


def prior_head(deployment: Deployment) -> str | None:
    """Return which shipped head speaks for a deployment that an account has not learned of; None: neither does.

    None for the premium tier and for what has neither price nor measured quality. Else by measured quality where the
    catalog has one, and by price where it has none.
    """
    if deployment.tier == "premium":
        return None
    if deployment.quality is not None:
        return "small" if deployment.quality < SMALL_BELOW_QUALITY else "mid"
    if deployment.price is None:
        return None
    return "small" if blended_picousd(deployment.price) < SMALL_BELOW_PICOUSD else "mid"


class Confidence:
    """What is known of models at tasks, each account its own."""

    def __init__(self, catalog: Catalog, settings: MatrixSettings) -> None:
        self._reference = catalog.reference.id if catalog.reference is not None else None
        self._heads = {d.id: prior_head(d) for d in (*catalog.known, *catalog.servable, *catalog.by_name_only)}
        self._candidates = frozenset(d.id for d in catalog.candidates)
        self._known: dict[str, Snapshot] = {}
        self.settings: Final = settings

    @property
    def reference(self) -> str | None:
        """Id of the deployment that candidates are compared with; None: nothing can be learned here."""
        return self._reference

    def take(self, account_id: str, snapshot: Snapshot) -> None:
        """Replace what is known of an account."""
        self._known[account_id] = snapshot

    def snapshot(self, account_id: str) -> Snapshot:
        """Return what is known of an account."""
        return self._known.get(account_id, _NOTHING)

    def expire(self, now_ms: int) -> list[str]:
        """Set aside what is too old to build on; return whose."""
        old = [name for name, one in self._known.items() if one.learned and one.built_ms < now_ms - OLD_MS]
        for name in old:
            self._known[name] = Snapshot(None, self._known[name].built_ms, self._known[name].predictor, broken=True)
        return old

    def odds(
        self, account_id: str, task: Task, predicted: Mapping[str, float], candidates: Sequence[Deployment]
    ) -> tuple[Odds, ...]:
        """Return what is known of each candidate, in their order. `predicted` is `Inspection.predicted`."""
        matrix = self._matrix(account_id)
        return tuple(self._odds(matrix, task.task, self.predicted(d.id, predicted), d.id) for d in candidates)

    def predicted(self, deployment: str, predicted: Mapping[str, float]) -> float | None:
        """Return the difference that is predicted of a deployment: by the account's own head, else a shipped one."""
        own = predicted.get(deployment)
        if own is not None:
            return own
        head = self.prior(deployment)
        return predicted.get(head) if head is not None else None

    def prior(self, deployment: str) -> str | None:
        """Return which shipped head speaks for a deployment, None where neither does."""
        return self._heads.get(deployment)

    def predictor(self, account_id: str) -> Predictor | None:
        """Return what the native core predicts with for this account; None: the shipped heads are enough."""
        return self._known.get(account_id, _NOTHING).predictor

    def audit_rate(self, account_id: str, candidate_id: str, task: str) -> float:
        """Return the share of the answers in this cell that is to be audited, `shadow.most` at most."""
        return min(self.settings.audit, audit_rate(self._cell(account_id, candidate_id, task), self.settings))

    def undecided(self, account_id: str, task: str, candidates: Sequence[Deployment]) -> Deployment | None:
        """Return the cheapest candidate that nothing is decided of at this task.

        Where all are decided the cheapest that is refused: one that has become better would never be noticed, since it
        is not served. None where there is neither.
        """
        pool = [d for d in candidates if d.id in self._candidates]
        pool.sort(key=lambda d: (blended_picousd(d.price) if d.price is not None else 0, d.id))
        cells = [(d, self._cell(account_id, d.id, task)) for d in pool]
        still = next((d for d, cell in cells if undecided(cell, self.settings)), None)
        return still or next((d for d, cell in cells if cell.state == "refused"), None)

    def cell(self, account_id: str, candidate_id: str, task: str) -> Cell | None:
        """Return what audits have shown of a candidate at a task, None where there are none."""
        return self._matrix(account_id).cells.get(candidate_id, {}).get(task)

    def told(self) -> JsonObject:
        """Say how this worker stands: of how many accounts it knows something, and when the newest was built."""
        known = list(self._known.values())
        learned = [one for one in known if one.learned is not None and self._matches(one.learned)]
        newest_ms = max((one.built_ms for one in learned), default=None)
        broken = any(one.broken for one in known)
        state: State = "broken" if broken else "learned" if learned else "priors"
        return {"accounts": len(learned), "built": _moment(newest_ms), "state": state}

    def _matches(self, learned: Learned) -> bool:
        return learned.reference == self._reference and bool(learned.matrix.cells)

    def _matrix(self, account_id: str) -> Matrix:
        learned = self._known.get(account_id, _NOTHING).learned
        return learned.matrix if learned is not None and learned.reference == self._reference else _EMPTY

    def _cell(self, account_id: str, candidate_id: str, task: str) -> Cell:
        return self._matrix(account_id).cell(candidate_id, task)

    def _odds(self, matrix: Matrix, task: str, predicted: float | None, candidate: str) -> Odds:
        if candidate == self._reference:
            return Odds(candidate, True, "reference", 0.0, 0.0, 0.0)  # noqa: FBT003
        if task not in matrix.cells.get(candidate, {}):
            if predicted is not None and predicted < -ROOM_OF_THE_UNPROVEN:
                return Odds(candidate, False, "predicted", predicted)  # noqa: FBT003
            return Odds(candidate, None, "unproven", predicted)
        found, cell = good_enough(matrix, candidate, task, predicted), matrix.cell(candidate, task)
        enough = None if found.basis == "unproven" else found.enough
        return Odds(candidate, enough, found.basis, found.expected, cell.low, cell.high, int(cell.n))


_EMPTY = Matrix()


def _moment(unix_ms: int | None) -> str | None:
    if unix_ms is None:
        return None
    return datetime.fromtimestamp(unix_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
