"""Lines of the log: JSON for machines, text for people, and whose request they are of."""

import contextvars
import json
import logging
import sys
from datetime import datetime
from typing import Any

from neuralrouting.telemetry.logs import JsonLines, TextLines, request_id, trace_id


def record(message: str, *args: object, **more: Any) -> logging.LogRecord:  # noqa: ANN401
    made = logging.LogRecord("neuralrouting.api", logging.WARNING, __file__, 1, message, args, None)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def in_request(made: logging.LogRecord, formatter: logging.Formatter) -> str:
    """Format a record as it is while a request is served."""

    def served() -> str:
        request_id.set("req_1")
        trace_id.set("ab" * 16)
        return formatter.format(made)

    return contextvars.copy_context().run(served)


def test_a_json_line_is_one_object_with_time_level_logger_and_message():
    line = JsonLines().format(record("%d rows wait\nfor long", 3))
    assert "\n" not in line
    told = json.loads(line)
    assert datetime.fromisoformat(told.pop("time")).utcoffset() is not None
    assert told == {"level": "warning", "logger": "neuralrouting.api", "message": "3 rows wait\nfor long"}


def test_a_line_of_a_request_names_it_and_its_trace():
    told = json.loads(in_request(record("slow"), JsonLines()))
    assert (told["request_id"], told["trace_id"]) == ("req_1", "ab" * 16)
    assert in_request(record("slow"), TextLines()).endswith("WARNING neuralrouting.api slow request=req_1")
    assert in_request(record("request req_1 failed"), TextLines()).endswith("request req_1 failed")
    assert "request_id" not in JsonLines().format(record("idle"))


def test_an_exception_is_a_field_and_more_fields_may_be_given():
    try:
        int("wrong")
    except ValueError:
        told = json.loads(JsonLines().format(record("failed", exc_info=sys.exc_info(), fields={"status": 500})))
    assert told["exception"].startswith("Traceback")
    assert told["exception"].endswith("'wrong'")
    assert told["status"] == 500
