"""What spending is summed up by, kept current: requests become sums per cell and hour, cell and day, and session."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from neuralrouting.storage.database import Row
from neuralrouting.storage.requests import RequestRow

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
BLOCKED: Final = "shield_blocked"
"""Error code of a request that the shield did not let through; see `errors.ShieldBlocked`."""

_Key = tuple[str, str, str, str, str, str, str, bool]
_Place = tuple[int, str, int]
"""Cell, grain and beginning: the key of a rollup."""


class _Figures(NamedTuple):
    """What one request adds, in the order of the columns."""

    requests: int
    failed: int
    blocked: int
    exact_hits: int
    semantic_hits: int
    unpriced: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    charged_mc: int
    cost_nanousd: int
    baseline_nanousd: int
    saved_routing_nanousd: int
    saved_exact_nanousd: int
    saved_semantic_nanousd: int
    provider_cache_nanousd: int
    house_nanousd: int


_CELL: Final = (
    "account_id", "key_id", "team", "end_user", "feature", "endpoint", "deployment", "simulated",
)  # fmt: skip
_SESSION_SUMS: Final = (
    "requests", "prompt_tokens", "completion_tokens", "cost_nanousd", "baseline_nanousd", "saved_nanousd",
)  # fmt: skip

CELL_COLUMNS: Final = ("id", *_CELL)
ROLLUP_COLUMNS: Final = ("cell_id", "grain", "start_ms", *_Figures._fields)
SESSION_COLUMNS: Final = ("account_id", "session_id", "simulated", "first_ms", "last_ms", *_SESSION_SUMS)


def _insert(table: str, columns: tuple[str, ...]) -> str:
    places = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608  names of our own columns


def _added(table: str, columns: tuple[str, ...]) -> str:
    return ", ".join(f"{column} = {table}.{column} + excluded.{column}" for column in columns)


INSERT_CELL: Final = f"{_insert('cells', CELL_COLUMNS)} ON CONFLICT DO NOTHING"
ADD_ROLLUP: Final = (
    f"{_insert('rollups', ROLLUP_COLUMNS)} "
    f"ON CONFLICT (cell_id, grain, start_ms) DO UPDATE SET {_added('rollups', _Figures._fields)}"
)
ADD_SESSION: Final = (
    f"{_insert('sessions', SESSION_COLUMNS)} ON CONFLICT (account_id, session_id, simulated) DO UPDATE SET "
    "first_ms = CASE WHEN excluded.first_ms < sessions.first_ms THEN excluded.first_ms ELSE sessions.first_ms END, "
    "last_ms = CASE WHEN excluded.last_ms > sessions.last_ms THEN excluded.last_ms ELSE sessions.last_ms END, "
    f"{_added('sessions', _SESSION_SUMS)}"
)


class Deltas(NamedTuple):
    """What some requests add: rows for `INSERT_CELL`, `ADD_ROLLUP` and `ADD_SESSION`, each key once, sorted by key."""

    cells: list[Row]
    rollups: list[Row]
    sessions: list[Row]


def deltas(rows: Iterable[RequestRow]) -> Deltas:
    """Sum requests up per cell and hour, per cell and UTC day, and per session."""
    sums = Sums()
    for row in rows:
        sums.add(row)
    return sums.deltas()


class Sums:
    """Sums that grow with each request that is added."""

    __slots__ = ("_cells", "_hours", "_sessions")

    def __init__(self) -> None:
        self._cells: dict[_Key, int] = {}
        self._hours: dict[_Place, list[int]] = {}
        self._sessions: dict[tuple[str, str, bool], list[int]] = {}

    def add(self, row: RequestRow) -> None:
        """Count one request in."""
        figures = _figures(row)
        key = _cell_of(row)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = cell_id(key)
        _add(self._hours, (cell, "hour", row.created_ms - row.created_ms % HOUR_MS), figures)
        if row.session_id:
            _add_session(self._sessions, row, figures)

    def deltas(self) -> Deltas:
        """Return what was added, as rows."""
        rollups = dict(self._hours)
        for (cell, _, start_ms), figures in self._hours.items():
            _add(rollups, (cell, "day", start_ms - start_ms % DAY_MS), figures)
        return Deltas(
            sorted((cell, *key[:-1], int(key[-1])) for key, cell in self._cells.items()),
            [(*key, *rollups[key]) for key in sorted(rollups)],
            [(*key[:2], int(key[2]), *self._sessions[key]) for key in sorted(self._sessions)],
        )


def cell_id(key: _Key) -> int:
    """Return the number of a cell: the first 63 bits of the SHA-256 over its columns.

    They are one JSON array in the order of the table, in UTF-8, without spaces, `simulated` as true or false.
    """
    return int.from_bytes(hashlib.sha256(msgspec.json.encode(key)).digest()[:8], "big") >> 1


def _cell_of(row: RequestRow) -> _Key:
    return (
        row.account_id,
        row.key_id,
        _text(row.team),
        _text(row.end_user),
        _text(row.feature),
        _text(row.endpoint),
        _text(row.deployment),
        row.simulated,
    )


def _text(value: str | None) -> str:
    """Write none as '' and a NUL as PostgreSQL would keep it, so that the sums of its rows have the same key."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if value else ""


def _figures(row: RequestRow) -> _Figures:
    cost, baseline, cache = row.cost_nanousd, row.baseline_nanousd, row.cache
    blocked = row.error_code == BLOCKED
    exact, semantic = cache == "exact", cache in ("semantic", "canonical")
    compared = baseline if cost is not None and baseline is not None else 0
    # What a hit cost is 0, unless finding it did cost something: then that is no saving.
    saved = compared - cost if cost is not None and baseline is not None else 0
    return _Figures(
        1,
        int(row.status >= 400 and not blocked),
        int(blocked),
        int(exact),
        int(semantic),
        int(cost is None),
        row.prompt_tokens,
        row.completion_tokens,
        row.cached_tokens,
        row.charged_mc,
        cost or 0,
        compared,
        0 if exact or semantic else saved,
        saved if exact else 0,
        saved if semantic else 0,
        row.provider_cache_nanousd,
        row.house_nanousd,
    )


def _add(sums: dict[_Place, list[int]], key: _Place, figures: Sequence[int]) -> None:
    kept = sums.get(key)
    if kept is None:
        sums[key] = list(figures)
    else:
        sums[key] = [a + b for a, b in zip(kept, figures, strict=True)]


def _add_session(sessions: dict[tuple[str, str, bool], list[int]], row: RequestRow, figures: _Figures) -> None:
    saved = figures.saved_routing_nanousd + figures.saved_exact_nanousd + figures.saved_semantic_nanousd
    own = (
        1, figures.prompt_tokens, figures.completion_tokens, figures.cost_nanousd, figures.baseline_nanousd, saved,
    )  # fmt: skip
    key = (row.account_id, _text(row.session_id), row.simulated)
    kept = sessions.get(key)
    if kept is None:
        sessions[key] = [row.created_ms, row.created_ms, *own]
    else:
        added = (a + b for a, b in zip(kept[2:], own, strict=True))
        sessions[key] = [min(kept[0], row.created_ms), max(kept[1], row.created_ms), *added]
