"""Judgements: counted by kind; one against an entry takes it away at once, and only from its own account."""

import pytest

from cache_rows import scope_of, stored
from neuralrouting.errors import NotFound
from neuralrouting.storage.database import Database
from neuralrouting.storage.entries import INSERT_ENTRY, EntryRows, entry_values
from neuralrouting.storage.judgements import TAUGHT_MS, HitKind, Judgement, Judgements, Retirement, Verdicts
from neuralrouting.storage.purges import Purges
from neuralrouting.storage.trail import GATEWAY

pytestmark = pytest.mark.anyio
NOW_MS = 1_000_000


@pytest.fixture
async def judgements(database: Database) -> Judgements:
    entries = [
        stored("near", scope="s"),
        stored("near", scope="s", stored_ms=600),
        stored("plain"),
        stored("near", "zeta", scope="s"),
    ]
    await database.write([(INSERT_ENTRY, [entry_values(entry) for entry in entries])])
    return Judgements(database)


def _judged(key: bytes, *, agreed: bool, kind: HitKind = "semantic", account_id: str = "acme") -> Judgement:
    return Judgement(account_id, key, kind, 0.93, agreed, "feedback")


async def _left(database: Database) -> list[tuple[bytes, str]]:
    return [(entry.key, entry.account_id) for _, entry in await EntryRows(database).since(0, 100)]


async def test_a_hit_that_was_right_changes_nothing(database: Database, judgements: Judgements):
    await judgements.judge(_judged(b"near", agreed=True), NOW_MS, actor=GATEWAY)
    assert len(await _left(database)) == 4
    assert await judgements.against(0, NOW_MS) == []
    assert await Purges(database).since(0, NOW_MS) == []


async def test_a_hit_that_was_wrong_retires_its_entry_for_good(database: Database, judgements: Judgements):
    await judgements.judge(_judged(b"near", agreed=False), NOW_MS, actor=GATEWAY)
    assert await _left(database) == [(b"plain", "acme"), (b"near", "zeta")]
    [retirement] = await judgements.against(0, NOW_MS)
    assert retirement == Retirement(retirement.seq, "acme", scope_of("s"), b"near", "semantic", 0.93)
    [purge] = await Purges(database).since(0, NOW_MS)
    assert (purge.account_id, purge.key, purge.purged_ms) == ("acme", b"near", NOW_MS)
    await database.write([(INSERT_ENTRY, [entry_values(stored("near", scope="s"))])])  # it waited in a queue
    assert await Purges(database).sweep(NOW_MS + 15_000) == 1


@pytest.mark.parametrize(("account_id", "key"), [("acme", b"nothing"), ("other", b"near"), ("zeta", b"plain")])
async def test_what_is_not_there_or_not_ones_own_is_not_judged(
    database: Database, judgements: Judgements, account_id: str, key: bytes
):
    with pytest.raises(NotFound):
        await judgements.judge(_judged(key, agreed=False, account_id=account_id), NOW_MS, actor=GATEWAY)
    assert len(await _left(database)) == 4
    assert await judgements.against(0, NOW_MS) == []
    assert await judgements.counts(account_id) == {}


async def test_an_entry_is_retired_once(judgements: Judgements):
    await judgements.judge(_judged(b"plain", agreed=False, kind="exact"), NOW_MS, actor=GATEWAY)
    with pytest.raises(NotFound):
        await judgements.judge(_judged(b"plain", agreed=False, kind="exact"), NOW_MS, actor=GATEWAY)
    assert await judgements.counts("acme") == {"exact": Verdicts(1, 1)}


async def test_right_and_wrong_are_counted_by_kind_for_each_account(judgements: Judgements):
    for agreed in (True, True, True, False):
        await judgements.judge(_judged(b"near", agreed=agreed), NOW_MS, actor=GATEWAY)
    await judgements.judge(_judged(b"plain", agreed=True, kind="exact"), NOW_MS, actor=GATEWAY)
    await judgements.judge(_judged(b"near", agreed=True, kind="canonical", account_id="zeta"), NOW_MS, actor=GATEWAY)
    counts = await judgements.counts("acme")
    assert counts == {"semantic": Verdicts(4, 1), "exact": Verdicts(1, 0)}
    assert counts["semantic"].agreed == 3
    assert await judgements.counts("zeta") == {"canonical": Verdicts(1, 0)}


async def test_what_was_learned_is_told_in_order_for_a_quarter(judgements: Judgements):
    await judgements.judge(_judged(b"near", agreed=False), NOW_MS, actor=GATEWAY)
    await judgements.judge(_judged(b"near", agreed=False, account_id="zeta"), NOW_MS + 1, actor=GATEWAY)
    first, second = await judgements.against(0, NOW_MS)
    assert (first.account_id, second.account_id) == ("acme", "zeta")
    assert await judgements.against(first.seq, NOW_MS) == [second]
    assert await judgements.against(0, NOW_MS + TAUGHT_MS) == [second]
