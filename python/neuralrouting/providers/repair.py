"""Small departures of OpenAI-compatible providers from OpenAI's shapes, put right or refused before others see them."""

from typing import Annotated, Any

import msgspec

from neuralrouting.errors import UpstreamBadResponse
from neuralrouting.exchange import JsonObject

_FINISH = {"eos": "stop", "eos_token": "stop", "": None, "end_turn": "stop", "max_tokens": "length"}


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: dict[str, Any] | None = None


class _Said(msgspec.Struct):
    content: str | list[Any] | None = None  # Mistral's reasoning models send parts, also in streams
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    index: int | None = None
    finish_reason: str | None = None
    delta: _Said | None = None


class _WholeChoice(msgspec.Struct):
    message: _Said
    index: int | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None


class _Completion(msgspec.Struct):
    choices: Annotated[list[_WholeChoice], msgspec.Meta(min_length=1)]


def repair_completion(data: JsonObject) -> bool:
    """Mend a whole answer in place; True when something was changed, so that the bytes must be written anew.

    Raises UpstreamBadResponse for a shape that billing and storing could not take.
    """
    _check(data, _Completion)
    changed = False
    for choice in data["choices"]:
        changed |= _mend_finish(choice, has_calls=bool(choice["message"].get("tool_calls")))
    return changed


class ChunkRepair:
    """Mends the chunks of one stream in place; remembers which tool calls it has seen."""

    __slots__ = ("_calls", "_last")

    def __init__(self) -> None:
        self._calls: dict[tuple[int, str], int] = {}
        self._last: dict[int, int] = {}

    def mend(self, chunk: JsonObject) -> None:
        """Number choices and tool calls densely, map finish reasons, and turn `choices: null` into an empty list.

        Raises UpstreamBadResponse for a shape that billing and storing could not take.
        """
        choices = chunk.get("choices")
        if type(choices) is list and all(map(_is_text, choices)):
            return
        _check(chunk, _Chunk)
        if choices is None:
            choices = chunk["choices"] = []
        for choice in choices:
            number = choice.get("index")
            if number is None:
                number = choice["index"] = 0
            delta = choice.get("delta")
            if delta and delta.get("tool_calls"):
                for call in delta["tool_calls"]:
                    call["index"] = self._index(number, call)
            if choice.get("finish_reason") is not None:
                _mend_finish(choice, has_calls=number in self._last)

    def _index(self, choice: int, call: JsonObject) -> int:
        """A new non-empty id is a new call, whatever index it came under; a fragment without id goes to its call."""
        told, identity = call.get("index"), call.get("id")
        if identity:
            key = (choice, identity)
            if key not in self._calls:
                self._calls[key] = 1 + self._last.get(choice, -1)
            self._last[choice] = max(self._last.get(choice, -1), self._calls[key])
            return self._calls[key]
        last = self._last.get(choice)
        if last is None:
            self._last[choice] = 0
            return 0
        return told if isinstance(told, int) and 0 <= told <= last else last


def _is_text(choice: object) -> bool:
    """Whether this is the piece of text that nearly all choices are: nothing to check and nothing to mend."""
    if type(choice) is not dict or type(choice.get("index")) is not int or choice.get("finish_reason") is not None:
        return False
    delta = choice.get("delta")
    return type(delta) is dict and type(delta.get("content")) is str and "tool_calls" not in delta


def _check(data: JsonObject, shape: type[msgspec.Struct]) -> None:
    try:
        msgspec.convert(data, shape)
    except msgspec.ValidationError as error:  # names types and places, never values
        raise UpstreamBadResponse(f"the provider's answer does not have OpenAI's shape: {error}") from error


def _mend_finish(choice: JsonObject, *, has_calls: bool) -> bool:
    told: str | None = choice.get("finish_reason")
    finish = told if told is None else _FINISH.get(told, told)
    if has_calls and finish == "stop":
        finish = "tool_calls"
    choice["finish_reason"] = finish
    return finish != told
