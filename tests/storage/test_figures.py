"""Figures: whatever is asked, folded or not, is the sum of the requests to the last digit."""

import itertools
from typing import get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuralrouting.storage.attribution import COLUMNS, Attribution
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import Database
from neuralrouting.storage.figures import LENGTHS, SPAN_MS, fold, pieces
from neuralrouting.storage.requests import RequestRow
from neuralrouting.storage.rollups import DAY_MS, HOUR_MS
from neuralrouting.storage.turns import Settlement
from neuralrouting.storage.usage import (
    GROUPS,
    SIZES,
    Attributed,
    Group,
    Measure,
    UsageQuery,
    UsageRow,
    UsageRows,
    UsageSums,
)
from settling import NOON_MS, Worker, new_account, new_worker, request_row

pytestmark = pytest.mark.anyio
MONDAY_MS = NOON_MS - NOON_MS % SPAN_MS
DAYS = 20
LIMIT = 10_000


def _pick(number: int, values: tuple[str | None, ...]) -> str | None:
    return values[number % len(values)]


def _rows(count: int) -> list[RequestRow]:
    """Requests over three weeks, every figure of them different, each attribute with a few values and none."""
    return [
        request_row(
            f"r{n:04d}",
            created_ms=MONDAY_MS + (n * 7_919_000_000 + n * 61_000) % (DAYS * DAY_MS),
            end_user=_pick(n * 5 + n // 3, ("ann", "bob", "cleo", None)),
            feature=_pick(n * 3 + n // 7, ("mail", "chat", None)),
            team=_pick(n + n // 5, ("red", "blue", None)),
            deployment=_pick(n // 2, ("openai/gpt-4o", "azure/gpt-4o", "openai/gpt-4o-mini")),
            key_id=_pick(n // 4, ("KeyOneKeyOne", "KeyTwoKeyTwo")),
            endpoint=_pick(n, ("/v1/chat/completions", "/v1/dispatch")),
            simulated=n % 11 == 0,
            cache=_pick(n, ("miss", "miss", "exact", "semantic")),
            status=503 if n % 13 == 0 else 200,
            prompt_tokens=n + 1,
            cost_nanousd=None if n % 17 == 0 else 1_000 + n,
            baseline_nanousd=5_000 + 3 * n,
            house_nanousd=n % 5,
        )
        for n in range(count)
    ]


ROWS = _rows(160)


async def _store(database: Database) -> Worker:
    return await new_worker(await new_account(database, "acme"))


async def _settle(worker: Worker, *rows: RequestRow) -> None:
    await worker.turn(*(Settlement(row, metered=False) for row in rows))


def _summed(rows: list[RequestRow]) -> tuple[int, ...]:
    """Some figures, from the requests themselves."""
    both = [row for row in rows if row.cost_nanousd is not None and row.baseline_nanousd is not None]
    saved = sum((row.baseline_nanousd or 0) - (row.cost_nanousd or 0) for row in both)
    return (
        len(rows),
        sum(row.status >= 400 for row in rows),
        sum(row.cost_nanousd is None for row in rows),
        sum(row.prompt_tokens for row in rows),
        sum(row.cost_nanousd or 0 for row in rows),
        sum(row.baseline_nanousd or 0 for row in both),
        saved - sum(row.house_nanousd for row in rows),
    )


def _told(sums: UsageSums) -> tuple[int, ...]:
    return (
        sums.requests, sums.failed, sums.unpriced, sums.prompt_tokens, sums.cost_nanousd, sums.baseline_nanousd,
        sums.saved_nanousd,
    )  # fmt: skip


def _value(row: RequestRow, group: Group) -> str | int:
    if group in ("day", "hour"):
        return row.created_ms - row.created_ms % (DAY_MS if group == "day" else HOUR_MS)
    return getattr(row, COLUMNS[group]) or ""


def _fits(row: RequestRow, query: UsageQuery) -> bool:
    wanted = query.wanted
    for name, column in COLUMNS.items():
        value, own = getattr(wanted, name), getattr(row, column) or ""
        if value is not None and own != value and not (name == "model" and own.endswith(f"/{value}")):
            return False
    return query.from_ms <= row.created_ms < query.to_ms


def _expected(query: UsageQuery, rows: list[RequestRow]) -> dict[tuple[object, ...], tuple[int, ...]]:
    places: dict[tuple[object, ...], list[RequestRow]] = {}
    for row in rows:
        if _fits(row, query):
            key = (*(_value(row, group) for group in query.groups), row.simulated)
            places.setdefault(key, []).append(row)
    return {key: _summed(those) for key, those in places.items()}


def _found(rows: list[UsageRow]) -> dict[tuple[object, ...], tuple[int, ...]]:
    return {(*row.group, row.simulated): _told(row.sums) for row in rows}


_hours = st.integers(0, DAYS * 24)
_days = st.integers(0, DAYS).map(lambda day: 24 * day)
_ends = st.one_of(st.tuples(_hours, _hours), st.tuples(_days, _days))
_filters = st.fixed_dictionaries(
    {},
    optional={
        "user": st.sampled_from(["ann", "", "nobody"]), "feature": st.sampled_from(["mail", ""]),
        "team": st.sampled_from(["red", ""]), "model": st.sampled_from(["gpt-4o", "azure/gpt-4o", ""]),
        "key": st.just("KeyOneKeyOne"), "endpoint": st.just("/v1/dispatch"),
    },
)  # fmt: skip
_groups = st.lists(st.sampled_from(GROUPS), unique=True, max_size=3).filter(lambda g: not {"day", "hour"} <= set(g))


def _query(ends: tuple[int, int], wanted: dict[str, str], groups: list[Group]) -> UsageQuery:
    from_ms, to_ms = (MONDAY_MS + hour * HOUR_MS for hour in sorted(ends))
    return UsageQuery("acme", from_ms, to_ms, Attribution(**wanted), tuple(groups))


_queries = st.builds(_query, _ends, _filters, _groups)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(queries=st.lists(_queries, min_size=1, max_size=4), folded=st.integers(0, 60))
async def test_any_question_is_answered_as_the_requests_say(database: Database, queries: list[UsageQuery], folded: int):
    if not await database.fetch("SELECT 1 FROM requests LIMIT 1"):
        worker = await _store(database)
        for first in range(0, len(ROWS), 40):
            await _settle(worker, *ROWS[first : first + 40])
    await fold(database, folded)  # more and more of them are, from one example to the next
    for query in queries:
        assert _found(await UsageRows(database).sums(query, LIMIT)) == _expected(query, ROWS)


async def test_what_is_settled_counts_before_it_is_folded_and_after_and_once(database: Database):
    worker, query = await _store(database), UsageQuery("acme", MONDAY_MS, MONDAY_MS + DAYS * DAY_MS)
    rows, before = UsageRows(database), list[UsageRow]()
    for number, row in enumerate(ROWS[:6], 1):
        await _settle(worker, row)
        before = await rows.sums(query, LIMIT)
        assert sum(found.sums.requests for found in before) == number
        await fold(database, 1 + number % 2)
        assert await rows.sums(query, LIMIT) == before
    while await fold(database):
        pass
    assert await rows.sums(query, LIMIT) == before
    assert await database.fetch("SELECT COUNT(*) FROM fresh_figures") == [(0,)]
    assert await fold(database) == 0


@pytest.mark.parametrize("measure", ["cost", "saved", "requests"])
async def test_the_largest_groups_and_the_rest_are_all_there_is(database: Database, measure: Measure):
    worker, rows = await _store(database), UsageRows(database)
    await _settle(worker, *ROWS)
    query = UsageQuery("acme", MONDAY_MS, MONDAY_MS + DAYS * DAY_MS)
    every = await rows.sums(msgspec.structs.replace(query, groups=("user",)), LIMIT)
    for simulated in (False, True):
        of_kind = sorted((row for row in every if row.simulated == simulated), key=SIZES[measure])
        top = await rows.top(query, "user", measure, 2, simulated=simulated)
        assert list(top.rows) == of_kind[:2]
        left = UsageSums()
        for row in of_kind[2:]:
            left = left.plus(row.sums)
        assert (top.left, top.rest) == (len(of_kind) - 2, left)
        whole = await rows.top(query, "user", measure, 100, simulated=simulated)
        assert (list(whole.rows), whole.left, whole.rest) == (of_kind, 0, UsageSums())


@pytest.mark.parametrize("hours", [(0, DAYS * 24), (5, 40), (30, 200)])
@pytest.mark.parametrize("wanted", [Attribution(), Attribution(model="gpt-4o"), Attribution(user="ann", team="red")])
async def test_groups_found_by_size_or_by_name_have_the_sums_of_all_their_requests(
    database: Database, wanted: Attribution, hours: tuple[int, int]
):
    worker, rows = await _store(database), UsageRows(database)
    await _settle(worker, *ROWS[:80])
    await fold(database, 40)
    from_ms, to_ms = (MONDAY_MS + hour * HOUR_MS for hour in hours)
    query = UsageQuery("acme", from_ms, to_ms, wanted)
    groups: tuple[Attributed, ...] = get_args(Attributed)
    for group, simulated in itertools.product(groups, (False, True)):
        every = await rows.sums(msgspec.structs.replace(query, groups=(group,)), LIMIT)
        assert _found(every) == _expected(msgspec.structs.replace(query, groups=(group,)), ROWS[:80])
        of_kind = {str(row.group[0]): row for row in every if row.simulated == simulated}
        assert await rows.named(query, group, [*of_kind, "nobody"], simulated=simulated) == of_kind
        assert await rows.sizes(query, group, LIMIT, simulated=simulated) == [
            (name, row.sums.cost_nanousd, row.sums.saved_nanousd, row.sums.requests) for name, row in of_kind.items()
        ]
        top = await rows.top(query, group, "cost", 2, simulated=simulated)
        ordered = sorted(of_kind.values(), key=SIZES["cost"])
        assert list(top.rows) == ordered[:2]
        behind = await rows.top(query, group, "cost", 2, first=1, simulated=simulated)
        assert (list(behind.rows), behind.left) == (ordered[1:3], len(ordered) - len(ordered[1:3]))


_GRAINS = [("hour",), ("hour", "day"), ("hour", "day", "span")]


@given(st.integers(0, 5_000), st.integers(0, 5_000), st.sampled_from(_GRAINS))
async def test_pieces_cover_a_range_once_each_at_its_own_grain(first: int, last: int, grains: tuple[str, ...]):
    from_ms, to_ms = sorted((first * HOUR_MS, last * HOUR_MS))
    cut = pieces(from_ms, to_ms, grains)  # pyright: ignore[reportArgumentType]
    assert cut is not None
    for piece in cut:
        assert piece.from_ms % LENGTHS[piece.grain] == 0 == piece.to_ms % LENGTHS[piece.grain]
    if from_ms < to_ms:
        ordered = sorted(cut, key=lambda piece: piece.from_ms)
        assert (ordered[0].from_ms, ordered[-1].to_ms) == (from_ms, to_ms)
        assert all(one.to_ms == other.from_ms for one, other in itertools.pairwise(ordered))


def test_a_range_that_ends_within_a_grain_has_no_pieces():
    assert pieces(HOUR_MS, DAY_MS, ("day", "span")) is None


async def test_a_worker_that_comes_second_folds_nothing_twice(database: Database):
    worker, books = await _store(database), Books(database)
    other = await new_worker(books)
    await _settle(worker, *ROWS[:20])
    await _settle(other, *ROWS[20:40])
    counts = [await fold(database, 25), await fold(database, 25), await fold(database, 25)]
    assert counts == [25, 15, 0]
