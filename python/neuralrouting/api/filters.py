"""What a question about figures asks for: query parameters, or options of a command, as values."""

import base64
import binascii
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from neuralrouting.errors import InvalidField
from neuralrouting.storage.attribution import COLUMNS, Attribution
from neuralrouting.storage.audit import AuditPlace, AuditQuery
from neuralrouting.storage.usage import DAY_MS, GROUPS, HOUR_MS, Group, Measure, UsageQuery

MAX_HOURLY_MS = 31 * DAY_MS
"""The longest range whose hours are read."""
MAX_DAILY_MS = 1_096 * DAY_MS
"""The longest range at all: three years."""
MAX_TEXT = 512
MAX_PAGE = 200
"""Requests, ledger rows or the like on one page."""
FIRST_PAGE = 50
ATTRIBUTION = tuple(COLUMNS)
RANGE = ("from", "to")
_LAST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""
_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime.fromtimestamp(0, UTC)
_TIME = "a date (2026-11-01), a time (2026-11-01T13:00:00Z; UTC unless it says otherwise) or Unix milliseconds"

Told = Mapping[str, str]
Format = Literal["json", "csv"]


def parameters(pairs: Iterable[tuple[str, str]]) -> Told:
    """Read query parameters; raises InvalidField for one that is told twice."""
    told: dict[str, str] = {}
    for name, value in pairs:
        if name in told:
            raise InvalidField(f"`{name[:64]}` is told twice", param=name[:64])
        told[name] = value
    return told


def refuse_unknown(told: Collection[str], allowed: Collection[str]) -> None:
    """Raise InvalidField for a parameter that is not allowed: a filter that is misspelt must not widen the answer."""
    for name in told:
        if name not in allowed:
            raise InvalidField(
                f"unknown parameter `{name[:64]}`; allowed: {', '.join(sorted(allowed))}", param=name[:64]
            )


def usage_query(told: Told, account_id: str, now_ms: int) -> UsageQuery:
    """Read the parameters of sums. Raises InvalidField for one that cannot be read or is out of bounds."""
    from_ms, to_ms = time_range(told, now_ms)
    query = UsageQuery(account_id, from_ms, to_ms, attribution(told), groups(told))
    for name, value in (("from", from_ms), ("to", to_ms)):
        if value % HOUR_MS:
            raise InvalidField(f"`{name}` must be on a full hour: figures are kept by the hour", param=name)
    if query.grain == "hour" and to_ms - from_ms > MAX_HOURLY_MS:
        why = "group_by" if "hour" in query.groups else "from"
        raise InvalidField(
            "hours are told for 31 days at most; for a longer range let `from` and `to` be whole days (UTC) and do "
            "not group by hour",
            param=why,
        )
    return query


def audit_query(told: Told, account_id: str, now_ms: int) -> AuditQuery:
    """Read the filters of the audit trail; without `from` it begins at the first request. Raises InvalidField."""
    from_ms = time_ms(told["from"], "from") if "from" in told else 0
    to_ms = time_ms(told["to"], "to") if "to" in told else now_ms + DAY_MS
    if from_ms >= to_ms:
        raise InvalidField("`from` must be before `to`", param="from")
    status = integer(told, "status", 100, 599)
    return AuditQuery(account_id, from_ms, to_ms, attribution(told), text(told, "session"), status)


def time_range(told: Told, now_ms: int) -> tuple[int, int]:
    """Return `from` and `to` in Unix ms: the month we are in, unless told. Raises InvalidField."""
    to_ms = time_ms(told["to"], "to") if "to" in told else month_ms(now_ms, 1)
    from_ms = time_ms(told["from"], "from") if "from" in told else month_ms(max(0, to_ms - 1), 0)
    if from_ms >= to_ms:
        raise InvalidField("`from` must be before `to`, which is exclusive", param="from" if "from" in told else "to")
    if to_ms - from_ms > MAX_DAILY_MS:
        raise InvalidField("the range is over three years (1,096 days)", param="from")
    return from_ms, to_ms


