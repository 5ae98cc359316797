"""What a stream has said so far: enough to bill it, to know whether it is whole, and to store it."""

from collections.abc import Iterable
from typing import Any

import orjson

from neuralrouting.engine import estimate_tokens
from neuralrouting.exchange import Chunk, JsonObject, PlainChunk, Usage
from neuralrouting.providers.base import usage_of


class Tally:
    """Sees every chunk of one stream once."""

    __slots__ = ("_base", "_choices", "_prompt_tokens", "_usage", "_usage_body", "plain")

    def __init__(self, prompt_tokens: int) -> None:
        self.plain = True
        """False once something came that a stored answer could not hold."""
        self._base: JsonObject = {}
        self._choices: dict[int, JsonObject] = {}
        self._prompt_tokens = prompt_tokens
        self._usage: Usage | None = None
        self._usage_body: Any = None

    def see(self, batch: Iterable[Chunk]) -> None:
        """Take chunks into account. Usage replaces what was told before: some providers repeat it, none adds."""
        for chunk in batch:
            if isinstance(chunk, PlainChunk):
                self._choice(0)["parts"].append(chunk.text)
            else:
                self._see(chunk)

    def completion_bytes(self) -> bytes:
        """The whole answer as JSON."""
        return orjson.dumps(self.completion())

    def _see(self, chunk: JsonObject) -> None:
        if not self._base:
            self._base = {n: v for n, v in chunk.items() if n in ("model", "system_fingerprint", "service_tier")}
        if chunk.get("usage"):
            told = usage_of(chunk)
            if told is not None:
                self._usage, self._usage_body = told, chunk["usage"]
        for choice in chunk["choices"]:
            self._take(choice)

    def usage(self) -> Usage:
        """Tokens as told by the provider, else estimated from what was delivered."""
        if self._usage is not None:
            return self._usage
        text = "".join(part for choice in self._choices.values() for part in choice["parts"])
        return Usage(self._prompt_tokens, estimate_tokens(text), source="estimated")

    def completion(self) -> JsonObject:
        """The whole answer as a `chat.completion` without id and time; only faithful while `plain` holds."""
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": "".join(choice["parts"]), "refusal": None},
                "logprobs": None,
                "finish_reason": choice["finish"],
            }
            for index, choice in sorted(self._choices.items())
        ]
        data: JsonObject = {"object": "chat.completion", **self._base, "choices": choices}
        return data | {"usage": self._usage_body} if self._usage_body else data

    def _choice(self, index: int) -> JsonObject:
        kept = self._choices.get(index)
        if kept is None:
            kept = self._choices[index] = {"parts": [], "finish": None}
        return kept

    def _take(self, choice: JsonObject) -> None:
        kept = self._choice(choice.get("index", 0))
        delta = choice.get("delta") or {}
        for name, value in delta.items():
            if name == "content" and isinstance(value, str):
                kept["parts"].append(value)
            elif value and name != "role":
                self.plain = False
                if name == "tool_calls":
                    kept["parts"] += [_arguments(call) for call in value]
        if choice.get("logprobs"):
            self.plain = False
        if choice.get("finish_reason"):
            kept["finish"] = choice["finish_reason"]


def _arguments(call: JsonObject) -> str:
    """Name and arguments of a tool call count as output tokens."""
    function = call.get("function") or {}
    return f"{function.get('name') or ''}{function.get('arguments') or ''}"
