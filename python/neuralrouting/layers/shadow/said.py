"""What was asked and what was answered, as far as a comparison looks at it."""

from typing import Any, Literal, cast

import msgspec
import orjson

from neuralrouting.exchange import JsonObject

Verdict = Literal["win", "tie", "lose"]
"""Of the candidate, against the reference."""
DIFFERENCE: dict[Verdict, float] = {"win": 1.0, "tie": 0.0, "lose": -1.0}
"""What a verdict is worth: quality of the candidate minus that of the reference, on a scale from -1 to 1."""
_COMPLETE = ("stop", "length")


class Said(msgspec.Struct, frozen=True):
    """One answer: its text, whether it broke off at a limit, whether its provider marked it as a refusal."""

    text: str
    cut: bool = False
    refused: bool = False


class Question(msgspec.Struct, frozen=True):
    """What was asked. `conversation` is (role, text) in order; `schema` is the JSON schema of the answer, if any.

    `harmful`: what is asked for could hurt others, so that a refusal is no worse than an answer.
    """

    conversation: tuple[tuple[str, str], ...]
    task: str
    harmful: bool = False
    wants_json: bool = False
    schema: JsonObject | None = None


class Finding(msgspec.Struct, frozen=True):
    """What became of a comparison: `verdict` None is undecided. `reason` is a code, never text of an answer."""

    verdict: Verdict | None
    reason: str


def said_in(data: JsonObject) -> Said | None:
    """Return what a `chat.completion` says; None where it is anything but one choice of complete plain text."""
    choices: Any = data.get("choices")
    if not isinstance(choices, list) or len(cast("list[Any]", choices)) != 1:
        return None
    choice = cast("JsonObject", choices[0])
    message, finish = choice.get("message"), choice.get("finish_reason")
    if not isinstance(message, dict) or finish not in _COMPLETE or message.get("tool_calls") or message.get("audio"):
        return None
    content, refusal = message.get("content"), message.get("refusal")
    if refusal:
        return Said(str(refusal), refused=True)
    if content is None:
        content = ""
    return Said(content, cut=finish == "length") if isinstance(content, str) else None


def question_of(body: bytes, task: str, *, harmful: bool) -> Question:
    """Read a request's body, which the gateway has taken before, as a question."""
    asked: JsonObject = orjson.loads(body)
    told: Any = asked.get("response_format")
    shape: JsonObject = cast("JsonObject", told) if isinstance(told, dict) else {}
    kind = shape.get("type")
    inner: Any = shape.get("json_schema") if kind == "json_schema" else None
    schema: Any = cast("JsonObject", inner).get("schema") if isinstance(inner, dict) else None
    conversation = tuple((str(m.get("role")), _text_of(m.get("content"))) for m in asked["messages"])
    return Question(
        conversation,
        task,
        harmful,
        kind in ("json_object", "json_schema"),
        cast("JsonObject", schema) if isinstance(schema, dict) else None,
    )


def _text_of(content: Any) -> str:  # noqa: ANN401  a text or parts
    if isinstance(content, list):
        parts = [part for part in cast("list[Any]", content) if isinstance(part, dict)]
        return "\n".join(str(part.get("text") or "") for part in parts)
    return content if isinstance(content, str) else ""
