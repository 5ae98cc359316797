"""What routing is asked: facts of a request, none of its text, and what is wished beside the mode."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from neuralrouting.catalog import Deployment, Tier
from neuralrouting.exchange import Mode, Odds
from neuralrouting.layers.routing.affinity import Stay

DEFAULT_OUTPUT_TOKENS = 512
"""Room kept for the answer where the client names no limit, and its length where a cost is reckoned."""


class Ask(msgspec.Struct, frozen=True, gc=False):
    """What routing looks at: a few facts of the request, none of its text.

    `complexity` goes from 0 to 10; `high_risk` is the domain in which a wrong answer could hurt, None for all else.
    `escalated` is the greatest cosine to a prompt of this account that a cheap model answered badly, -1 without one.
    """

    model: str | None
    mode: Mode
    prompt_tokens: int
    max_output_tokens: int | None = None
    message_count: int = 1
    has_tools: bool = False
    has_images: bool = False
    has_audio: bool = False
    json_mode: str = "none"
    logprobs: bool = False
    live: bool = True
    complexity: float = 0.0
    high_risk: str | None = None
    escalated: float = -1.0


class Wish(msgspec.Struct, frozen=True, gc=False):
    """What is wished beside the mode.

    `models` by name, in this order: nobody else is asked. `tier`: its models go before all others. `cascade`: look at a
    cheap answer before it is sent. `stay`: where the conversation is.
    """

    models: tuple[str, ...] = ()
    tier: Tier | None = None
    cascade: bool = False
    stay: Stay | None = None


NO_WISH = Wish()
OddsOf = Callable[[Sequence[Deployment]], Sequence[Odds]]
"""Layer 3: what is known of each of these models for the prompt at hand, in their order; empty: nothing."""


class SpeedSource(Protocol):
    """Where measured speeds come from."""

    def expected_latency_us(self, deployment: str, completion_tokens: int) -> float | None:
        """Microseconds to the last of so many tokens, None where nothing was measured."""
        ...

    def cooling(self, deployment: str, now_s: float) -> bool:
        """Whether it failed a moment ago."""
        ...


def expected_output_tokens(most: int | None, stay: Stay | None = None) -> int:
    """Return how long an answer is taken to be: as the last one of its conversation, and never beyond its limit."""
    expected = stay.completion_tokens if stay is not None else DEFAULT_OUTPUT_TOKENS
    return expected if most is None else min(most, expected)
