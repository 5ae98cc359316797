"""Lines of CSV that a database writes: every kind of column, with nothing, with the usual and with what is rare."""

import pytest

from neuralrouting.api.exports import COLUMNS
from neuralrouting.storage.database import Database
from neuralrouting.storage.lines import Column, Kind, head, line

pytestmark = pytest.mark.anyio
PREPARED_BYTES = 15 * 1024
"""asyncpg keeps no longer statements prepared; the conditions of a question come on top of a line."""
NUMBERS: list[tuple[Kind, int | None, str]] = [
    ("integer", -7, "-7"),
    ("integer", None, ""),
    ("flag", 0, "false"),
    ("flag", 1, "true"),
    ("flag", None, ""),
    ("tenths", 0, "0.0"),
    ("tenths", 35, "3.5"),
    ("tenths", 100, "10.0"),
    ("tenths", None, ""),
    ("moment", 0, "1970-01-01T00:00:00Z"),
    ("moment", 1_795_867_200_007, "2026-11-28T12:00:00.007Z"),
    ("moment", 253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ("moment", None, ""),
    ("nanousd", 0, "0,0.000000000"),
    ("nanousd", 1, "1,0.000000001"),
    ("nanousd", -1, "-1,-0.000000001"),
    ("nanousd", 999_999_999, "999999999,0.999999999"),
    ("nanousd", 1_000_000_000, "1000000000,1.000000000"),
    ("nanousd", -12_000_000_034, "-12000000034,-12.000000034"),
    ("nanousd", 2**63 - 1, "9223372036854775807,9223372036.854775807"),
    ("nanousd", None, ","),
    ("millicredits", 999, "999,0.999"),
    ("millicredits", 1_000, "1000,1.000"),
    ("millicredits", None, ","),
]
TEXTS = [
    ("plain", "plain"),
    ("", ""),
    ("a-b", "a-b"),
    ("Doe, Jane", '"Doe, Jane"'),
    ('say "no"', '"say ""no"""'),
    ("=1+1", "'=1+1"),
    ("-", "'-"),
    ("\t1", "'\t1"),
    ("\r1", '"\'\r1"'),
    ('=cmd|"/c"', '"\'=cmd|""/c"""'),
    ("one\r\ntwo", '"one\r\ntwo"'),
    ("'=1", "'=1"),
    ("100 %s", "100 %s"),
]


async def _written(database: Database, *columns: Column) -> str:
    [(text,)] = await database.fetch(f"SELECT {line(columns, database.dialect)}")
    return text


async def test_numbers_are_written_exactly(database: Database):
    for kind, value, cells in NUMBERS:
        sql = "CAST(NULL AS BIGINT)" if value is None else f"CAST({value} AS BIGINT)"
        number = Column("x", kind, sql)
        assert await _written(database, number, Column("text", "text", "'plain'")) == f"{cells},plain"
        assert await _written(database, number, Column("text", "text", "'-'")) == f"{cells},'-"


async def test_a_text_is_one_cell_and_no_formula(database: Database):
    for text, cell in TEXTS:
        quoted = "'" + text.replace("'", "''") + "'"
        around = Column("before", "word", "'w'"), Column("text", "text", quoted), Column("after", "integer", "1")
        assert await _written(database, *around) == f"w,{cell},1"


async def test_json_is_one_cell(database: Database):
    told = await _written(database, Column("x", "json", """'[{"a":1,"b":null}]'"""), Column("text", "text", "NULL"))
    assert told == '"[{""a"":1,""b"":null}]",'


def test_money_and_credits_have_two_columns_each():
    columns = Column("id", "word"), Column("cost", "nanousd"), Column("held", "millicredits")
    assert head(columns) == ("id", "cost_nanousd", "cost_usd", "held_mc", "held_credits")


def test_the_line_of_a_request_stays_prepared():
    assert len(line(COLUMNS, "postgres")) < PREPARED_BYTES * 2 / 3
