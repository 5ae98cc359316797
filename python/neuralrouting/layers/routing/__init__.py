"""Layer 4: which models may serve a request, and in which order they are asked. Pure: nothing is awaited."""

from neuralrouting.layers.routing.affinity import CACHED_S, LEAST_CACHED_TOKENS, Stay
from neuralrouting.layers.routing.asking import (
    DEFAULT_OUTPUT_TOKENS,
    NO_WISH,
    Ask,
    OddsOf,
    SpeedSource,
    Wish,
    expected_output_tokens,
)
from neuralrouting.layers.routing.capable import incapable
from neuralrouting.layers.routing.choose import Router
from neuralrouting.layers.routing.orders import (
    BEHIND,
    LONG_CONVERSATION,
    LONG_PROMPT_TOKENS,
    NEAR_ESCALATED,
    NO_ADVICE,
    SIMPLE_COMPLEXITY,
    blended,
)

__all__ = [
    "BEHIND",
    "CACHED_S",
    "DEFAULT_OUTPUT_TOKENS",
    "LEAST_CACHED_TOKENS",
    "LONG_CONVERSATION",
    "LONG_PROMPT_TOKENS",
    "NEAR_ESCALATED",
    "NO_ADVICE",
    "NO_WISH",
    "SIMPLE_COMPLEXITY",
    "Ask",
    "OddsOf",
    "Router",
    "SpeedSource",
    "Stay",
    "Wish",
    "blended",
    "expected_output_tokens",
    "incapable",
]
