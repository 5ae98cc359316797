"""The rows of a page's table as CSV: the same rows that the page shows, money exactly."""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import orjson

from neuralrouting.api.figures import CSV_BLOCK_ROWS, safe_cell
from neuralrouting.dashboard.page import Table
from neuralrouting.exchange import JsonObject


async def csv_of(table: Table, body: JsonObject) -> AsyncIterator[bytes]:
    """Yield one table of a page's body as CSV (RFC 4180): a line of names, then a line for every row.

    The columns are the keys of the rows, in the order in which they are first met.
    """
    rows = table.rows(body) if table.rows is not None else []
    names = list(dict.fromkeys(name for row in rows for name in row)) or [column.key for column in table.columns]
    yield csv_head(names)
    for first in range(0, len(rows), CSV_BLOCK_ROWS):
        yield csv_rows(names, rows[first : first + CSV_BLOCK_ROWS])


def csv_head(names: Sequence[str]) -> bytes:
    """Return the line of names."""
    return _lines([names])


def csv_rows(names: Sequence[str], rows: Iterable[JsonObject]) -> bytes:
    """Return a line for every row, with the values of these names."""
    return _lines([_cell(row.get(name)) for name in names] for row in rows)


def _cell(value: Any) -> object:  # noqa: ANN401  any value of JSON
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case dict() | list():
            return safe_cell(orjson.dumps(value).decode())
        case str() if not _is_number(value):
            return safe_cell(value)
        case _:
            return value


def _is_number(text: str) -> bool:
    """Whether a text is a decimal of ours, such as `-0.000000120`, which is to stay a number."""
    return text.removeprefix("-").replace(".", "", 1).isdigit() and text.isascii()


def _lines(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
