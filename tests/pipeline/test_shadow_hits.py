"""Hits of the semantic cache are answered anew: right ones are counted, wrong ones taken back."""

import time
from collections.abc import AsyncIterator

import msgspec
import pytest
from shadow_rig import CHEAP, GOOD, JUDGE, Rig, opened_rig, prefers

from fake_replies import Answer
from neuralrouting.exchange import CacheEntry, Lookup
from neuralrouting.storage.database import Database
from neuralrouting.storage.entries import INSERT_ENTRY, entry_values
from neuralrouting.storage.judgements import Judgements, Verdicts

pytestmark = pytest.mark.anyio
FIRST, SECOND = "How do I boil an egg?", "how do i boil an egg"
NOW_MS = time.time_ns() // 1_000_000


@pytest.fixture
async def rig(database: Database) -> AsyncIterator[Rig]:
    async with opened_rig(database) as rig:
        rig.lines[CHEAP] = Answer("Eight minutes.")
        yield rig


async def _stored(rig: Rig, text: str) -> CacheEntry:
    """Have the cheap model's answer to FIRST stored, in memory and as a row, without an audit of its own."""
    await rig.shadowing.close()
    rig.serve(rig.turn(FIRST), CHEAP, text)
    await rig.shadowing.close()  # forgets the audit of the answer itself
    rig.shadowing.start()
    [entry] = rig.kept
    await rig.database.write([(INSERT_ENTRY, [entry_values(entry)])])
    return entry


async def _hit(rig: Rig, text: str) -> tuple[CacheEntry, Lookup]:
    entry = await _stored(rig, text)
    return entry, rig.hit(rig.turn(SECOND))


async def test_a_hit_that_was_right_is_counted_as_right(rig: Rig):
    _, cache = await _hit(rig, "Eight minutes.")
    assert cache.outcome == "canonical"
    audit = await rig.row()
    assert (audit.kind, audit.candidate, audit.reference, audit.served) == ("cache", CHEAP, CHEAP, CHEAP)
    assert (audit.verdict, audit.reason, audit.similarity) == ("tie", "same_text", 1.0)
    assert audit.entry is not None
    assert audit.entry.hex() == cache.entry
    assert await Judgements(rig.database).counts("acme") == {"canonical": Verdicts(1, 0)}
    assert rig.turn(SECOND).inspection.hit is not None


async def test_a_hit_that_was_wrong_is_taken_back_at_once(rig: Rig):
    rig.lines[JUDGE] = prefers("Eight minutes.")
    entry, _ = await _hit(rig, "Boil it for an hour.")
    audit = await rig.row()
    assert (audit.verdict, audit.method) == ("lose", "judge")
    judgements = Judgements(rig.database)
    assert await judgements.counts("acme") == {"canonical": Verdicts(1, 1)}
    [retired] = await judgements.against(0, NOW_MS)
    assert (retired.account_id, retired.key, retired.kind) == ("acme", entry.key, "canonical")
    assert rig.turn(SECOND).inspection.hit is None


async def test_a_semantic_hit_that_was_wrong_teaches_its_scope(rig: Rig):
    """The likeness itself is the core's affair; here it is told, as by a hit of level 2."""
    rig.lines[JUDGE] = prefers("Eight minutes.")
    entry = await _stored(rig, "Boil it for an hour.")
    turn = rig.turn(SECOND)
    hit = turn.inspection.hit
    assert hit is not None
    cache = Lookup("semantic", 0.93, 0, entry.key.hex())
    rig.offer(turn, rig.model(CHEAP), cache, hit.body)
    await rig.row()
    [retired] = await Judgements(rig.database).against(0, NOW_MS)
    assert (retired.kind, retired.similarity, retired.scope) == ("semantic", 0.93, entry.scope)


async def test_what_is_gone_meanwhile_is_judged_by_nobody(rig: Rig):
    rig.lines[JUDGE] = prefers("Eight minutes.")
    entry = await _stored(rig, "Boil it for an hour.")
    await rig.database.execute("DELETE FROM cache_entries WHERE key = $1", entry.key)
    rig.hit(rig.turn(SECOND))
    assert (await rig.row()).verdict == "lose"
    assert await Judgements(rig.database).counts("acme") == {}
    assert rig.shadowing.counts("acme")["broken"] == 0


async def test_an_exact_hit_is_the_same_question_and_not_asked_again(rig: Rig):
    await _stored(rig, "Eight minutes.")
    turn = rig.turn(FIRST)
    hit = turn.inspection.hit
    assert hit is not None
    rig.offer(turn, rig.model(CHEAP), Lookup("exact", 1.0, 0, hit.key.hex()), hit.body)
    assert await rig.rows() == []


async def test_the_reference_answers_anew_for_a_model_that_is_gone(rig: Rig):
    await _stored(rig, "Boil it for an hour.")
    turn = rig.turn(SECOND)
    hit = turn.inspection.hit
    assert hit is not None
    gone = msgspec.structs.replace(rig.model(CHEAP), id="house/gone", model="gone", upstream_model="gone")
    rig.offer(turn, gone, Lookup("canonical", 1.0, 0, hit.key.hex()), hit.body)
    assert (await rig.row()).reference == GOOD
