"""The fake upstream itself: what it records, and that its faults really are on the wire."""

import socket
import time

import pytest

from fake_faults import FAULTS, GOOD, ODDITIES, STREAM_FAULTS, TEXT
from fake_replies import Answer
from fake_upstream import CLOSE, HANG, RESET, FakeUpstream, Recorded, Reply, http_reply, refused_url

REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Odd:  Two  \r\nContent-Length: 15\r\n\r\n" + b'{"stream":true}'
)


def ask(upstream: FakeUpstream, request: bytes = REQUEST, *, until_close: bool = False) -> bytes:
    """Send bytes on a new connection and read until the upstream closes, or 0.2 s of silence."""
    host, port = upstream.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5 if until_close else 0.2) as connection:
        connection.sendall(request)
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
        except TimeoutError:
            assert not until_close
        return received


def test_a_request_is_recorded_byte_for_byte():
    with FakeUpstream([http_reply(200, {"ok": True})]) as upstream:
        ask(upstream)
    (request,) = upstream.requests
    assert request.raw == REQUEST
    assert (request.method, request.path, request.body) == ("POST", "/v1/chat/completions", b'{"stream":true}')
    assert request.header_lines[1] == ("X-Odd", "Two")
    assert request.stream


def test_what_was_sent_is_recorded_too():
    with FakeUpstream([http_reply(200, b"abc")]) as upstream:
        received = ask(upstream)
    assert upstream.sent == [received]
    assert received.endswith(b"\r\n\r\nabc")


def test_a_script_is_followed_and_its_last_entry_repeats():
    with FakeUpstream([http_reply(503), http_reply(200)]) as upstream:
        statuses = [ask(upstream).split()[1] for _ in range(3)]
    assert statuses == [b"503", b"200", b"200"]


def test_one_connection_serves_several_requests():
    with FakeUpstream([http_reply(200, b"x")]) as upstream:
        assert ask(upstream, REQUEST * 3).count(b"HTTP/1.1 200") == 3
    assert upstream.connections == 1


def test_a_script_may_be_a_function_of_the_request():
    def script(request: Recorded) -> Reply:
        return http_reply(200, request.body)

    with FakeUpstream(script) as upstream:
        assert ask(upstream).endswith(b'{"stream":true}')


def test_the_same_request_gets_the_same_bytes():
    with FakeUpstream([Answer("hello", pieces=("hel", "lo"))]) as upstream:
        assert ask(upstream) == ask(upstream)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_an_answer_speaks_the_dialect_of_the_path(path: str):
    request = REQUEST.replace(b"/v1/chat/completions", path.encode())
    with FakeUpstream([GOOD]) as upstream:
        received = ask(upstream, request)
    assert (b"event: message_stop" in received) == (path == "/v1/messages")
    assert (b"data: [DONE]" in received) == (path != "/v1/messages")


def test_a_reset_is_a_reset():
    with FakeUpstream([Reply((RESET,))]) as upstream, pytest.raises(ConnectionResetError):
        ask(upstream, until_close=True)


def test_a_connection_may_be_reset_before_the_request():
    with FakeUpstream([GOOD], accepting=False) as upstream:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            ask(upstream, until_close=True)
        assert not upstream.requests


def test_nobody_listens_at_a_refused_url():
    host, port = refused_url().removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=1)


def test_a_client_that_leaves_while_it_hangs_is_noticed():
    with FakeUpstream([Reply((b"HTTP/1.1 200 OK\r\n", HANG))]) as upstream:
        ask(upstream)
        gives_up_s = time.monotonic() + 5
        while not upstream.hangups and time.monotonic() < gives_up_s:
            time.sleep(0.005)
    assert upstream.hangups


def test_a_cut_ends_where_it_says():
    with FakeUpstream([http_reply(200, b"abcdef").cut(10, CLOSE)]) as upstream:
        assert ask(upstream, until_close=True) == b"HTTP/1.1 2"


@pytest.mark.parametrize("name", [*FAULTS, *STREAM_FAULTS])
def test_every_fault_differs_from_a_good_answer(name: str):
    request = Recorded("POST", "/v1/messages", (), b'{"stream":true}', b"")
    assert ({**FAULTS, **STREAM_FAULTS}[name])(request) != GOOD(request)


@pytest.mark.parametrize("name", ODDITIES)
def test_every_oddity_still_says_its_text(name: str):
    request = Recorded("POST", "/v1/chat/completions", (), b"{}", b"")
    whole = b"".join(step for step in ODDITIES[name](request).steps if isinstance(step, bytes))
    assert TEXT.encode() in whole or name in ("line separators in text", "emoji")
