"""The matrix of an account: built from its evidence, taken by every worker, and no worse than none where it fails."""

import asyncio
import logging
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from learners import CATALOG, POLL_S, WELL, first_learner, learner

from compared import CHEAP, MIDDLE, NOW_MS, REFERENCE, compared, series, write
from neuralrouting.errors import NotFound, Unavailable
from neuralrouting.exchange import Task
from neuralrouting.layers.confidence import OLD_MS
from neuralrouting.pipeline.building import read_learned
from neuralrouting.pipeline.learning import Learning
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.confidence import ConfidenceRows
from neuralrouting.storage.database import Database, Row, open_database
from neuralrouting.storage.feedback import Feedback, FeedbackRows
from neuralrouting.storage.trail import GATEWAY
from unsteady import UnsteadyDatabase

pytestmark = pytest.mark.anyio
QA = Task("qa", 0.9, abstained=False, complexity=2.0, high_risk=False, risk_domain=None)
MIXED = "wtwlt"
"""Verdicts that are as mixed as real ones, a little better than the reference."""


@pytest.fixture
async def learning(database: Database) -> Learning:
    """One worker that follows and builds only when it is told to."""
    return await first_learner(database)


def state(of: Learning, account_id: str = "acme", candidate: str = CHEAP, task: str = "qa") -> str | None:
    cell = of.confidence.cell(account_id, candidate, task)
    return cell.state if cell is not None else None


def known(of: Learning, account_id: str = "acme") -> object:
    """All cells that a worker knows of an account."""
    learned = of.confidence.snapshot(account_id).learned
    return learned.matrix.cells if learned is not None else None


async def until_s(seconds: float, condition: object) -> None:
    assert callable(condition)
    deadline_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(POLL_S / 2)


async def test_judged_comparisons_change_what_is_good_enough(database: Database, learning: Learning):
    [cheap] = [d for d in CATALOG.candidates if d.id == CHEAP]
    [before] = learning.confidence.odds("acme", QA, {"mid": -0.2}, [cheap])
    assert (before.enough, before.basis, before.expected) == (None, "unproven", -0.2)
    await write(database, [*series(WELL), *series("l" * 60, task="coding")])
    row = await learning.rebuild("acme")
    [now] = learning.confidence.odds("acme", QA, {"mid": -0.2}, [cheap])
    assert (now.enough, now.basis, now.n) == (True, "proven", 60)
    assert now.low is not None
    assert now.high is not None
    assert now.low < 0 < now.high
    coding = msgspec.structs.replace(QA, task="coding")
    [refused] = learning.confidence.odds("acme", coding, {}, [cheap])
    assert (refused.enough, refused.basis) == (False, "refused")
    assert read_learned(row.matrix).audits == 120


async def test_two_workers_agree_within_one_poll(database: Database, learning: Learning):
    other = learner(database)
    await other.start()
    try:
        await write(database, series(WELL))
        await learning.rebuild("acme")
        await until_s(10 * POLL_S, lambda: state(other) == "proven")
        assert known(other) == known(learning)
        await write(database, series("l" * 200))
        await learning.rebuild("acme")
        await until_s(10 * POLL_S, lambda: known(other) == known(learning))
        assert state(other) != "proven"
    finally:
        await other.close()


async def test_a_matrix_that_is_due_is_built_by_one_of_many_workers(database: Database, learning: Learning):
    await write(database, [*series(WELL), *series(WELL, account_id="zeta")])
    others = [learner(database) for _ in range(4)]
    await asyncio.gather(*(other.build_due() for other in others))
    assert [row.seq for row in await ConfidenceRows(database).since(0)] == [1, 2]
    await learning.follow()
    assert state(learning) == state(learning, "zeta") == "proven"


