"""What people say of findings: counted, taken back, noted in the trail, and never a change of what was recorded."""

import pytest

from findings_made import an_event
from neuralrouting.storage.database import Database
from neuralrouting.storage.security import INSERT_EVENT, EventFilter, SecurityRows, event_values
from neuralrouting.storage.trail import Actor, Trail
from neuralrouting.storage.verdicts import EventVerdict, EventVerdicts, VerdictSum

pytestmark = pytest.mark.anyio

ANNA = Actor("user_anna")
DAY_MS = 86_400_000
AT_MS = 1_760_000_000_000


async def made(database: Database, *events: object) -> EventVerdicts:
    await database.write([(INSERT_EVENT, [event_values(event) for event in events])])
    return EventVerdicts(database)


async def test_a_verdict_is_counted_by_action_and_can_be_changed_and_taken_back(database: Database):
    verdicts = await made(database, an_event("a"), an_event("b", action="flag"))
    assert await verdicts.put("acme", EventVerdict("a", "right", ANNA, 1))
    assert await verdicts.put("acme", EventVerdict("a", "wrong", ANNA, 2))
    assert await verdicts.put("acme", EventVerdict("b", "right", ANNA, 3))
    assert await verdicts.sums("acme", AT_MS, AT_MS + 1) == [
        VerdictSum("block", "wrong", 1), VerdictSum("flag", "right", 1),
    ]  # fmt: skip
    assert await verdicts.take_back("acme", "a", actor=ANNA)
    assert await verdicts.sums("acme", AT_MS, AT_MS + 1) == [VerdictSum("flag", "right", 1)]
    assert await verdicts.sums("acme", AT_MS + 1, AT_MS + 2) == []


async def test_a_verdict_leaves_what_was_recorded_as_it_was(database: Database):
    event = an_event("a", excerpt="ignore all")
    verdicts = await made(database, event)
    await verdicts.put("acme", EventVerdict("a", "wrong", ANNA, 1))
    assert await SecurityRows(database).find("acme", "a") == event
    assert await verdicts.of("acme", ["a", "b"]) == {"a": EventVerdict("a", "wrong", ANNA, 1)}
    assert await verdicts.of("acme", []) == {}


async def test_nobody_judges_what_another_account_has_or_nobody(database: Database):
    verdicts = await made(database, an_event("theirs", account_id="globex"))
    assert not await verdicts.put("acme", EventVerdict("theirs", "wrong", ANNA, 1))
    assert not await verdicts.take_back("acme", "theirs", actor=ANNA)
    assert not await verdicts.put("acme", EventVerdict("nobody's", "wrong", ANNA, 1))
    assert await verdicts.sums("globex", 0, AT_MS * 2) == []


async def test_the_trail_tells_who_said_what(database: Database):
    verdicts = await made(database, an_event("a"))
    await verdicts.put("acme", EventVerdict("a", "wrong", ANNA, 1))
    await verdicts.put("acme", EventVerdict("a", "wrong", ANNA, 2))
    await verdicts.take_back("acme", "a", actor=ANNA)
    entries = await Trail(database).page("acme", None, 10)
    assert [(one.action, one.subject, one.actor, one.before, one.after) for one in entries] == [
        ("security.verdict", "a", ANNA, '{"verdict":"wrong"}', '{"verdict":null}'),
        ("security.verdict", "a", ANNA, '{"verdict":null}', '{"verdict":"wrong"}'),
    ]


async def test_findings_are_counted_by_day_and_action(database: Database):
    await made(
        database,
        an_event("a"),
        an_event("b", created_ms=AT_MS + 1, end_user="bob"),
        an_event("c", created_ms=AT_MS + DAY_MS, action="flag", rule_ids=("a_b",)),
        an_event("theirs", account_id="globex"),
    )
    rows, day = SecurityRows(database), AT_MS // DAY_MS
    counts, more = await rows.counts("acme", EventFilter())
    assert ([(one.day, one.action, one.events) for one in counts], more) == (
        [(day, "block", 2), (day + 1, "flag", 1)], False,
    )  # fmt: skip
    for wanted, events in (
        (EventFilter(user="bob"), 1), (EventFilter(action="flag"), 1), (EventFilter(rule="override.prior"), 2),
        (EventFilter(rule='odd",id'), 2), (EventFilter(rule="a%"), 0), (EventFilter(rule="a_b"), 1),
        (EventFilter(rule="prior"), 0), (EventFilter(until_ms=AT_MS + 1), 1), (EventFilter(key="none"), 0),
        (EventFilter(endpoint="/v1/dispatch"), 3),
    ):  # fmt: skip
        counts, _ = await rows.counts("acme", wanted)
        assert sum(one.events for one in counts) == events, wanted
        assert len(await rows.page("acme", wanted)) == events, wanted
