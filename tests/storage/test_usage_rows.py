"""Sums by what spending is put down to: they agree with the requests, and are read from the rollups alone."""

from collections.abc import Callable

import pytest

from neuralrouting.storage.attribution import Attribution
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import Database
from neuralrouting.storage.requests import RequestRow
from neuralrouting.storage.turns import Settlement
from neuralrouting.storage.usage import DAY_MS, HOUR_MS, Group, UsageQuery, UsageRows, UsageSums, statement
from settling import NOON_MS, new_account, new_worker, request_row

pytestmark = pytest.mark.anyio

MIDNIGHT_MS = NOON_MS - NOON_MS % DAY_MS
WHOLE_DAY = (MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS)
LIMIT = 1_000


async def _settled(database: Database, *rows: RequestRow) -> UsageRows:
    for account_id in {row.account_id for row in rows}:
        await new_account(database, account_id)
    worker = await new_worker(Books(database))
    await worker.turn(*(Settlement(row, metered=False) for row in rows))
    return UsageRows(database)


FORTNIGHT = (WHOLE_DAY[0] - 13 * DAY_MS, WHOLE_DAY[1])
"""Longer than what is read from the requests themselves."""


def _query(*groups: Group, account_id: str = "acme", span: tuple[int, int] = WHOLE_DAY, **wanted: str) -> UsageQuery:
    return UsageQuery(account_id, *span, Attribution(**wanted), groups)


async def _only(rows: UsageRows, query: UsageQuery) -> UsageSums:
    [row] = await rows.sums(query, LIMIT)
    return row.sums


VARIED = (
    request_row("plain", cost_nanousd=100, baseline_nanousd=1_000, end_user="anna", feature="mail", team="red"),
    request_row("dear", cost_nanousd=5_000, baseline_nanousd=1_000, deployment="openai/gpt-4o", created_ms=NOON_MS + 1),
    request_row("unpriced", cost_nanousd=None, baseline_nanousd=700, end_user="anna"),
    request_row("hit", cost_nanousd=0, baseline_nanousd=400, cache="exact"),
    request_row("near", cost_nanousd=30, baseline_nanousd=400, cache="semantic", feature="mail"),
    request_row("failed", status=502, error_code="dead", cost_nanousd=0, baseline_nanousd=None, deployment=None),
    request_row("blocked", status=403, error_code="shield_blocked", cost_nanousd=0, baseline_nanousd=None),
    request_row("house", cost_nanousd=10, baseline_nanousd=10, house_nanousd=77, cached_tokens=3),
    request_row("cached", provider_cache_nanousd=5, cached_tokens=3),
    request_row("later", created_ms=NOON_MS + HOUR_MS, key_id="OtherKeyOther", endpoint="/v1/dispatch"),
    request_row("pretended", simulated=True, deployment="simulated/gpt-4o", cost_nanousd=9, baseline_nanousd=90),
)  # fmt: skip


def _expected(rows: list[RequestRow]) -> UsageSums:
    """The sums, from the requests themselves."""
    compared = [row for row in rows if row.cost_nanousd is not None and row.baseline_nanousd is not None]

    def saved(wanted: Callable[[str], bool]) -> int:
        return sum(row.baseline_nanousd - row.cost_nanousd for row in compared if wanted(row.cache))

    return UsageSums(
        requests=len(rows),
        failed=sum(row.status >= 400 and row.error_code != "shield_blocked" for row in rows),
        blocked=sum(row.error_code == "shield_blocked" for row in rows),
        exact_hits=sum(row.cache == "exact" for row in rows),
        semantic_hits=sum(row.cache == "semantic" for row in rows),
        unpriced=sum(row.cost_nanousd is None for row in rows),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        completion_tokens=sum(row.completion_tokens for row in rows),
        cached_tokens=sum(row.cached_tokens for row in rows),
        cost_nanousd=sum(row.cost_nanousd or 0 for row in rows),
        baseline_nanousd=sum(row.baseline_nanousd for row in compared),
        saved_routing_nanousd=saved(lambda cache: cache not in ("exact", "semantic")),
        saved_exact_nanousd=saved(lambda cache: cache == "exact"),
        saved_semantic_nanousd=saved(lambda cache: cache == "semantic"),
        provider_cache_nanousd=sum(row.provider_cache_nanousd for row in rows),
        house_nanousd=sum(row.house_nanousd for row in rows),
    )


