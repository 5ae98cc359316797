"""Anthropic's events as OpenAI's chunks: each kind of event, any chunking, and every way to break off."""

from collections.abc import Iterable

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_replies import Answer, data
from neuralrouting.errors import UpstreamBadResponse, UpstreamError, UpstreamInterrupted, UpstreamOverloaded
from neuralrouting.exchange import JsonObject
from neuralrouting.providers.anthropic_stream import StreamTranslator
from neuralrouting.providers.sse import Event, SseParser

CREATED_S = 1_700_000_000


def start(**usage: int | None) -> JsonObject:
    told = {"input_tokens": 10, "output_tokens": 1, **usage}
    return {"type": "message_start", "message": {"id": "msg_1", "model": "claude", "content": [], "usage": told}}


def begin(index: int, **block: object) -> JsonObject:
    return {"type": "content_block_start", "index": index, "content_block": block}


def more(index: int, **delta: object) -> JsonObject:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def end(index: int) -> JsonObject:
    return {"type": "content_block_stop", "index": index}


def finish(stop_reason: str | None = "end_turn", **usage: int | None) -> list[JsonObject]:
    told = {"output_tokens": 5, **usage}
    return [{"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": told}, {"type": "message_stop"}]


def text(value: str, index: int = 0) -> list[JsonObject]:
    return [begin(index, type="text", text=""), more(index, type="text_delta", text=value), end(index)]


def translate(*events: JsonObject | Iterable[JsonObject]) -> list[JsonObject]:
    flat = [e for event in events for e in ([event] if isinstance(event, dict) else event)]
    return StreamTranslator("anthropic", CREATED_S).read([Event(e["type"], orjson.dumps(e)) for e in flat])


def deltas(chunks: list[JsonObject]) -> list[JsonObject]:
    return [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]


