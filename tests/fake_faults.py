"""What goes wrong at providers, by name: each entry makes the fault in the dialect that the request speaks.

FAULTS fail every request, STREAM_FAULTS only streams (a whole answer is then good), ODDITIES look strange and are
right. Faults of connecting are not here: `refused_url()` and `FakeUpstream(accepting=False)`.
"""

import gzip
import json
from collections.abc import Callable
from typing import Any

from fake_replies import DONE, Answer, Framing, data, sse
from fake_upstream import CLOSE, HANG, RESET, Recorded, Reply, Step, head, http_reply

TEXT = "one two three four five six"
GOOD = Answer(TEXT, pieces=("one ", "two ", "three ", "four ", "five ", "six"))
CUT_AT = 5
"""Events that come before a stream breaks: with both dialects some text is already out."""
DRIP_GAP_S = 0.05
ARRIVAL_S = 0.05
"""Long enough for what was sent to be read before something else comes."""
HTML = b"<!doctype html><html><body><h1>Bad gateway</h1></body></html>"

Fault = Callable[[Recorded], Reply]


def error(
    status: int, kind: str, message: str = "scripted", code: str | None = None, headers: dict[str, str] | None = None
) -> Fault:
    """An error answer in the provider's own envelope."""
    return lambda request: http_reply(status, error_body(request.dialect, kind, message, code), headers)


def error_body(dialect: str, kind: str, message: str, code: str | None = None) -> dict[str, Any]:
    """The error envelope of a dialect."""
    if dialect == "anthropic":
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_fake"}
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def rate_limited(retry_after: str | None) -> Fault:
    """A 429, with this Retry-After if any."""
    return error(429, "rate_limit_error", headers={"retry-after": retry_after} if retry_after else None)


def broken_stream(*, framing: Framing = "chunked", ending: Step = CLOSE, at: int = CUT_AT) -> Fault:
    """A stream that stops after `at` events, which have time to arrive; a whole answer is good."""
    return _stream(lambda events: sse(events[:at], framing=framing, ending=(ARRIVAL_S, ending)))


def error_event(at: int) -> Fault:
    """A stream whose event number `at` is an error, read on its own; a whole answer is good."""

    def make(request: Recorded) -> Reply:
        if not request.stream:
            return GOOD(request)
        body = error_body(request.dialect, "overloaded_error", "Overloaded")
        bad = data(body, "error" if request.dialect == "anthropic" else "")
        return sse([*GOOD.events(request.dialect)[:at], ARRIVAL_S, bad])

    return make


def slow_stream(gap_s: float) -> Fault:
    """A good stream with a pause before each event."""
    return _stream(lambda events: sse(events, gap_s=gap_s))


def _stream(make: Callable[[list[bytes]], Reply]) -> Fault:
    return lambda request: make(GOOD.events(request.dialect)) if request.stream else GOOD(request)


def _body(change: Callable[[bytes], bytes], headers: dict[str, str] | None = None) -> Fault:
    """A 200 whose JSON was tampered with."""

    def make(request: Recorded) -> Reply:
        whole = GOOD.message() if request.dialect == "anthropic" else GOOD.completion()
        return http_reply(200, change(json.dumps(whole).encode()), headers)

    return make


def _events(change: Callable[[bytes], bytes]) -> Fault:
    """A stream each of whose events was rewritten."""
    return _stream(lambda events: sse([change(event) for event in events]))


def _whole(steps: Callable[[Reply], Reply]) -> Fault:
    """A good answer in either form, done something to."""
    return lambda request: steps(GOOD(request))


def _echo(request: Recorded) -> Reply:
    """Everything it was told, secrets included, in body and headers."""
    secret = request.headers.get("authorization") or request.headers.get("x-api-key") or ""
    message = f"bad key {secret} in {dict(request.header_lines)}"
    headers = {"x-echo": secret, "retry-after": secret}
    return http_reply(500, error_body(request.dialect, "api_error", message), headers)


