"""Is this answer good enough to be sent? What can be seen without asking another model. Pure.

Only signs that a good answer hardly ever shows count as doubt: each false alarm is a second call that nobody needed.
"""

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from neuralrouting.exchange import JsonObject
from neuralrouting.layers.verification.form import is_broken_reply, is_misshapen, is_wrong_call
from neuralrouting.layers.verification.wording import contradicts_itself, refuses, without_thoughts

Doubt = Literal["empty", "refusal", "truncated", "format", "contradiction", "unsure"]
SMALL_LIMIT: Final = 1_024
"""Output tokens. A client that allows fewer wants a piece of text and gets one; an economy model that runs into a
larger limit mostly goes round in circles."""
UNSURE_LOGPROB: Final = -1.0
"""Mean log probability of a token below which a model was guessing: it gave its own words less than e^-1 on average.
Of 75 answers of the local model 4 were below it, each of no use; see docs/cascade.md."""
LEAST_LOGPROBS: Final = 8
"""Fewer tokens than this have no mean worth the name."""
_SEEN_CHARS: Final = 16_384
"""What is read of an answer's wording: enough for any, and bounded where a model never stops."""


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What was asked for, as far as an answer can be held to it.

    `limit`: output tokens that the client, or its credits, allow; None where nobody named a limit. `harmful`: it asks
    to do harm, and refusing is right. `body` is read for its schemas, where there are any.
    """

    prompt: str
    task: str
    json_mode: str = "none"
    has_tools: bool = False
    limit: int | None = None
    harmful: bool = False
    body: bytes = b""


def doubt(asked: Asked, data: JsonObject) -> Doubt | None:
    """Return why a `chat.completion` should not be sent as it is, None where nothing speaks against it."""
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices:
        return "empty"
    for choice in choices:
        found = _doubt_of(asked, choice)
        if found is not None:
            return found
    return None


def _doubt_of(asked: Asked, choice: JsonObject) -> Doubt | None:  # noqa: PLR0911  one line per doubt
    message: JsonObject = choice.get("message") or {}
    text = without_thoughts("".join(_text_of(message)))
    finish, calls = choice.get("finish_reason"), message.get("tool_calls")
    if (message.get("refusal") or finish == "content_filter") and not asked.harmful:
        return "refusal"
    if not (text.strip() or calls or message.get("refusal") or message.get("function_call") or message.get("audio")):
        return "empty" if finish != "content_filter" else None
    if finish == "length":  # what was cut off for its client's sake has no form to be held to
        return None if asked.limit is not None and asked.limit < SMALL_LIMIT else "truncated"
    if calls:
        return "format" if is_wrong_call(calls, asked.body) else None
    if asked.json_mode != "none":
        return "format" if is_misshapen(text, asked.json_mode, asked.body) else _unsure(choice)
    seen = text[:_SEEN_CHARS]
    if not asked.harmful and refuses(seen, asked.prompt, asked.task):
        return "refusal"
    if is_broken_reply(seen):
        return "format"
    if contradicts_itself(seen, asked.prompt, asked.task):
        return "contradiction"
    return _unsure(choice)


def _unsure(choice: JsonObject) -> Doubt | None:
    """Whether the model gave its own words little credit; only where log probabilities came with the answer."""
    told: Any = choice.get("logprobs")
    tokens = told.get("content") if isinstance(told, dict) else None
    if not isinstance(tokens, list):
        return None
    values = [
        float(value)
        for token in tokens
        if isinstance(token, dict) and isinstance(value := token.get("logprob"), (int, float)) and value <= 0
    ]
    if len(values) < LEAST_LOGPROBS or sum(values) / len(values) >= UNSURE_LOGPROB:
        return None
    return "unsure"


def _text_of(message: JsonObject) -> Iterator[str]:
    content: Any = message.get("content")
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        yield from (str(part.get("text") or "") for part in content if isinstance(part, dict))
