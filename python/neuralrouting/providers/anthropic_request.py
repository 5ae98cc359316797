"""From OpenAI's chat completion request to Anthropic's Messages request; pure: bytes in, bytes out."""

import msgspec
from msgspec import Raw

from neuralrouting.catalog import Deployment
from neuralrouting.errors import UpstreamRejected
from neuralrouting.exchange import JsonObject
from neuralrouting.providers.anthropic_turns import conversation
from neuralrouting.providers.chat_request import ABSENT, ChatRequest, Tool, ToolChoice, read_chat_request
from neuralrouting.providers.faults import ModelLimit

_ANY_OBJECT = Raw(b'{"type":"object","properties":{}}')
_ENCODER = msgspec.json.Encoder()
_DATE_DIGITS = 8
_LAST_SAMPLED = (4, 6)
"""The last Claude that takes sampling parameters; source: Anthropic's migration guide for Claude Opus 4.7."""


def messages_request(body: bytes, deployment: Deployment, *, stream: bool) -> bytes:
    """Return the body of a Messages request.

    What Claude cannot do (several choices, logprobs, audio, JSON mode without a schema) raises ModelLimit, an
    UpstreamRejected which lets another model try; what is malformed raises UpstreamRejected.
    Left out without a word, as Anthropic's own OpenAI endpoint does: seed, presence_penalty,
    frequency_penalty, logit_bias, prediction, store, metadata, service_tier, reasoning_effort, and `name` in
    messages; sampling parameters for models that have none. Anthropic's own `thinking`, `top_k`,
    `output_config`, `cache_control` and `thinking_blocks` go through.
    """
    asked = read_chat_request(body)
    _refuse_the_impossible(asked)
    system, turns = conversation(asked.messages)
    request: JsonObject = {
        "model": deployment.upstream_model,
        "max_tokens": _max_tokens(asked, deployment),
        "messages": turns,
    }
    if system:
        request["system"] = system
    request |= _sampling(asked, deployment.upstream_model) | _tools(asked, deployment)
    if asked.stops:
        request["stop_sequences"] = asked.stops
    if asked.user:
        request["metadata"] = {"user_id": asked.user}
    if output := _output_config(asked):
        request["output_config"] = output
    if asked.thinking not in (ABSENT, Raw(b"null")):
        request["thinking"] = asked.thinking
    if stream:
        request["stream"] = True
    return _ENCODER.encode(request)


def takes_sampling(model: str) -> bool:
    """Whether a Claude still has temperature, top_p and top_k: later ones answer 400 to them.

    Reads the version out of names like `claude-3-5-haiku-20241022` and `claude-opus-4-1`; a name without one
    is taken to be new.
    """
    words = model.replace(".", "-").split("-")
    version = tuple(int(word) for word in words if word.isdigit() and len(word) < _DATE_DIGITS)
    return bool(version) and version[:2] <= _LAST_SAMPLED


def _refuse_the_impossible(asked: ChatRequest) -> None:
    impossible = {
        "n": (asked.n or 1) > 1 and "gives one choice per request",
        "logprobs": (asked.logprobs or asked.top_logprobs) and "tells no log probabilities",
        "modalities": "audio" in (asked.modalities or ()) and "gives no audio",
        "functions": asked.functions and "takes tools, not the older functions",
        "web_search_options": asked.web_search_options is not None and "has no such web search",
    }
    for field, reason in impossible.items():
        if reason:
            raise ModelLimit(f"Claude {reason}; leave out {field} or choose another model", param=field)


def _max_tokens(asked: ChatRequest, deployment: Deployment) -> int:
    """Mandatory upstream, so the model's own limit stands in; more than that limit would be a 400."""
    limit = deployment.max_output_tokens
    wanted = asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens
    return limit if wanted is None else min(wanted, limit)


def _sampling(asked: ChatRequest, model: str) -> JsonObject:
    """Anthropic's temperature ends at 1; a top_p of 1 says nothing, yet is refused beside a temperature."""
    if not takes_sampling(model):
        return {}
    sampling: JsonObject = {}
    if asked.temperature is not None:
        sampling["temperature"] = min(asked.temperature, 1.0)
    if asked.top_p is not None and asked.top_p < 1:
        sampling["top_p"] = asked.top_p
    if asked.top_k is not None:
        sampling["top_k"] = asked.top_k
    return sampling


def _tools(asked: ChatRequest, deployment: Deployment) -> JsonObject:
    if not asked.tools:
        return _tools_of_the_past(asked)
    strict = deployment.capabilities.json_schema  # both came together, on the same models
    tools = [_tool(tool, f"tools[{i}]", strict=strict) for i, tool in enumerate(asked.tools)]
    choice = _tool_choice(asked.tool_choice)
    if asked.parallel_tool_calls is False and choice.get("type") != "none":
        choice = {"type": "auto", **choice, "disable_parallel_tool_use": True}
    return {"tools": tools, "tool_choice": choice} if choice else {"tools": tools}


def _tool(tool: Tool, where: str, *, strict: bool) -> JsonObject:
    function = tool.function
    if tool.type != "function" or function is None:
        raise ModelLimit(f"{where}: Claude only takes tools of type function here", param=where)
    schema = function.parameters
    told: JsonObject = {
        "name": function.name,
        "input_schema": _ANY_OBJECT if schema in (ABSENT, Raw(b"null"), Raw(b"{}")) else schema,
    }
    if function.description:
        told["description"] = function.description
    if strict and function.strict:
        told["strict"] = True
    if tool.cache_control:
        told["cache_control"] = tool.cache_control
    return told


def _tool_choice(choice: str | ToolChoice | None) -> JsonObject:
    if choice is None:
        return {}
    if isinstance(choice, ToolChoice):
        if choice.type == "function" and choice.function is not None:
            return {"type": "tool", "name": choice.function.name}
    elif choice in ("auto", "none", "required"):
        return {"type": "any" if choice == "required" else choice}
    raise ModelLimit("tool_choice must be auto, none, required or one function here", param="tool_choice")


def _tools_of_the_past(asked: ChatRequest) -> JsonObject:
    """Declare the tools that earlier calls name and forbid their use: without tools no call is taken."""
    calls = (call for message in asked.messages for call in message.tool_calls or ())
    names = dict.fromkeys(call.function.name for call in calls if call.function is not None)
    if not names:
        return {}
    tools = [{"name": name, "input_schema": _ANY_OBJECT} for name in names]
    return {"tools": tools, "tool_choice": {"type": "none"}}


def _output_config(asked: ChatRequest) -> JsonObject:
    """`response_format` as Anthropic's structured output, which knows schemas but no schemaless JSON mode."""
    config: JsonObject = dict(asked.output_config or {})
    wanted = asked.response_format
    if wanted is None or wanted.type == "text":
        return config
    if wanted.type != "json_schema":
        raise ModelLimit(
            f"Claude has no response_format {wanted.type!r}; send json_schema or choose another model",
            param="response_format",
        )
    if wanted.json_schema is None or wanted.json_schema.schema == ABSENT:
        raise UpstreamRejected("response_format.json_schema.schema is missing", param="response_format")
    config["format"] = {"type": "json_schema", "schema": wanted.json_schema.schema}
    return config
