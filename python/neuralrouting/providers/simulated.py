"""A provider without a model: it answers in this process, for trying things out and for load tests."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator

import msgspec
import orjson

from neuralrouting.errors import (
    ConfigError,
    UpstreamInterrupted,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from neuralrouting.exchange import JsonObject
from neuralrouting.providers.base import MAX_TOKENS_BOUND, Call, Completion
from neuralrouting.providers.faults import fault_of
from neuralrouting.providers.simulated_answer import Choice, Wishes, answers, read_wishes
from neuralrouting.providers.simulated_script import Failure, Script, directed, read_failures

PIECE_CHARS = 6
"""Characters in one streamed piece: about a token of English."""
_SCRIPTED = b'{"error":{"message":"a scripted failure of the simulated provider"}}'


class SimulatedProvider:
    """Answers from the request alone, marked as simulated; see simulated_script for `fail` and directives."""

    name = "simulated"
    simulated = True

    def __init__(self, latency_ms: float = 0.0, token_ms: float = 0.0, fail: str = "") -> None:
        try:
            self._script = Script(read_failures(fail), latency_ms, token_ms)
        except ValueError as error:
            raise ConfigError(f"simulated.fail: {error}") from error

    async def complete(self, call: Call) -> Completion:
        """Return the whole answer; see `Provider.complete`."""
        act = _Act(call, self._script)
        await act.begin()
        if act.cut_after is not None:
            raise _cut()
        data = act.completion()
        await _pause(act.script.token_ms * act.completion_tokens)
        return Completion(orjson.dumps(data), data)

    async def stream(self, call: Call) -> AsyncGenerator[list[JsonObject], None]:
        """Yield batches of chunks: one batch for all, or one per token where tokens take time."""
        act = _Act(call, self._script)
        await act.begin()
        chunks = list(act.chunks())[: act.cut_after]
        if act.script.token_ms:
            for chunk in chunks:
                yield [chunk]
                await _pause(act.script.token_ms)
        elif chunks:
            yield chunks
        if act.cut_after is not None:
            raise _cut()


class _Act:
    """One request being served."""

    def __init__(self, call: Call, script: Script) -> None:
        self._call = call
        inspection = call.inspection
        try:
            self.script = directed(script, inspection.last_user_text)
            self._wishes: Wishes = read_wishes(inspection.body)
            self._choices = answers(call, self._wishes, self.script.tokens)
        except (msgspec.DecodeError, ValueError) as error:
            raise UpstreamRejected(f"the simulated provider cannot serve this: {error}") from error
        self._failure = self.script.failure(call.deployment, inspection.key) if self.script.failures else None
        self.completion_tokens = max(1, sum(choice.tokens for choice in self._choices))

    @property
    def cut_after(self) -> int | None:
        """Chunks after which the stream breaks; None where it does not."""
        return self._failure.number if self._failure is not None and self._failure.kind == "cut" else None

    async def begin(self) -> None:
        """Wait as long as a model would take to its first token, then fail where the script says so."""
        await _pause(self.script.latency_ms)
        if self._failure is not None:
            await _fail(self._failure, self._call)

    def completion(self) -> JsonObject:
        """Return the whole answer."""
        choices = [
            {
                "index": index,
                "message": self._message(index, choice),
                "logprobs": self._logprobs(choice.text or ""),
                "finish_reason": choice.finish,
            }
            for index, choice in enumerate(self._choices)
        ]
        return {**self._frame("chat.completion"), "choices": choices, **self._usage()}

    def chunks(self) -> Iterator[JsonObject]:
        """Yield the same answer as a stream: role, pieces and finish of each choice, then usage."""
        frame = self._frame("chat.completion.chunk")
        for index, choice in enumerate(self._choices):
            for delta in self._deltas(index, choice):
                logprobs = self._logprobs(delta.get("content") or "")
                yield {**frame, "choices": [_part(index, delta, logprobs, None)]}
            yield {**frame, "choices": [_part(index, {}, None, choice.finish)]}
        if usage := self._usage():
            yield {**frame, "choices": [], **usage}

    def _message(self, index: int, choice: Choice) -> JsonObject:
        message: JsonObject = {"role": "assistant", "content": choice.text, "refusal": None}
        if choice.calls:
            message["tool_calls"] = [self._tool_call(index, i, *call) for i, call in enumerate(choice.calls)]
        return message

    def _deltas(self, index: int, choice: Choice) -> Iterator[JsonObject]:
        yield {"role": "assistant", "content": None if choice.text is None else ""}
        for piece in _pieces(choice.text or ""):
            yield {"content": piece}
        for i, (name, arguments) in enumerate(choice.calls):
            yield {"tool_calls": [{"index": i, **self._tool_call(index, i, name, "")}]}
            for piece in _pieces(arguments):
                yield {"tool_calls": [{"index": i, "function": {"arguments": piece}}]}

    def _tool_call(self, index: int, number: int, name: str, arguments: str) -> JsonObject:
        identity = f"call_sim_{self._call.inspection.key.hex()[:16]}_{index}_{number}"
        return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}

    def _frame(self, kind: str) -> JsonObject:
        return {
            "id": f"chatcmpl-sim-{self._call.inspection.key.hex()[:24]}",
            "object": kind,
            "created": int(time.time()),
            "model": self._call.deployment.id,
            "system_fingerprint": "simulated",
        }

    def _usage(self) -> JsonObject:
        if self.script.usage == "none":
            return {}
        prompt, completion = self._call.inspection.prompt_tokens, self.completion_tokens
        if self.script.usage == "lie":
            prompt, completion = -1, MAX_TOKENS_BOUND * 1000
        counts = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
        return {"usage": counts}

    def _logprobs(self, text: str) -> JsonObject | None:
        """Made-up probabilities of the right shape."""
        if not (self._call.inspection.logprobs and text):
            return None
        others = self._wishes.top_logprobs or 0
        return {"content": [_logprob(piece, others) for piece in _pieces(text)], "refusal": None}


async def _fail(failure: Failure, call: Call) -> None:
    if failure.kind == "status":
        raise fault_of(failure.number, {}, _SCRIPTED, SimulatedProvider.name)
    if failure.kind == "refuse":
        raise UpstreamUnreachable("the simulated provider refused the connection, as its script says")
    if failure.kind == "timeout":
        await _pause(1000 * (call.deadline_s - asyncio.get_running_loop().time()))
        raise UpstreamTimeout("the simulated provider let the deadline pass, as its script says")


def _cut() -> UpstreamInterrupted:
    return UpstreamInterrupted("the simulated provider broke off, as its script says")


async def _pause(duration_ms: float) -> None:
    if duration_ms > 0:
        await asyncio.sleep(duration_ms / 1000)


def _pieces(text: str) -> Iterator[str]:
    return (text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS))


def _part(index: int, delta: JsonObject, logprobs: JsonObject | None, finish: str | None) -> JsonObject:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}


def _logprob(piece: str, others: int) -> JsonObject:
    def told(token: str, rank: int) -> JsonObject:
        return {"token": token, "logprob": -0.1 - rank, "bytes": list(token.encode())}

    top = [told(piece if rank == 0 else f"{piece}{rank}", rank) for rank in range(others)]
    return {**told(piece, 0), "top_logprobs": top}
