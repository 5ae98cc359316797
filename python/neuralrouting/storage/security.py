"""Rows of the security audit trail: what the shield found, per account, newest first."""

from typing import Any, Final

import msgspec

from neuralrouting.exchange import SecurityEvent, ShieldAction
from neuralrouting.storage.database import Database, Row

_FIELDS = SecurityEvent.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_KEPT = ", ".join(name for name in _FIELDS if name != "body")
_SHORT = ", ".join("NULL" if name == "body" else name for name in _FIELDS)
_NEWEST_FIRST = "ORDER BY created_ms DESC, request_id DESC"
_RULE_IDS = _FIELDS.index("rule_ids")
INSERT_EVENT = (
    f"INSERT INTO security_events ({_COLUMNS}) "  # noqa: S608  names of our own columns
    f"VALUES ({', '.join(f'${place}' for place in range(1, len(_FIELDS) + 1))}) ON CONFLICT DO NOTHING"
)
"""Takes `event_values(event)`. A row that is there already stays, so that a batch may be written again."""


class EventFilter(msgspec.Struct, frozen=True):
    """Which events are wanted, from `since_ms` on and before `until_ms` (Unix time); None is any.

    `rule` is the id of one of the rules that fired. An empty `user` are those of nobody.
    """

    action: ShieldAction | None = None
    category: str | None = None
    since_ms: int = 0
    until_ms: int | None = None
    user: str | None = None
    key: str | None = None
    endpoint: str | None = None
    rule: str | None = None


class EventPlace(msgspec.Struct, frozen=True):
    """Where a page ended: the next one goes on behind this event."""

    created_ms: int
    request_id: str


class DayCount(msgspec.Struct, frozen=True, array_like=True):
    """How many events of one UTC day (days since 1970) had one action."""

    day: int
    action: ShieldAction
    events: int


ANY_EVENT = EventFilter()
EXAMINED_EVENTS: Final = 10_000
"""Events that one page looks at, so that a filter that fits nothing does not read a year of them."""
COUNTED_EVENTS: Final = 100_000
"""Events that are counted, the newest; where the index does not hold what is asked for, `EXAMINED_EVENTS`."""
_DAY_MS: Final = 86_400_000
_ESCAPED = str.maketrans({"%": "\\%", "_": "\\_", "\\": "\\\\"})


def event_values(event: SecurityEvent) -> Row:
    """Return what `INSERT_EVENT` takes."""
    row = msgspec.structs.astuple(event)
    rule_ids = msgspec.json.encode(event.rule_ids).decode()
    return (*row[:_RULE_IDS], rule_ids, *row[_RULE_IDS + 1 :])


class SecurityRows:
    """Reads the audit trail; it is written through the `Writer` with `INSERT_EVENT`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, account_id: str, wanted: EventFilter = ANY_EVENT, *, before: EventPlace | None = None, limit: int = 100
    ) -> list[SecurityEvent]:
        """Return up to `limit` events of one account, newest first, those before a place where one is given.

        Looks at `EXAMINED_EVENTS` at most, however few of them fit. Without their bodies: see `find`.
        """
        where, values = _range(account_id, wanted)
        if before is not None:
            values += [before.created_ms, before.request_id]
            # The first condition is for the index; SQLite takes none of the pair.
            at, id_ = f"${len(values) - 1}", f"${len(values)}"
            where += f" AND created_ms <= {at} AND (created_ms, request_id) < ({at}, {id_})"
        texts, more = _narrowed(wanted, len(values) + 1)
        source = f"security_events WHERE {where}"
        if texts:
            source = (
                f"(SELECT {_KEPT} FROM {source} {_NEWEST_FIRST} LIMIT {EXAMINED_EVENTS}) AS newest"  # noqa: S608
                f"{_where(texts)}"
            )
        sql = f"SELECT {_SHORT} FROM {source} {_NEWEST_FIRST} LIMIT ${len(values) + len(more) + 1}"  # noqa: S608
        return [_event(row) for row in await self._database.fetch(sql, *values, *more, limit)]

    async def find(self, account_id: str, request_id: str) -> SecurityEvent | None:
        """Return what was found in one request, whole; another account's is as unknown as none."""
        sql = f"SELECT {_COLUMNS} FROM security_events WHERE request_id = $1 AND account_id = $2"  # noqa: S608
        rows = await self._database.fetch(sql, request_id, account_id)
        return _event(rows[0]) if rows else None

    async def counts(self, account_id: str, wanted: EventFilter) -> tuple[list[DayCount], bool]:
        """Count events by day and action, of the newest `COUNTED_EVENTS`; True: there are more than were counted."""
        where, values = _range(account_id, wanted)
        texts, more = _narrowed(wanted, len(values) + 1)
        indexed = wanted.endpoint is None and wanted.rule is None
        most = COUNTED_EVENTS if indexed else EXAMINED_EVENTS
        columns = "created_ms, action, category, key_id, end_user" if indexed else _KEPT
        sql = (
            f"SELECT created_ms / {_DAY_MS}, action, COUNT(*) FROM ("  # noqa: S608  our own words
            f"SELECT {columns} FROM security_events WHERE {where} ORDER BY created_ms DESC LIMIT {most}"
            f") AS newest{_where(texts)} GROUP BY 1, 2 ORDER BY 1, 2"
        )
        found = [DayCount(*row) for row in await self._database.fetch(sql, *values, *more)]
        sql = f"SELECT COUNT(*) FROM (SELECT 1 FROM security_events WHERE {where} LIMIT {most + 1}) AS newest"  # noqa: S608
        [(examined,)] = await self._database.fetch(sql, *values)
        return found, examined > most


def place_of(event: SecurityEvent) -> EventPlace:
    """Return the place behind this event."""
    return EventPlace(event.created_ms, event.request_id)


def _event(row: Row) -> SecurityEvent:
    named = dict(zip(_FIELDS, row, strict=True))
    named["rule_ids"] = msgspec.json.decode(named["rule_ids"], type=tuple[str, ...])
    named["truncated"] = bool(named["truncated"])
    return SecurityEvent(**named)


def _range(account_id: str, wanted: EventFilter) -> tuple[str, list[Any]]:
    where, values = "account_id = $1 AND created_ms >= $2", [account_id, wanted.since_ms]
    if wanted.until_ms is None:
        return where, values
    return f"{where} AND created_ms < $3", [*values, wanted.until_ms]


def _narrowed(wanted: EventFilter, first: int) -> tuple[list[str], list[Any]]:
    """Return the conditions beside account and time, and their values, numbered from `first` on."""
    texts: list[str] = []
    values: list[Any] = []
    told = {
        "action": wanted.action,
        "category": wanted.category,
        "COALESCE(end_user, '')": wanted.user,
        "key_id": wanted.key,
        "endpoint": wanted.endpoint,
    }
    for column, value in told.items():
        if value is not None:
            values.append(value)
            texts.append(f"{column} = ${first + len(values) - 1}")
    if wanted.rule is not None:
        # The ids are a JSON list: one is there with its quotes around it.
        quoted = msgspec.json.encode(wanted.rule).decode()
        values.append(f"%{quoted.translate(_ESCAPED)}%")
        texts.append(f"rule_ids LIKE ${first + len(values) - 1} ESCAPE '\\'")
    return texts, values


def _where(texts: list[str]) -> str:
    return f" WHERE {' AND '.join(texts)}" if texts else ""
