"""Whose turn a month is: one worker's, until it is done or given up."""

import pytest

from neuralrouting.storage.database import Database
from neuralrouting.storage.monthly import AGAIN_MS, MonthlyTurn

pytestmark = pytest.mark.anyio
NOW_MS = 1_796_083_200_000


async def test_a_month_is_done_once_and_the_next_is_another_turn(database: Database):
    turn = MonthlyTurn(database)
    assert await turn.claim("2026-11", NOW_MS)
    assert not await turn.claim("2026-11", NOW_MS + AGAIN_MS - 1)
    await turn.finish("2026-11", "{}")
    assert not await turn.claim("2026-11", NOW_MS + 10 * AGAIN_MS)
    assert not await turn.claim("2026-10", NOW_MS)
    assert await turn.claim("2026-12", NOW_MS)
    # Given up after an hour without a sign, not before.
    await turn.go_on("2026-12", NOW_MS + AGAIN_MS)
    assert not await turn.claim("2026-12", NOW_MS + 2 * AGAIN_MS - 1)
    assert await turn.claim("2026-12", NOW_MS + 2 * AGAIN_MS)
