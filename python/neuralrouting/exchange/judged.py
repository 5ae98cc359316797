"""What the layers make of a request: each adds one small value."""

from typing import Literal

import msgspec

from neuralrouting.catalog import Deployment, Tier
from neuralrouting.engine import Verdict
from neuralrouting.exchange.asking import Mode

ShieldAction = Literal["block", "flag", "monitor", "unscanned"]
"""What became of a request that the shield found something in: `monitor` would have been blocked, `unscanned` was let
through because the shield itself failed."""
CacheOutcome = Literal["exact", "canonical", "semantic", "miss", "bypass"]


class Lookup(msgspec.Struct, frozen=True, gc=False):
    """How the cache took part in a request.

    On hits: the cosine of both questions (1.0 unless the outcome is `semantic`), the answer's age in seconds and its
    key in hex. `reason`: why no answer to another question was given, on a miss that has one worth telling. `shared`:
    it is the answer of an equal request that was under way; for the rest as from the cache.
    """

    outcome: CacheOutcome
    similarity: float | None = None
    age_s: int | None = None
    entry: str | None = None
    reason: str | None = None
    shared: bool = False

    @property
    def hit(self) -> bool:
        """Whether the cache answered."""
        return self.entry is not None


class Finding(msgspec.Struct, frozen=True, gc=False):
    """What the shield made of a suspicious request; there is none of one that passed."""

    action: ShieldAction
    verdict: Verdict


class Task(msgspec.Struct, frozen=True, gc=False):
    """What is asked for, how hard it is, and whether a wrong answer could hurt somebody.

    `task` is the likeliest kind, `confidence` its probability; `abstained` where that is too low to build on. The
    complexity goes from 0 to 10, with one decimal, and holds either way. `risk_domain` is there when `high_risk` is.
    """

    task: str
    confidence: float
    abstained: bool
    complexity: float
    high_risk: bool
    risk_domain: str | None


Basis = Literal["reference", "proven", "predicted", "refused", "unproven"]
"""On what layer 3 says something of a model at a task: `predicted` of this very prompt, `unproven`: it says nothing."""


class Odds(msgspec.Struct, frozen=True, gc=False):
    """What layer 3 knows of one candidate for one prompt.

    `expected` is the quality that is expected of it minus the reference's, -1 to 1, None where nothing is known; `low`
    and `high` bound the mean of its cell, from `n` audits. `enough` None: nothing is proven, the prior decides.
    """

    deployment: str
    enough: bool | None
    basis: Basis
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0


class Considered(msgspec.Struct, frozen=True, gc=False):
    """One model that routing looked at. `lost` says why it was not the first choice; None for the one that is."""

    deployment: str
    tier: Tier
    price_picousd: int | None
    odds: Odds | None
    lost: str | None


class Route(msgspec.Struct, frozen=True, gc=False):
    """What routing decided: candidates in the order in which they are tried, and why.

    `source` says who chose the mode, `order` names the account's rule that decided, `cascade`: the first candidate's
    answer is looked at before it is sent, and the second is asked where it is doubtful. `considered` are all models
    that were looked at, candidates first. `affinity` says why a conversation stays with the first, where that decided.
    `capable` are all that may serve the request, in their order; the candidates are those of them that are tried.
    """

    mode: Mode
    rule: str
    candidates: tuple[Deployment, ...]
    source: str = "default"
    order: str | None = None
    cascade: bool = False
    considered: tuple[Considered, ...] = ()
    capable: tuple[Deployment, ...] = ()
    affinity: str | None = None


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one answer. `prompt_tokens` includes cached ones, `completion_tokens` reasoning ones.

    `source`: `provider` as told, `estimated` where it told none, `capped` where what it told cannot be: a figure that
    is none was counted by us, one beyond what was held is cut or charged as what was held.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    source: Literal["provider", "estimated", "capped"] = "provider"


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One call of one provider, as recorded in the request's row. `outcome` is `ok` or an error code.

    `cost_nanousd` is what the provider takes for it: of a failed call that the provider may have begun to answer, its
    prompt's price; None where the model has no price. `began_us` is when it began, in microseconds after the request's
    arrival; None in rows of earlier versions.
    """

    deployment: str
    provider: str
    outcome: str
    latency_us: int
    ttft_us: int | None = None
    provider_status: int | None = None
    cost_nanousd: int | None = None
    began_us: int | None = None


class Bill(msgspec.Struct, frozen=True, gc=False):
    """Money of one request, or call, in nano-dollars. None means unpriced: never shown, summed or stored as zero.

    `saved_nanousd` is the baseline minus the cost: negative when the answer cost more than the baseline would have.
    `savings_percentage` is its share of the baseline, two decimals; None where there is nothing to compare with.
    `provider_cache_nanousd` is what the provider's own prompt cache took off the cost.
    """

    cost_nanousd: int | None
    baseline_nanousd: int | None
    saved_nanousd: int | None
    savings_percentage: float | None
    price_version: str
    provider_cache_nanousd: int = 0


CascadeOutcome = Literal["kept", "escalated", "fell_back"]


class Cascade(msgspec.Struct, frozen=True, gc=False):
    """The first call of a cascade, which has answered, and what became of its answer.

    `kept`: it passed and is sent. `escalated`: it is doubtful, and a better model was asked. `fell_back`: none of those
    answered, and the doubtful answer is sent after all. `doubt` is the reason, None where it passed.
    """

    deployment: Deployment
    usage: Usage
    bill: Bill
    doubt: str | None = None
    outcome: CascadeOutcome = "kept"

    @property
    def told(self) -> str:
        """The outcome and, where there is one, its reason, as in `escalated; reason=refusal`."""
        return self.outcome if self.doubt is None else f"{self.outcome}; reason={self.doubt}"
