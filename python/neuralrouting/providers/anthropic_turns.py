"""From OpenAI's messages to Anthropic's system prompt and alternating turns; pure."""

from collections.abc import Iterable
from typing import TypeAlias

import msgspec
from msgspec import Raw

from neuralrouting.errors import UpstreamRejected
from neuralrouting.exchange import JsonObject
from neuralrouting.providers.chat_request import Message, Part, ToolCall
from neuralrouting.providers.faults import ModelLimit

Block: TypeAlias = JsonObject | Raw
"""One content block; Raw where it goes back exactly as it came."""

_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
"""What Anthropic takes in tool ids (`^[a-zA-Z0-9_-]+$`); other providers also use dots and colons."""


def conversation(messages: Iterable[Message]) -> tuple[str | list[JsonObject], list[JsonObject]]:
    """Return the system prompt ("" for none) and the turns.

    System and developer messages are hoisted and joined by line breaks; neighbours of one role become one
    turn; tool results stand first in theirs. Raises UpstreamRejected for what has no counterpart.
    """
    system: list[JsonObject] = []
    turns: list[tuple[str, list[Block]]] = []
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if message.role in ("system", "developer"):
            system += _texts(message, where)
            continue
        role, blocks = _turn(message, where)
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        elif blocks:
            turns.append((role, blocks))
    if not turns and system:  # Anthropic wants a user turn; a lone system message is the prompt
        system, turns = [], [("user", list(system))]
    finished = _finished(turns)
    if not finished:
        raise UpstreamRejected("messages has no content to answer", param="messages")
    return _joined(system), finished


def tool_id(identity: str) -> str:
    """Return a tool call id that Anthropic takes; the same id always gives the same."""
    if identity and _ID_CHARACTERS.issuperset(identity):
        return identity
    return "".join(c if c in _ID_CHARACTERS else "_" for c in identity) or "_"


def _turn(message: Message, where: str) -> tuple[str, list[Block]]:
    if message.role == "user":
        return "user", [*_content(message, where)]
    if message.role == "assistant":
        return "assistant", _assistant(message, where)
    if message.role == "tool":
        return "user", [_tool_result(message, where)]
    raise UpstreamRejected(f"{where}: Claude has no role {message.role!r}", param=f"{where}.role")


def _assistant(message: Message, where: str) -> list[Block]:
    blocks: list[Block] = [*message.thinking_blocks]
    blocks += _content(message, where)
    if message.refusal:
        blocks.append({"type": "text", "text": message.refusal})
    blocks += [_tool_use(call, f"{where}.tool_calls[{i}]") for i, call in enumerate(message.tool_calls or ())]
    return blocks


def _tool_use(call: ToolCall, where: str) -> JsonObject:
    if call.function is None:
        raise ModelLimit(f"{where}: Claude only takes calls of functions", param=where)
    return {
        "type": "tool_use",
        "id": tool_id(call.id),
        "name": call.function.name,
        "input": _arguments(call.function.arguments, f"{where}.function.arguments"),
    }


def _arguments(arguments: str, where: str) -> Raw:
    """Take arguments as the JSON they are, so that no digit changes; nothing stands for an empty object."""
    if not arguments.strip():
        return Raw(b"{}")
    raw = arguments.encode("utf-8", "surrogatepass")
    try:
        msgspec.json.decode(raw, type=dict[str, Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UpstreamRejected(f"{where} is not a JSON object in a string: {error}", param=where) from error
    return Raw(raw)


def _tool_result(message: Message, where: str) -> JsonObject:
    if not message.tool_call_id:
        raise UpstreamRejected(f"{where}: a tool message needs tool_call_id", param=f"{where}.tool_call_id")
    result: JsonObject = {"type": "tool_result", "tool_use_id": tool_id(message.tool_call_id)}
    blocks = _content(message, where)
    if isinstance(message.content, str) and message.content:
        result["content"] = message.content
    elif blocks:
        result["content"] = blocks
    return result


def _content(message: Message, where: str) -> list[JsonObject]:
    """Blocks of a message; empty texts are left out, since Anthropic refuses them."""
    parts = enumerate(message.parts())
    return [b for i, part in parts if (b := _block(part, f"{where}.content[{i}]")) is not None]


def _texts(message: Message, where: str) -> list[JsonObject]:
    blocks = _content(message, where)
    if any(block["type"] != "text" for block in blocks):
        raise ModelLimit(f"{where}: Claude's system prompt is text only", param=f"{where}.content")
    return blocks


def _block(part: Part, where: str) -> JsonObject | None:
    block: JsonObject
    if part.type in ("text", "refusal"):
        text = part.text or part.refusal
        if not text:
            return None
        block = {"type": "text", "text": text}
    elif part.type == "image_url" and part.image_url is not None:
        url = part.image_url if isinstance(part.image_url, str) else part.image_url.url
        block = {"type": "image", "source": _source(url, f"{where}.image_url.url")}
    elif part.type == "file" and part.file is not None and part.file.file_data:
        block = {"type": "document", "source": _source(part.file.file_data, f"{where}.file.file_data")}
        if part.file.filename:
            block["title"] = part.file.filename
    else:
        raise ModelLimit(f"{where}: Claude takes no {part.type!r} part like this", param=where)
    if part.cache_control:
        block["cache_control"] = part.cache_control
    return block


def _source(url: str, where: str) -> dict[str, str]:
    """Turn a data URL into its bytes; a web address stays one: Anthropic fetches it, never we."""
    if url.startswith(("https://", "http://")):
        return {"type": "url", "url": url}
    head, comma, data = url.partition(",")
    media_type = head.removeprefix("data:").removesuffix(";base64").split(";")[0]
    if not (comma and head.startswith("data:") and head.endswith(";base64") and "/" in media_type):
        raise UpstreamRejected(f"{where} is neither a web address nor a base64 data URL", param=where)
    return {"type": "base64", "media_type": media_type, "data": data}


def _joined(system: list[JsonObject]) -> str | list[JsonObject]:
    """One string, unless a part carries a cache mark, which only blocks can hold."""
    if any("cache_control" in block for block in system):
        return system
    return "\n".join(block["text"] for block in system)


def _finished(turns: list[tuple[str, list[Block]]]) -> list[JsonObject]:
    for role, blocks in turns:
        if role == "user":
            blocks.sort(key=lambda block: _type(block) != "tool_result")
    if turns and turns[-1][0] == "assistant":  # a prefill, in which trailing whitespace is refused
        _strip_last(turns[-1][1])
        if not turns[-1][1]:
            turns.pop()
    return [{"role": role, "content": _short(blocks)} for role, blocks in turns]


def _strip_last(blocks: list[Block]) -> None:
    last = blocks[-1]
    if isinstance(last, dict) and last["type"] == "text":
        last["text"] = last["text"].rstrip()
        if not last["text"]:
            blocks.pop()


def _short(blocks: list[Block]) -> str | list[Block]:
    """Write a lone text as the string it is."""
    only = blocks[0]
    if len(blocks) == 1 and isinstance(only, dict) and only.keys() == {"type", "text"}:
        return only["text"]
    return blocks


def _type(block: Block) -> str:
    return block["type"] if isinstance(block, dict) else ""