async def test_sums_agree_with_the_requests_real_and_simulated_apart(database: Database):
    rows = await _settled(database, *VARIED)
    found = await rows.sums(_query(), LIMIT)
    for row in found:
        assert row.sums == _expected([r for r in VARIED if r.simulated == row.simulated])
    assert [row.simulated for row in found] == [False, True]


@pytest.mark.parametrize("span", [WHOLE_DAY, (MIDNIGHT_MS, MIDNIGHT_MS + 23 * HOUR_MS)], ids=["days", "hours"])
@pytest.mark.parametrize("group", ["user", "feature", "team", "model", "key", "endpoint"])
async def test_each_group_sums_up_its_own_requests(database: Database, group: Group, span: tuple[int, int]):
    attribute = {"user": "end_user", "model": "deployment", "key": "key_id"}.get(group, group)
    rows = await _settled(database, *VARIED)
    found = await rows.sums(_query(group, span=span), LIMIT)
    expected: dict[tuple[str, bool], list[RequestRow]] = {}
    for row in VARIED:
        expected.setdefault((getattr(row, attribute) or "", row.simulated), []).append(row)
    assert {(row.group[0], row.simulated): row.sums for row in found} == {
        place: _expected(those) for place, those in expected.items()
    }
    assert found == sorted(found, key=lambda row: (row.group, row.simulated))


async def test_hours_and_days_are_told_by_when_they_began(database: Database):
    rows = await _settled(database, *VARIED, request_row("next", created_ms=MIDNIGHT_MS + DAY_MS))
    span = (MIDNIGHT_MS, MIDNIGHT_MS + 2 * DAY_MS)
    days = await rows.sums(_query("day", span=span), LIMIT)
    hours = await rows.sums(_query("hour", span=span), LIMIT)
    assert {row.group[0] for row in days} == {MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS}
    assert {row.group[0] for row in hours} == {NOON_MS, NOON_MS + HOUR_MS, MIDNIGHT_MS + DAY_MS}


async def test_a_day_is_told_whole_also_where_hours_are_read(database: Database):
    rows = await _settled(database, *VARIED)
    [real, simulated] = await rows.sums(_query("day", span=(NOON_MS, NOON_MS + HOUR_MS)), LIMIT)
    assert (real.group, real.sums.requests) == ((MIDNIGHT_MS,), 9)
    assert simulated.sums.requests == 1


@pytest.mark.parametrize(
    ("span", "grain"),
    [
        (WHOLE_DAY, "day"),
        ((MIDNIGHT_MS, MIDNIGHT_MS + HOUR_MS), "hour"),
        ((NOON_MS, MIDNIGHT_MS + DAY_MS), "hour"),
    ],
)
def test_hours_are_read_only_where_days_would_tell_too_much(span: tuple[int, int], grain: str):
    assert _query("day", span=span).grain == grain
    assert _query("hour", span=span).grain == "hour"


async def test_the_end_is_exclusive_and_the_beginning_is_not(database: Database):
    rows = await _settled(database, request_row("at noon"), request_row("at one", created_ms=NOON_MS + HOUR_MS))
    assert (await _only(rows, _query(span=(NOON_MS, NOON_MS + HOUR_MS)))).requests == 1
    assert (await _only(rows, _query(span=(NOON_MS, NOON_MS + 2 * HOUR_MS)))).requests == 2
    assert await rows.sums(_query(span=(NOON_MS + 2 * HOUR_MS, NOON_MS + 3 * HOUR_MS)), LIMIT) == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"user": "anna"}, {"plain", "unpriced"}),
        ({"user": "anna", "feature": "mail"}, {"plain"}),
        ({"team": "red"}, {"plain"}),
        ({"feature": ""}, {"dear", "unpriced", "hit", "failed", "blocked", "house", "cached", "later"}),
        ({"model": "openai/gpt-4o"}, {"dear"}),
        ({"model": ""}, {"failed"}),
        ({"key": "OtherKeyOther"}, {"later"}),
        ({"endpoint": "/v1/dispatch"}, {"later"}),
        ({"user": "nobody"}, set()),
    ],
)
async def test_a_filter_leaves_what_it_names(database: Database, wanted: dict[str, str], expected: set[str]):
    rows = await _settled(database, *VARIED)
    real = [row.sums for row in await rows.sums(_query(**wanted), LIMIT) if not row.simulated]
    assert real == ([_expected([row for row in VARIED if row.request_id in expected])] if expected else [])


