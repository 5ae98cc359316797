"""Figures as they are shown: money as whole nano-dollars and as decimal dollars, never as a float; CSV that is safe."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from neuralrouting.exchange import JsonObject
from neuralrouting.storage.usage import Group, SessionRow, Top, UsageQuery, UsageRow, UsageSums

CSV_BLOCK_ROWS = 500
"""Rows that are written at once."""
_NANO = 1_000_000_000
_RISKY = ("=", "+", "-", "@", "\t", "\r")
"""How a cell of text begins that a spreadsheet would run as a formula."""


def decimal_usd(nanousd: int) -> str:
    """Write nano-dollars as dollars, exactly: `-0.000000120`."""
    if nanousd < 0:
        return f"-{decimal_usd(-nanousd)}"
    return f"{nanousd // _NANO}.{nanousd % _NANO:09d}"


def decimal_credits(millicredits: int) -> str:
    """Write millicredits as credits, exactly: `1.500`."""
    if millicredits < 0:
        return f"-{decimal_credits(-millicredits)}"
    return f"{millicredits // 1_000}.{millicredits % 1_000:03d}"


def short_usd(nanousd: int) -> str:
    """Write dollars for reading: to the cent from one dollar up, below it to four significant digits; half to even."""
    amount = abs(nanousd)
    # Cents are 10^7 nano-dollars; below a dollar the step is what leaves four digits, never under a nano-dollar.
    step = 10_000_000 if amount >= _NANO else 10 ** max(0, len(str(amount)) - 4)
    whole, rest = divmod(amount, step)
    if 2 * rest > step or (2 * rest == step and whole % 2):
        whole += 1
    dollars, fraction = divmod(whole * step, _NANO)
    places = f"{fraction:09d}"
    shown = places[:2] + places[2:].rstrip("0")
    return f"{'-' if nanousd < 0 else ''}${dollars:,}.{shown}"


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
    """Return the figures of some requests, flat. It is written out: thousands of groups are told at once."""
    cost, baseline, house = sums.cost_nanousd, sums.baseline_nanousd, sums.house_nanousd
    routing, exact, semantic = sums.saved_routing_nanousd, sums.saved_exact_nanousd, sums.saved_semantic_nanousd
    saved, provider_cache = sums.saved_nanousd, sums.provider_cache_nanousd
    return {
        "requests": sums.requests,
        "failed": sums.failed,
        "blocked": sums.blocked,
        "exact_hits": sums.exact_hits,
        "semantic_hits": sums.semantic_hits,
        "unpriced": sums.unpriced,
        "prompt_tokens": sums.prompt_tokens,
        "completion_tokens": sums.completion_tokens,
        "cached_tokens": sums.cached_tokens,
        "charged_mc": sums.charged_mc,
        "charged_credits": decimal_credits(sums.charged_mc),
        "cost_nanousd": cost,
        "cost_usd": decimal_usd(cost),
        "baseline_nanousd": baseline,
        "baseline_usd": decimal_usd(baseline),
        "saved_routing_nanousd": routing,
        "saved_routing_usd": decimal_usd(routing),
        "saved_exact_cache_nanousd": exact,
        "saved_exact_cache_usd": decimal_usd(exact),
        "saved_semantic_cache_nanousd": semantic,
        "saved_semantic_cache_usd": decimal_usd(semantic),
        "house_nanousd": house,
        "house_usd": decimal_usd(house),
        "saved_nanousd": saved,
        "saved_usd": decimal_usd(saved),
        "provider_cache_nanousd": provider_cache,
        "provider_cache_usd": decimal_usd(provider_cache),
    }


def group_fields(groups: Sequence[Group], row: UsageRow) -> JsonObject:
    """Return what a row is the sums of, each under the name that it was asked for by; None is none."""
    return {name: _group_value(name, value) for name, value in zip(groups, row.group, strict=True)}


def usage_body(query: UsageQuery, rows: Sequence[UsageRow]) -> JsonObject:
    """Return the answer to a question about sums; its totals are over all rows, real and simulated apart."""
    return _usage_body(query, rows, {flag: total(rows, simulated=flag) for _, flag in _KINDS})


def biggest_body(query: UsageQuery, real: Top, simulated: Top) -> JsonObject:
    """Return the answer about the biggest groups: totals are of all, `left` tells how many groups are not told."""
    tops = {False: real, True: simulated}
    rows = [*real.rows, *simulated.rows]
    totals = {flag: total(top.rows, simulated=flag).plus(top.rest) for flag, top in tops.items()}
    left = {name: tops[flag].left for name, flag in _KINDS}
    return _usage_body(query, rows, totals) | {"left": left}


def session_body(account_id: str, session_id: str, rows: Sequence[SessionRow]) -> JsonObject:
    """Return what one session came to, real and simulated apart; None where there was nothing of the kind."""
    found = {row.simulated: _session_fields(row) for row in rows}
    totals = {name: found.get(flag) for name, flag in _KINDS}
    return {"object": "usage.session", "account": account_id, "session": session_id, "totals": totals}


def total(rows: Iterable[UsageRow], *, simulated: bool) -> UsageSums:
    """Add up the rows of one kind."""
    figures = [msgspec.structs.astuple(row.sums) for row in rows if row.simulated == simulated]
    return UsageSums(*map(sum, zip(*figures, strict=True))) if figures else UsageSums()


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


def _usage_body(query: UsageQuery, rows: Sequence[UsageRow], totals: Mapping[bool, UsageSums]) -> JsonObject:
    return {
        "object": "usage",
        "account": query.account_id,
        "from": moment(query.from_ms),
        "to": moment(query.to_ms),
        "group_by": list(query.groups),
        "totals": {name: sums_fields(totals[flag]) for name, flag in _KINDS},
        "data": [_usage_row(query.groups, row) for row in rows] if query.groups else [],
    }


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


def _lines(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    for row in rows:
        writer.writerow(row)
    return out.getvalue()
