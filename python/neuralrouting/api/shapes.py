"""The shapes of the three endpoints: how a whole answer and the end of a stream are written, and what is asked for."""

from collections.abc import Callable

import msgspec
import orjson

from neuralrouting.api import wire
from neuralrouting.api.chunks import ChunkWriter
from neuralrouting.errors import ShieldBlocked
from neuralrouting.exchange import Answer, Facts, JsonObject


class Shape(msgspec.Struct, frozen=True):
    """One endpoint. `streams` None: as the body says. `needs_model`: the body must name one, `auto` included.

    `blocked` is the body of a 403 of the shield; every other error has the same body everywhere.
    """

    whole: Callable[[Answer], bytes]
    end: Callable[[ChunkWriter, Facts], bytes]
    blocked: Callable[[ShieldBlocked], JsonObject]
    streams: bool | None = None
    needs_model: bool = False


def chat_body(answer: Answer) -> bytes:
    """OpenAI's `chat.completion` as the provider wrote it, with our facts in extra fields."""
    fields = wire.extra_fields(answer.facts)
    if answer.facts.cache.hit:  # what was stored has none of these fields
        return wire.appended(answer.body, fields)
    return wire.with_fields(answer.body, fields)


def dispatch_body(answer: Answer) -> bytes:
    """The native answer: the first choice's text, tool calls where there are any, and the figures."""
    data: JsonObject = orjson.loads(answer.body)
    choice = data["choices"][0]
    message = choice.get("message") or {}
    extras = {name: message[name] for name in ("tool_calls", "refusal") if message.get(name)}
    return orjson.dumps(
        {
            "status": "success",
            "output": {"ai_answer": message.get("content"), **extras},
            "finish_reason": choice.get("finish_reason"),
            **wire.extra_fields(answer.facts),
            "usage": data.get("usage") or wire.usage_fields(answer.facts.usage),
        }
    )


CHAT_PATH = "/v1/chat/completions"
CHAT = Shape(chat_body, ChunkWriter.chat_end, ShieldBlocked.envelope, needs_model=True)
DISPATCH = Shape(dispatch_body, ChunkWriter.dispatch_end, ShieldBlocked.plain, streams=False)
DISPATCH_STREAM = Shape(dispatch_body, ChunkWriter.dispatch_end, ShieldBlocked.plain, streams=True)