def month_ms(at_ms: int, months_on: int) -> int:
    """Return when the month of a moment (Unix ms) began in UTC, or the month so many after it."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    months = 12 * moment.year + moment.month - 1 + months_on
    began = datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
    return (began - _EPOCH) // _MILLISECOND


def time_ms(value: str, name: str) -> int:
    """Read one moment as Unix ms. Raises InvalidField."""
    try:
        if value.isascii() and value.isdigit():
            moment_ms = int(value)
        else:
            moment = datetime.fromisoformat(value)
            moment = moment.replace(tzinfo=moment.tzinfo or UTC)
            moment_ms = (moment - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        moment_ms = -1
    if not 0 <= moment_ms <= _LAST_MS:
        raise InvalidField(f"`{name}` must be {_TIME}", param=name)
    return moment_ms


def groups(told: Told) -> tuple[Group, ...]:
    """Read `group_by`. Raises InvalidField."""
    names = [name.strip() for name in told.get("group_by", "").split(",") if name.strip()]
    known: dict[str, Group] = {name: name for name in GROUPS}
    if unknown := [name for name in names if name not in known]:
        allowed = ", ".join(GROUPS)
        raise InvalidField(f"`group_by` cannot be {unknown[0][:64]!r}; allowed, by comma: {allowed}", param="group_by")
    if len(set(names)) < len(names):
        raise InvalidField("`group_by` names something twice", param="group_by")
    if {"day", "hour"} <= set(names):
        raise InvalidField("`group_by` takes `day` or `hour`, not both", param="group_by")
    return tuple(known[name] for name in names)


def measure(told: Told) -> Measure:
    """Read `sort`: what groups are big by. Raises InvalidField."""
    known: dict[str, Measure] = {name: name for name in get_args(Measure)}
    if (found := known.get(told.get("sort", ""))) is None:
        raise InvalidField(f"`sort` must be one of {', '.join(known)}", param="sort")
    return found


def attribution(told: Told) -> Attribution:
    """Read the filters that figures and requests share. Raises InvalidField."""
    return Attribution(**{name: text(told, name) for name in ATTRIBUTION})


def text(told: Told, name: str) -> str | None:
    """Read a text, None where it is not told. Raises InvalidField for one that nobody can be called by."""
    value = told.get(name)
    if value is not None and (len(value) > MAX_TEXT or "\0" in value):
        raise InvalidField(f"`{name}` must be up to {MAX_TEXT} characters, without NUL", param=name)
    return value


def integer(told: Told, name: str, lowest: int, highest: int) -> int | None:
    """Read a whole number, None where it is not told. Raises InvalidField."""
    value = told.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 19 and lowest <= int(value) <= highest):
        raise InvalidField(f"`{name}` must be a whole number from {lowest} to {highest}", param=name)
    return int(value)


def page_size(told: Told) -> int:
    """Read `limit`. Raises InvalidField."""
    return integer(told, "limit", 1, MAX_PAGE) or FIRST_PAGE


def yes(told: Told, name: str) -> bool:
    """Read a flag. Raises InvalidField for anything but true and false."""
    value = told.get(name, "false")
    if value not in ("true", "false"):
        raise InvalidField(f"`{name}` must be true or false", param=name)
    return value == "true"


def answer_format(told: Told, accept: str) -> Format:
    """Read `format`, or else what the client accepts. Raises InvalidField."""
    value = told.get("format")
    if value is None:
        return "csv" if accept.partition(";")[0].strip().lower() == "text/csv" else "json"
    if value == "csv":
        return "csv"
    if value != "json":
        raise InvalidField("`format` must be json or csv", param="format")
    return "json"


def cursor_of(place: AuditPlace) -> str:
    """Write a place for the client, who is not to read anything into it."""
    return base64.urlsafe_b64encode(f"{place.created_ms}:{place.request_id}".encode()).decode().rstrip("=")


def place_at(cursor: str | None) -> AuditPlace | None:
    """Read what `cursor_of` wrote. Raises InvalidField."""
    if cursor is None:
        return None
    try:
        told = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        created, colon, request_id = told.partition(":")
        created_ms = int(created)
    except (ValueError, binascii.Error):
        raise InvalidField("`cursor` must be the `next` of another page", param="cursor") from None
    if not colon or not request_id or "\0" in request_id or not 0 <= created_ms <= _LAST_MS:
        raise InvalidField("`cursor` must be the `next` of another page", param="cursor")
    return AuditPlace(created_ms, request_id)
