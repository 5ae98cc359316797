"""Sums by cell, hour, day and session: what each request adds, and that adding in any parts comes to the same."""

import hashlib
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.storage.database import Database
from neuralrouting.storage.requests import RequestRow
from neuralrouting.storage.rollups import (
    ADD_ROLLUP,
    ADD_SESSION,
    CELL_COLUMNS,
    INSERT_CELL,
    ROLLUP_COLUMNS,
    SESSION_COLUMNS,
    cell_id,
    deltas,
)
from settling import NOON_MS, request_row

pytestmark = pytest.mark.anyio
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


def _hour(*rows: RequestRow) -> dict[str, int]:
    """The sums of requests of one cell in one hour, those that are not 0."""
    [row] = [row for row in deltas(rows).rollups if row[1] == "hour"]
    return {name: value for name, value in zip(ROLLUP_COLUMNS[3:], row[3:], strict=True) if value}


def _saved(hour: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in hour.items() if name.startswith("saved")}


TOKENS = {"prompt_tokens": 10, "completion_tokens": 20}


def test_an_answer_by_a_model_saves_the_baseline_minus_its_cost():
    assert _hour(request_row("a", charged_mc=5, held_mc=5, cached_tokens=3)) == {
        "requests": 1, **TOKENS, "cached_tokens": 3, "charged_mc": 5, "cost_nanousd": 100, "baseline_nanousd": 1_000,
        "saved_routing_nanousd": 900,
    }  # fmt: skip


def test_a_model_that_is_dearer_than_the_baseline_saves_less_than_nothing():
    assert _saved(_hour(request_row("a", cost_nanousd=1_500))) == {"saved_routing_nanousd": -500}


@pytest.mark.parametrize(
    ("cache", "hits", "saved"),
    [
        ("exact", "exact_hits", "saved_exact_nanousd"),
        ("semantic", "semantic_hits", "saved_semantic_nanousd"),
        ("canonical", "semantic_hits", "saved_semantic_nanousd"),
    ],
)
def test_a_hit_saves_the_whole_baseline(cache: str, hits: str, saved: str):
    hour = _hour(request_row("a", cache=cache, cost_nanousd=0, hold_state="none"))
    assert hour == {"requests": 1, hits: 1, **TOKENS, "baseline_nanousd": 1_000, saved: 1_000}


@pytest.mark.parametrize("money", [{"cost_nanousd": None}, {"baseline_nanousd": None}])
def test_without_both_cost_and_baseline_nothing_is_compared(money: dict[str, None]):
    hour = _hour(request_row("a", **money))
    assert "baseline_nanousd" not in hour
    assert _saved(hour) == {}
    assert hour.get("unpriced", 0) == int("cost_nanousd" in money)


def test_a_blocked_request_did_not_fail():
    failed = request_row("a", status=502, error_code="upstream_error", cost_nanousd=None)
    blocked = request_row("b", status=403, error_code="shield_blocked", cost_nanousd=0, baseline_nanousd=None)
    assert (_hour(failed)["failed"], "blocked" in _hour(failed)) == (1, False)
    assert (_hour(blocked)["blocked"], "failed" in _hour(blocked)) == (1, False)
    assert "failed" in _hour(request_row("c", status=400))
    assert "failed" not in _hour(request_row("d", status=399))


def test_what_the_provider_took_off_and_what_the_house_paid_are_added_up():
    rows = [request_row(name, provider_cache_nanousd=7, house_nanousd=9) for name in "ab"]
    hour = _hour(*rows)
    assert (hour["requests"], hour["provider_cache_nanousd"], hour["house_nanousd"]) == (2, 14, 18)


def test_hours_and_days_begin_in_utc():
    starts = [row[1:3] for row in deltas([request_row("a", created_ms=NOON_MS + 2 * HOUR_MS - 1)]).rollups]
    assert starts == [("day", NOON_MS - 12 * HOUR_MS), ("hour", NOON_MS + HOUR_MS)]


@pytest.mark.parametrize(
    "changes",
    [
        {"account_id": "other"}, {"key_id": "other"}, {"team": "t"}, {"end_user": "u"}, {"feature": "f"},
        {"endpoint": "/v1/other"}, {"deployment": None}, {"simulated": True},
    ],
)  # fmt: skip
def test_each_attribution_has_a_cell_of_its_own(changes: dict[str, object]):
    cells = deltas([request_row("a"), request_row("b", **changes), request_row("c")]).cells
    assert len({row[0] for row in cells}) == 2
    column, value = next(iter(changes.items()))
    assert {row[CELL_COLUMNS.index(column)] for row in cells} >= {value or ""}


