"""The fields of a chat completion request that a provider must understand when it cannot pass them on."""

import msgspec
from msgspec import Raw

from neuralrouting.errors import UpstreamRejected
from neuralrouting.exchange import JsonObject

ABSENT = Raw(b"")
"""A JSON fragment that the client did not send; Raw keeps the others byte for byte, big integers too."""


class ImageUrl(msgspec.Struct, frozen=True):
    """Where an image is: an https URL or a data URL."""

    url: str


class InlineFile(msgspec.Struct, frozen=True):
    """A file inside the request; `file_data` is a data URL."""

    file_data: str | None = None
    filename: str | None = None


class Part(msgspec.Struct, frozen=True):
    """One part of a message's content."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | str | None = None
    file: InlineFile | None = None
    cache_control: JsonObject | None = None


class FunctionCall(msgspec.Struct, frozen=True):
    """Which function a model called; `arguments` is JSON inside a string."""

    name: str
    arguments: str = ""


class ToolCall(msgspec.Struct, frozen=True):
    """One call that an assistant made earlier in the conversation."""

    id: str
    function: FunctionCall | None = None


class Message(msgspec.Struct, frozen=True):
    """One message. `thinking_blocks` are Anthropic's own, as an earlier answer of ours carried them."""

    role: str
    content: str | tuple[Part, ...] | None = None
    refusal: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: str | None = None
    thinking_blocks: tuple[Raw, ...] = ()

    def parts(self) -> tuple[Part, ...]:
        """Content as parts, whichever way it was written."""
        if isinstance(self.content, str):
            return (Part("text", self.content),)
        return self.content or ()


class Function(msgspec.Struct, frozen=True):
    """A function the model may call; `parameters` is its JSON schema."""

    name: str
    description: str | None = None
    parameters: Raw = ABSENT
    strict: bool | None = None


class Tool(msgspec.Struct, frozen=True):
    """A tool the model may use."""

    type: str = "function"
    function: Function | None = None
    cache_control: JsonObject | None = None


class Named(msgspec.Struct, frozen=True):
    """A function by name."""

    name: str


class ToolChoice(msgspec.Struct, frozen=True):
    """The long form of `tool_choice`, which forces one function."""

    type: str
    function: Named | None = None


class JsonSchema(msgspec.Struct, frozen=True):
    """The schema an answer must satisfy."""

    schema: Raw = ABSENT


class ResponseFormat(msgspec.Struct, frozen=True):
    """What shape the answer must have: `text`, `json_object` or `json_schema`."""

    type: str
    json_schema: JsonSchema | None = None


class ChatRequest(msgspec.Struct, frozen=True):
    """One request. Fields that are not named here are of no concern to a provider that translates."""

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: str | tuple[str, ...] | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    modalities: tuple[str, ...] | None = None
    web_search_options: JsonObject | None = None
    functions: tuple[JsonObject, ...] | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    user: str | None = None
    thinking: Raw = ABSENT
    output_config: dict[str, Raw] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """Stop sequences as a tuple, whichever way they were written."""
        return (self.stop,) if isinstance(self.stop, str) else self.stop or ()


_DECODER = msgspec.json.Decoder(ChatRequest)


def read_chat_request(body: bytes) -> ChatRequest:
    """Read a request body; raises UpstreamRejected naming the field that has a wrong type."""
    try:
        return _DECODER.decode(body)
    except msgspec.DecodeError as error:  # its subclass ValidationError says where
        raise UpstreamRejected(f"the request cannot be translated: {error}") from error
