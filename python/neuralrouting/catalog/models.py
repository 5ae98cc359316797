"""The values of the catalog: what a deployment is, costs and can do."""

from typing import Literal

import msgspec

Tier = Literal["economy", "medium", "premium", "fast"]


class Price(msgspec.Struct, frozen=True):
    """Money per token in pico-dollars ($1 per million tokens = 1,000,000): every list price is an integer.

    `steps`: prices that replace these from a prompt size on:
    (from_prompt_tokens, input, cached, write, output).
    """

    input_picousd: int
    output_picousd: int
    cached_input_picousd: int
    cache_write_picousd: int
    version: str
    source: str
    steps: tuple[tuple[int, int, int, int, int], ...] = ()


class Capabilities(msgspec.Struct, frozen=True):
    """What a deployment can be asked for."""

    tools: bool = False
    vision: bool = False
    audio: bool = False
    json_mode: bool = False
    json_schema: bool = False
    logprobs: bool = False


class Deployment(msgspec.Struct, frozen=True):
    """One model at one provider: what routing chooses between. `id` is `provider/model`.

    `price` None is "unpriced": it may serve, but costs and savings are then unknown, never zero.
    `quality` in 0..1 is measured where we have it (with `quality_source`), else None.
    `rename`: request fields that this model knows under another name. `credits_per_1k`: credits for a thousand tokens.
    """

    id: str
    model: str
    provider: str
    upstream_model: str
    tier: Tier
    context_tokens: int
    max_output_tokens: int
    capabilities: Capabilities
    price: Price | None
    quality: float | None = None
    quality_source: str | None = None
    simulated: bool = False
    aliases: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    credits_per_1k: int = 1
