"""Where the sums of a question are read, as SQL: figures tell up to two things at once; the rest are added up.

Of a short time all that figures do not tell is added up from the requests themselves, which are few; of a long one from
the cells of the rollups.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from neuralrouting.storage.attribution import COLUMNS, Attribution, conditions
from neuralrouting.storage.figures import KEPT, LENGTHS, SUMS, Grain, Piece, pieces
from neuralrouting.storage.rollups import BLOCKED, DAY_MS, HOUR_MS
from neuralrouting.storage.usage_question import Attributed, UsageQuery

Named = tuple[Attributed, Sequence[str]]
"""Groups by their names; there is one at least."""
SHORT_MS: Final = 2 * DAY_MS
"""How long a range may be whose requests are read one by one; the ends of a longer one come to less than that."""
MOST_SOUGHT: Final = 200
"""Names that are looked up one by one in every piece; for more of them all rows of the pieces are read."""
_GRAINS: Final = dict(KEPT)
_PLACES: Final = ("first", "second")
"""Where `figures` has the values of its axes."""
_COMPARED: Final = "cost_nanousd IS NOT NULL AND baseline_nanousd IS NOT NULL"
_BLOCKED: Final = f"COALESCE(error_code, '') = '{BLOCKED}'"
_SAVED: Final = f"CASE WHEN {_COMPARED} AND cache {{}} THEN baseline_nanousd - cost_nanousd ELSE 0 END"
_OF_REQUEST: Final[Mapping[str, str]] = {
    "requests": "1",
    "failed": f"CASE WHEN status >= 400 AND NOT {_BLOCKED} THEN 1 ELSE 0 END",
    "blocked": f"CASE WHEN {_BLOCKED} THEN 1 ELSE 0 END",
    "exact_hits": "CASE WHEN cache = 'exact' THEN 1 ELSE 0 END",
    "semantic_hits": "CASE WHEN cache IN ('semantic', 'canonical') THEN 1 ELSE 0 END",
    "unpriced": "CASE WHEN cost_nanousd IS NULL THEN 1 ELSE 0 END",
    "cost_nanousd": "COALESCE(cost_nanousd, 0)",
    "baseline_nanousd": f"CASE WHEN {_COMPARED} THEN baseline_nanousd ELSE 0 END",
    "saved_routing_nanousd": _SAVED.format("NOT IN ('exact', 'semantic', 'canonical')"),
    "saved_exact_nanousd": _SAVED.format("= 'exact'"),
    "saved_semantic_nanousd": _SAVED.format("IN ('semantic', 'canonical')"),
}
"""The sums of one request, as `rollups.deltas` makes them; those that are missing are columns of the same name."""


def parts_of(
    query: UsageQuery,
    sums: Sequence[str],
    values: list[Any],
    *,
    simulated: bool | None = None,
    of: Named | None = None,
) -> str:
    """Return the SQL of the rows that add up to the answer; what it needs is put behind `values`.

    Told are `start_ms`, `simulated`, `by_...` for each thing asked about, and `sums`. `of`: only of the groups with
    these names.
    """
    kind = [] if simulated is None else [f"simulated = {int(simulated)}"]
    arms = _Arms(query, sums, kind, of, values)
    cut = cut_of(query)
    return arms.of_rollups() if cut is None else arms.of_pieces(cut)


def models_sql(query: UsageQuery, values: list[Any]) -> str:
    """Return the SQL of the ids that a filter by model means, of all that were folded into figures."""
    values.append(query.account_id)
    account, model = f"${len(values)}", Attribution(model=query.wanted.model)
    texts, told = conditions(model, len(values) + 1, {"model": "first"}, nulls=False)
    values += told
    return (
        f"SELECT DISTINCT first FROM figures WHERE account_id = {account} "  # noqa: S608  our own words
        f"AND axes = 'model' AND grain = 'span' AND {' AND '.join(texts)}"
    )


def only_figures(query: UsageQuery) -> bool:
    """Return whether figures alone tell an answer, but for what is not folded into them yet."""
    cut = cut_of(query)
    return cut is not None and all(_is_kept(query, piece) for piece in cut)


def cut_of(query: UsageQuery) -> list[Piece] | None:
    """Cut the range into pieces whose figures are kept, and hours that are not; None where cells are to be added up."""
    kept = _GRAINS.get(query.axes, ())
    coarsest: Grain = "hour" if "hour" in query.groups else "day" if "day" in query.groups else "span"
    if coarsest in kept:
        grains: tuple[Grain, ...] = ("hour", *(grain for grain in kept if grain != "hour"))
        return pieces(query.from_ms, query.to_ms, grains[: grains.index(coarsest) + 1])
    short = query.to_ms - query.from_ms <= SHORT_MS and query.from_ms % HOUR_MS == 0 == query.to_ms % HOUR_MS
    return [Piece("hour", query.from_ms, query.to_ms)] if short else None


def _is_kept(query: UsageQuery, piece: Piece) -> bool:
    return piece.grain in _GRAINS.get(query.axes, ())


class _Arms:
    """Writes SELECTs over the tables in which sums are kept."""

    def __init__(
        self, query: UsageQuery, sums: Sequence[str], kind: list[str], of: Named | None, values: list[Any]
    ) -> None:
        self._query = query
        self._sums = sums
        self._kind = kind
        self._of = of
        self._values = values

    def of_pieces(self, cut: list[Piece]) -> str:
        """Read each piece: its figures and what is not folded into them yet, or its requests."""
        arms: list[str] = []
        kept = [piece for piece in cut if _is_kept(self._query, piece)]
        if kept:
            arms += [self._of_figures(piece) for piece in kept]
            from_ms, to_ms = min(piece.from_ms for piece in kept), max(piece.to_ms for piece in kept)
            arms.append(self._of_fresh(Piece("hour", from_ms, to_ms)))
        arms += [self._of_requests(piece) for piece in cut if piece not in kept]
        return " UNION ALL ".join(arms)

    def _of_figures(self, piece: Piece) -> str:
        query, places = self._query, dict(zip(self._query.axes, _PLACES, strict=False))
        # Where the first axis is known a few steps in the index find it in each hour, day or span of a piece.
        seeks = bool(query.axes) and self._names(query.axes[0]) and piece.from_ms < piece.to_ms
        where = [
            "account_id = " + self._put(query.account_id), f"axes = '{' '.join(query.axes)}'",
            f"grain = '{piece.grain}'", self._starts(piece, seeks=seeks), *self._narrowed(places, by_id=True),
        ]  # fmt: skip
        return self._arm("figures", places, where)

    def _models(self, column: str) -> str:
        """Say which models are meant by their ids: to compare every row by its end takes long."""
        known = self._query.models
        if known is None:
            return f"{column} IN ({models_sql(self._query, self._values)})"
        return f"{column} IN ({', '.join(map(self._put, known))})" if known else "1 = 0"

    def _of_fresh(self, piece: Piece) -> str:
        where = ["account_id = " + self._put(self._query.account_id), self._starts(piece, seeks=False)]
        where += self._narrowed(COLUMNS)
        return self._arm("fresh_figures", {name: COLUMNS[name] for name in self._query.axes}, where)

    def _of_requests(self, piece: Piece) -> str:
        """Add up requests: the figures of each are written out, under the names that sums have."""
        query, names = self._query, {name: f"by_{name}" for name in self._query.axes}
        columns = [f"COALESCE({COLUMNS[name]}, '') AS {place}" for name, place in names.items()]
        figures = [f"{_OF_REQUEST.get(name, name)} AS {name}" for name in SUMS]
        where = (
            f"account_id = {self._put(query.account_id)} "
            f"AND created_ms >= {self._put(piece.from_ms)} AND created_ms < {self._put(piece.to_ms)}"
        )
        told = ", ".join([f"created_ms - created_ms % {HOUR_MS} AS start_ms", "simulated", *columns, *figures])
        tables = f"(SELECT {told} FROM requests WHERE {where}) AS single"  # noqa: S608  our own words
        return self._arm(tables, names, self._narrowed(names) or ["1 = 1"])

    def of_rollups(self) -> str:
        """Add up cells."""
        query, columns = self._query, {name: f"cells.{column}" for name, column in COLUMNS.items()}
        where = [
            "cells.account_id = " + self._put(query.account_id), "rollups.grain = " + self._put(query.grain),
            "rollups.start_ms >= " + self._put(query.from_ms), "rollups.start_ms < " + self._put(query.to_ms),
            *self._narrowed(columns),
        ]  # fmt: skip
        told = {name: columns[name] for name in query.axes}
        return self._arm("cells JOIN rollups ON rollups.cell_id = cells.id", told, where)

    def _names(self, axis: str) -> bool:
        """Return whether the values of an axis are told, and few."""
        if self._of is not None and axis == self._of[0]:
            return len(self._of[1]) <= MOST_SOUGHT
        return getattr(self._query.wanted, axis) is not None

    def _starts(self, piece: Piece, *, seeks: bool) -> str:
        if not seeks:
            return f"start_ms >= {self._put(piece.from_ms)} AND start_ms < {self._put(piece.to_ms)}"
        starts = range(piece.from_ms, piece.to_ms, LENGTHS[piece.grain])
        return f"start_ms IN ({', '.join(self._put(start_ms) for start_ms in starts)})"

    def _narrowed(self, columns: Mapping[str, str], *, by_id: bool = False) -> list[str]:
        wanted = self._query.wanted
        models = [self._models(columns["model"])] if by_id and wanted.model else []
        others = msgspec.structs.replace(wanted, model=None) if models else wanted
        texts, told = conditions(others, len(self._values) + 1, columns, nulls=False)
        self._values += told
        of: list[str] = []
        if self._of is not None:
            group, names = self._of
            of.append(f"{columns[group]} IN ({', '.join(map(self._put, names))})")
        return [*models, *texts, *of, *self._kind]

    def _put(self, value: str | int) -> str:
        self._values.append(value)
        return f"${len(self._values)}"

    def _arm(self, tables: str, columns: Mapping[str, str], where: list[str]) -> str:
        told = ", ".join(["start_ms", "simulated", *(f"{column} AS by_{name}" for name, column in columns.items())])
        sums = ", ".join(self._sums)
        return f"SELECT {told}, {sums} FROM {tables} WHERE {' AND '.join(where)}"  # noqa: S608  our own words
