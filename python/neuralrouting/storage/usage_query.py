"""What sums are asked for as SQL: all groups in their own order, or the biggest, or those with certain names."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from neuralrouting.storage.figures import SUMS
from neuralrouting.storage.rollups import DAY_MS
from neuralrouting.storage.usage_arms import only_figures, parts_of
from neuralrouting.storage.usage_question import Attributed, Group, Measure, UsageQuery

_MEASURES: Final[dict[Measure, str]] = {
    "cost": "cost_nanousd",
    "saved": "saved_routing_nanousd + saved_exact_nanousd + saved_semantic_nanousd - house_nanousd",
    "requests": "requests",
}
_SUMMED: Final = tuple(f"CAST(SUM({name}) AS BIGINT) AS {name}" for name in SUMS)


def statement(query: UsageQuery) -> tuple[str, list[Any]]:
    """Return the query's SQL, without a limit, and its values: the groups in their order, `simulated`, the sums."""
    values: list[Any] = []
    parts = parts_of(query, SUMS, values)
    groups = [f"{_group(name)} AS g{place}" for place, name in enumerate(query.groups, 1)]
    told = [*groups, "simulated"]
    places = ", ".join(str(place) for place in range(1, len(told) + 1))
    sql = (
        f"SELECT {', '.join([*told, *_SUMMED])} FROM ({parts}) AS parts "  # noqa: S608  our own words
        f"GROUP BY {places} ORDER BY {places}"
    )
    return sql, values


def top_statement(
    query: UsageQuery, group: Attributed, order_by: Measure, limit: int, first: int, *, simulated: bool
) -> tuple[str, list[Any]]:
    """Return the SQL of `limit` groups by size, from place `first` (0) on, of requests of one kind, and its values.

    The first row tells how many groups there are, None, and the sums of all; every other 0 and a group, with its sums
    where the requests were read, else with None: `named_statement` tells those. Who is biggest is found by one figure
    alone; to add up all of them for thousands of groups takes four times as long, and no planner of PostgreSQL looks
    up in an index what the same statement finds.
    """
    values: list[Any] = []
    query = msgspec.structs.replace(query, groups=(group,))
    whole_of = msgspec.structs.replace(query, groups=())
    if only_figures(query) and only_figures(whole_of):
        read = ""
        sized = parts_of(query, (f"{_MEASURES[order_by]} AS size",), values, simulated=simulated)
        whole = parts_of(whole_of, SUMS, values, simulated=simulated)
        shown = f"SELECT 0, name, {', '.join('NULL' for _ in SUMS)} FROM best"  # noqa: S608  our own words
    else:  # single requests or cells are read once, and kept while the statement runs
        read = f"every AS ({parts_of(query, SUMS, values, simulated=simulated)}), "
        sized = f"SELECT by_{group}, {_MEASURES[order_by]} AS size FROM every"  # noqa: S608  our own words
        whole = "SELECT * FROM every"
        shown = (
            f"SELECT 0, by_{group}, {', '.join(_SUMMED)} FROM every "  # noqa: S608  our own words
            f"WHERE by_{group} IN (SELECT name FROM best) GROUP BY by_{group}"
        )
    values += [limit, first]
    most, before = f"${len(values) - 1}", f"${len(values)}"
    sql = (
        f"WITH {read}"  # noqa: S608  our own words
        f"grouped AS (SELECT by_{group} AS name, SUM(size) AS size FROM ({sized}) AS sized GROUP BY by_{group}), "
        f"best AS (SELECT name FROM grouped ORDER BY size DESC, name LIMIT {most} OFFSET {before}) "
        f"SELECT (SELECT COUNT(*) FROM grouped), NULL, {', '.join(_SUMMED)} FROM ({whole}) AS whole "
        f"UNION ALL {shown}"
    )
    return sql, values


def sizes_statement(query: UsageQuery, group: Attributed, *, simulated: bool) -> tuple[str, list[Any]]:
    """Return the SQL of all groups with the figures of `SIZES` alone, in their own order, without a limit."""
    values: list[Any] = []
    columns = [f"{sql} AS {name}" for name, sql in _MEASURES.items()]
    query = msgspec.structs.replace(query, groups=(group,))
    parts = parts_of(query, columns, values, simulated=simulated)
    sums = ", ".join(f"CAST(SUM({name}) AS BIGINT)" for name in _MEASURES)
    return f"SELECT by_{group}, {sums} FROM ({parts}) AS parts GROUP BY by_{group} ORDER BY 1", values  # noqa: S608


def named_statement(
    query: UsageQuery, group: Attributed, names: Sequence[str], *, simulated: bool
) -> tuple[str, list[Any]]:
    """Return the SQL of these groups: each with its sums, those that have any."""
    values: list[Any] = []
    query = msgspec.structs.replace(query, groups=(group,))
    parts = parts_of(query, SUMS, values, simulated=simulated, of=(group, names))
    sql = f"SELECT by_{group}, {', '.join(_SUMMED)} FROM ({parts}) AS parts GROUP BY by_{group}"  # noqa: S608
    return sql, values


def _group(name: Group) -> str:
    if name == "hour":
        return "start_ms"
    return f"start_ms - start_ms % {DAY_MS}" if name == "day" else f"by_{name}"
