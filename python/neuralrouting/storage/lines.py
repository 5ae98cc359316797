"""Rows as lines of CSV (RFC 4180) that the database itself writes: one text a row comes back, ready to be sent.

Fifty columns that become Python values and then text again cost twice as much, and hold the interpreter meanwhile.
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from neuralrouting.storage.database import Dialect

Kind = Literal["word", "text", "json", "integer", "flag", "moment", "tenths", "nanousd", "millicredits"]

_SEPARATOR: Final = "\x1f"
"""Stands before each text where all of a row are looked through at once."""
_QUOTED: Final = ('"', ",", "\r", "\n")
_FORMULA: Final = ("-", "=", "+", "@", "\t")
"""How a text begins that a spreadsheet would run; a carriage return does, too, and needs care anyway.

The hyphen is first because it would make a range of its neighbours in a pattern.
"""
_FIND: Final[dict[Dialect, str]] = {"sqlite": "instr", "postgres": "strpos"}
_MOMENT: Final[dict[Dialect, str]] = {
    "sqlite": (
        "strftime(CASE {0} % 1000 WHEN 0 THEN '%Y-%m-%dT%H:%M:%SZ' ELSE '%Y-%m-%dT%H:%M:%fZ' END, "
        "{0} / 1000.0, 'unixepoch')"
    ),
    "postgres": (
        "to_char(TIMESTAMP 'epoch' + {0} * INTERVAL '1 millisecond', "
        'CASE {0} % 1000 WHEN 0 THEN \'YYYY-MM-DD"T"HH24:MI:SS"Z"\' ELSE \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\' END)'
    ),
}
"""Milliseconds are exact in both: SQLite rounds to whole ones, PostgreSQL adds whole microseconds."""


class Column(NamedTuple):
    """One value of a row: what it is called in the first line, how it is written, and the SQL that it is read by.

    A `word` is of a list of ours or an id that we made, and written as it is. A `text` may hold anything: it is quoted
    where it must be, and begins with an apostrophe where a spreadsheet would take it for a formula. `json` is text that
    we wrote, an object or a list, never NULL. A `flag` is 0 or 1, a `moment` Unix milliseconds, `tenths` a tenth of
    what is shown, and money and credits are two columns each: whole nano-dollars or millicredits, and a decimal. NULL
    is an empty cell, or two.
    """

    name: str
    kind: Kind
    sql: str = ""

    @property
    def source(self) -> str:
        """The SQL that it is read by: its name unless told."""
        return self.sql or self.name


def head(columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the names in the first line."""
    return tuple(name for column in columns for name in _names(column))


def line(columns: Sequence[Column], dialect: Dialect) -> str:
    """Return the SQL of one text: the line of a row, without its end.

    One call that writes all cells is much faster than putting them together, and writes NULL as nothing.
    """
    if dialect == "sqlite":
        return _sqlite_line(columns)
    cells = ", ".join(_cell(column, dialect) for column in columns)
    return f"format('{','.join(['%s'] * len(columns))}', {cells})"


def _sqlite_line(columns: Sequence[Column]) -> str:
    """Write rows whose texts need no care in one call; all texts of a row are looked through at once.

    Care for each text took as long as all the rest. And `printf` ends a text at NUL, so that a row with one is put
    together cell by cell.
    """
    places = ",".join('"%w"' if column.kind == "json" else "%s" for column in columns)  # %w doubles quotes
    plain = (column.source if column.kind in ("json", "text") else _cell(column, "sqlite") for column in columns)
    careful = (f"COALESCE({_cell(column, 'sqlite')}, '')" for column in columns)
    suspect = _suspect([column.source for column in columns if column.kind == "text"])
    together = " || ',' || ".join(careful)
    return f"CASE WHEN {suspect} THEN {together} ELSE printf('{places}', {', '.join(plain)}) END"


def _names(column: Column) -> tuple[str, ...]:
    match column.kind:
        case "nanousd":
            return f"{column.name}_nanousd", f"{column.name}_usd"
        case "millicredits":
            return f"{column.name}_mc", f"{column.name}_credits"
        case _:
            return (column.name,)


def _suspect(texts: Sequence[str]) -> str:
    """Ask SQLite whether one of a row's texts needs care."""
    # GLOB jumps to the first character behind a star, which is many times faster than instr.
    marks = [*_QUOTED, f"{_SEPARATOR}[{''.join(_FORMULA)}]"]
    found = " OR ".join(f"texts GLOB '*{mark}*'" for mark in marks)
    places = "".join([f"{_SEPARATOR}%s"] * len(texts))
    nul = "".join(f" OR instr({text}, char(0))" for text in texts)
    once = f"SELECT printf('{places}', {', '.join(texts)}) AS texts"
    return f"(SELECT {found} FROM ({once})){nul}"  # noqa: S608  our own words


def _careful(source: str, dialect: Dialect) -> str:
    """Write a text so that it stays one cell, and is no formula."""
    formula = ", ".join(f"'{mark}'" for mark in (*_FORMULA, "\r"))
    safe = f"CASE WHEN SUBSTR({source}, 1, 1) IN ({formula}) THEN '''' ELSE '' END || {source}"
    found = " OR ".join(f"{_FIND[dialect]}({source}, '{mark}') > 0" for mark in _QUOTED)
    return f"CASE WHEN {found} THEN {_quoted(safe)} ELSE {safe} END"


def _cell(column: Column, dialect: Dialect) -> str:
    """Write one value, or both of money and credits, as it is; whole numbers become text by themselves."""
    source = column.source
    match column.kind:
        case "word" | "integer":
            sql = source
        case "text":
            sql = _careful(source, dialect)
        case "json":
            sql = _quoted(source)
        case "flag":
            sql = f"CASE {source} WHEN 0 THEN 'false' WHEN 1 THEN 'true' END"
        case "moment":
            sql = _MOMENT[dialect].format(source)
        case "tenths":
            sql = f"({source} / 10) || '.' || ({source} % 10)"
        case "nanousd":
            sql = _decimal(source, 9, dialect)
        case "millicredits":
            sql = _decimal(source, 3, dialect)
    return sql


def _decimal(source: str, places: int, dialect: Dialect) -> str:
    """Write a whole number, and as a decimal with so many places behind the point. What is usual is asked first."""
    unit = 10**places
    if dialect == "sqlite":
        small = f"printf('%d,0.%0{places}d', {source}, {source})"
        values = f"{source}, {_sign(source)}, ABS({source} / {unit}), ABS({source} % {unit})"
        large = f"printf('%d,%s%d.%0{places}d', {values})"
    else:
        small = f"{source} || ',0.' || {_padded(source, places)}"
        rest = _padded(f"ABS({source} % {unit})", places)
        large = f"{source} || ',' || {_sign(source)} || ABS({source} / {unit}) || '.' || {rest}"
    return (
        f"CASE WHEN {source} = 0 THEN '0,0.{'0' * places}' WHEN {source} BETWEEN 1 AND {unit - 1} THEN {small} "
        f"WHEN {source} IS NULL THEN ',' ELSE {large} END"
    )


def _sign(source: str) -> str:
    return f"CASE WHEN {source} < 0 THEN '-' ELSE '' END"


def _padded(source: str, places: int) -> str:
    return f"LPAD(CAST({source} AS TEXT), {places}, '0')"


def _quoted(text: str) -> str:
    return f"'\"' || REPLACE({text}, '\"', '\"\"') || '\"'"
