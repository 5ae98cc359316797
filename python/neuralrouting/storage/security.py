"""Rows of the security audit trail: what the shield found, per account, newest first."""

import msgspec

from neuralrouting.exchange import SecurityEvent, ShieldAction
from neuralrouting.storage.database import Database, Row

_FIELDS = SecurityEvent.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_RULE_IDS = _FIELDS.index("rule_ids")
INSERT_EVENT = (
    f"INSERT INTO security_events ({_COLUMNS}) "  # noqa: S608  names of our own columns
    f"VALUES ({', '.join(f'${place}' for place in range(1, len(_FIELDS) + 1))}) ON CONFLICT DO NOTHING"
)
"""Takes `event_values(event)`. A row that is there already stays, so that a batch may be written again."""


class EventFilter(msgspec.Struct, frozen=True):
    """Which events are wanted: None is any, `since_ms` is Unix time."""

    action: ShieldAction | None = None
    category: str | None = None
    since_ms: int = 0


class EventPlace(msgspec.Struct, frozen=True):
    """Where a page ended: the next one goes on behind this event."""

    created_ms: int
    request_id: str


ANY_EVENT = EventFilter()


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
        """Return up to `limit` events of one account, newest first, those before a place where one is given."""
        conditions, values = ["account_id = $1", "created_ms >= $2"], [account_id, wanted.since_ms]
        for column, value in (("action", wanted.action), ("category", wanted.category)):
            if value is not None:
                values.append(value)
                conditions.append(f"{column} = ${len(values)}")
        if before is not None:
            values += [before.created_ms, before.request_id]
            conditions.append(f"(created_ms, request_id) < (${len(values) - 1}, ${len(values)})")
        sql = (
            f"SELECT {_COLUMNS} FROM security_events WHERE {' AND '.join(conditions)} "  # noqa: S608  our own words
            f"ORDER BY created_ms DESC, request_id DESC LIMIT ${len(values) + 1}"
        )
        return [_event(row) for row in await self._database.fetch(sql, *values, limit)]


def place_of(event: SecurityEvent) -> EventPlace:
    """Return the place behind this event."""
    return EventPlace(event.created_ms, event.request_id)


def _event(row: Row) -> SecurityEvent:
    named = dict(zip(_FIELDS, row, strict=True))
    named["rule_ids"] = msgspec.json.decode(named["rule_ids"], type=tuple[str, ...])
    named["truncated"] = bool(named["truncated"])
    return SecurityEvent(**named)
