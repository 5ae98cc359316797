"""A Claude to ask, for the tests of what is sent to it."""

from typing import Any

import orjson

from neuralrouting.catalog import Capabilities, Deployment
from neuralrouting.exchange import JsonObject
from neuralrouting.providers.anthropic_request import messages_request

HI = {"role": "user", "content": "Hi"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def call(identity: str, name: str = "weather", arguments: str = '{"city":"Rome"}') -> dict[str, Any]:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def deployment(model: str = "claude-sonnet-4-5", *, json_schema: bool = True) -> Deployment:
    return Deployment(
        id=f"anthropic/{model}",
        model=model,
        provider="anthropic",
        upstream_model=model,
        tier="premium",
        context_tokens=200_000,
        max_output_tokens=8192,
        capabilities=Capabilities(tools=True, vision=True, json_schema=json_schema),
        price=None,
    )


def raw(*messages: dict[str, Any], at: Deployment | None = None, stream: bool = False, **fields: object) -> bytes:
    body = orjson.dumps({"model": "auto", "messages": messages or (HI,), **fields})
    return messages_request(body, at or deployment(), stream=stream)


def sent(*messages: dict[str, Any], at: Deployment | None = None, stream: bool = False, **fields: object) -> JsonObject:
    return orjson.loads(raw(*messages, at=at, stream=stream, **fields))
