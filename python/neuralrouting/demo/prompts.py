"""What the demo asks: the kinds of requests that real applications send, some of them twice."""

from typing import Any

import msgspec


class Prompt(msgspec.Struct, frozen=True):
    """One request. `options` are further arguments of the OpenAI client; `kind` says in a word what is special."""

    kind: str
    messages: tuple[dict[str, Any], ...]
    options: dict[str, Any] = {}
    model: str = "auto"
    max_tokens: int = 48
    stream: bool = False


_WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city, now.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["C", "F"]}},
            "required": ["city"],
        },
    },
}
_TICKET_SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "ticket",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"topic": {"type": "string"}, "urgent": {"type": "boolean"}},
            "required": ["topic", "urgent"],
            "additionalProperties": False,
        },
    },
}
_WEATHER_CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
    ],
}


def _user(text: str) -> tuple[dict[str, Any], ...]:
    return ({"role": "user", "content": text},)


_CAPITAL = _user("What is the capital of France? Answer in one short sentence.")
_CAPITAL_AGAIN = _user("Please, what's the capital of France? answer in one short sentence")
_GREETING = _user("Say hello to a new colleague in one short sentence.")
_SUMMARY = _user(
    "Summarise in one sentence: The meeting moved from Tuesday to Thursday because the room was taken, and Anna "
    "will bring the figures for October."
)
_LAW = _user("Explain in one sentence what a non-disclosure agreement is.")

PROMPTS = (
    Prompt("plain", _CAPITAL, {"temperature": 0}, max_tokens=96),
    Prompt("plain", _user("Name three primary colours."), {"temperature": 0}),
    Prompt("streaming", _GREETING, {"temperature": 0}, max_tokens=96, stream=True),
    Prompt("streaming", _user("Write two lines about the sea."), stream=True),
    Prompt("summary", _SUMMARY, {"temperature": 0}),
    Prompt("system prompt", ({"role": "system", "content": "You answer in French."}, *_user("Good morning!"))),
    Prompt("code", _user("Write a Python expression that reverses the string s.")),
    Prompt("mode: cost", _user("Give one synonym for `quick`."), {"extra_body": {"routing_mode": "cost"}}),
    Prompt("mode: quality", _LAW, {"extra_body": {"routing_mode": "quality"}}),
    Prompt("mode: speed", _user("Is 17 a prime number?"), {"extra_headers": {"X-Routing-Mode": "speed"}}),
    Prompt("tools", _user("What is the weather in Oslo?"), {"tools": [_WEATHER_TOOL]}),
    Prompt("tools, streamed", _user("What is the weather in Lima?"), {"tools": [_WEATHER_TOOL]}, stream=True),
    Prompt(
        "tool result",
        (
            *_user("What is the weather in Oslo?"),
            _WEATHER_CALL,
            {"role": "tool", "tool_call_id": "call_1", "content": '{"celsius": -3, "sky": "clear"}'},
        ),
        {"tools": [_WEATHER_TOOL]},
    ),
    Prompt(
        "JSON mode",
        _user("Invent a person. Answer as JSON with the keys name and age."),
        {"response_format": {"type": "json_object"}},
    ),
    Prompt(
        "JSON schema",
        _user("Classify this ticket: the login page shows an error since this morning!"),
        {"response_format": _TICKET_SCHEMA},
    ),
    Prompt("forced model", _LAW, model="gpt-4o"),
    Prompt("repeated", _CAPITAL, {"temperature": 0}, max_tokens=96),
    Prompt("repeated, streamed", _CAPITAL, {"temperature": 0}, max_tokens=96, stream=True),
    Prompt("in other words", _CAPITAL_AGAIN, {"temperature": 0}, max_tokens=96),
    Prompt("stream repeated", _GREETING, {"temperature": 0}, max_tokens=96, stream=True),
    Prompt("repeated, forced", _LAW, model="gpt-4o"),
    Prompt(
        "no-cache",
        _CAPITAL,
        {"temperature": 0, "extra_headers": {"Cache-Control": "no-cache"}},
        max_tokens=96,
    ),
)
