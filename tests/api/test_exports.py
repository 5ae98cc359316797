"""All requests as CSV: the same as the JSON tells of each, in one file, of one account, safe in a spreadsheet."""

import csv
import io
import itertools
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuralrouting.api.exports import COLUMNS, request_blocks
from neuralrouting.api.figures import safe_cell
from neuralrouting.api.records import request_fields
from neuralrouting.storage.attribution import Attribution
from neuralrouting.storage.audit import AuditQuery, AuditRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.lines import head
from neuralrouting.storage.requests import APPEND_REQUEST, RequestRow
from settling import NOON_MS, request_row

pytestmark = pytest.mark.anyio
_LAST_MS = 253_402_300_799_999
"""The last moment of the year 9999."""
_HOSTILE = [
    "=1+1", "+1", "-1", "@x", "\tx", "\rx", "\r", "\n", "-", "=", "'", "'=1", '"', '""', '="a"',
    '-a,"b"\n', 'a"b', "a,b",
    "a\nb", "a\r\nb", " x", " =1", "", "%s", "%d%n", "\x1f", "\x1f=", "a\x1f-b", "\0", "a\0b",
    "a\0,b", "=\0", "\\", "$1",
    "é", "🙂", "🙂,🙂", "\u2028", "\ufeff=1", "x" * 300, "NULL", "Doe, Jane",
]  # fmt: skip
_texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(_HOSTILE)
_money = st.none() | st.integers(-(2**40), 2**40) | st.integers(-3, 3) | st.sampled_from([10**9 - 1, 10**9, -(10**9)])
_counts = st.integers(0, 2**40) | st.sampled_from([0, 1, 999, 1_000, 10**9 - 1, 10**9])
_changes = st.fixed_dictionaries(
    {
        "created_ms": st.integers(0, _LAST_MS) | st.sampled_from([0, 999, 1_000, NOON_MS, _LAST_MS]),
        "end_user": _texts, "session_id": _texts, "feature": _texts, "team": _texts, "requested_model": _texts,
        "route_rule": _texts, "deployment": _texts, "model": _texts, "provider": _texts, "price_version": _texts,
        "error_code": st.sampled_from([None, "rate_limited"]), "task": st.sampled_from([None, "coding"]),
        "cost_nanousd": _money, "baseline_nanousd": _money, "house_nanousd": _counts, "provider_cache_nanousd": _money
        .filter(lambda told: told is not None), "held_mc": _counts, "charged_mc": _counts,
        "ttft_us": st.none() | st.integers(0, 10**9), "complexity_tenths": st.none() | st.integers(0, 100),
        "high_risk": st.none() | st.booleans(), "stream": st.booleans(), "simulated": st.booleans(),
        "attempts": st.sampled_from(["[]", '[{"deployment":"openai/gpt-4o","outcome":"ok"}]', '["a\\nb,\\"=c"]']),
        "candidates": st.sampled_from(["[]", '["openai/gpt-4o"]', '["=a","b\\u0000"]']),
    }
)  # fmt: skip
_accounts = (f"acme-{n}" for n in itertools.count())


def _slowly(row: RequestRow) -> list[str]:
    """The cells of one request, from what the JSON tells of it."""

    def cell(value: object) -> str:
        match value:
            case None:
                return ""
            case bool():
                return "true" if value else "false"
            case list():
                return str(safe_cell(orjson.dumps(value).decode()))
            case _:
                return str(value)

    fields = request_fields(row)
    decimals = {name for name in fields if name.endswith(("_usd", "_credits"))}
    return [cell(value if name in decimals else safe_cell(value)) for name, value in fields.items()]


def _possible(changes: dict[str, Any]) -> dict[str, Any]:
    """No request is charged more than was held for it."""
    return changes | {"charged_mc": min(changes["charged_mc"], changes["held_mc"])}


def _as_stored(row: RequestRow, database: Database) -> RequestRow:
    """A row as it is read again: PostgreSQL has no NUL."""
    if database.dialect == "sqlite":
        return row
    return RequestRow(*(value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in row.values()))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(_changes, min_size=1, max_size=12))
async def test_a_line_says_what_the_json_says(database: Database, changes: list[dict[str, Any]]):
    account_id = next(_accounts)
    rows = [
        request_row(f"{account_id}-{n}", account_id=account_id, **_possible(changed))
        for n, changed in enumerate(changes)
    ]
    await database.write([(APPEND_REQUEST, [row.values() for row in rows])])
    blocks = [block async for block in request_blocks(AuditRows(database), AuditQuery(account_id, 0, _LAST_MS + 1))]
    told = list(csv.reader(io.StringIO(b"".join(blocks).decode(), newline="")))
    newest = sorted(rows, key=lambda row: (row.created_ms, row.request_id), reverse=True)
    assert told == [list(head(COLUMNS)), *(_slowly(_as_stored(row, database)) for row in newest)]


async def test_every_hostile_text_comes_whole_and_as_text(database: Database):
    rows = [request_row(f"r{n:03d}", end_user=text, created_ms=NOON_MS - n) for n, text in enumerate(_HOSTILE)]
    await database.write([(APPEND_REQUEST, [row.values() for row in rows])])
    told = [line["user"] for line in await _csv(database, AuditQuery("acme", 0, NOON_MS + 1))]
    kept = [text if database.dialect == "sqlite" else text.replace("\0", "\ufffd") for text in _HOSTILE]
    assert told == [safe_cell(text) for text in kept]
    assert not [text for text in told if text.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_the_columns_are_those_of_the_json():
    assert tuple(request_fields(request_row("r1"))) == head(COLUMNS)


async def _csv(database: Database, query: AuditQuery) -> list[dict[str, str]]:
    blocks = [block async for block in request_blocks(AuditRows(database), query)]
    return list(csv.DictReader(io.StringIO(b"".join(blocks).decode(), newline="")))


async def test_every_request_of_a_filter_is_told_once_newest_first(database: Database):
    rows = [
        request_row(f"r{n:05d}", created_ms=NOON_MS + n // 3, end_user="ann" if n % 2 else "bob") for n in range(4_500)
    ]
    theirs = request_row("theirs", account_id="globex")
    await database.write([(APPEND_REQUEST, [row.values() for row in [*rows, theirs]])])
    told = await _csv(database, AuditQuery("acme", 0, NOON_MS + 10_000))
    newest = sorted(rows, key=lambda row: (row.created_ms, row.request_id), reverse=True)
    assert [line["request_id"] for line in told] == [row.request_id for row in newest]
    narrowed = AuditQuery("acme", 0, NOON_MS + 10_000, Attribution(user="ann"))
    assert {line["user"] for line in await _csv(database, narrowed)} == {"ann"}
    assert await _csv(database, AuditQuery("nobody", 0, NOON_MS)) == []


async def test_whoever_leaves_in_the_middle_is_read_for_no_more(database: Database):
    rows = [request_row(f"r{n:05d}", created_ms=NOON_MS + n) for n in range(4_500)]
    await database.write([(APPEND_REQUEST, [row.values() for row in rows])])
    blocks = request_blocks(AuditRows(database), AuditQuery("acme", 0, NOON_MS + 10_000))
    assert (await anext(blocks)).startswith(b"request_id,created,")
    assert (await anext(blocks)).count(b"\r\n") == 2_000
    await blocks.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(blocks)
