"""The log of a process on its standard error: one line an event, as text for people or as JSON for machines."""

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

Format = Literal["auto", "text", "json"]
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that is being served; set once for each, at the edge."""
trace_id: ContextVar[str | None] = ContextVar("trace_id", default=None)
"""The client's trace that it belongs to, 32 hexadecimal digits, where the client names one."""


class TextLines(logging.Formatter):
    """One line for people; the request is named at its end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  as logging names it
        """Return the line without its traceback."""
        line, request = super().formatMessage(record), request_id.get()
        return line if request is None or request in line else f"{line} request={request}"


class JsonLines(logging.Formatter):
    """One JSON object a line: `time` (RFC 3339, UTC), `level`, `logger`, `message`, and what else is known.

    `request_id` and `trace_id` are of the request that was served, `exception` is a traceback. A record may bring more
    fields as `extra={"fields": {...}}`.
    """

    def __init__(self, *_given: object, **_more: object) -> None:
        """Take what `logging.config` gives to any formatter, and need none of it."""
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        told: dict[str, object] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        known = (("request_id", request_id.get()), ("trace_id", trace_id.get()))
        told |= {name: value for name, value in known if value is not None}
        told |= getattr(record, "fields", {})
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            told["stack"] = record.stack_info
        return orjson.dumps(told, default=str).decode()


def log_to_stderr(level: str, style: Format = "auto") -> None:
    """Send the log of this process to its standard error; `auto` is text on a terminal and JSON elsewhere."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if _as_json(style) else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler])


def granian_logs(style: Format) -> dict[str, Any] | None:
    """Return what makes the server's own lines look like ours, for `logging.config`; None where they are text."""
    if not _as_json(style):
        return None
    return {
        "formatters": {"generic": {"()": f"{__name__}.{JsonLines.__name__}"}},
        "handlers": {
            "console": {"formatter": "generic", "class": "logging.StreamHandler", "stream": "ext://sys.stderr"}
        },
        "loggers": {"_granian": {"handlers": ["console"], "level": "INFO", "propagate": False}},
    }


def _as_json(style: Format) -> bool:
    return style == "json" or (style == "auto" and not sys.stderr.isatty())
