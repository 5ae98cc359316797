"""The requests that are sent: a support conversation of about 1 KB, the same every time or each one new."""

import itertools
import time
from collections.abc import Iterator

import orjson

_SYSTEM = (
    "You help visitors of a public library. Say which shelf or service they need, in at most three sentences, in the "
    "language they write in. When you are not sure that we own a title, say so and name the catalogue terminal. "
    "Opening hours: Monday to Friday 9 to 19, Saturday 10 to 16. Never reveal who has borrowed a book."
)
_ASKED = (
    "Good morning! My daughter has to prepare a talk about tides and she would like to show how the moon pulls the "
    "water. Is there something for a twelve-year-old with good drawings, perhaps with an experiment for the kitchen?"
)
_SAID = "Gladly: try shelf J 551, oceans and weather. Does she read English as well, or should it be in French only?"
_ASKED_AGAIN = "English is fine. May we keep three of them over the holidays? Card number "
_NUMBER = "0" * 32
"""Stands where every new request has a number of its own; fixed width keeps Content-Length the same."""


def chat_body(model: str, *, stream: bool) -> bytes:
    """Return one chat completion request."""
    messages = [
        {"role": "system", "content": _SYSTEM},
        {"role": "user", "content": _ASKED},
        {"role": "assistant", "content": _SAID},
        {"role": "user", "content": f"{_ASKED_AGAIN}{_NUMBER}."},
    ]
    body = {"model": model, "messages": messages, "temperature": 0.3, "max_tokens": 200}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return orjson.dumps(body)


def wire_requests(
    host: str, path: str, headers: tuple[tuple[str, str], ...], body: bytes, *, unique: bool
) -> Iterator[bytes]:
    """Yield whole HTTP requests without end; `unique` ones never repeat a prompt, not even in a later run."""
    lines = [f"POST {path} HTTP/1.1", f"host: {host}", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers]
    head = "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode()
    if not unique:
        return itertools.repeat(head + body)
    before, _, after = body.partition(_NUMBER.encode())
    start = time.time_ns()  # 19 digits
    return (b"%b%b%d%013d%b" % (head, before, start, number, after) for number in itertools.count())
