"""Goes over one account's figures: those of a day are what its cells make, spans are the sums of their days."""

from collections.abc import Iterable
from typing import Final

from neuralrouting.storage.attribution import COLUMNS
from neuralrouting.storage.database import Row, Script, ask
from neuralrouting.storage.figures import KEPT, LENGTHS, SPAN_MS, SUMS, Axes, Grain
from neuralrouting.storage.findings import Findings
from neuralrouting.storage.rollups import CELL_COLUMNS, DAY_MS

_Key = tuple[int, str, str, int]
"""Beginning, both values, whether simulated."""
_ADDED: Final = ", ".join(f"CAST(SUM({name}) AS BIGINT)" for name in SUMS)
_UNEQUAL: Final = " + ".join(f"ABS(SUM({name}))" for name in SUMS)
_SPANS: Final = f"""
SELECT axes, first, second, simulated FROM (
    SELECT axes, first, second, simulated, {", ".join(SUMS)} FROM figures
    WHERE account_id = $1 AND axes = $2 AND grain = 'day' AND start_ms >= $3 AND start_ms < $4
    UNION ALL SELECT axes, first, second, simulated, {", ".join(f"-{name}" for name in SUMS)} FROM figures
    WHERE account_id = $1 AND axes = $2 AND grain = 'span' AND start_ms = $3
) AS both_grains GROUP BY axes, first, second, simulated HAVING {_UNEQUAL} > 0
"""  # noqa: S608  our own words
_REQUESTS: Final = """
SELECT CAST(COALESCE(SUM(requests), 0) AS BIGINT) FROM figures WHERE account_id = $1 AND axes = $2 AND grain = $3
"""
_FRESH: Final = "SELECT CAST(COALESCE(SUM(requests), 0) AS BIGINT) FROM fresh_figures WHERE account_id = $1"


def check_day(
    account_id: str, day_ms: int, cells: Iterable[Row], rollups: Iterable[Row], found: Findings
) -> Script[None]:
    """Compare a day's figures, folded or not, with the sums of its cells (rows of `rollups.deltas`)."""
    places = {cell[0]: cell for cell in cells}
    made = [(places[cell_id], grain, start_ms, sums) for cell_id, grain, start_ms, *sums in rollups]
    wrong: list[str] = []
    for axes, grains in KEPT:
        for grain in grains:
            if grain == "span":
                continue
            expected = _expected(axes, [(cell, start, sums) for cell, of, start, sums in made if of == grain])
            rows = yield ask(_figures_sql(axes, grain), account_id, day_ms, day_ms + DAY_MS)
            there = {tuple(row[:4]): list(row[4:]) for row in rows}
            wrong += [
                f"by {' and '.join(axes) or 'nothing'}, {grain} {key}: {there.get(key)}, not {expected.get(key)}"
                for key in sorted(expected.keys() | there.keys())
                if there.get(key) != expected.get(key)
            ]
    says = f"{len(wrong)} are not what its requests make, first that {wrong[0]}" if wrong else ""
    found.expect(not wrong, "figures", f"{account_id} {day_ms}", says)


def check_span(account_id: str, start_ms: int, found: Findings) -> Script[None]:
    """Compare the spans that began at a time with the days that are folded into them."""
    wrong: list[Row] = []
    for axes, _ in KEPT:
        wrong += yield ask(_SPANS, account_id, " ".join(axes), start_ms, start_ms + SPAN_MS)
    says = f"{len(wrong)} spans are not the sums of their days, first {wrong[0]}" if wrong else ""
    found.expect(not wrong, "figures", f"{account_id} {start_ms}", says)


def check_total(account_id: str, requests: int, found: Findings) -> Script[None]:
    """See that there are no figures beside those of the days that were compared: each request is in all sums once."""
    [(fresh,)] = yield ask(_FRESH, account_id)
    wrong: list[str] = []
    for axes, grains in KEPT:
        for grain in grains:
            [(folded,)] = yield ask(_REQUESTS, account_id, " ".join(axes), grain)
            if folded + fresh != requests:
                wrong.append(f"by {' and '.join(axes) or 'nothing'}, {grain}, of {folded + fresh}")
    says = f"there are {requests} requests, but figures {wrong[0]}" if wrong else ""
    found.expect(not wrong, "figures", account_id, says)


def _expected(axes: Axes, made: list[tuple[Row, int, list[int]]]) -> dict[_Key, list[int]]:
    at = [CELL_COLUMNS.index(COLUMNS[name]) for name in axes]
    simulated = CELL_COLUMNS.index("simulated")
    expected: dict[_Key, list[int]] = {}
    for cell, start_ms, sums in made:
        first, second, *_ = *(cell[place] for place in at), "", ""
        key = (start_ms, first, second, cell[simulated])
        old = expected.get(key)
        expected[key] = sums if old is None else [mine + theirs for mine, theirs in zip(old, sums, strict=True)]
    return expected


def _figures_sql(axes: Axes, grain: Grain) -> str:
    length = LENGTHS[grain]
    values = ", ".join([*(COLUMNS[name] for name in axes), *(["''"] * (2 - len(axes)))])
    told = ", ".join(SUMS)
    return (
        f"SELECT start_ms, first, second, simulated, {_ADDED} FROM ("  # noqa: S608  our own words
        f"SELECT start_ms, first, second, simulated, {told} FROM figures WHERE account_id = $1 "
        f"AND axes = '{' '.join(axes)}' AND grain = '{grain}' AND start_ms >= $2 AND start_ms < $3 UNION ALL "
        f"SELECT start_ms - start_ms % {length}, {values}, simulated, {told} FROM fresh_figures "
        f"WHERE account_id = $1 AND start_ms >= $2 AND start_ms < $3) AS parts GROUP BY 1, 2, 3, 4"
    )
