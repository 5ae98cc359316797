"""Rate limits whose files cannot be made: nobody is let in uncounted, and the refusal says why."""

import shutil
from pathlib import Path

import pytest

from counting_house import EVERY_MODE
from neuralrouting.accounts.rates import Rates
from neuralrouting.engine import Limits
from neuralrouting.errors import Unavailable
from neuralrouting.exchange import Caller, Plan

pytestmark = pytest.mark.anyio

SIXTY = Plan("sixty", "Sixty", 0, None, 60, 1_000, None, EVERY_MODE, force_model=True)


async def test_an_account_whose_limit_has_no_room_on_the_disk_is_refused_for_now(tmp_path: Path):
    rates = Rates(Limits(str(tmp_path / "limits")))
    shutil.rmtree(tmp_path / "limits")
    with pytest.raises(Unavailable, match="rate limit") as told:
        await rates.enter(Caller("acme", "AbCdEfGhIjKl", live=True), SIXTY)
    assert told.value.code == "limits_unavailable"
    assert told.value.retry_after_s is not None


async def test_an_account_that_was_counted_before_is_served_on(tmp_path: Path):
    rates, caller = Rates(Limits(str(tmp_path / "limits"))), Caller("acme", "AbCdEfGhIjKl", live=True)
    permit = await rates.enter(caller, SIXTY)
    rates.take_tokens(permit, caller, SIXTY, 10)
    permit.leave(10)
    shutil.rmtree(tmp_path / "limits")
    permit = await rates.enter(caller, SIXTY)
    rates.take_tokens(permit, caller, SIXTY, 10)
    assert permit.remaining_requests == 58
