"""Sums by one or two of what spending is put down to, kept per hour, day and span so that a year is read in moments.

A turn appends what it settled to `fresh_figures`; now and then that is folded into `figures` for all workers. What an
account came to is the sum over both, whatever has been folded by then. Decision record 0026 says why.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

from neuralrouting.storage.attribution import COLUMNS
from neuralrouting.storage.database import Database, Dialect, Row, Script, ask
from neuralrouting.storage.rollups import CELL_COLUMNS, DAY_MS, HOUR_MS, ROLLUP_COLUMNS

Grain = Literal["hour", "day", "span"]
Axes = tuple[str, ...]
"""What sums are kept by: names of `Attribution`, in its order, two at most."""

SPAN_MS: Final = 8 * DAY_MS
"""The coarsest grain: a quarter is ten to eleven of them and at most fourteen days at its ends."""
LENGTHS: Final[dict[Grain, int]] = {"hour": HOUR_MS, "day": DAY_MS, "span": SPAN_MS}
SUMS: Final = ROLLUP_COLUMNS[3:]
SINGLE: Final[tuple[Axes, ...]] = ((), *((name,) for name in COLUMNS))
PAIRS: Final[tuple[Axes, ...]] = tuple(itertools.combinations(COLUMNS, 2))
KEPT: Final[tuple[tuple[Axes, tuple[Grain, ...]], ...]] = (
    *((axes, ("hour", "day", "span")) for axes in SINGLE),
    *((axes, ("day", "span")) for axes in PAIRS),
)
"""All sums that are kept. Two axes by the hour would be nearly a row for each request."""
FOLD_ROWS: Final = 1_000
"""Fresh rows that one transaction folds: about a tenth of a second, in which SQLite lets no other writer in."""

KEY: Final = ("account_id", "axes", "grain", "start_ms", "first", "second", "simulated")
FRESH: Final = ("account_id", "start_ms", *COLUMNS.values(), "simulated", *SUMS)
APPEND_FRESH: Final = (
    f"INSERT INTO fresh_figures ({', '.join(FRESH)}) "  # noqa: S608  names of our own columns
    f"VALUES ({', '.join(f'${place}' for place in range(1, len(FRESH) + 1))})"
)
"""Takes what `fresh_rows` returns."""

_LOCK: Final = 0x6E725F666F6C64
"""Key of the advisory lock of who folds: the letters `nr_fold`."""
_OLDEST = "SELECT MIN(seq), MAX(seq), COUNT(*) FROM (SELECT seq FROM fresh_figures ORDER BY seq LIMIT $1) AS oldest"
# Both ends are told: a planner without statistics would read all rows for those up to one.
_TAKEN = "seq >= $1 AND seq <= $2"
_DELETE = f"DELETE FROM fresh_figures WHERE {_TAKEN}"  # noqa: S608  our own words


class Piece(NamedTuple):
    """Part of a range of time, from `from_ms` on and before `to_ms`, whose sums are read at one grain."""

    grain: Grain
    from_ms: int
    to_ms: int


def fresh_rows(cells: Iterable[Row], rollups: Iterable[Row]) -> list[Row]:
    """Return the rows for `APPEND_FRESH` of what `rollups.deltas` made: its hours, each with all its cell is about."""
    place = [CELL_COLUMNS.index(name) for name in COLUMNS.values()]
    account, simulated = CELL_COLUMNS.index("account_id"), CELL_COLUMNS.index("simulated")
    by_id = {cell[0]: cell for cell in cells}
    made: list[Row] = []
    for cell_id, grain, start_ms, *sums in rollups:
        if grain == "hour":
            cell = by_id[cell_id]
            made.append((cell[account], start_ms, *(cell[at] for at in place), cell[simulated], *sums))
    return made


def pieces(from_ms: int, to_ms: int, grains: Sequence[Grain]) -> list[Piece] | None:
    """Cut a range into the longest pieces of these grains (finest first); None where its ends are finer than those.

    Of each grain there are two pieces at most, one at each end.
    """
    finest = LENGTHS[grains[0]]
    if from_ms % finest or to_ms % finest:
        return None
    if len(grains) == 1:
        return [Piece(grains[0], from_ms, to_ms)]
    longer = LENGTHS[grains[1]]
    inner_from, inner_to = -(-from_ms // longer) * longer, to_ms // longer * longer
    if inner_from >= inner_to:
        return [Piece(grains[0], from_ms, to_ms)]
    ends = [Piece(grains[0], from_ms, inner_from), Piece(grains[0], inner_to, to_ms)]
    inner = pieces(inner_from, inner_to, grains[1:]) or []
    return [*inner, *(piece for piece in ends if piece.from_ms < piece.to_ms)]


async def fold(database: Database, rows: int = FOLD_ROWS) -> int:
    """Fold up to `rows` fresh rows, the oldest, into the figures; return how many that were.

    0: there are none, or another worker folds. Raises Unavailable when the database does not serve, or when another
    worker was faster.
    """
    found = await database.fetch("SELECT 1 FROM fresh_figures LIMIT 1")
    return await database.transact(lambda: _fold(database.dialect, rows)) if found else 0


def _fold(dialect: Dialect, rows: int) -> Script[int]:
    if dialect == "postgres":
        # All statements are to see the same rows: one that is committed in between would be deleted unfolded.
        yield ask("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        if not (yield ask("SELECT pg_try_advisory_xact_lock($1)", _LOCK))[0][0]:
            return 0
    [(first, last, count)] = yield ask(_OLDEST, rows)
    if count:
        for statement in (*_FOLDS, _DELETE):
            yield ask(statement, first, last)
    return count


def _fold_sql(axes: Axes, grain: Grain) -> str:
    length = LENGTHS[grain]
    start = f"start_ms - start_ms % {length}"
    values = [COLUMNS[name] for name in axes] + ["''"] * (2 - len(axes))
    groups = ["account_id", start, *(COLUMNS[name] for name in axes), "simulated"]
    sums = [f"CAST(SUM({name}) AS BIGINT)" for name in SUMS]
    told = ["account_id", f"'{' '.join(axes)}'", f"'{grain}'", start, *values, "simulated", *sums]
    added = ", ".join(f"{name} = figures.{name} + excluded.{name}" for name in SUMS)
    return (
        f"INSERT INTO figures ({', '.join((*KEY, *SUMS))}) "  # noqa: S608  our own words
        f"SELECT {', '.join(told)} FROM fresh_figures WHERE {_TAKEN} GROUP BY {', '.join(groups)} "
        f"ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET {added}"
    )


_FOLDS: Final = tuple(_fold_sql(axes, grain) for axes, grains in KEPT for grain in grains)
