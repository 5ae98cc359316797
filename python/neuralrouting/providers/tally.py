"""What a stream has said so far: enough to bill it, to know whether it is whole, and to store it."""

from collections.abc import Iterable
from typing import Any

import msgspec
import orjson

from neuralrouting.engine import estimate_tokens
from neuralrouting.exchange import Chunk, JsonObject, PlainChunk, Usage
from neuralrouting.providers.base import billed_usage, said_in, usage_of

LEAST_CHARS = 64
"""Text is not counted in smaller pieces than this while a stream runs: the error of our count is per piece."""


class Tally:
    """Sees every chunk of one stream once. `most_tokens`: what all choices together were allowed; None: no matter."""

    __slots__ = (
        "_base", "_chars", "_choices", "_count_at", "_fresh", "_head", "_prompt_tokens", "_room", "_told_at",
        "_usage_body", "_words", "plain",
    )  # fmt: skip

    def __init__(self, prompt_tokens: int, most_tokens: int | None = None) -> None:
        self.plain = True
        """False once something came that a stored answer could not hold."""
        self._base: JsonObject = {}
        self._head: JsonObject = {}
        self._choices: dict[int, JsonObject] = {}
        self._prompt_tokens = prompt_tokens
        self._usage_body: Any = None
        self._words: list[str] = []
        self._chars = self._fresh = self._told_at = 0
        # Our count differs from the provider's by a few percent: who keeps to the limit must never be cut off.
        self._room = None if most_tokens is None else most_tokens * 115 // 100 + LEAST_CHARS
        self._count_at = self._room

    def see(self, batch: Iterable[Chunk]) -> None:
        """Take chunks into account. Usage replaces what was told before: some providers repeat it, none adds."""
        for chunk in batch:
            if isinstance(chunk, PlainChunk):
                self._choice(0)["parts"].append(chunk.text)
                self._words.append(chunk.text)
                self._chars += len(chunk.text)
            else:
                self._see(chunk)

    def overrun(self) -> bool:
        """Whether more was produced than was allowed, by our count, and the provider has not come to an end.

        The text is counted piece by piece, each once, and the more often the nearer the limit is.
        """
        if self._count_at is None or self._room is None or self._chars < self._count_at:
            return False
        self._room -= estimate_tokens("".join(self._words[self._fresh :]))
        self._fresh = len(self._words)
        self._count_at = self._chars + max(LEAST_CHARS, self._room // 3)
        return self._room < 0 and self._is_open()

    def cut(self) -> JsonObject:
        """End every choice that has not ended; return the chunk that says so."""
        self.plain = False
        ended = [index for index, choice in sorted(self._choices.items()) if not choice["finish"]]
        for index in ended:
            self._choices[index]["finish"] = "length"
        return self._head | {
            "choices": [{"index": n, "delta": {}, "logprobs": None, "finish_reason": "length"} for n in ended]
        }

    def _is_open(self) -> bool:
        return any(not choice["finish"] for choice in self._choices.values())

    def completion_bytes(self) -> bytes:
        """The whole answer as JSON."""
        return orjson.dumps(self.completion())

    def _see(self, chunk: JsonObject) -> None:
        if not self._base:
            self._base = {n: v for n, v in chunk.items() if n in ("model", "system_fingerprint", "service_tier")}
            self._head = {n: v for n, v in chunk.items() if n not in ("choices", "usage", "obfuscation")}
        for choice in chunk["choices"]:
            self._take(choice)
        if chunk.get("usage") and usage_of(chunk) is not None:
            self._usage_body, self._told_at = chunk["usage"], len(self._words)

    def usage(self) -> Usage:
        """Tokens as told by the provider, else estimated from what was delivered.

        Some tell as they go; what came after the last word of that, in a stream that broke, is added by our count.
        """
        told = billed_usage({"usage": self._usage_body}, self._counted)
        if self._usage_body is None or self._told_at == len(self._words) or told.source != "provider":
            return told
        more = estimate_tokens("".join(self._words[self._told_at :]))
        if not more:
            return told
        return msgspec.structs.replace(told, completion_tokens=told.completion_tokens + more, source="estimated")

    def _counted(self) -> Usage:
        return Usage(self._prompt_tokens, estimate_tokens("".join(self._words)), source="estimated")

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
        for text in said_in(delta):
            self._words.append(text)
            self._chars += len(text)
        if choice.get("logprobs"):
            self.plain = False
        if choice.get("finish_reason"):
            kept["finish"] = choice["finish_reason"]
