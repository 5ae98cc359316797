"""What a shadow audit asks of models: one call each, without a second try, and what it may and did cost."""

import asyncio
import time
from collections.abc import Mapping

import msgspec

from neuralrouting.accounts.bounds import Size, most_nanousd, output_bound, plausible
from neuralrouting.catalog import Deployment, cost_nanousd
from neuralrouting.engine import Inspection, estimate_tokens
from neuralrouting.errors import UpstreamError, UpstreamTimeout
from neuralrouting.exchange import Attempt, JsonObject, Usage
from neuralrouting.layers import finops
from neuralrouting.layers.shadow import JUDGE_TOKENS, Said, said_in
from neuralrouting.providers.base import Call, Provider, billed_usage

TOKENIZERS_DIFFER = 2
"""`plausible` believes a provider up to this many times our bound of a prompt: so much is set aside."""
LEAST_OUTPUT_TOKENS = 4_096
TIMES_SERVED = 4
"""The other model may say this many times as much as the first did, or `LEAST_OUTPUT_TOKENS` where that is more."""
JUDGE_RULES_TOKENS = 512
"""More than the rules of the judge and the markers count."""
MAX_VERSION_CHARS = 200


class Called(msgspec.Struct, frozen=True):
    """What became of a call. `said` None: there is no answer that could be compared, `fault` says why.

    `version` is what the provider calls the model that answered.
    """

    cost_nanousd: int
    said: Said | None = None
    data: JsonObject | None = None
    usage: Usage | None = None
    version: str = ""
    fault: str = ""


class Calls:
    """Asks models behind the requests; each call is bounded in time and money."""

    def __init__(self, providers: Mapping[str, Provider], timeout_s: float) -> None:
        self._providers = providers
        self._timeout_s = timeout_s

    async def ask(self, asked: Deployment, inspection: Inspection, size: Size, output_limit: int) -> Called:
        """Return what one model says to a request. Never streams, and never raises for a failure of the provider."""
        started_s = time.monotonic()
        deadline_s = started_s + self._timeout_s
        try:
            async with asyncio.timeout_at(deadline_s):
                call = Call(asked, inspection, deadline_s, output_limit)
                completion = await self._providers[asked.provider].complete(call)
        except (UpstreamError, TimeoutError) as error:
            return _failed(asked, error, size, started_s)
        data = completion.data
        said = said_in(data)
        text = said.text if said is not None else ""
        told = billed_usage(data, lambda: Usage(size.prompt_tokens, estimate_tokens(text), source="estimated"))
        usage = plausible(told, size, output_limit)
        fault = "" if said is not None else "not_plain_text"
        return Called(_cost(asked, usage), said, data, usage, version_in(data), fault)


def output_limit(size: Size, asked: Deployment, served_tokens: int) -> int:
    """Return how many tokens the other model may answer with: as the client allows, and not without end."""
    return output_bound(size, asked, max(LEAST_OUTPUT_TOKENS, TIMES_SERVED * served_tokens))


def most_of(asked: Deployment, size: Size, output_tokens: int) -> int:
    """Return the most that a call can be found to have cost, in nano-dollars; a simulated one costs nothing."""
    if asked.price is None or asked.simulated:
        return 0
    return most_nanousd(asked.price, TOKENIZERS_DIFFER * size.prompt_bound, output_tokens)


def ballot_size(size: Size, answers_tokens: int) -> Size:
    """Return how large the question to a judge can be: the conversation, both answers, the rules."""
    prompt_tokens = size.prompt_bound + answers_tokens + JUDGE_RULES_TOKENS
    return Size(prompt_tokens, 2, 1, JUDGE_TOKENS, has_media=False)


def version_in(data: JsonObject) -> str:
    """Return the model's name as its provider tells it; '' where it tells none."""
    told = data.get("model")
    return told[:MAX_VERSION_CHARS].replace("\0", "") if isinstance(told, str) else ""


def _failed(asked: Deployment, error: UpstreamError | TimeoutError, size: Size, started_s: float) -> Called:
    """A call that broke off may have been billed: its prompt counts then."""
    fault = error if isinstance(error, UpstreamError) else UpstreamTimeout("no answer in time")
    code = fault.code or fault.type
    latency_us = int((time.monotonic() - started_s) * 1_000_000)
    attempt = Attempt(asked.id, asked.provider, code, latency_us, provider_status=fault.provider_status)
    lost = 0 if asked.simulated else finops.lost_call_nanousd(attempt, asked, size.prompt_bound) or 0
    return Called(lost, fault=code)


def _cost(asked: Deployment, usage: Usage) -> int:
    if asked.price is None or asked.simulated:
        return 0
    return cost_nanousd(
        asked.price, usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.cache_write_tokens
    )
