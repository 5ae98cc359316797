"""What the simulated model says: made from the request alone, always the same for the same request; pure."""

import msgspec
import orjson

from neuralrouting.engine import estimate_tokens
from neuralrouting.exchange import JsonObject
from neuralrouting.providers.base import Call
from neuralrouting.providers.chat_request import ABSENT, ResponseFormat, Tool, ToolChoice
from neuralrouting.providers.simulated_schema import example_of

MAX_PARALLEL_CALLS = 4
_OPENING = ("This", "answer", "is", "simulated:", "no", "model", "was", "called.")
_WORDS = (
    "the", "a", "this", "one", "each", "some", "most", "every", "small", "plain", "steady", "careful",
    "simple", "useful", "common", "early", "quiet", "clear", "answer", "model", "request", "token",
    "price", "route", "gateway", "test", "sample", "word", "line", "result", "number", "service",
    "reader", "is", "was", "stays", "comes", "goes", "takes", "gives", "shows", "keeps", "needs",
    "holds", "finds", "follows", "returns", "counts", "waits", "here", "there", "then", "now", "again",
    "often", "first", "next", "before", "after", "with", "without", "under", "over",
)  # fmt: skip
_SENTENCE_WORDS = 9


class _Role(msgspec.Struct, frozen=True):
    role: str


class Wishes(msgspec.Struct, frozen=True):
    """The part of a request that shapes a simulated answer; the text of its messages is not read."""

    messages: tuple[_Role, ...]
    stop: str | tuple[str, ...] | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    top_logprobs: int | None = None


class Choice(msgspec.Struct, frozen=True):
    """One of `n` answers: text, or calls as (function name, arguments)."""

    text: str | None
    calls: tuple[tuple[str, str], ...]
    finish: str

    @property
    def tokens(self) -> int:
        """Estimated length; a call counts with name and arguments."""
        return estimate_tokens(self.text or "") + sum(estimate_tokens(name + args) for name, args in self.calls)


_DECODER = msgspec.json.Decoder(Wishes)


def read_wishes(body: bytes) -> Wishes:
    """Read a request body; raises msgspec.DecodeError."""
    return _DECODER.decode(body)


def answers(call: Call, wishes: Wishes, tokens: int | None) -> list[Choice]:
    """Return the request's choices; `tokens` fixes their length in words. Raises SchemaError."""
    inspection = call.inspection
    if calls := _calls(wishes, inspection.key[0]):
        return [Choice(None, calls, "tool_calls")] * inspection.n
    words = tokens if tokens is not None else 20 + inspection.key[1] % 20
    limits = [limit for limit in (inspection.max_output_tokens, call.output_limit) if limit is not None]
    return [_spoken(inspection.key, wishes, words, number, min(limits, default=None)) for number in range(inspection.n)]


def _spoken(key: bytes, wishes: Wishes, words: int, number: int, limit: int | None) -> Choice:
    text = _json(wishes, key, words) or _prose(key, words, number)
    stops = (wishes.stop,) if isinstance(wishes.stop, str) else wishes.stop or ()
    ends = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    text = text[: min(ends)] if ends else text
    if limit is None or estimate_tokens(text) <= limit:
        return Choice(text, (), "stop")
    return Choice(_shortened(text, limit), (), "length")


def _prose(key: bytes, words: int, number: int) -> str:
    spoken: list[str] = [*_OPENING[:words]]
    for i in range(words - len(spoken)):
        word = _WORDS[(key[i % len(key)] + i + 7 * number) % len(_WORDS)]
        first, last = i % _SENTENCE_WORDS == 0, i % _SENTENCE_WORDS == _SENTENCE_WORDS - 1
        spoken.append((word.capitalize() if first else word) + ("." if last else ""))
    return " ".join(spoken)


def _json(wishes: Wishes, key: bytes, words: int) -> str | None:
    wanted = wishes.response_format
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_schema" and wanted.json_schema is not None and wanted.json_schema.schema != ABSENT:
        return orjson.dumps(example_of(orjson.loads(bytes(wanted.json_schema.schema)), key[0])).decode()
    return orjson.dumps({"simulated": True, "answer": _prose(key, words, 0)}).decode()


def _shortened(text: str, limit: int) -> str:
    while text and (tokens := estimate_tokens(text)) > limit:
        text = text[: min(len(text) - 1, len(text) * limit // tokens)]
    return text


def _calls(wishes: Wishes, seed: int) -> tuple[tuple[str, str], ...]:
    """Call a tool where one is demanded, or offered right after something the user said."""
    functions = [tool.function for tool in wishes.tools or () if tool.function is not None]
    choice = wishes.tool_choice
    if isinstance(choice, ToolChoice) and choice.function is not None:
        functions = [function for function in functions if function.name == choice.function.name]
    elif choice == "none" or (choice != "required" and wishes.messages[-1].role != "user"):
        return ()
    count = MAX_PARALLEL_CALLS if wishes.parallel_tool_calls else 1
    return tuple((f.name, _arguments(f.parameters, seed)) for f in functions[:count])


def _arguments(parameters: msgspec.Raw, seed: int) -> str:
    schema: JsonObject | None = orjson.loads(bytes(parameters)) if parameters != ABSENT else None
    value = example_of({"type": "object", **(schema or {})}, seed)
    return orjson.dumps(value if isinstance(value, dict) else {}).decode()
