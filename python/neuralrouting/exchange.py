"""Every value that flows through one request, in the order in which it becomes known."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from neuralrouting.catalog import Deployment
from neuralrouting.engine import Verdict

JsonObject = dict[str, Any]
"""A JSON object at the rim, before it is turned into a type."""


class PlainChunk(msgspec.Struct, frozen=True, gc=False):
    """A chunk of a stream that carries nothing but text of its one choice: its JSON without `usage`, and the text."""

    body: bytes
    text: str


Chunk = JsonObject | PlainChunk
"""A `chat.completion.chunk`: parsed, or passed on as it came where there is nothing in it but text."""

Mode = Literal["auto", "cost", "quality", "speed"]
CacheOutcome = Literal["exact", "miss", "bypass"]
ShieldMode = Literal["off", "monitor", "block"]
Role = Literal["member", "owner", "operator"]
"""What a key may do: `member` asks models and reads its account's figures, `owner` also sets its account's budgets,
`operator` runs this gateway: every account, key, plan and credit."""
HoldState = Literal["none", "settled", "voided", "expired"]
"""How a request's hold on credits ended; `none`: there was nothing to pay, `expired`: its worker died."""
ShieldAction = Literal["block", "flag", "monitor", "unscanned"]
"""What became of a request that the shield found something in: `monitor` would have been blocked, `unscanned` was let
through because the shield itself failed."""


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who asks: made from an API key, before the body is read.

    `live` is false for `nr_test_` keys, which only reach simulated and local models and pay nothing. `shield_mode`
    None: as configured. Limits are of the key alone, None is none; those of its account come with the account's plan.
    """

    account_id: str
    key_id: str
    live: bool
    shield_mode: ShieldMode | None = None
    role: Role = "member"
    team: str | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel: int | None = None


class Hints(msgspec.Struct, frozen=True, gc=False):
    """What the request's headers ask for, beside its body."""

    endpoint: str
    model: str | None = None
    routing_mode: str | None = None
    read_cache: bool = True
    write_cache: bool = True
    end_user: str | None = None
    feature: str | None = None


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


class Route(msgspec.Struct, frozen=True, gc=False):
    """What routing decided: candidates in the order in which they are tried, and why."""

    mode: Mode
    rule: str
    candidates: tuple[Deployment, ...]


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
    prompt's price; None where the model has no price.
    """

    deployment: str
    provider: str
    outcome: str
    latency_us: int
    ttft_us: int | None = None
    provider_status: int | None = None
    cost_nanousd: int | None = None


class Bill(msgspec.Struct, frozen=True, gc=False):
    """Money of one request in nano-dollars. None means unpriced: never shown, summed or stored as zero.

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


class Plan(msgspec.Struct, frozen=True, gc=False):
    """What an account may do: data, in the order of its columns.

    `monthly_mc` are the millicredits of a month, None: credits are not counted. Limits: None is none. `force_model`:
    whether X-Force-Model is obeyed.
    """

    id: str
    name: str
    price_cents: int
    monthly_mc: int | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    parallel: int | None
    modes: tuple[Mode, ...]
    force_model: bool


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """One request at the door: who asks, and under which plan.

    `started_ns` is on the monotonic clock, `created_ms` is Unix time.
    """

    request_id: str
    caller: Caller
    plan: Plan
    hints: Hints
    started_ns: int
    created_ms: int


BudgetScope = Literal["account", "key", "user", "feature", "team", "model"]
BudgetPeriod = Literal["hour", "day", "week", "month", "total"]
BudgetAction = Literal["warn", "block", "downgrade"]


class Budget(msgspec.Struct, frozen=True, gc=False):
    """A bound on what may be spent, in the order of its columns.

    `subject` is '' for the scope `account`, '*' for each value of the scope on its own, else the one value (a
    deployment's id or model for `model`). Periods begin in UTC, weeks on Monday. `warn_percent` of the limit are told.
    """

    id: str
    account_id: str
    name: str
    scope: BudgetScope
    subject: str
    period: BudgetPeriod
    limit_nanousd: int
    action: BudgetAction
    warn_percent: int = 80


