"""Names of OpenTelemetry: semantic-conventions-genai (status Development, 2026) and HTTP; ours where it has none.

Kept here as text: the constants in the Python package are marked deprecated since the conventions have moved.
"""

from collections.abc import Mapping
from typing import Final

HTTP_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_STATUS: Final = "http.response.status_code"
ERROR_TYPE: Final = "error.type"

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105  of a model, not a secret

TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105
DURATION: Final = "gen_ai.client.operation.duration"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
TOKEN_BOUNDS: Final = tuple(4**n for n in range(14))
"""Powers of four from 1 to 67,108,864, as the conventions advise."""
SECOND_BOUNDS: Final = tuple(0.01 * 2**n for n in range(14))
"""Doubling from 0.01 s to 81.92 s, as they advise."""

REQUEST_ID: Final = "neuralrouting.request.id"
DECIDED_BY: Final = "neuralrouting.decided_by"
MODEL: Final = "neuralrouting.model"
SIMULATED: Final = "neuralrouting.simulated"
MODE: Final = "neuralrouting.routing.mode"
REASON: Final = "neuralrouting.routing.reason"
TASK: Final = "neuralrouting.task"
TASK_CONFIDENCE: Final = "neuralrouting.task.confidence"
CACHE_KIND: Final = "neuralrouting.cache.kind"
CACHE_RESULT: Final = "neuralrouting.cache.result"
SHIELD_ACTION: Final = "neuralrouting.shield.action"
SHIELD_RULES: Final = "neuralrouting.shield.rules"
COST_USD: Final = "neuralrouting.cost.usd"
BASELINE_USD: Final = "neuralrouting.baseline.usd"
SAVED_USD: Final = "neuralrouting.saved.usd"
OVERHEAD_US: Final = "neuralrouting.overhead_us"
LAYER_EVENT: Final = "neuralrouting.layer"
LAYER_NAME: Final = "neuralrouting.layer.name"
LAYER_US: Final = "neuralrouting.layer.duration_us"

CHAT: Final = "chat"
_PROVIDERS: Mapping[str, str] = {
    "mistral": "mistral_ai", "google": "gcp.gemini", "xai": "x_ai", "moonshot": "moonshot_ai",
    "azure": "azure.ai.openai", "bedrock": "aws.bedrock", "vertex": "gcp.vertex_ai", "watsonx": "ibm.watsonx.ai",
}  # fmt: skip


def provider_name(provider: str) -> str:
    """Return the conventions' name of a provider; one that they do not know keeps ours."""
    return _PROVIDERS.get(provider, provider)
