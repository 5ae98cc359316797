"""Goes over one account's requests: each has the entry it should have, and the sums are the sums of them."""

import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from neuralrouting.storage.database import Row, Script, ask
from neuralrouting.storage.dialect import ask_among
from neuralrouting.storage.figures import SPAN_MS
from neuralrouting.storage.findings import Findings
from neuralrouting.storage.recount_figures import check_day, check_span, check_total
from neuralrouting.storage.requests import RequestRow
from neuralrouting.storage.rollups import (
    CELL_COLUMNS,
    DAY_MS,
    ROLLUP_COLUMNS,
    SESSION_COLUMNS,
    Sums,
)

PAGE: Final = 500
SESSIONS_A_PASS: Final = 100_000
"""How many sessions are kept in memory at once: those of an account with more are counted in several passes."""

# What the sums do not need and what can be long is not read.
_UNREAD: Final = {"attempts": "''", "candidates": "''", "request_body": "NULL", "response_body": "NULL"}
_PAGE: Final = f"""
SELECT {", ".join(_UNREAD.get(column, column) for column in RequestRow.__struct_fields__)} FROM requests
WHERE account_id = $1 AND hold_state IS NOT NULL AND (created_ms, request_id) > ($2, $3)
ORDER BY created_ms, request_id LIMIT {PAGE}
"""  # noqa: S608  names of our own columns
# Not joined to the page: a planner without statistics would read all entries for each request.
_ENTRIES: Final = (
    "SELECT ref, delta_mc, loss_mc, cost_nanousd, simulated FROM ledger "
    "WHERE account_id = $1 AND kind = 'usage' AND ref IN ({places})"
)
_CELLS: Final = f"SELECT {', '.join(CELL_COLUMNS)} FROM cells WHERE id IN ({{places}})"  # noqa: S608
_ROLLUPS: Final = (
    f"SELECT {', '.join(ROLLUP_COLUMNS)} FROM rollups "  # noqa: S608
    "WHERE start_ms >= $1 AND start_ms < $2 AND grain IN ('hour', 'day') AND cell_id IN ({places})"
)
_ROLLUP_COUNT: Final = """
SELECT COUNT(*) FROM cells JOIN rollups ON rollups.cell_id = cells.id WHERE cells.account_id = $1
"""
_SESSION_COUNT: Final = "SELECT COUNT(*) FROM sessions WHERE account_id = $1"
_SESSIONS: Final = (
    f"SELECT {', '.join(SESSION_COLUMNS)} FROM sessions "  # noqa: S608
    "WHERE account_id = $1 AND session_id IN ({places})"
)
_FIRST: Final = (-(2**62), "")


def check_requests(account_id: str, found: Findings) -> Script[None]:
    """Check every request against the ledger, and the sums of cells and sessions against the requests."""
    yield from _check_days(account_id, found)
    [(count,)] = yield ask(_SESSION_COUNT, account_id)
    passes = 1 + count // SESSIONS_A_PASS
    kept = 0
    for number in range(passes):
        kept += yield from _check_sessions(account_id, (number, passes), found)
    found.expect(kept == count, "sessions", account_id, f"there are {count} sessions, its requests have {kept}")


def _check_days(account_id: str, found: Findings) -> Script[None]:
    """Requests come in the order of their time, so that the sums of one day at a time are in memory."""
    sums, day_ms, kept, requests = Sums(), 0, 0, 0
    spans: set[int] = set()
    after = _FIRST
    while page := (yield from _page(account_id, after)):
        yield from _check_entries(account_id, page, found)
        for row in page:
            start_ms = row.created_ms - row.created_ms % DAY_MS
            if start_ms != day_ms:
                kept += yield from _compare_day(account_id, sums, day_ms, found)
                sums, day_ms = Sums(), start_ms
                spans.add(day_ms - day_ms % SPAN_MS)
            sums.add(row)
        requests += len(page)
        after = _end(page)
    kept += yield from _compare_day(account_id, sums, day_ms, found)
    for start_ms in sorted(spans):
        yield from check_span(account_id, start_ms, found)
    [(count,)] = yield ask(_ROLLUP_COUNT, account_id)
    found.expect(kept == count, "rollups", account_id, f"there are {count} rollups, its requests make {kept}")
    yield from check_total(account_id, requests, found)


