"""Where the two databases differ in what a script must say, and lists in statements that both read alike."""

from collections.abc import Sequence
from typing import Final

from neuralrouting.storage.database import Dialect, Row, Script, ask

PLACES: Final = 256
"""Most values a list in a statement has; longer ones are asked for in parts."""

NOW_MS: Final[dict[Dialect, str]] = {
    "sqlite": (
        "(CAST(strftime('%s', 'now') AS INTEGER) * 1000 + CAST(substr(strftime('%f', 'now'), 4, 3) AS INTEGER))"
    ),
    "postgres": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
}
"""The database's own clock in Unix milliseconds, as an expression."""


def locking(dialect: Dialect, key: str) -> str:
    """Return the end of a SELECT that keeps its rows from others till the transaction ends, locked in code-point order.

    A SQLite transaction has the whole file to itself. Two transactions that lock in one order never deadlock.
    """
    return f'ORDER BY {key} COLLATE "C" FOR UPDATE' if dialect == "postgres" else f"ORDER BY {key}"


def ask_among(sql: str, values: Sequence[str | int], *args: object) -> Script[list[Row]]:
    """Run a query for each part of `values`, which stand where it says `{places}`; `args` come first, from `$1` on.

    Lists are filled up to a power of two with their last value, so that a handful of texts is all that is prepared.
    """
    found: list[Row] = []
    for first in range(0, len(values), PLACES):
        part = list(values[first : first + PLACES])
        part += part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))
        places = ", ".join(f"${place}" for place in range(len(args) + 1, len(args) + len(part) + 1))
        found += yield ask(sql.replace("{places}", places), *args, *part)
    return found


def lock_of(dialect: Dialect) -> str:
    """Return the end of a SELECT that keeps its one row from others until the transaction ends."""
    return "FOR UPDATE" if dialect == "postgres" else ""