@pytest.mark.parametrize(
    ("name", "deployments"),
    [
        ("gpt-4o", {"openai/gpt-4o", "azure/gpt-4o", "simulated/gpt-4o"}),
        ("azure/gpt-4o", {"azure/gpt-4o"}),
        ("4o", set()),
        ("%", set()),
        ("gpt_4o", set()),
        ("a much longer name than that of any deployment", set()),
    ],
)
async def test_a_model_is_found_by_id_or_name_and_by_nothing_else(database: Database, name: str, deployments: set[str]):
    ids = ("openai/gpt-4o", "azure/gpt-4o", "openai/not-gpt-4o", "simulated/gpt-4o")
    rows = await _settled(
        database, *(request_row(id_, deployment=id_, simulated=id_.startswith("simulated")) for id_ in ids)
    )
    assert {row.group[0] for row in await rows.sums(_query("model", model=name), LIMIT)} == deployments


async def test_an_account_sees_its_own_sums_only(database: Database):
    rows = await _settled(database, request_row("ours"), request_row("theirs", account_id="globex", cost_nanousd=7))
    assert (await _only(rows, _query())).cost_nanousd == 100
    assert (await _only(rows, _query(account_id="globex"))).cost_nanousd == 7
    assert await rows.sums(_query(account_id="nobody"), LIMIT) == []


async def test_no_more_groups_are_read_than_asked_for(database: Database):
    rows = await _settled(database, *(request_row(f"r{n}", end_user=f"user {n}") for n in range(9)))
    assert [row.group for row in await rows.sums(_query("user"), 3)] == [("user 0",), ("user 1",), ("user 2",)]


async def test_sums_beyond_32_bits_stay_exact(database: Database):
    many = [request_row(f"r{n}", cost_nanousd=2**55 + n, baseline_nanousd=2**56) for n in range(3)]
    rows = await _settled(database, *many)
    sums = await _only(rows, _query())
    assert sums.cost_nanousd == 3 * 2**55 + 3
    assert sums.saved_nanousd == 3 * 2**55 - 3


async def test_a_session_is_summed_up_real_and_simulated_apart(database: Database):
    rows = await _settled(
        database,
        request_row("one", session_id="s", created_ms=NOON_MS),
        request_row("two", session_id="s", created_ms=NOON_MS + 5),
        request_row("three", session_id="s", simulated=True, deployment="simulated/m"),
        request_row("other", session_id="t"),
        request_row("theirs", session_id="s", account_id="globex"),
    )
    real, simulated = await rows.session("acme", "s")
    assert (real.simulated, real.requests, real.first_ms, real.last_ms) == (False, 2, NOON_MS, NOON_MS + 5)
    assert (real.cost_nanousd, real.baseline_nanousd, real.saved_nanousd) == (200, 2_000, 1_800)
    assert (simulated.simulated, simulated.requests) == (True, 1)
    assert await rows.session("acme", "nobody's") == []


async def _plan(database: Database, query: UsageQuery) -> str:
    sql, values = statement(query)
    explain = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN"
    return " ".join(str(row[-1]) for row in await database.fetch(f"{explain} {sql}", *values))


async def test_up_to_two_things_at_once_are_read_from_figures_and_no_request_is_read(database: Database):
    plan = await _plan(database, _query("day", "model", span=FORTNIGHT, user="anna", model="gpt-4o"))
    assert "figures" in plan
    assert "rollups" not in plan
    assert "on requests" not in plan
    if database.dialect == "sqlite":  # PostgreSQL reads small tables whole
        assert "SEARCH figures USING PRIMARY KEY (account_id=? AND axes=? AND grain=?" in plan
        assert "SCAN figures" not in plan


async def test_more_at_once_is_read_from_rollups_and_every_step_has_an_index(database: Database):
    plan = await _plan(database, _query("day", "model", span=FORTNIGHT, user="anna", feature="mail"))
    assert "rollups" in plan
    assert "on requests" not in plan
    if database.dialect == "sqlite":
        assert "SEARCH cells USING INDEX cells_user (account_id=? AND end_user=?)" in plan
        assert "SEARCH rollups USING PRIMARY KEY (cell_id=? AND grain=? AND start_ms>? AND start_ms<?)" in plan


def test_savings_are_net_of_what_the_house_spent():
    sums = UsageSums(saved_routing_nanousd=5, saved_exact_nanousd=3, saved_semantic_nanousd=1, house_nanousd=20)
    assert sums.saved_nanousd == -11
    assert sums.plus(sums).saved_nanousd == -22
