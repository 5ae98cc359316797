"""Rows of shadow audits: written with what they cost, found by their account only, judged by people."""

import time

import msgspec
import pytest

from neuralrouting.storage.database import Database, RowError
from neuralrouting.storage.shadow_audits import Agreement, SetAside, ShadowAudits, ShadowFilter, ShadowSums
from neuralrouting.storage.trail import GATEWAY
from shadow_rows import audit_row

pytestmark = pytest.mark.anyio
NOW_MS = time.time_ns() // 1_000_000
ALL = ShadowFilter()


@pytest.fixture
def audits(database: Database) -> ShadowAudits:
    return ShadowAudits(database)


async def test_an_audit_comes_back_as_it_was_written(audits: ShadowAudits):
    bare = audit_row(embedding=None, verdict=None, difference=None, judge=None, complexity_tenths=None)
    full = audit_row(
        kind="cache", entry=b"k" * 32, similarity=0.93, predicted=-0.25, features=b"f", simulated=True, human="win",
        human_ms=5,
    )  # fmt: skip
    for audit in (bare, full):
        await audits.write(audit, None)
        assert await audits.find("acme", audit.id) == audit


async def test_what_an_audit_cost_takes_the_place_of_what_was_set_aside(audits: ShadowAudits):
    kept = SetAside("acme", NOW_MS // 86_400_000, 10_000)
    assert await audits.set_aside(kept, 10_000)
    await audits.write(audit_row(cost_nanousd=2_500), kept)
    assert await audits.spent("acme", NOW_MS) == 2_500


async def test_an_audit_that_is_refused_leaves_what_was_set_aside(audits: ShadowAudits):
    kept = SetAside("acme", NOW_MS // 86_400_000, 10_000)
    assert await audits.set_aside(kept, 10_000)
    with pytest.raises(RowError):
        await audits.write(audit_row(propensity=2.0), kept)
    assert await audits.spent("acme", NOW_MS) == 10_000
    assert await audits.page("acme", ALL, 10) == []


async def test_pages_go_back_from_the_newest_and_miss_none(audits: ShadowAudits):
    written = [audit_row() for _ in range(7)]
    for audit in written:
        await audits.write(audit, None)
        await audits.write(audit_row(account_id="globex"), None)
    found = await audits.page("acme", ALL, 3)
    while page := await audits.page("acme", ALL, 3, found[-1].id):
        found += page
    assert found == written[::-1]
    assert await audits.page("acme", ALL, 3, "aud_nobodys") == []
    assert await audits.page("globex", ALL, 3, written[-1].id) == [], "another account's place is none"


async def test_a_filter_finds_what_it_names(audits: ShadowAudits):
    lost = audit_row(verdict="lose", difference=-1.0, task="coding")
    open_ = audit_row(verdict=None, difference=None, candidate="house/other")
    hit = audit_row(kind="cache")
    for audit in (lost, open_, hit):
        await audits.write(audit, None)
    assert await audits.page("acme", ShadowFilter(verdict="lose"), 9) == [lost]
    assert await audits.page("acme", ShadowFilter(verdict="none"), 9) == [open_]
    assert await audits.page("acme", ShadowFilter(kind="cache"), 9) == [hit]
    assert await audits.page("acme", ShadowFilter(task="coding", candidate=lost.candidate), 9) == [lost]
    assert await audits.page("acme", ShadowFilter(task="coding", kind="cache"), 9) == []


async def test_people_judge_beside_the_judge_and_may_take_it_back(audits: ShadowAudits):
    one, other = audit_row(verdict="lose", difference=-1.0), audit_row()
    for audit in (one, other, audit_row(method="check"), audit_row(simulated=True)):
        await audits.write(audit, None)
    for audit in await audits.page("acme", ALL, 9):
        assert await audits.judge_as_person("acme", audit.id, "tie", 7, actor=GATEWAY)
    judged = msgspec.structs.replace(one, human="tie", human_ms=7)
    assert await audits.find("acme", one.id) == judged
    assert await audits.agreement("acme") == [Agreement("lose", "tie", 1), Agreement("tie", "tie", 1)]
    assert await audits.judge_as_person("acme", one.id, None, 8, actor=GATEWAY)
    assert await audits.find("acme", one.id) == one
    assert not await audits.judge_as_person("globex", one.id, "win", 9, actor=GATEWAY)


async def test_sums_keep_what_was_simulated_apart(audits: ShadowAudits):
    for audit in (audit_row(), audit_row(), audit_row(simulated=True, cost_nanousd=0), audit_row(account_id="globex")):
        await audits.write(audit, None)
    assert await audits.sums("acme") == [
        ShadowSums("answer", "judge", "tie", simulated=False, audits=2, cost_nanousd=3_000),
        ShadowSums("answer", "judge", "tie", simulated=True, audits=1, cost_nanousd=0),
    ]
