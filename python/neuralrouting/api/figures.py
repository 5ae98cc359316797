"""Figures as they are shown: money as whole nano-dollars and as decimal dollars, never as a float; CSV that is safe."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from neuralrouting.exchange import JsonObject
from neuralrouting.storage.usage import Group, SessionRow, UsageQuery, UsageRow, UsageSums

CSV_BLOCK_ROWS = 500
"""Rows that are written at once."""
_NANO = 1_000_000_000
_RISKY = ("=", "+", "-", "@", "\t", "\r")
"""How a cell of text begins that a spreadsheet would run as a formula."""
_COUNTS = (
    "requests", "failed", "blocked", "exact_hits", "semantic_hits", "unpriced",
    "prompt_tokens", "completion_tokens", "cached_tokens",
)  # fmt: skip


def decimal_usd(nanousd: int) -> str:
    """Write nano-dollars as dollars, exactly: `-0.000000120`."""
    return _decimal(nanousd, 9)


def decimal_credits(millicredits: int) -> str:
    """Write millicredits as credits, exactly: `1.500`."""
    return _decimal(millicredits, 3)


def money(name: str, nanousd: int | None) -> JsonObject:
    """Return both ways in which a sum of money is told; None is unpriced, never zero."""
    return {f"{name}_nanousd": nanousd, f"{name}_usd": None if nanousd is None else decimal_usd(nanousd)}


def credit(name: str, millicredits: int | None) -> JsonObject:
    """Return both ways in which credits are told."""
    told = None if millicredits is None else decimal_credits(millicredits)
    return {f"{name}_mc": millicredits, f"{name}_credits": told}


def moment(unix_ms: int) -> str:
    """Write a moment in UTC, to the second unless it is finer: `2026-11-01T13:00:00Z`."""
    seconds, rest = divmod(unix_ms, 1000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:03d}Z" if rest else f"{text}Z"


def sums_fields(sums: UsageSums) -> JsonObject:
    """Return the figures of some requests, flat."""
    return {
        **{name: getattr(sums, name) for name in _COUNTS},
        **credit("charged", sums.charged_mc),
        **money("cost", sums.cost_nanousd),
        **money("baseline", sums.baseline_nanousd),
        **money("saved_routing", sums.saved_routing_nanousd),
        **money("saved_exact_cache", sums.saved_exact_nanousd),
        **money("saved_semantic_cache", sums.saved_semantic_nanousd),
        **money("house", sums.house_nanousd),
        **money("saved", sums.saved_nanousd),
        **money("provider_cache", sums.provider_cache_nanousd),
    }


def group_fields(groups: Sequence[Group], row: UsageRow) -> JsonObject:
    """Return what a row is the sums of, each under the name that it was asked for by; None is none."""
    return {name: _group_value(name, value) for name, value in zip(groups, row.group, strict=True)}


def usage_body(query: UsageQuery, rows: Sequence[UsageRow]) -> JsonObject:
    """Return the answer to a question about sums; its totals are over all rows, real and simulated apart."""
    return {
        "object": "usage",
        "account": query.account_id,
        "from": moment(query.from_ms),
        "to": moment(query.to_ms),
        "group_by": list(query.groups),
        "totals": {name: sums_fields(total(rows, simulated=flag)) for name, flag in _KINDS},
        "data": [_usage_row(query.groups, row) for row in rows] if query.groups else [],
    }


def session_body(account_id: str, session_id: str, rows: Sequence[SessionRow]) -> JsonObject:
    """Return what one session came to, real and simulated apart; None where there was nothing of the kind."""
    found = {row.simulated: _session_fields(row) for row in rows}
    totals = {name: found.get(flag) for name, flag in _KINDS}
    return {"object": "usage.session", "account": account_id, "session": session_id, "totals": totals}


def total(rows: Iterable[UsageRow], *, simulated: bool) -> UsageSums:
    """Add up the rows of one kind."""
    sums = UsageSums()
    for row in rows:
        if row.simulated == simulated:
            sums = sums.plus(row.sums)
    return sums


def csv_blocks(groups: Sequence[Group], rows: Sequence[UsageRow]) -> Iterator[str]:
    """Write rows as CSV (RFC 4180), block by block: one line of names, then a line for every row."""
    head = [*groups, "simulated", *sums_fields(UsageSums())]
    yield _lines([head])
    for first in range(0, len(rows), CSV_BLOCK_ROWS):
        block = rows[first : first + CSV_BLOCK_ROWS]
        yield _lines(_csv_row(groups, row) for row in block)


def safe_cell(value: object) -> object:
    """Return a cell as it may stand in a spreadsheet: text that would be a formula there begins with an apostrophe."""
    if isinstance(value, str) and value.startswith(_RISKY):
        return f"'{value}"
    return value


_KINDS = (("real", False), ("simulated", True))


def _usage_row(groups: Sequence[Group], row: UsageRow) -> JsonObject:
    return {**group_fields(groups, row), "simulated": row.simulated, **sums_fields(row.sums)}


def _csv_row(groups: Sequence[Group], row: UsageRow) -> list[object]:
    # Only the names are texts of somebody else; a decimal of ours that begins with a minus is to stay a number.
    names = [safe_cell(value) for value in group_fields(groups, row).values()]
    return [*names, "true" if row.simulated else "false", *sums_fields(row.sums).values()]


def _session_fields(row: SessionRow) -> JsonObject:
    return {
        "first": moment(row.first_ms),
        "last": moment(row.last_ms),
        "requests": row.requests,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        **money("cost", row.cost_nanousd),
        **money("baseline", row.baseline_nanousd),
        **money("saved", row.saved_nanousd),
    }


def _group_value(name: Group, value: str | int) -> str | None:
    if isinstance(value, int):
        return moment(value)[:10] if name == "day" else moment(value)
    return value or None


def _decimal(amount: int, places: int) -> str:
    whole, rest = divmod(abs(amount), 10**places)
    return f"{'-' if amount < 0 else ''}{whole}.{rest:0{places}d}"


def _lines(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    for row in rows:
        writer.writerow(row)
    return out.getvalue()
