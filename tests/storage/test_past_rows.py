"""Past requests of one account, page by page: all of them once, newest first, and no more than asked for."""

import pytest

from neuralrouting.storage.audit import AuditQuery
from neuralrouting.storage.database import Database
from neuralrouting.storage.past import BODY_PAGE_ROWS, PAGE_ROWS, Asked, PastRows, Routed, decided
from neuralrouting.storage.requests import APPEND_REQUEST
from settling import NOON_MS, request_row

pytestmark = pytest.mark.anyio
QUERY = AuditQuery("acme", NOON_MS, NOON_MS + 1_000_000)
MANY = PAGE_ROWS + 7


async def fill(database: Database, count: int, **changes: object) -> None:
    rows = [request_row(f"r{n:05}", created_ms=NOON_MS + n // 3, **changes).values() for n in range(count)]
    await database.write([(APPEND_REQUEST, rows)])


async def ids(rows: PastRows, *, bodies: bool = False) -> list[str]:
    return [row.request_id async for page in rows.pages(QUERY, bodies=bodies) for row in page]


async def test_every_request_comes_once_and_the_newest_first(database: Database):
    await fill(database, MANY)
    await database.write([(APPEND_REQUEST, [request_row("theirs", account_id="other").values()])])
    await database.write([(APPEND_REQUEST, [request_row("before", created_ms=NOON_MS - 1).values()])])
    rows = PastRows(database)
    assert await ids(rows) == [f"r{n:05}" for n in reversed(range(MANY))]
    assert not await rows.more(QUERY)


async def test_no_more_than_the_newest_are_read_and_that_is_told(database: Database):
    await fill(database, 20)
    rows = PastRows(database, most=5)
    assert await ids(rows) == [f"r{n:05}" for n in reversed(range(15, 20))]
    assert await rows.more(QUERY)


async def test_bodies_are_read_only_where_they_are_needed(database: Database):
    await fill(database, BODY_PAGE_ROWS + 1, request_body=b"{}")
    rows = PastRows(database)
    without = [row.request_body async for page in rows.pages(QUERY, bodies=False) for row in page]
    with_ = [row.request_body async for page in rows.pages(QUERY, bodies=True) for row in page]
    assert set(without) == {None}
    assert with_ == [b"{}"] * (BODY_PAGE_ROWS + 1)


async def test_of_a_decision_is_read_what_is_needed_whatever_else_is_in_it(database: Database):
    told = (
        '{"route": {"source": "key", "mode": "auto", "candidates": []}, "shield": {"says": "pass"},'
        ' "asked": {"tools": true, "images": false, "json_mode": "schema", "prompt_tokens": 7, "messages": 3}}'
    )
    await fill(database, 1, decision=told)
    (page,) = [page async for page in PastRows(database).pages(QUERY, bodies=False)]
    found = decided(page[0])
    assert found is not None
    assert found.route == Routed("key")
    assert found.asked == Asked(tools=True, images=False, json_mode="schema", prompt_tokens=7, messages=3)
