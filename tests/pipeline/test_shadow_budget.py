"""What audits of one account may cost a day, over all workers: never more, whatever races for it."""

import asyncio
import time

import msgspec
import pytest
from shadow_rig import ANYTHING, CHEAP, GOOD, JUDGE, SETTINGS, config_of, opened_rig, says

from fake_replies import Answer
from neuralrouting.catalog import nanousd_of
from neuralrouting.config import ModelConfig
from neuralrouting.storage.database import Database
from neuralrouting.storage.shadow_audits import DAY_MS, SetAside, ShadowAudits

pytestmark = pytest.mark.anyio
NOW_MS = time.time_ns() // 1_000_000
GREEDY = (10**7, 10**7)
"""Tokens that a provider tells, against all sense."""
TIE = '{"better": "tie", "reason": "equal"}'


async def test_two_hundred_offers_at_once_never_cost_more_than_the_budget(database: Database):
    settings = msgspec.structs.replace(SETTINGS, daily_usd="0.5", queue=200, parallel=16)
    async with opened_rig(database, config_of(settings)) as one, opened_rig(database, config_of(settings)) as other:
        for rig in (one, other):  # two workers of one account
            rig.lines[GOOD] = Answer("good says", usage=(500, 2_000))
            rig.lines[JUDGE] = Answer(TIE, usage=(2_500, 300))
        for _ in range(100):
            one.serve(one.turn(), CHEAP, "cheap says")
            other.serve(other.turn(), CHEAP, "cheap says")
        await other.shadowing.idle()
        await one.shadowing.idle()
        audits = await one.audits.page("acme", ANYTHING, 1_000)
        spent = sum(audit.cost_nanousd for audit in audits)
        refused = sum(rig.shadowing.counts("acme")["over_budget"] for rig in (one, other))
        assert 0 < spent <= 500_000_000
        assert refused > 0
        assert len(audits) + refused == 200
        assert await one.audits.spent("acme", NOW_MS) == spent


@pytest.mark.parametrize("greedy", [GOOD, JUDGE])
async def test_a_provider_that_tells_absurd_counts_cannot_overspend(database: Database, greedy: str):
    settings = msgspec.structs.replace(SETTINGS, daily_usd="0.2", queue=50, parallel=8)
    async with opened_rig(database, config_of(settings)) as rig:
        rig.lines[JUDGE] = says("tie")
        rig.lines[greedy] = Answer(TIE, usage=GREEDY)
        for _ in range(50):
            rig.serve(rig.turn(), CHEAP, "cheap says")
        spent = sum(audit.cost_nanousd for audit in await rig.rows())
        assert 0 < spent <= 200_000_000


async def test_an_answer_that_is_longer_than_told_is_not_sent_to_a_judge_for_more_than_was_set_aside(
    database: Database,
):
    async with opened_rig(database) as rig:
        rig.lines[GOOD] = Answer("many words " * 30_000, usage=(11, 7))
        rig.serve(rig.turn(), CHEAP, "cheap says")
        audit = await rig.row()
        assert (audit.method, audit.reason) == ("none", "too_long_to_judge")
        assert not rig.calls(JUDGE)


async def test_one_account_cannot_spend_anothers_budget(database: Database):
    settings = msgspec.structs.replace(SETTINGS, daily_usd="0.2")
    async with opened_rig(database, config_of(settings)) as rig:
        rig.lines[GOOD] = Answer("good says", usage=(500, 4_000))
        for _ in range(20):
            rig.serve(rig.turn(account="acme"), CHEAP, "cheap says")
        await rig.rows()
        assert rig.shadowing.counts("acme")["over_budget"] > 0
        rig.serve(rig.turn(account="globex"), CHEAP, "cheap says")
        assert len(await rig.rows("globex")) == 1


async def test_nobody_is_asked_whose_price_is_not_known(database: Database):
    config = config_of()
    unpriced = ModelConfig("nameless", "house", context_tokens=64_000, tier="economy", json_mode=True)
    async with opened_rig(database, msgspec.structs.replace(config, models=(*config.models, unpriced))) as rig:
        rig.serve(rig.turn(), GOOD, "good says")
        await rig.rows()
        assert not rig.calls("house/nameless")
        rig.serve(rig.turn(), "house/nameless", "nameless says")
        assert [audit.candidate for audit in await rig.rows()] == [CHEAP, "house/nameless"]


async def test_a_day_begins_with_all_of_its_budget(database: Database):
    audits, day = ShadowAudits(database), NOW_MS // DAY_MS
    assert await audits.set_aside(SetAside("acme", day, 90), 100)
    assert not await audits.set_aside(SetAside("acme", day, 11), 100)
    assert await audits.set_aside(SetAside("acme", day, 10), 100)
    assert await audits.set_aside(SetAside("acme", day + 1, 100), 100)
    await audits.give_back(SetAside("acme", day, 50))
    assert await audits.spent("acme", NOW_MS) == 50


async def test_more_than_the_budget_is_never_set_aside_at_once(database: Database):
    audits = ShadowAudits(database)
    assert not await audits.set_aside(SetAside("acme", 1, 101), 100)
    taken = await asyncio.gather(*(audits.set_aside(SetAside("acme", 2, 7), 100) for _ in range(200)))
    assert sum(taken) == 14


@pytest.mark.parametrize(("usd", "nanousd"), [("1", 10**9), ("0.5", 5 * 10**8), ("12.000001", 12_000_001_000)])
def test_a_budget_is_read_exactly(usd: str, nanousd: int):
    assert nanousd_of(usd) == nanousd
