"""Whether a conversation stays with the model that it is at: what the provider's prompt cache is worth. Pure."""

import msgspec

from neuralrouting.catalog import Deployment, Price, cost_nanousd
from neuralrouting.exchange import Mode

CACHED_S = 300.0
"""How long a provider is taken to keep a prompt after its last use. OpenAI documents 5 to 10 minutes without use,
Anthropic 5: the least of both, as we recall them, not measured."""
LEAST_CACHED_TOKENS = 1_024
"""No provider keeps a shorter prompt: the least that OpenAI documents, and Anthropic for most of its models."""
TOOL_LOOP = "stays while its tool loop runs"
CACHE = "stays: moving saves less than the provider's cached prompt"


class Stay(msgspec.Struct, frozen=True, gc=False):
    """Where a conversation is: which deployment answered it last, and in which mode.

    `cached_tokens`: how much of this prompt the provider has seen before and may still have. `completion_tokens`: how
    long its last answer was. `tool_loop`: this request hands in what the model's own tool calls came to.
    """

    deployment: str
    mode: Mode
    cached_tokens: int = 0
    completion_tokens: int = 0
    tool_loop: bool = False


def is_worth_staying(here: Price, there: Price, stay: Stay, prompt_tokens: int, output_tokens: int) -> bool:
    """Whether the next answer costs no more here, where the prompt is cached, than there, where all of it is new."""
    cached = stay.cached_tokens if stay.cached_tokens >= LEAST_CACHED_TOKENS else 0
    staying = cost_nanousd(here, prompt_tokens, output_tokens, min(cached, prompt_tokens))
    return staying <= cost_nanousd(there, prompt_tokens, output_tokens)


def keeps(here: Deployment, first: Deployment, stay: Stay, prompt_tokens: int, output_tokens: int) -> bool:
    """Whether a conversation stays here although routing would begin with `first`. What has no price is not kept."""
    if here.price is None or first.price is None:
        return False
    return is_worth_staying(here.price, first.price, stay, prompt_tokens, output_tokens)
