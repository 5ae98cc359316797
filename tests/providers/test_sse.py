"""The parser gives the same events for every chunking, and knows only the line ends the standard knows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.errors import UpstreamBadResponse
from neuralrouting.providers.sse import MAX_EVENT_BYTES, Event, SseParser


def events(*pieces: bytes) -> list[Event]:
    parser = SseParser()
    found = [event for piece in pieces for event in parser.feed(piece)]
    return found + parser.close()


def test_one_data_line_is_one_event():
    assert events(b'data: {"a":1}\n\n') == [Event("", b'{"a":1}')]


def test_comments_and_unknown_fields_are_skipped():
    assert events(b": ping\n\nid: 7\nretry: 5\ndata: x\n\n") == [Event("", b"x")]


def test_named_events_keep_their_name():
    assert events(b"event: message_stop\ndata: {}\n\n") == [Event("message_stop", b"{}")]


def test_several_data_lines_are_joined_by_a_line_feed():
    assert events(b"data: a\ndata:b\n\n") == [Event("", b"a\nb")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_all_three_line_ends_end_lines(end: bytes):
    assert events(b"data: 1" + end + end + b"data: 2" + end + end) == [Event("", b"1"), Event("", b"2")]


def test_unicode_line_separators_are_text():
    text = 'data: {"t":"a\u2028b\u0085c"}\n\n'.encode()
    assert events(text) == [Event("", text[6:-2])]


def test_a_byte_order_mark_is_skipped():
    assert events(b"\xef\xbb", b"\xbfdata: x\n\n") == [Event("", b"x")]


def test_an_event_without_its_closing_blank_line_is_given_at_the_end():
    assert events(b"data: [DONE]\n") == [Event("", b"[DONE]")]


def test_an_event_over_the_bound_is_refused():
    parser = SseParser()
    with pytest.raises(UpstreamBadResponse, match="over 1 MiB"):
        parser.feed(b"data: " + b"x" * (MAX_EVENT_BYTES + 1))


LINES = st.sampled_from([b"data: {}", b"data:x", b"event: e", b": c", b"", b"data: \xe2\x80\xa8", b"data"])
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(st.lists(st.tuples(LINES, ENDS), max_size=12), st.data())
def test_any_chunking_gives_the_same_events(lines: list[tuple[bytes, bytes]], data: st.DataObject):
    stream = b"".join(line + end for line, end in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert events(*pieces) == events(stream)
