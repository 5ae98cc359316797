"""The matrix of an account: replaced as a whole or not at all, followed by number, built by one worker at a time."""

import asyncio

import pytest

from compared import NOW_MS, compared, write
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.confidence import CLAIM_MS, OVERLAP_MS, STALE_MS, ConfidenceRow, ConfidenceRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.feedback import Feedback, FeedbackRows
from neuralrouting.storage.trail import GATEWAY

pytestmark = pytest.mark.anyio
PERIOD_MS = 60_000


@pytest.fixture
async def rows(database: Database) -> ConfidenceRows:
    for account_id in ("acme", "zeta"):
        await AccountRows(database).ensure(account_id, account_id, 1, actor=GATEWAY)
    return ConfidenceRows(database)


def _row(account_id: str = "acme", seq: int = 0, matrix: str = "{}", built_ms: int = NOW_MS) -> ConfidenceRow:
    return ConfidenceRow(account_id, seq, built_ms, matrix, b"heads")


async def test_what_is_written_is_read_with_its_number(rows: ConfidenceRows):
    assert await rows.find("acme") is None
    assert await rows.put(_row()) == 1
    assert await rows.find("acme") == _row(seq=1)
    assert await rows.find("zeta") is None


async def test_every_build_has_a_greater_number_than_all_before(rows: ConfidenceRows):
    assert await rows.put(_row()) == 1
    assert await rows.put(_row("zeta")) == 2
    assert await rows.put(_row(seq=1, matrix="[1]")) == 3
    assert [(row.account_id, row.seq) for row in await rows.since(0)] == [("zeta", 2), ("acme", 3)]
    assert [row.seq for row in await rows.since(2)] == [3]
    assert await rows.since(3) == []


async def test_who_was_slower_writes_nothing(rows: ConfidenceRows):
    assert await rows.put(_row(matrix='"first"')) == 1
    assert await rows.put(_row(matrix='"second"')) is None
    assert await rows.put(_row(seq=7)) is None
    found = await rows.find("acme")
    assert found is not None
    assert found.matrix == '"first"'


async def test_of_many_that_write_at_once_one_does(rows: ConfidenceRows):
    numbers = await asyncio.gather(*(rows.put(_row(matrix=str(place))) for place in range(8)))
    assert sorted(number for number in numbers if number is not None) == [1]


async def test_a_claim_is_held_by_one_until_it_has_written_or_is_given_up(rows: ConfidenceRows):
    claims = await asyncio.gather(*(rows.claim("acme", 0, NOW_MS) for _ in range(8)))
    assert claims.count(True) == 1
    assert await rows.find("acme") is None, "a claim is no matrix"
    assert await rows.since(0) == []
    assert not await rows.claim("acme", 0, NOW_MS + CLAIM_MS - 1)
    assert await rows.claim("acme", 0, NOW_MS + CLAIM_MS)
    await rows.put(_row())
    assert not await rows.claim("acme", 0, NOW_MS + 9 * CLAIM_MS), "that build is done"
    assert await rows.claim("acme", 1, NOW_MS + CLAIM_MS)


async def test_only_an_account_with_new_evidence_is_due(database: Database, rows: ConfidenceRows):
    assert await rows.due(NOW_MS, PERIOD_MS) == []
    await write(database, [compared()])
    assert await rows.due(NOW_MS, PERIOD_MS) == [("acme", 0)]
    await rows.put(_row())
    assert await rows.due(NOW_MS + PERIOD_MS - 1, PERIOD_MS) == [], "the period is not over"
    assert await rows.due(NOW_MS + PERIOD_MS, PERIOD_MS) == [("acme", 1)], "its row may have been committed late"
    await rows.put(_row(seq=1, built_ms=NOW_MS + OVERLAP_MS + 1))
    assert await rows.due(NOW_MS + 10 * PERIOD_MS, PERIOD_MS) == [], "nothing is new"


@pytest.mark.parametrize("what", ["judged", "human", "feedback"])
async def test_whatever_is_evidence_makes_a_matrix_due(database: Database, rows: ConfidenceRows, what: str):
    await write(database, [compared()])
    await rows.put(_row(built_ms=NOW_MS + OVERLAP_MS + 1))
    later = NOW_MS + 2 * PERIOD_MS
    assert await rows.due(later, PERIOD_MS) == []
    if what == "judged":
        await write(database, [compared(judged_ms=later)])
    elif what == "human":
        await database.execute("UPDATE shadow_audits SET human = 'lose', human_ms = $1", later)
    else:
        said = Feedback("acme", "req_1", "user", -1.0, None, "qa", "openai/gpt-4o-mini", later)
        await FeedbackRows(database).put(said)
    assert await rows.due(later, PERIOD_MS) == [("acme", 1)]


async def test_what_somebody_builds_is_not_due(database: Database, rows: ConfidenceRows):
    await write(database, [compared()])
    assert await rows.claim("acme", 0, NOW_MS)
    assert await rows.due(NOW_MS, PERIOD_MS) == []
    assert await rows.due(NOW_MS + CLAIM_MS, PERIOD_MS) == [("acme", 0)]


async def test_a_matrix_without_new_evidence_is_built_once_a_day(rows: ConfidenceRows):
    await rows.put(_row())
    assert await rows.due(NOW_MS + STALE_MS - 1, PERIOD_MS) == []
    assert await rows.due(NOW_MS + STALE_MS, PERIOD_MS) == [("acme", 1)]


async def test_the_longest_waiting_comes_first(database: Database, rows: ConfidenceRows):
    await write(database, [compared(), compared(account_id="zeta")])
    await rows.put(_row(built_ms=NOW_MS - 1))
    await rows.put(_row("zeta", built_ms=NOW_MS - 2))
    assert await rows.due(NOW_MS + PERIOD_MS, PERIOD_MS) == [("zeta", 2), ("acme", 1)]
