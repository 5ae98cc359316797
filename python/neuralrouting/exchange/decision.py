"""What every layer saw and decided, as it is explained and as it is kept with the request; no word of its text."""

from typing import Literal

import msgspec

from neuralrouting.catalog import Tier
from neuralrouting.exchange.asking import Mode
from neuralrouting.exchange.judged import Basis, CacheOutcome

ShieldSays = Literal["off", "pass", "flag", "monitor", "block", "unscanned"]
"""`monitor`: it would have been blocked, did the key's shield not only watch."""


class CacheNote(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What the cache had: `reason` says why no answer to another question is given, `entry` is the answer's key."""

    outcome: CacheOutcome
    similarity: float | None = None
    reason: str | None = None
    entry: str | None = None


class ShieldNote(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What the shield says: a risk from 0 to 1 and the rules that fired, strongest first."""

    says: ShieldSays
    risk: float = 0.0
    rules: tuple[str, ...] = ()


class TaskNote(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What the classifier says; `complexity` from 0 to 10, `risk` is the domain in which a wrong answer could hurt."""

    task: str
    confidence: float
    complexity: float
    abstained: bool = False
    risk: str | None = None


class AskedNote(msgspec.Struct, frozen=True, gc=False):
    """What the request had in it, as far as routing and rules look at that; `prompt_tokens` are estimated.

    `json_mode` is `none`, `object` or `schema`.
    """

    tools: bool
    images: bool
    json_mode: str
    prompt_tokens: int
    messages: int


class RuleNote(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The account's rule that holds, and the line of its rules at which it begins."""

    name: str
    line: int


class CandidateNote(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One model that was looked at. What is not known is left out.

    Prices are in dollars for a million tokens; `estimated` is what this request would cost. `expected`, `low`, `high`
    are quality minus the reference's, -1 to 1, from `n` audits. `lost` is why it is not the first, none for that one.
    """

    model: str
    tier: Tier
    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    estimated_nanousd: int | None = None
    estimated_usd: str | None = None
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    basis: Basis | None = None
    lost: str | None = None


class RouteNote(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What routing decided: `source` says who chose the mode, `reason` what decided, `candidates` in their order.

    `further` models could serve the request too, of which there is nothing to tell but that they stood behind these.
    """

    mode: Mode
    source: str
    reason: str
    chosen: str
    assumed_output_tokens: int
    candidates: tuple[CandidateNote, ...]
    rule: RuleNote | None = None
    affinity: str | None = None
    cascade: bool = False
    further: int = 0


class Decision(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One request through the layers. `refused` says why it is served by nobody, `predicted` are differences by head.

    Without `asked` and `task` nobody looked: the cache answered. Without a route no model was to be asked.
    """

    cache: CacheNote
    shield: ShieldNote
    asked: AskedNote | None = None
    task: TaskNote | None = None
    predicted: dict[str, float] = {}
    escalated: float | None = None
    route: RouteNote | None = None
    refused: str | None = None