def _check_entries(account_id: str, page: Sequence[RequestRow], found: Findings) -> Script[None]:
    entries = yield from ask_among(_ENTRIES, [row.request_id for row in page], account_id)
    by_ref = {ref: columns for ref, *columns in entries}
    for row in page:
        _check_entry(row, by_ref.get(row.request_id), found)


def _check_entry(row: RequestRow, entry: Sequence[int] | None, found: Findings) -> None:
    name = f"request {row.request_id}"
    settled = row.hold_state == "settled"
    in_bounds = 0 <= row.charged_mc <= (row.held_mc if settled else 0)
    found.expect(in_bounds, "I6", name, f"it is {row.hold_state}, held {row.held_mc} and charged {row.charged_mc} mc")
    says = "has no entry of its usage" if entry is None else "has an entry of its usage"
    found.expect(settled == (entry is not None), "I8", name, f"it is {row.hold_state} and {says}")
    if entry is None:
        return
    delta_mc, loss_mc, cost_nanousd, simulated = entry
    charged = row.charged_mc == loss_mc - delta_mc
    found.expect(charged, "charges", name, f"charged {row.charged_mc} mc, its entry took {-delta_mc}, lost {loss_mc}")
    same = (row.cost_nanousd, row.simulated) == (cost_nanousd, bool(simulated))
    found.expect(same, "costs", name, f"cost {row.cost_nanousd} nano-dollars, its entry says {cost_nanousd}")


def _compare_day(account_id: str, sums: Sums, day_ms: int, found: Findings) -> Script[int]:
    """Compare a day's sums with the tables; return how many rows they make."""
    cells, rollups, _ = sums.deltas()
    ids = [row[0] for row in cells]
    there = yield from ask_among(_CELLS, ids)
    _compare("cells", 1, cells, there, found)
    there = yield from ask_among(_ROLLUPS, ids, day_ms, day_ms + DAY_MS)
    _compare("rollups", 3, rollups, there, found)
    yield from check_day(account_id, day_ms, cells, rollups, found)
    return len(rollups)


def _check_sessions(account_id: str, part: tuple[int, int], found: Findings) -> Script[int]:
    """Count one part of an account's sessions; return how many they are."""
    number, parts = part
    sums, after = Sums(), _FIRST
    while page := (yield from _page(account_id, after)):
        for row in page:
            if row.session_id and _part_of(row.session_id, parts) == number:
                sums.add(row)
        after = _end(page)
    sessions = sums.deltas().sessions
    names = sorted({row[1] for row in sessions})
    there = yield from ask_among(_SESSIONS, names, account_id)
    _compare("sessions", 3, sessions, there, found)
    return len(sessions)


def _compare(table: str, key: int, made: Sequence[Row], there: Sequence[Row], found: Findings) -> None:
    """Say which rows of a table, known by their first `key` columns, are not those that the requests make."""
    left = {tuple(row[:key]): tuple(row) for row in there}
    for row in made:
        kept = left.pop(tuple(row[:key]), None)
        name = " ".join(str(value) for value in row[:key])
        found.expect(kept is not None, table, name, "its requests are there, it is not")
        found.expect(kept is None or kept == tuple(row), table, name, f"it is {kept}, its requests make {row}")
    for row in left.values():
        name = " ".join(str(value) for value in row[:key])
        found.expect(False, table, name, "no request makes it")  # noqa: FBT003


def _part_of(session_id: str, parts: int) -> int:
    return zlib.crc32(session_id.encode()) % parts


def _page(account_id: str, after: tuple[int, str]) -> Script[list[RequestRow]]:
    rows = yield ask(_PAGE, account_id, *after)
    return [msgspec.convert(row, RequestRow, strict=False) for row in rows]


def _end(page: Sequence[RequestRow]) -> tuple[int, str]:
    return page[-1].created_ms, page[-1].request_id