def test_a_text_comes_as_role_and_pieces_then_finish_then_usage():
    chunks = translate(start(), *text("Hello"), finish())
    frame = {"id": "msg_1", "object": "chat.completion.chunk", "created": CREATED_S, "model": "claude"}
    assert all(frame.items() <= chunk.items() for chunk in chunks)
    assert deltas(chunks) == [{"role": "assistant", "content": "Hello"}, {}]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:2]] == [None, "stop"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 15
    assert all("usage" not in chunk for chunk in chunks[:-1])


def test_nothing_comes_out_before_there_is_output():
    assert translate(start(), {"type": "ping"}, begin(0, type="text", text="")) == []


def test_only_the_first_delta_has_a_role():
    told = deltas(translate(start(), *text("a"), *text("b", 1), finish()))
    assert [delta.get("role") for delta in told] == ["assistant", None, None]


def test_an_empty_answer_still_has_a_role_and_a_finish():
    chunks = translate(start(), finish())
    assert deltas(chunks) == [{"role": "assistant", "content": ""}, {}]


def test_text_may_already_be_in_the_start_of_its_block():
    assert deltas(translate(start(), begin(0, type="text", text="Hi"), end(0), finish()))[0]["content"] == "Hi"


# tool calls
def test_a_tool_use_comes_as_its_name_and_fragments_of_arguments():
    told = deltas(
        translate(
            start(),
            begin(0, type="tool_use", id="toolu_1", name="weather", input={}),
            more(0, type="input_json_delta", partial_json=""),
            more(0, type="input_json_delta", partial_json='{"city":'),
            more(0, type="input_json_delta", partial_json='"Rome"}'),
            end(0),
            finish("tool_use"),
        )
    )
    call = {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    assert told == [
        {"role": "assistant", "content": None, "tool_calls": [{"index": 0, **call}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Rome"}'}}]},
        {},
    ]


def test_indexes_of_tool_calls_are_dense_whatever_stands_between():
    chunks = translate(
        start(),
        *text("Let me see"),
        begin(1, type="tool_use", id="a", name="f", input={}),
        end(1),
        begin(2, type="server_tool_use", id="s", name="web_search", input={}),
        more(2, type="input_json_delta", partial_json='{"query":"x"}'),
        end(2),
        begin(3, type="tool_use", id="b", name="g", input={}),
        end(3),
        finish("tool_use"),
    )
    calls = [call for delta in deltas(chunks) for call in delta.get("tool_calls", ())]
    assert [(call["index"], call.get("id")) for call in calls] == [(0, "a"), (0, None), (1, "b"), (1, None)]
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("closed", [True, False])
def test_a_call_without_arguments_has_an_empty_object(closed: bool):  # noqa: FBT001
    block = [begin(0, type="tool_use", id="a", name="f", input={}), *([end(0)] if closed else [])]
    told = deltas(translate(start(), *block, finish("tool_use")))
    assert told[1] == {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}


def test_arguments_may_stand_in_the_start_of_the_block():
    told = deltas(translate(start(), begin(0, type="tool_use", id="a", name="f", input={"x": 1}), end(0), finish()))
    assert told[1]["tool_calls"][0]["function"]["arguments"] == '{"x":1}'


# thinking
def test_thinking_is_streamed_and_comes_whole_with_its_signature_at_the_end():
    told = deltas(
        translate(
            start(),
            begin(0, type="thinking", thinking="", signature=""),
            more(0, type="thinking_delta", thinking="Hm"),
            more(0, type="thinking_delta", thinking="m."),
            more(0, type="signature_delta", signature="sig"),
            end(0),
            begin(1, type="redacted_thinking", data="ZGF0YQ=="),
            end(1),
            *text("Yes", 2),
            finish(),
        )
    )
    assert [delta["reasoning_content"] for delta in told[:2]] == ["Hm", "m."]
    assert told[2] == {"thinking_blocks": [{"type": "thinking", "thinking": "Hmm.", "signature": "sig"}]}
    assert told[3] == {"thinking_blocks": [{"type": "redacted_thinking", "data": "ZGF0YQ=="}]}


# usage
def test_later_counts_replace_earlier_ones():
    chunks = translate(
        start(input_tokens=10, cache_read_input_tokens=0),
        *text("x"),
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 3}},
        finish(input_tokens=12, cache_read_input_tokens=100, cache_creation_input_tokens=7, output_tokens=9),
    )
    assert chunks[-1]["usage"]["prompt_tokens"] == 119
    assert chunks[-1]["usage"]["completion_tokens"] == 9
    assert chunks[-1]["usage"]["prompt_tokens_details"] == {"cached_tokens": 100, "cache_write_tokens": 7}


def test_null_counts_replace_nothing():
    usage = translate(start(cache_read_input_tokens=4), *text("x"), finish(cache_read_input_tokens=None))[-1]["usage"]
    assert usage["prompt_tokens"] == 14


@pytest.mark.parametrize("lie", [-1, None])
def test_without_sane_counts_there_is_no_usage_chunk(lie: int | None):
    chunks = translate(start(input_tokens=lie), *text("x"), finish())
    assert all(chunk["choices"] for chunk in chunks)


# ends and faults
def test_the_stream_has_ended_at_message_stop_and_not_before():
    translator = StreamTranslator("anthropic", CREATED_S)
    *most, last = [Event("", orjson.dumps(e)) for e in (start(), *text("x"), *finish())]
    translator.read(most)
    assert not translator.ended
    translator.read([last, Event("", b"garbage after the end")])
    assert translator.ended


def test_events_that_anthropic_may_add_are_passed_over():
    chunks = translate(start(), {"type": "brand_new", "delta": {"x": 1}}, *text("a"), finish())
    assert deltas(chunks)[0]["content"] == "a"


def error(kind: str = "overloaded_error") -> JsonObject:
    return {"type": "error", "error": {"type": kind, "message": "Overloaded"}}


@pytest.mark.parametrize("before", [[], [start()], [start(), begin(0, type="text", text="")]])
def test_an_error_before_any_output_is_what_it_says(before: list[JsonObject]):
    with pytest.raises(UpstreamOverloaded) as caught:
        translate(*before, error())
    assert caught.value.provider_status == 529


def test_an_error_after_output_is_an_interruption():
    translator = StreamTranslator("anthropic", CREATED_S)
    translator.read([Event("", orjson.dumps(e)) for e in (start(), *text("x"))])
    with pytest.raises(UpstreamInterrupted, match="Overloaded"):
        translator.read([Event("error", orjson.dumps(error()))])


def test_an_error_in_the_same_read_as_the_first_output_is_still_before_it():
    with pytest.raises(UpstreamOverloaded):
        translate(start(), *text("x"), error())


def test_an_error_without_words_is_a_bad_response():
    with pytest.raises(UpstreamBadResponse):
        translate({"type": "error"})


@pytest.mark.parametrize(
    "events",
    [
        [more(0, type="text_delta", text="x")],
        [start(), start()],
        [start(), more(0, type="input_json_delta", partial_json="{}")],
        [start(), more(3, type="thinking_delta", thinking="x")],
        [start(), {"type": "content_block_start", "index": 0, "content_block": {"text": "no type"}}],
        [start(), {"type": "content_block_start", "index": "0", "content_block": {"type": "text"}}],
        [{"type": "message_stop"}],
    ],
)
def test_what_is_not_the_protocol_is_a_bad_response(events: list[JsonObject]):
    with pytest.raises(UpstreamBadResponse):
        translate(*events)


@pytest.mark.parametrize("raw", [b"", b"[]", b"[DONE]", b"{", b'{"type":1}', b'{"no":"type"}', b'{"type":"\xff"}'])
def test_data_that_is_no_event_is_a_bad_response(raw: bytes):
    with pytest.raises(UpstreamBadResponse):
        StreamTranslator("anthropic", CREATED_S).read([Event("", raw)])


# properties
ANSWERS = st.builds(
    Answer,
    st.text(max_size=60),
    st.lists(
        st.tuples(st.sampled_from(["f", "g"]), st.sampled_from(["{}", '{"a":1}', '{"text":"\u2028é"}'])), max_size=3
    ).map(tuple),
    st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
)


def read_all(pieces: Iterable[bytes]) -> list[JsonObject]:
    parser, translator = SseParser(), StreamTranslator("anthropic", CREATED_S)
    chunks = [chunk for piece in pieces for chunk in translator.read(parser.feed(piece))]
    chunks += translator.read(parser.close())
    assert translator.ended
    return chunks


def said(chunks: list[JsonObject]) -> tuple[str, list[list[str]], str]:
    """What a client would put together."""
    content, calls = "", list[list[str]]()
    for delta in deltas(chunks):
        content += delta.get("content") or ""
        for call in delta.get("tool_calls", ()):
            if "id" in call:
                assert call["index"] == len(calls)
                calls.append([call["function"]["name"], ""])
            calls[call["index"]][1] += call["function"]["arguments"]
    return content, calls, chunks[-2]["choices"][0]["finish_reason"]


@settings(deadline=None)
@given(ANSWERS, st.lists(st.integers(1, 40), max_size=200))
def test_any_chunking_of_a_stream_says_the_same(answer: Answer, sizes: list[int]):
    stream = b"".join(answer.anthropic_events())
    pieces, at = list[bytes](), 0
    for size in sizes:
        pieces.append(stream[at : at + size])
        at += size
    assert read_all([*pieces, stream[at:]]) == read_all([stream])


@settings(deadline=None)
@given(ANSWERS)
def test_a_client_puts_together_what_the_model_said(answer: Answer):
    content, calls, finish_reason = said(read_all([b"".join(answer.anthropic_events())]))
    assert content == answer.text
    assert [(name, orjson.loads(arguments)) for name, arguments in calls] == [
        (name, orjson.loads(arguments)) for name, arguments in answer.calls
    ]
    assert finish_reason == answer.finish


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KINDS = ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "error"]
FIELDS = ["index", "message", "content_block", "delta", "usage", "error"]
EVENTS = st.builds(
    lambda kind, fields: {"type": kind, **fields},
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4),
)


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=8))
def test_nonsense_raises_errors_of_the_tree_only(events: list[JsonObject]):
    translator = StreamTranslator("anthropic", CREATED_S)
    try:
        chunks = translator.read([Event("", orjson.dumps(event)) for event in events])
    except UpstreamError:
        return
    assert all(chunk["choices"] for chunk in chunks)


def test_the_events_of_the_fake_upstream_are_anthropics():
    names = [line for line in b"".join(Answer("x").anthropic_events()).split(b"\n") if line.startswith(b"event: ")]
    assert names[0] == b"event: message_start"
    assert names[-1] == b"event: message_stop"
    assert data({"type": "ping"}, "ping") in Answer("x").anthropic_events()
