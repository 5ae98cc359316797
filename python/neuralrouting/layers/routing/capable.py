"""What a deployment lacks to serve a request."""

from collections.abc import Sequence

from neuralrouting.catalog import Deployment
from neuralrouting.layers.routing.asking import DEFAULT_OUTPUT_TOKENS, Ask


def incapable(deployment: Deployment, ask: Ask) -> str | None:  # noqa: PLR0911  one line per need
    """Return what a deployment lacks to serve a request, None when it lacks nothing."""
    can = deployment.capabilities
    if ask.has_tools and not can.tools:
        return "tools"
    if ask.has_images and not can.vision:
        return "images"
    if ask.has_audio and not can.audio:
        return "audio"
    if ask.json_mode == "object" and not can.json_mode:
        return "JSON mode"
    if ask.json_mode == "schema" and not can.json_schema:
        return "a JSON schema"
    if ask.logprobs and not can.logprobs:
        return "log probabilities"
    if (ask.max_output_tokens or 0) > deployment.max_output_tokens:
        return f"{ask.max_output_tokens} output tokens"
    if _room(ask) > deployment.context_tokens:
        return f"a context of {_room(ask)} tokens"
    return None


def _room(ask: Ask) -> int:
    return ask.prompt_tokens + (ask.max_output_tokens or DEFAULT_OUTPUT_TOKENS)


def nobody(pool: Sequence[Deployment], ask: Ask) -> str:
    """Say why none of these can serve a request."""
    if not pool:
        return "no model is configured: set a provider key or install the local model"
    reasons = sorted({reason for d in pool if (reason := incapable(d, ask)) is not None})
    names = f"{pool[0].model} does" if len({d.model for d in pool}) == 1 else "the models configured here do"
    return f"{names} not serve a request with {' and '.join(reasons)}; `GET /v1/models` lists what each can do"
