"""The audit trail: one row a request, read per account, newest first, page by page."""

import msgspec
import pytest

from findings_made import an_event
from neuralrouting.exchange import SecurityEvent
from neuralrouting.storage.database import Database, RowError
from neuralrouting.storage.security import INSERT_EVENT, EventFilter, SecurityRows, event_values, place_of

pytestmark = pytest.mark.anyio


async def _insert(database: Database, *events: SecurityEvent) -> SecurityRows:
    await database.write([(INSERT_EVENT, [event_values(event) for event in events])])
    return SecurityRows(database)


async def _ids(rows: SecurityRows, wanted: EventFilter) -> list[str]:
    return [event.request_id for event in await rows.page("acme", wanted)]


async def test_an_event_comes_back_as_it_was_written(database: Database):
    full = an_event("full", excerpt="ignore all", body=b"\0{")
    bare = an_event(
        "bare", action="unscanned", category=None, rule_category=None, risk_permille=0, rule_ids=(), channel=None,
        via=None, message_index=None, span_start=None, span_end=None, excerpt=None, text_sha256=None, truncated=False,
    )  # fmt: skip
    rows = await _insert(database, full, bare)
    assert await rows.page("acme") == [msgspec.structs.replace(full, body=None), bare]
    assert (await rows.find("acme", "full"), await rows.find("acme", "bare")) == (full, bare)
    assert await rows.find("globex", "full") is None


async def test_a_character_that_a_database_lacks_loses_no_event(database: Database):
    rows = await _insert(database, an_event("odd"))
    [event] = await rows.page("acme")
    assert event.rule_ids == ("override.prior", 'odd",id')
    assert event.excerpt is not None
    assert event.excerpt.startswith("ignore ")


async def test_a_batch_that_is_written_twice_is_written_once(database: Database):
    await _insert(database, an_event("one"))
    rows = await _insert(database, an_event("one", action="flag"), an_event("two"))
    assert [(event.request_id, event.action) for event in await rows.page("acme")] == [
        ("two", "block"),
        ("one", "block"),
    ]


async def test_one_account_does_not_see_the_events_of_another(database: Database):
    rows = await _insert(database, an_event("mine"), an_event("theirs", account_id="other"))
    assert [event.request_id for event in await rows.page("acme")] == ["mine"]
    assert await rows.page("nobody") == []


async def test_pages_are_newest_first_and_miss_none_of_the_same_millisecond(database: Database):
    events = [an_event(f"r{number}", created_ms=1_000 + number // 3) for number in range(10)]
    rows = await _insert(database, *events)
    seen: list[str] = []
    place = None
    while page := await rows.page("acme", before=place, limit=4):
        seen += [event.request_id for event in page]
        place = place_of(page[-1])
    assert seen == [f"r{number}" for number in reversed(range(10))]


async def test_events_are_chosen_by_action_category_and_time(database: Database):
    rows = await _insert(
        database,
        an_event("a", created_ms=1),
        an_event("b", created_ms=2, action="flag", category="MEDIUM"),
        an_event("c", created_ms=3, action="flag"),
    )
    assert await _ids(rows, EventFilter(action="flag")) == ["c", "b"]
    assert await _ids(rows, EventFilter(category="CRITICAL")) == ["c", "a"]
    assert await _ids(rows, EventFilter(action="flag", category="MEDIUM")) == ["b"]
    assert await _ids(rows, EventFilter(since_ms=2)) == ["c", "b"]
    [event] = await rows.page("acme", EventFilter(action="flag"), before=place_of(an_event("c", created_ms=3)), limit=9)
    assert event.request_id == "b"


async def test_an_action_that_nobody_knows_is_refused(database: Database):
    with pytest.raises(RowError):
        await _insert(database, an_event("one", action="shout"))
