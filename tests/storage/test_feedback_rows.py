"""Feedback: one word of each source about an answer, the last one counts; of an account's own answers only."""

import pytest

from neuralrouting.storage.database import Database
from neuralrouting.storage.feedback import INSERT_SIGN, Feedback, FeedbackRows, Source

pytestmark = pytest.mark.anyio


def _said(score: float, source: Source = "user", account_id: str = "acme", comment: str | None = None) -> Feedback:
    return Feedback(account_id, "req_1", source, score, comment, "qa", "openai/gpt-4o-mini", 1_000)


async def test_what_is_said_again_replaces_what_was_said(database: Database):
    rows = FeedbackRows(database)
    await rows.put(_said(1.0, comment="fine"))
    await rows.put(_said(-1.0))
    assert await rows.of("acme", "req_1") == [_said(-1.0)]


async def test_each_source_and_each_account_speaks_for_itself(database: Database):
    rows = FeedbackRows(database)
    for said in (_said(1.0), _said(-1.0, "reask"), _said(0.5, account_id="zeta")):
        await rows.put(said)
    assert await rows.of("acme", "req_1") == [_said(-1.0, "reask"), _said(1.0)]
    assert await rows.of("zeta", "req_1") == [_said(0.5, account_id="zeta")]
    assert await rows.of("acme", "req_2") == []


async def test_a_sign_is_noted_once(database: Database):
    for score in (-1.0, -0.5):
        await database.write([(INSERT_SIGN, [_said(score, "reask").values()])])
    assert await FeedbackRows(database).of("acme", "req_1") == [_said(-1.0, "reask")]
