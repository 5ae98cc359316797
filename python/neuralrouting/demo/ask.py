"""Asks the gateway through the official OpenAI client, changed in nothing but base URL and key."""

import time
from collections.abc import Sequence
from typing import Any

from neuralrouting.demo.outcome import Failed, Outcome, Raw, outcome_of
from neuralrouting.demo.prompts import Prompt
from neuralrouting.errors import ConfigError, Unavailable

try:
    import openai
    from openai.types.chat import ChatCompletionMessageToolCallUnion
    from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall
except ModuleNotFoundError as error:
    raise ConfigError("the demo asks through the official OpenAI client: pip install openai") from error

_ToolCall = ChatCompletionMessageToolCallUnion | ChoiceDeltaToolCall
_TIMEOUT_S = 120.0
_WARM_UP_S = 120.0
"""How long the local model may take to load."""
_RETRY_S = 0.3


class Asker:
    """Sends prompts and reads what the gateway tells about each answer."""

    def __init__(self, url: str, api_key: str) -> None:
        self._client = openai.OpenAI(
            base_url=f"{url}/v1",
            api_key=api_key,
            max_retries=0,  # the demo shows what happens, not what a second try would
            timeout=_TIMEOUT_S,
            http_client=openai.DefaultHttpxClient(trust_env=False),
        )
        self._models = {model.id: model.owned_by for model in self._client.models.list()}

    @property
    def has_local(self) -> bool:
        """Whether a model runs on this machine."""
        return "local" in self._models.values()

    def warm_up(self) -> None:
        """Wait until the local model answers, where there is one. Raises Unavailable when it does not."""
        local = next((name for name, owner in self._models.items() if owner == "local"), None)
        deadline_s = time.monotonic() + _WARM_UP_S
        while local is not None:
            try:
                self._client.chat.completions.create(
                    model=local, messages=[{"role": "user", "content": "hi"}], max_tokens=1
                )
            except openai.APIStatusError as error:
                if error.status_code < 500 or time.monotonic() > deadline_s:
                    raise Unavailable(f"the local model does not answer: {error.message}") from error
                time.sleep(_RETRY_S)
            else:
                return

    def ask(self, prompt: Prompt) -> Outcome | Failed:
        """Send one prompt and wait for its whole answer."""
        try:
            return outcome_of(prompt.kind, self._stream(prompt) if prompt.stream else self._whole(prompt))
        except openai.APIStatusError as error:
            return Failed(prompt.kind, f"HTTP {error.status_code}: {error.message}")
        except openai.APIError as error:
            return Failed(prompt.kind, error.message)
        except KeyError as error:
            return Failed(prompt.kind, f"the answer does not tell {error}")

    def _whole(self, prompt: Prompt) -> Raw:
        started_s = time.perf_counter()
        response = self._client.chat.completions.with_raw_response.create(**self._arguments(prompt))
        completion = response.parse()
        message, usage = completion.choices[0].message, completion.usage
        return Raw(
            message.content or _calls(message.tool_calls or ()),
            usage.prompt_tokens if usage else 0,
            usage.completion_tokens if usage else 0,
            completion.model_extra or {},
            response.headers,
            _since_ms(started_s),
        )

    def _stream(self, prompt: Prompt) -> Raw:
        started_s = time.perf_counter()
        response = self._client.chat.completions.with_raw_response.create(
            **self._arguments(prompt), stream=True, stream_options={"include_usage": True}
        )
        text, last = "", None
        for last in response.parse():
            for choice in last.choices:
                text += choice.delta.content or _calls(choice.delta.tool_calls or ())
        usage = last.usage if last else None
        return Raw(
            text,
            usage.prompt_tokens if usage else 0,
            usage.completion_tokens if usage else 0,
            (last.model_extra or {}) if last else {},
            response.headers,
            _since_ms(started_s),
        )

    def _arguments(self, prompt: Prompt) -> dict[str, Any]:
        return {
            "model": self._reachable(prompt.model),
            "messages": list(prompt.messages),
            "max_tokens": prompt.max_tokens,
            **prompt.options,
        }

    def _reachable(self, model: str) -> str:
        """Return a forced model's name, or that of its stand-in where a key for it is missing."""
        if model in self._models or any(name.endswith(f"/{model}") for name in self._models):
            return model
        return f"simulated/{model}"


def _calls(calls: Sequence[_ToolCall]) -> str:
    """Tool calls as text to show; works for whole ones and for the pieces of a stream."""
    functions = [call.function for call in calls if call.type != "custom" and call.function is not None]
    return "".join(f"{f.name} " * bool(f.name) + (f.arguments or "") for f in functions)


def _since_ms(started_s: float) -> float:
    return 1000 * (time.perf_counter() - started_s)
