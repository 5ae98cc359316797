"""Departures of OpenAI-compatible providers are mended, and nothing else is touched."""

import copy

from neuralrouting.providers.repair import ChunkRepair, repair_completion


def call(index: int | None, identity: str | None, name: str | None = None, arguments: str = "") -> dict:
    fragment: dict = {"function": {"arguments": arguments}}
    if name:
        fragment["function"]["name"] = name
    if index is not None:
        fragment["index"] = index
    if identity is not None:
        fragment["id"] = identity
    return fragment


def mended(*fragments: dict) -> list[int]:
    repair, seen = ChunkRepair(), []
    for fragment in fragments:
        chunk = {"choices": [{"index": 0, "delta": {"tool_calls": [fragment]}, "finish_reason": None}]}
        repair.mend(chunk)
        seen.append(chunk["choices"][0]["delta"]["tool_calls"][0]["index"])
    return seen


def test_well_formed_tool_calls_keep_their_indexes():
    assert mended(call(0, "a", "f"), call(0, None), call(1, "b", "g"), call(1, None), call(0, None)) == [0, 0, 1, 1, 0]


def test_a_new_id_under_a_used_index_is_a_new_call():
    assert mended(call(0, "a", "f"), call(0, "b", "g"), call(0, "c", "h")) == [0, 1, 2]


def test_missing_indexes_are_made_from_ids_and_order():
    assert mended(call(None, "a", "f"), call(None, None), call(None, "b", "g"), call(None, None)) == [0, 0, 1, 1]


def test_a_stop_after_tool_calls_becomes_tool_calls():
    repair = ChunkRepair()
    repair.mend({"choices": [{"index": 0, "delta": {"tool_calls": [call(0, "a", "f")]}, "finish_reason": None}]})
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    repair.mend(last)
    assert last["choices"][0]["finish_reason"] == "tool_calls"


def test_null_choices_become_an_empty_list():
    chunk = {"choices": None, "usage": {"prompt_tokens": 1}}
    ChunkRepair().mend(chunk)
    assert chunk["choices"] == []


def test_old_finish_reasons_are_mapped():
    data = {"choices": [{"message": {"content": "x"}, "finish_reason": "eos"}]}
    assert repair_completion(data)
    assert data["choices"][0]["finish_reason"] == "stop"


def test_a_good_answer_is_left_as_it_is():
    data = {"choices": [{"message": {"content": "x"}, "finish_reason": "length"}], "extra": 12345678901234567890}
    before = copy.deepcopy(data)
    assert not repair_completion(data)
    assert data == before