def _odd_text(text: str) -> Fault:
    return Answer(text, pieces=(text[: len(text) // 2], text[len(text) // 2 :]))


def _indented(event: bytes) -> bytes:
    """The same JSON over several data lines."""
    lines = event.rstrip(b"\n").split(b"\n")
    *names, last = lines
    if last == b"data: [DONE]":
        return event
    spread = json.dumps(json.loads(last.removeprefix(b"data: ")), indent=1, ensure_ascii=False).encode()
    return b"\n".join([*names, *(b"data: " + line for line in spread.split(b"\n"))]) + b"\n\n"


def _lies(event: bytes) -> bytes:
    return event.replace(b'_tokens":11', b'_tokens":-11').replace(b'_tokens":7', b'_tokens":7000000000000')


FAULTS: dict[str, Fault] = {
    "reset before headers": lambda _: Reply((RESET,)),
    "close before headers": lambda _: Reply((CLOSE,)),
    "hang before headers": lambda _: Reply((HANG,)),
    "header drip": _whole(lambda reply: reply.in_bits(1, DRIP_GAP_S)),
    "reset in headers": _whole(lambda reply: reply.cut(20, RESET)),
    "header flood": lambda _: Reply((head(200, {f"x-{i}": "v" * 1000 for i in range(200)}), HANG)),
    "1xx flood": lambda _: Reply((b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000, HANG)),
    "not http": lambda _: Reply((b"SSH-2.0-OpenSSH_9.9\r\n", CLOSE)),
    "two lengths": lambda _: Reply((b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\n{}", CLOSE)),
    "429": rate_limited(None),
    "429 retry-after": rate_limited("1"),
    "429 retry-after date": rate_limited("Wed, 21 Oct 2065 07:28:00 GMT"),
    "429 retry-after garbage": rate_limited("soon"),
    "429 retry-after negative": rate_limited("-5"),
    "429 retry-after huge": rate_limited("1000000000"),
    "429 quota": error(429, "insufficient_quota", "You exceeded your current quota", "insufficient_quota"),
    "400 context length": error(
        400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", "context_length_exceeded"
    ),
    "400": error(400, "invalid_request_error"),
    "401": error(401, "authentication_error", "invalid x-api-key", "invalid_api_key"),
    "403": error(403, "permission_error"),
    "404 model": error(404, "not_found_error", "model: fake-model", "model_not_found"),
    "408": error(408, "timeout_error"),
    "413": error(413, "request_too_large"),
    "500": error(500, "api_error"),
    "502 html": lambda _: http_reply(502, HTML, {"content-type": "text/html"}),
    "503": error(503, "api_error"),
    "504": error(504, "timeout_error"),
    "529": error(529, "overloaded_error", "Overloaded"),
    "302": lambda _: http_reply(302, b"", {"location": "http://169.254.169.254/latest/meta-data/"}),
    "error in 200": error(200, "api_error", "Internal server error"),
    "malformed json": _body(lambda body: body.replace(b":", b"=", 1)),
    "truncated json": _body(lambda body: body[: len(body) // 2]),
    "invalid utf-8": _body(lambda body: body.replace(b"three", b"thr\xff\xfe")),
    "array": _body(lambda _: b"[]"),
    "html": lambda _: http_reply(200, HTML, {"content-type": "text/html"}),
    "empty body": lambda _: http_reply(200, b""),
    "gzip": _body(gzip.compress, {"content-encoding": "gzip"}),
    "reset in body": _whole(lambda reply: reply.cut(reply.size - 40, RESET)),
    "close in body": _whole(lambda reply: reply.cut(reply.size - 40, CLOSE)),
    "hang in body": _whole(lambda reply: reply.cut(reply.size - 40, HANG)),
    "echoes secrets": _echo,
}

STREAM_FAULTS: dict[str, Fault] = {
    "error event first": error_event(0),
    "error event later": error_event(CUT_AT),
    "cut, chunked": broken_stream(),
    "cut, length": broken_stream(framing="length"),
    "cut, close": broken_stream(framing="close"),
    "cut before the first event": broken_stream(at=0),
    "reset": broken_stream(ending=RESET),
    "hang": broken_stream(ending=HANG),
    "hang before the first event": broken_stream(ending=HANG, at=0),
    "event is not json": _events(lambda event: event.replace(b'{"', b"{=", 1)),
    "event is not utf-8": _events(lambda event: event.replace(b"three", b"thr\xff\xfe")),
    "event too large": _stream(lambda events: sse([*events[:CUT_AT], b"data: " + b"x" * (2 << 20), *events])),
}

ODDITIES: dict[str, Fault] = {
    "in single bytes": _whole(lambda reply: reply.in_bits(1)),
    "in threes": _whole(lambda reply: reply.in_bits(3)),
    "crlf": _events(lambda event: event.replace(b"\n", b"\r\n")),
    "cr": _events(lambda event: event.replace(b"\n", b"\r")),
    "byte order mark": _stream(lambda events: sse([b"\xef\xbb\xbf", *events])),
    "comments": _events(lambda event: b": keep-alive\n\n" + event),
    "several data lines": _events(_indented),
    "line separators in text": _odd_text("a\u2028b\u2029c\u0085d\x0be"),
    "emoji": _odd_text("one \U0001f600 two \U0001f468\u200d\U0001f469\u200d\U0001f467 three"),
    "until close": _stream(lambda events: sse(events, framing="close")),
    "with a length": _stream(lambda events: sse(events, framing="length")),
    "done twice": _stream(lambda events: sse([*events, events[-1]])),
    "data after done": _stream(lambda events: sse([*events, events[2], DONE])),
    "no end of body": _stream(lambda events: sse(events, ending=(HANG,))),
    "no usage": Answer(TEXT, usage=None),
    "http 1.0": lambda request: (
        GOOD(request)
        if request.stream
        else http_reply(200, GOOD(request).steps[0].partition(b"\r\n\r\n")[2], version="1.0")
    ),
}

USAGE_LIES: Fault = lambda request: (  # noqa: E731  an entry like the others
    sse([_lies(event) for event in GOOD.events(request.dialect)])
    if request.stream
    else _body(lambda body: _lies(body.replace(b'": ', b'":')))(request)
)
"""A negative prompt and an answer of seven trillion tokens."""
