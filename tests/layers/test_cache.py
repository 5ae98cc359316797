"""The exact cache: which answers may be stored, and how a stored one is given again in either wire shape."""

import orjson
import pytest

from models_made_up import NOW_S, arrival, deployment
from neuralrouting.config import CacheConfig
from neuralrouting.engine import Engine
from neuralrouting.exchange import CacheEntry, JsonObject, Usage
from neuralrouting.layers.cache import AnswerCache, remember, storable

KEY = bytes(32)
BODY = b'{"model":"auto","messages":[{"role":"user","content":"Hi"}]}'
SERVED = deployment("small")
TEXT = "The quick brown fox jumps over the lazy dog. \U0001f98a\u2028" * 5


def choice(index: int = 0, **changes: object) -> JsonObject:
    message = {"role": "assistant", "content": TEXT, "refusal": None}
    return {"index": index, "message": message, "logprobs": None, "finish_reason": "stop"} | changes


def said(**message: object) -> JsonObject:
    return choice(message={"role": "assistant", "content": TEXT} | message)


def answer(*choices: JsonObject) -> JsonObject:
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "small", "system_fingerprint": "fp_1",
        "choices": list(choices or (choice(),)),
        "usage": {"prompt_tokens": 1, "completion_tokens": 70, "total_tokens": 71},
    }  # fmt: skip


class Shelf:
    """An engine with a cache over it, and what went to the database."""

    def __init__(self, **settings: object) -> None:
        self.engine, self.kept = Engine(), list[CacheEntry]()
        self.cache = AnswerCache(self.engine, CacheConfig(**settings), self.kept.append)

    def store(self, data: JsonObject, **hints: object) -> bytes:
        inspection = self.engine.inspect(BODY, "acme")
        self.cache.store(arrival(**hints), inspection, SERVED, Usage(1, 70), data)
        return inspection.key


# --- what may be stored ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [answer(), answer(choice(0), choice(1)), answer(said(refusal=None, annotations=[], tool_calls=None))],
    ids=["plain", "two choices", "empty extras"],
)
def test_whole_plain_answers_are_stored_without_id_and_time(data: JsonObject):
    body = storable(data)
    assert body is not None
    assert orjson.loads(body) == {name: value for name, value in data.items() if name not in ("id", "created")}


CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
UNFIT = {
    "no choices": answer() | {"choices": []},
    "choices missing": {"id": "x"},
    "cut by length": answer(choice(finish_reason="length")),
    "filtered": answer(choice(finish_reason="content_filter")),
    "unfinished": answer(choice(finish_reason=None)),
    "tool calls": answer(choice(finish_reason="tool_calls", message={"role": "assistant", "tool_calls": [CALL]})),
    "tool calls that say stop": answer(said(tool_calls=[CALL])),
    "old function call": answer(said(function_call={"name": "look", "arguments": "{}"})),
    "a refusal": answer(said(refusal="I cannot help with that.")),
    "no text": answer(said(content=None)),
    "empty text": answer(said(content="")),
    "text in parts": answer(said(content=[{"type": "text", "text": TEXT}])),
    "log probabilities": answer(choice(logprobs={"content": []})),
    "audio": answer(said(audio={"id": "audio_1"})),
    "annotations": answer(said(annotations=[{"type": "url_citation"}])),
    "reasoning": answer(said(reasoning_content="Let me think.")),
    "no message": answer(choice(message=None)),
    "one bad choice of two": answer(choice(0), choice(1, finish_reason="length")),
}


@pytest.mark.parametrize("data", UNFIT.values(), ids=UNFIT.keys())
def test_what_is_not_whole_and_plain_is_not_stored(data: JsonObject):
    shelf = Shelf()
    shelf.store(data)
    assert storable(data) is None
    assert shelf.engine.cache_entries == 0
    assert shelf.kept == []


# --- storing --------------------------------------------------------------------------------------------------------


