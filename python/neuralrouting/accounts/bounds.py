"""What a request can cost at most, and what an answer did cost, per purse; pure."""

from collections.abc import Iterable, Sequence

import msgspec

from neuralrouting.accounts.budgets import Charge
from neuralrouting.accounts.purse import Part
from neuralrouting.catalog import Deployment, Price, cost_nanousd, millicredits
from neuralrouting.exchange import Usage
from neuralrouting.storage.turns import credits_purse

DEFAULT_OUTPUT_TOKENS = 16_384
"""Room for the answer of a paying request that names no limit of its own: as much as GPT-4o can say."""
LEAST_OUTPUT_TOKENS = 16
"""An answer that could not be longer than this is not worth asking for."""
_PERCENT, _SLACK_PERCENT = 100, 115
_MESSAGE_TOKENS, _REQUEST_TOKENS, _MEDIA_TOKENS = 8, 64, 4_096
"""What a provider adds per message and per request (roles, templates), and what images or sound may count as."""
_TOKENIZERS_DIFFER = 2


class Size(msgspec.Struct, frozen=True, gc=False):
    """How large a request is and how long its answer may get: `output_tokens` None is not told."""

    prompt_tokens: int
    message_count: int
    choices: int
    output_tokens: int | None
    has_media: bool

    @property
    def prompt_bound(self) -> int:
        """More prompt tokens than a provider will count: our estimate is within a few percent for prose."""
        media = _MEDIA_TOKENS if self.has_media else 0
        told = self.prompt_tokens * _SLACK_PERCENT // _PERCENT
        return told + _MESSAGE_TOKENS * self.message_count + _REQUEST_TOKENS + media


class Tab(msgspec.Struct, frozen=True, gc=False):
    """Whose purses pay: `credits` is an account whose credits are counted, `budgets` must cover a request.

    `baseline` prices what has no price: a budget never counts it as nothing.
    """

    credits: str | None
    budgets: tuple[Charge, ...]
    baseline: Price

    def parts(
        self, size: Size, candidates: Sequence[Deployment], output_limit: int | None, *, cascade: bool = False
    ) -> tuple[Part, ...]:
        """Return what to hold: of each purse the most that one of the candidates can come to, where it is anything.

        In a cascade the first candidate and one of the others are paid for.
        """
        found: dict[str, int] = {}
        for d in candidates[1:] if cascade else candidates:
            for purse, amount in self._parts_of(size, d, output_limit):
                found[purse] = max(found.get(purse, 0), amount)
        if cascade:
            for purse, amount in self._parts_of(size, candidates[0], output_limit):
                found[purse] = found.get(purse, 0) + amount
        return tuple(sorted((purse, amount) for purse, amount in found.items() if amount))

    def need(self, purse: str, size: Size, deployment: Deployment, output_limit: int | None) -> int:
        """Return what one candidate can come to in one purse; 0 where it does not count in it."""
        return dict(self._parts_of(size, deployment, output_limit)).get(purse, 0)

    def affordable(self, purse: str, free: int, size: Size, deployment: Deployment) -> int:
        """Return how many output tokens each choice can have for what is free; 0 where not even the prompt fits."""
        low, high = 0, output_bound(size, deployment, None)
        while low < high:  # costs only grow with the tokens
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.need(purse, size, deployment, middle) <= free else (low, middle - 1)
        return low

    def charged_mc(self, served: Deployment, usage: Usage) -> int:
        """Return what an answer costs in credits, in millicredits; 0 where they are not counted."""
        if self.credits is None:
            return 0
        return millicredits(served.credits_per_1k, usage.prompt_tokens + usage.completion_tokens)

    def spends(self, charges: Iterable[Charge], served: Deployment, usage: Usage, cost: int | None) -> tuple[Part, ...]:
        """Return what an answer spends of budgets, those that only warn included."""
        paid = cost if cost is not None else cost_nanousd(self.baseline, usage.prompt_tokens, usage.completion_tokens)
        return tuple((charge.purse, paid) for charge in charges if charge.counts(served))

    def _parts_of(self, size: Size, d: Deployment, output_limit: int | None) -> Iterable[Part]:
        output = size.choices * output_bound(size, d, output_limit)
        if self.credits is not None:
            yield credits_purse(self.credits), millicredits(d.credits_per_1k, size.prompt_bound + output)
        if self.budgets:
            most = most_nanousd(d.price or self.baseline, size.prompt_bound, output)
            for charge in self.budgets:
                if charge.counts(d):
                    yield charge.purse, most


def output_bound(size: Size, deployment: Deployment, output_limit: int | None) -> int:
    """Return how many tokens each choice can have: what the client or we allow, and the model can."""
    wanted = size.output_tokens if size.output_tokens is not None else DEFAULT_OUTPUT_TOKENS
    room = max(0, deployment.context_tokens - size.prompt_tokens)
    return min(wanted, deployment.max_output_tokens, room, output_limit if output_limit is not None else wanted)


def plausible(usage: Usage, size: Size, most_output: int) -> Usage:
    """Cut what a provider tells to what the request can have come to, and mark it `capped` where it was cut.

    No provider may produce more than it was allowed to. Tokenizers differ by more than our bound for some languages,
    so a prompt is taken for a lie from twice the bound on.
    """
    prompt = min(usage.prompt_tokens, _TOKENIZERS_DIFFER * size.prompt_bound)
    completion = min(usage.completion_tokens, most_output)
    if (prompt, completion) == (usage.prompt_tokens, usage.completion_tokens):
        return usage
    cached = min(usage.cached_tokens, prompt)
    written = min(usage.cache_write_tokens, prompt - cached)
    return Usage(prompt, completion, cached, written, min(usage.reasoning_tokens, completion), "capped")


def most_nanousd(price: Price, prompt_tokens: int, output_tokens: int) -> int:
    """Price everything at the dearest rate that can come to count.

    A prompt that is written to the provider's cache can cost more than one that is not, and a shorter one than the
    bound more than that, where a list has a step downwards.
    """
    rates = [(price.input_picousd, price.cached_input_picousd, price.cache_write_picousd, price.output_picousd)]
    rates += [rate for start, *rate in price.steps if start <= prompt_tokens]
    paid_in, paid_out = max(max(rate[:3]) for rate in rates), max(rate[3] for rate in rates)
    dearest = Price(paid_in, paid_out, paid_in, paid_in, price.version, price.source)
    return cost_nanousd(dearest, prompt_tokens, output_tokens)