def test_the_number_of_a_cell_is_the_head_of_a_documented_hash():
    key = ("acme", "k", "", "\u00fc", "", "/v1", "d", True)
    text = json.dumps(key, ensure_ascii=False, separators=(",", ":"))
    assert cell_id(key) == int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) // 2
    assert 0 <= cell_id(key) < 2**63


def test_keys_have_no_nul_which_one_database_cannot_write():
    cells, _, sessions = deltas([request_row("a", end_user="a\0b", session_id="\0")])
    assert cells[0][CELL_COLUMNS.index("end_user")] == "a\N{REPLACEMENT CHARACTER}b"
    assert sessions[0][1] == "\N{REPLACEMENT CHARACTER}"


def test_a_session_knows_its_first_and_last_request():
    rows = [
        request_row("a", session_id="s", created_ms=50, cache="exact", cost_nanousd=0),
        request_row("b", session_id="s", created_ms=20),
        request_row("c", session_id="s", created_ms=30, simulated=True),
        request_row("d"),
        request_row("e", session_id=""),
    ]
    sessions = [dict(zip(SESSION_COLUMNS, row, strict=True)) for row in deltas(rows).sessions]
    assert [(s["session_id"], s["simulated"]) for s in sessions] == [("s", 0), ("s", 1)]
    assert list(sessions[0].values())[3:] == [20, 50, 2, 20, 40, 100, 2_000, 1_900]


_rows = st.lists(
    st.builds(
        request_row,
        st.uuids().map(str),
        created_ms=st.integers(NOON_MS, NOON_MS + 2 * DAY_MS),
        end_user=st.none() | st.sampled_from(["ann", "bob", ""]),
        session_id=st.none() | st.sampled_from(["s", "t"]),
        deployment=st.none() | st.just("m"),
        simulated=st.booleans(),
        cache=st.sampled_from(["miss", "bypass", "exact", "semantic", "canonical"]),
        status=st.sampled_from([200, 403, 499, 502]),
        error_code=st.none() | st.just("shield_blocked"),
        cost_nanousd=st.none() | st.integers(0, 10**6),
        baseline_nanousd=st.none() | st.integers(0, 10**6),
    ),
    max_size=30,
)


@given(_rows)
def test_sums_are_sorted_have_each_key_once_and_add_up(rows: list[RequestRow]):
    cells, rollups, sessions = deltas(rows)
    for table, key in ((cells, 1), (rollups, 3), (sessions, 3)):
        keys = [row[:key] for row in table]
        assert keys == sorted(set(keys))
    for grain in ("hour", "day"):
        total = Counter()
        for row in rollups:
            if row[1] == grain:
                total.update(dict(zip(ROLLUP_COLUMNS[3:], row[3:], strict=True)))
        saved = sum(value for name, value in total.items() if name.startswith("saved"))
        both = [row for row in rows if row.cost_nanousd is not None and row.baseline_nanousd is not None]
        assert saved == sum((row.baseline_nanousd or 0) - (row.cost_nanousd or 0) for row in both)
        assert total["requests"] == len(rows)
        assert total["cost_nanousd"] == sum(row.cost_nanousd or 0 for row in rows)


async def test_sums_written_in_parts_are_the_sums_of_the_whole(database: Database):
    rows = [
        request_row(
            str(n), created_ms=NOON_MS + n * HOUR_MS // 3, end_user=f"u{n % 3}", session_id=f"s{n % 4}", cached_tokens=n
        )
        for n in range(40)
    ]
    for part in (rows[20:], rows[:7], rows[7:20]):
        cells, rollups, sessions = deltas(part)
        await database.write([(INSERT_CELL, cells), (ADD_ROLLUP, rollups), (ADD_SESSION, sessions)])
    whole = deltas(rows)
    for table, columns, made in (
        ("cells", CELL_COLUMNS, whole.cells),
        ("rollups", ROLLUP_COLUMNS, whole.rollups),
        ("sessions", SESSION_COLUMNS, whole.sessions),
    ):
        assert sorted(await database.fetch(f"SELECT {', '.join(columns)} FROM {table}")) == made