def test_a_stored_answer_is_found_by_the_next_same_request_and_told_to_the_database():
    shelf = Shelf()
    key = shelf.store(answer())
    hit = shelf.engine.inspect(BODY, "acme").hit
    assert hit is not None
    assert (hit.deployment, hit.simulated, hit.prompt_tokens, hit.completion_tokens) == ("acme/small", False, 1, 70)
    [entry] = shelf.kept
    assert (entry.key, entry.account_id, entry.body) == (key, "acme", hit.body)
    assert entry.expires_ms - entry.stored_ms == 7 * 86_400_000


def test_another_tenants_same_request_does_not_find_it():
    shelf = Shelf()
    shelf.store(answer())
    assert shelf.engine.inspect(BODY, "rival").hit is None


@pytest.mark.parametrize(
    ("settings", "hints"),
    [({"enabled": False}, {}), ({}, {"write_cache": False})],
    ids=["cache off", "no-store"],
)
def test_nothing_is_stored_when_the_operator_or_the_client_says_so(settings: JsonObject, hints: JsonObject):
    shelf = Shelf(**settings)
    shelf.store(answer(), **hints)
    assert shelf.engine.cache_entries == 0
    assert shelf.kept == []


def test_without_persistence_the_answer_stays_in_memory_only():
    shelf = Shelf(persist=False)
    shelf.store(answer())
    assert shelf.engine.cache_entries == 1
    assert shelf.kept == []


def test_an_expired_entry_is_not_remembered():
    engine, old_ms = Engine(cache_ttl_s=60), 1_000_000_000_000
    entry = CacheEntry(KEY, "acme", b'{"choices":[]}', "acme/small", False, 1, 1, old_ms, old_ms + 60_000)  # noqa: FBT003
    assert not remember(engine, entry)
    assert engine.cache_entries == 0


# --- replaying ------------------------------------------------------------------------------------------------------


def replayed(data: JsonObject) -> tuple[JsonObject, list[JsonObject]]:
    """The stored answer again, whole and as chunks."""
    shelf = Shelf()
    shelf.store(data)
    hit = shelf.engine.inspect(BODY, "acme").hit
    assert hit is not None
    return orjson.loads(shelf.cache.replay_body(hit, arrival())), shelf.cache.replay_chunks(hit, arrival())


def test_a_whole_replay_differs_from_the_original_in_id_and_time_only():
    whole, _ = replayed(answer())
    assert whole == answer() | {"id": "chatcmpl-req_1", "created": NOW_S}


def test_a_streamed_replay_says_the_same_as_the_original():
    two = answer(choice(0), choice(1, message={"role": "assistant", "content": "short"}))
    _, chunks = replayed(two)
    *parts, last = chunks
    assert last["choices"] == []
    assert last["usage"] == two["usage"]
    for index, wanted in enumerate(two["choices"]):
        own = [part["choices"][0] for part in parts if part["choices"][0]["index"] == index]
        assert own[0]["delta"]["role"] == "assistant"
        assert "".join(piece["delta"].get("content", "") for piece in own) == wanted["message"]["content"]
        assert [piece["finish_reason"] for piece in own] == [None] * (len(own) - 1) + ["stop"]
        assert own[-1]["delta"] == {}
    assert len(parts) > 3, "a long answer comes in pieces"


def test_all_chunks_of_a_replay_share_the_same_frame():
    _, chunks = replayed(answer())
    frames = [{name: value for name, value in chunk.items() if name not in ("choices", "usage")} for chunk in chunks]
    frame = {"id": "chatcmpl-req_1", "object": "chat.completion.chunk", "created": NOW_S, "model": "small"}
    assert all(told == frame | {"system_fingerprint": "fp_1"} for told in frames)


def test_an_answer_without_usage_is_replayed_without_a_usage_chunk():
    _, chunks = replayed({name: value for name, value in answer().items() if name != "usage"})
    assert all(chunk["choices"] for chunk in chunks)