async def test_a_worker_builds_by_itself_when_the_period_is_over(database: Database, learning: Learning):
    worker = learner(database, period_s=0.05)
    await worker.start()
    try:
        assert state(worker) is None
        await write(database, series(WELL, judged_ms=time.time_ns() // 1_000_000))
        await until_s(5, lambda: state(worker) == "proven")
    finally:
        await worker.close()


async def test_a_crash_between_build_and_write_leaves_what_was_there(database: Database, learning: Learning):
    await write(database, series(WELL))
    first = await learning.rebuild("acme")
    await write(database, series("l" * 200))
    unsteady = UnsteadyDatabase(database)
    doomed = learner(unsteady)
    assert await ConfidenceRows(database).claim("acme", first.seq, time.time_ns() // 1_000_000)
    unsteady.gate.clear()
    await doomed.follow()
    building = asyncio.ensure_future(doomed.rebuild("acme"))
    await unsteady.begun.wait()  # it has read and computed, and is about to write
    building.cancel()
    await asyncio.wait([building])
    assert await ConfidenceRows(database).find("acme") == first
    assert state(doomed) == "proven"
    fresh = learner(database)
    await fresh.follow()
    assert state(fresh) == "proven"
    await fresh.build_due()
    assert await ConfidenceRows(database).find("acme") == first, "its claim still holds"
    assert (await fresh.rebuild("acme")).seq > first.seq, "and it holds up nobody who is told to build"


class Away(UnsteadyDatabase):
    """One that answers no query either while it is away."""

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        if self.away:
            raise Unavailable("the database is away")
        return await super().fetch(sql, *args)


async def test_a_worker_starts_with_priors_while_the_database_is_away(
    database: Database, learning: Learning, caplog: pytest.LogCaptureFixture
):
    await write(database, series(WELL))
    await learning.rebuild("acme")
    unsteady = Away(database)
    unsteady.away = True
    worker = learner(unsteady)
    with caplog.at_level(logging.WARNING):
        await worker.start()
        await asyncio.sleep(5 * POLL_S)
    assert worker.confidence.told() == {"accounts": 0, "built": None, "state": "priors"}
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == len(set(told)) > 0, "each thing once"
    unsteady.away = False
    await until_s(10 * POLL_S, lambda: state(worker) == "proven")
    await worker.close()


async def test_a_matrix_that_cannot_be_read_serves_priors_and_says_so(
    database: Database, learning: Learning, caplog: pytest.LogCaptureFixture
):
    await write(database, series(WELL))
    await learning.rebuild("acme")
    assert learning.confidence.told()["state"] == "learned"
    for damage in ("{", '{"reference": 1}', '{"format": 99, "reference": "r", "audits": 0}'):
        await database.execute("UPDATE confidence SET matrix = $1, seq = seq + 1", damage)
        with caplog.at_level(logging.WARNING):
            await learning.follow()
            await learning.follow()
        assert len(caplog.records) == 1, "once, not every second"
        caplog.clear()
        assert learning.confidence.told()["state"] == "broken"
        [cheap] = [d for d in CATALOG.candidates if d.id == CHEAP]
        [odds] = learning.confidence.odds("acme", QA, {"mid": -0.1}, [cheap])
        assert (odds.enough, odds.expected) == (None, -0.1)
    await learning.rebuild("acme")
    assert (learning.confidence.told()["state"], state(learning)) == ("learned", "proven")


async def test_heads_that_cannot_be_read_serve_priors_as_well(database: Database, learning: Learning):
    await write(database, series(WELL))
    await learning.rebuild("acme")
    await database.execute("UPDATE confidence SET heads = $1, seq = seq + 1", b"\xc1")
    await learning.follow()
    assert learning.confidence.told() == {"accounts": 0, "built": None, "state": "broken"}


async def test_what_was_proven_stays_proven_over_a_restart(
    database_place: tuple[str | None, Path], database: Database, learning: Learning
):
    await write(database, series(MIXED * 30))
    await learning.rebuild("acme")
    assert state(learning) == "proven"
    lost_ms = [NOW_MS - 1_000 * len(MIXED * 30) + 6_000 * place for place in range(25)]
    await write(database, [compared("lose", judged_ms=judged_ms) for judged_ms in lost_ms])
    kept = await learning.rebuild("acme")
    cell = read_learned(kept.matrix).matrix.cell(CHEAP, "qa")
    assert cell.state == "proven"
    assert 0.5 <= cell.probability < 0.8, "not enough to be proven anew, enough to stay"
    again = await open_database(*database_place)
    try:
        restarted = learner(again)
        await restarted.follow()
        assert state(restarted) == "proven"
        row = await restarted.rebuild("acme")
        assert read_learned(row.matrix).matrix.cell(CHEAP, "qa").state == "proven"
    finally:
        await again.close()
    await database.execute("DELETE FROM confidence")
    fresh = await learner(database).rebuild("acme")
    assert read_learned(fresh.matrix).matrix.cell(CHEAP, "qa").state == "unproven", "it was the memory that kept it"


async def test_a_matrix_about_another_reference_serves_nobody(database: Database, learning: Learning):
    await write(database, series(WELL))
    await learning.rebuild("acme")
    changed = msgspec.structs.replace(CATALOG, reference=next(d for d in CATALOG.servable if d.id == MIDDLE))
    other = learner(database, changed)
    await other.follow()
    assert state(other) is None
    assert other.confidence.told()["state"] == "priors"
    row = await other.rebuild("acme")
    assert read_learned(row.matrix).matrix.cells == {}


async def test_without_a_reference_nothing_is_built(database: Database, learning: Learning):
    await write(database, series(WELL))
    alone = learner(database, msgspec.structs.replace(CATALOG, reference=None))
    await alone.build_due()
    with pytest.raises(NotFound):
        await alone.rebuild("acme")
    assert await ConfidenceRows(database).find("acme") is None


async def test_what_is_too_old_serves_nobody(database: Database, learning: Learning):
    await write(database, series(WELL))
    await learning.rebuild("acme")
    await database.execute("UPDATE confidence SET built_ms = built_ms - $1, seq = seq + 1", OLD_MS + 1)
    other = learner(database)
    await other.follow()
    assert state(other) is None
    assert other.confidence.told()["state"] == "broken"


async def test_feedback_moves_a_cell_gently_and_only_its_own(database: Database, learning: Learning):
    await write(database, [*series(MIXED * 8), *series(MIXED * 8, account_id="zeta")])
    before = read_learned((await learning.rebuild("acme")).matrix).matrix.cell(CHEAP, "qa")
    for place in range(8):
        said = Feedback("acme", f"req_{place}", "user", -1.0, None, "qa", CHEAP, NOW_MS - 5_000 * place)
        await FeedbackRows(database).put(said)
    row = await learning.rebuild("acme")
    after = read_learned(row.matrix).matrix.cell(CHEAP, "qa")
    assert (before.n, after.n) == (40, 42), "eight complaints weigh as much as two comparisons"
    assert after.mean < before.mean
    assert read_learned(row.matrix).feedback == 8
    zeta = read_learned((await learning.rebuild("zeta")).matrix)
    assert (zeta.feedback, zeta.matrix.cell(CHEAP, "qa").n) == (0, 40)


async def test_complaints_in_a_row_are_not_taken_for_a_new_model(database: Database, learning: Learning):
    await write(database, series(MIXED * 8))
    for place in range(16):
        said = Feedback("acme", f"req_{place}", "user", -1.0, None, "qa", CHEAP, NOW_MS + 1 + place)
        await FeedbackRows(database).put(said)
    cell = read_learned((await learning.rebuild("acme")).matrix).matrix.cell(CHEAP, "qa")
    assert (cell.n, cell.drifted) == (44, False), "the comparisons before them count on"


async def test_a_sign_that_nobody_gave_on_purpose_moves_nothing(database: Database, learning: Learning):
    await write(database, series(WELL))
    before = read_learned((await learning.rebuild("acme")).matrix)
    await FeedbackRows(database).put(Feedback("acme", "req_1", "reask", -1.0, None, "qa", CHEAP, 1))
    assert read_learned((await learning.rebuild("acme")).matrix) == before


async def test_people_correct_the_judge(database: Database, learning: Learning):
    """A judge that calls ties what people call lost is not believed where nobody has looked either."""
    await write(database, series("t" * 80))
    assert read_learned((await learning.rebuild("acme")).matrix).matrix.cell(CHEAP, "qa").mean > -0.02
    await write(database, [compared("tie", human="lose", human_ms=1) for _ in range(40)])
    learned = read_learned((await learning.rebuild("acme")).matrix)
    assert learned.judges[CHEAP].pairs == 40
    cell = learned.matrix.cell(CHEAP, "qa")
    assert cell.mean < -40 / 120, "worse than what people have seen alone"


VERDICTS = st.text(alphabet="wtl", min_size=1, max_size=60)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ours=VERDICTS, theirs=VERDICTS, humans=st.integers(0, 5), score=st.floats(-1, 1))
def test_two_tenants_never_move_each_others_cells(
    tmp_path_factory: pytest.TempPathFactory, ours: str, theirs: str, humans: int, score: float
):
    async def run() -> None:
        database = await open_database(None, tmp_path_factory.mktemp("apart"))
        try:
            for account_id in ("acme", "zeta"):
                await AccountRows(database).ensure(account_id, account_id, 1, actor=GATEWAY)
            worker = learner(database)
            await write(database, series(ours))
            alone = read_learned((await worker.rebuild("acme")).matrix).matrix
            await write(database, series(theirs, account_id="zeta", embedding=bytes(256)))
            await write(database, [compared(account_id="zeta", human="lose", human_ms=1) for _ in range(humans)])
            await FeedbackRows(database).put(Feedback("zeta", "req_1", "user", score, None, "qa", CHEAP, 1))
            await worker.rebuild("zeta")
            beside = read_learned((await worker.rebuild("acme")).matrix).matrix
            assert beside == alone
            assert known(worker, "acme") == alone.cells
            assert worker.confidence.predictor("acme") is None
        finally:
            await database.close()

    asyncio.run(run())


def test_the_reference_of_these_tests_is_that_of_the_catalog():
    assert CATALOG.reference is not None
    assert CATALOG.reference.id == REFERENCE
