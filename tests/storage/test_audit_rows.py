"""The audit trail: an account's own requests, newest first, page by page, never more work than a page is worth."""

import pytest

from neuralrouting.storage.attribution import Attribution
from neuralrouting.storage.audit import EXAMINED_ROWS, AuditPlace, AuditQuery, AuditRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.requests import APPEND_REQUEST, RequestRow
from settling import NOON_MS, request_row

pytestmark = pytest.mark.anyio

ALL = AuditQuery("acme", 0, NOON_MS + 10**9)


async def _insert(database: Database, *rows: RequestRow) -> AuditRows:
    await database.write([(APPEND_REQUEST, [row.values() for row in rows])])
    return AuditRows(database)


async def _walked(rows: AuditRows, query: AuditQuery, limit: int) -> list[list[str]]:
    """The request ids of every page, until there is none behind."""
    pages: list[list[str]] = []
    after: AuditPlace | None = None
    while not pages or after is not None:
        page = await rows.page(query, limit, after)
        pages.append([row.request_id for row in page.rows])
        after = page.behind
    return pages


async def test_pages_follow_each_other_newest_first_and_miss_nothing_made_in_one_millisecond(database: Database):
    made = [request_row(f"r{n}", created_ms=NOON_MS + n // 4) for n in range(10)]
    rows = await _insert(database, *made)
    pages = await _walked(rows, ALL, 3)
    newest_first = [row.request_id for row in sorted(made, key=lambda r: (r.created_ms, r.request_id), reverse=True)]
    assert pages == [newest_first[:3], newest_first[3:6], newest_first[6:9], newest_first[9:]]


async def test_a_last_page_that_is_full_has_nothing_behind(database: Database):
    rows = await _insert(database, request_row("a"), request_row("b"))
    page = await rows.page(ALL, 2)
    assert len(page.rows) == 2
    assert page.behind is None


async def test_a_new_request_does_not_move_what_a_page_behind_shows(database: Database):
    rows = await _insert(database, *(request_row(f"r{n}", created_ms=NOON_MS + n) for n in range(4)))
    first = await rows.page(ALL, 2)
    await _insert(database, request_row("newer", created_ms=NOON_MS + 100))
    second = await rows.page(ALL, 2, first.behind)
    assert [row.request_id for row in second.rows] == ["r1", "r0"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (AuditQuery("acme", NOON_MS, NOON_MS + 1), {"noon"}),
        (AuditQuery("acme", NOON_MS + 1, NOON_MS + 5), {"later"}),
        (AuditQuery("acme", 0, NOON_MS + 5, Attribution(user="anna")), {"noon"}),
        (AuditQuery("acme", 0, NOON_MS + 5, Attribution(user="")), {"later"}),
        (AuditQuery("acme", 0, NOON_MS + 5, Attribution(model="gpt-4o")), {"later"}),
        (AuditQuery("acme", 0, NOON_MS + 5, Attribution(team="red", key="AbCdEfGhIjKl")), {"noon"}),
        (AuditQuery("acme", 0, NOON_MS + 5, session_id="s"), {"later"}),
        (AuditQuery("acme", 0, NOON_MS + 5, status=402), {"later"}),
        (AuditQuery("globex", 0, NOON_MS + 5), {"theirs"}),
    ],
)
async def test_a_filter_leaves_what_it_names(database: Database, query: AuditQuery, expected: set[str]):
    rows = await _insert(
        database,
        request_row("noon", end_user="anna", team="red"),
        request_row("later", created_ms=NOON_MS + 1, deployment="openai/gpt-4o", session_id="s", status=402),
        request_row("theirs", account_id="globex"),
    )
    assert {row.request_id for row in (await rows.page(query, 10)).rows} == expected


async def test_bodies_are_read_only_when_asked_for(database: Database):
    rows = await _insert(database, request_row("r", request_body=b"asked", response_body=b"answered"))
    assert (await rows.page(ALL, 1)).rows[0].request_body is None
    bare, whole = await rows.find("r", "acme"), await rows.find("r", "acme", bodies=True)
    assert bare is not None
    assert whole is not None
    assert (bare.request_body, bare.response_body) == (None, None)
    assert (whole.request_body, whole.response_body) == (b"asked", b"answered")


async def test_a_request_of_another_account_is_as_unknown_as_none(database: Database):
    rows = await _insert(database, request_row("theirs", account_id="globex"))
    assert await rows.find("theirs", "acme") is None
    assert await rows.find("nobody's", "acme") is None
    assert await rows.find("theirs", "globex") is not None


async def test_a_filter_that_fits_little_is_looked_for_in_bounded_steps(database: Database):
    many = [request_row(f"r{n:05}", created_ms=NOON_MS + n) for n in range(EXAMINED_ROWS + 5)]
    rows = await _insert(database, request_row("old", created_ms=NOON_MS - 1, end_user="anna"), *many)
    query = AuditQuery("acme", 0, NOON_MS + 10**9, Attribution(user="anna"))
    first = await rows.page(query, 10)
    assert first.rows == ()
    assert first.behind == AuditPlace(NOON_MS + 5, "r00005")
    second = await rows.page(query, 10, first.behind)
    assert [row.request_id for row in second.rows] == ["old"]
    assert second.behind is None


async def test_calls_whose_model_was_chosen_are_told_with_what_prices_them(database: Database):
    fields = {"task": "qa", "deployment": "openai/gpt-4o", "route_rule": "premium for complexity 7.2"}
    rows = await _insert(
        database,
        request_row("chosen", **fields, cached_tokens=3),
        request_row("forced", **(fields | {"route_rule": "forced"})),
        request_row("failed", **fields, status=502),
        request_row("of another model", **(fields | {"deployment": "openai/gpt-4o-mini"})),
        request_row("unpriced", **fields, cost_nanousd=None),
        request_row("hit", **(fields | {"task": None}), cache="exact"),
        request_row("theirs", **fields, account_id="globex"),
        request_row("too late", **fields, created_ms=NOON_MS + 10**10),
    )
    calls, more = await rows.unforced_calls(ALL, ["openai/gpt-4o", "openai/o9"])
    assert not more
    [call] = calls
    assert (call.task, call.deployment, call.candidates) == ("qa", "openai/gpt-4o", '["openai/gpt-4o-mini"]')
    assert (call.prompt_tokens, call.completion_tokens, call.cached_tokens, call.cost_nanousd) == (10, 20, 3, 100)
    assert call.simulated is False


async def test_calls_are_looked_for_among_the_newest_only_and_that_is_told(database: Database):
    old = request_row("old", task="qa", created_ms=NOON_MS - 1)
    many = [request_row(f"r{n}", created_ms=NOON_MS + n) for n in range(EXAMINED_ROWS)]
    rows = await _insert(database, old, *many)
    assert await rows.unforced_calls(ALL, ["openai/gpt-4o-mini"]) == ([], True)
    calls, more = await rows.unforced_calls(AuditQuery("acme", 0, NOON_MS + 1), ["openai/gpt-4o-mini"])
    assert (len(calls), more) == (1, False)


async def test_a_page_is_found_by_the_index_of_account_and_time(database: Database):
    rows = await _insert(database, request_row("a"), request_row("b"))
    page = await rows.page(ALL, 1)
    assert page.behind is not None
    if database.dialect == "postgres":  # which reads small tables whole
        return
    plan = await database.fetch(
        "EXPLAIN QUERY PLAN SELECT request_id FROM requests WHERE account_id = $1 AND created_ms >= $2 "
        "AND created_ms < $3 AND created_ms <= $4 AND (created_ms, request_id) < ($4, $5) "
        "ORDER BY created_ms DESC, request_id DESC LIMIT 1",
        "acme", 0, NOON_MS + 5, page.behind.created_ms, page.behind.request_id,
    )  # fmt: skip
    [(_, _, _, step)] = plan  # one step: nothing is sorted
    assert "requests_page (account_id=? AND created_ms>? AND created_ms<?)" in step