class BudgetNote(msgspec.Struct, frozen=True, gc=False):
    """A budget that is worth a word: `percent` of it are spent; `spent` when a request was downgraded for it."""

    budget_id: str
    percent: int
    spent: bool = False


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What an answer tells about itself: the same in headers, body fields, billing event and request row."""

    request_id: str
    deployment: Deployment
    cache: CacheOutcome
    usage: Usage
    bill: Bill
    overhead_us: int

    @property
    def model_used(self) -> str:
        """The model that answered; a simulated one is never called by the bare name of a real one."""
        return self.deployment.id if self.deployment.simulated else self.deployment.model


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A whole answer: `body` is a `chat.completion` as bytes. No `task`: it came from the cache."""

    body: bytes
    facts: Facts
    finding: Finding | None = None
    task: Task | None = None
    budgets: tuple[BudgetNote, ...] = ()


class Batches(Protocol):
    """What is still to come of an answer. Whoever has it must close it: that ends the request, read or not."""

    def __aiter__(self) -> AsyncIterator[Sequence[Chunk]]: ...
    def __anext__(self) -> Awaitable[Sequence[Chunk]]: ...
    def aclose(self) -> Awaitable[None]:
        """End the request where it stands; does nothing when it has ended."""
        ...


class AnswerStream:
    """An answer that is still coming; `facts` is there after the last batch, the rest at once."""

    __slots__ = ("batches", "budgets", "cache", "deployment", "facts", "finding", "overhead_us", "task")

    def __init__(
        self,
        deployment: Deployment,
        outcome: CacheOutcome,
        overhead_us: int,
        finding: Finding | None,
        task: Task | None,
    ) -> None:
        self.deployment = deployment
        self.cache: CacheOutcome = outcome
        self.finding = finding
        self.task = task
        self.overhead_us = overhead_us
        self.budgets: tuple[BudgetNote, ...] = ()
        self.facts: Facts | None = None
        self.batches: Batches


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """A finished request, whatever became of it: what the recorder writes down.

    `facts` is None when it failed: then it costs its account nothing. `task` and `route` are None when no model was to
    be asked. `held_mc` and `charged_mc` are millicredits, `house_nanousd` is what its failed attempts cost, which its
    account does not pay.
    """

    arrival: Arrival
    requested_model: str | None
    end_user: str | None
    session_id: str | None
    feature: str | None
    stream: bool
    task: Task | None
    route: Route | None
    attempts: tuple[Attempt, ...]
    facts: Facts | None
    status: int
    error_code: str | None
    latency_us: int
    ttft_us: int | None = None
    request_body: bytes | None = None
    response_body: bytes | None = None
    hold_state: HoldState = "none"
    held_mc: int = 0
    charged_mc: int = 0
    house_nanousd: int = 0


class SecurityEvent(msgspec.Struct, frozen=True, gc=False):
    """What the audit trail keeps of a finding. `created_ms` is Unix time, `risk_permille` thousandths.

    `category` is the tier of the strongest hit; `rule_category`, `channel`, `via`, `message_index`, the span (in
    characters of that message) and `excerpt` are of that hit too. `rule_ids` are all that fired, strongest first.
    `text_sha256` is of the message's text, `pack_hash` names the rules that judged. `body` is the whole request, only
    where the operator has bodies stored.
    """

    request_id: str
    created_ms: int
    account_id: str
    key_id: str
    end_user: str | None
    endpoint: str
    action: ShieldAction
    category: str | None
    rule_category: str | None
    risk_permille: int
    rule_ids: tuple[str, ...]
    channel: str | None
    via: str | None
    message_index: int | None
    span_start: int | None
    span_end: int | None
    excerpt: str | None
    text_sha256: bytes | None
    pack_hash: str
    truncated: bool
    body: bytes | None = None


class CacheEntry(msgspec.Struct, frozen=True, gc=False):
    """One stored answer: `body` is a `chat.completion` without id and time; times are Unix milliseconds."""

    key: bytes
    account_id: str
    body: bytes
    deployment: str
    simulated: bool
    prompt_tokens: int
    completion_tokens: int
    stored_ms: int
    expires_ms: int
