"""Small departures of OpenAI-compatible providers from OpenAI's shapes, put right before anyone sees them."""

from neuralrouting.exchange import JsonObject

_FINISH = {"eos": "stop", "eos_token": "stop", "": None, "end_turn": "stop", "max_tokens": "length"}


def repair_completion(data: JsonObject) -> bool:
    """Mend a whole answer in place; True when something was changed, so that the bytes must be written anew."""
    changed = False
    for choice in data["choices"]:
        message = choice.get("message") or {}
        calls = message.get("tool_calls")
        changed |= _mend_finish(choice, has_calls=bool(calls))
    return changed


class ChunkRepair:
    """Mends the chunks of one stream in place; remembers which tool calls it has seen."""

    __slots__ = ("_calls", "_last")

    def __init__(self) -> None:
        self._calls: dict[tuple[int, str], int] = {}
        self._last: dict[int, int] = {}

    def mend(self, chunk: JsonObject) -> None:
        """Give tool calls dense indexes, map finish reasons, and turn `choices: null` into an empty list."""
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            chunk["choices"] = []
            return
        for choice in choices:
            delta = choice.get("delta")
            number = choice.get("index", 0)
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


def _mend_finish(choice: JsonObject, *, has_calls: bool) -> bool:
    told: str | None = choice.get("finish_reason")
    finish = told if told is None else _FINISH.get(told, told)
    if has_calls and finish == "stop":
        finish = "tool_calls"
    choice["finish_reason"] = finish
    return finish != told
