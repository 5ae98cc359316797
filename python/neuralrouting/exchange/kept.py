"""What is kept when a request has ended: its row, what the shield found in it, its answer."""

from typing import Literal, Protocol

import msgspec

from neuralrouting.exchange.answer import Facts
from neuralrouting.exchange.asking import Arrival, BudgetNote
from neuralrouting.exchange.judged import Attempt, Finding, Route, ShieldAction, Task

HoldState = Literal["none", "settled", "voided", "expired"]
"""How a request's hold on credits ended; `none`: there was nothing to pay, `expired`: its worker died."""


class Spent(msgspec.Struct, frozen=True, gc=False):
    """Nanoseconds that each layer took; None for one that was not asked.

    `read`: parsing and checking the body. `confidence` is the prediction from the prompt; what audits have shown is
    looked up while routing. `admission` is waiting for credits and budgets. `inspected` and `admitted` are no spans but
    moments after the request's arrival: when the core was done, and when it was let in.
    """

    read_ns: int
    cache_ns: int
    shield_ns: int | None = None
    classification_ns: int | None = None
    confidence_ns: int | None = None
    routing_ns: int | None = None
    admission_ns: int | None = None
    inspected_ns: int = 0
    admitted_ns: int | None = None


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """A finished request, whatever became of it: what the recorder writes down.

    `facts` is None when it failed: then it costs its account nothing. `task` and `route` are None when no model was to
    be asked. `held_mc` and `charged_mc` are millicredits, `house_nanousd` is what its failed attempts cost, which its
    account does not pay. `decision` is a `Decision` as JSON. `budgets` are those that are worth a word.
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
    decision: str | None = None
    finding: Finding | None = None
    budgets: tuple[BudgetNote, ...] = ()
    spent: Spent | None = None


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
    """One stored answer: `body` is a `chat.completion` without id and time; times are Unix milliseconds.

    `scope` is what else of the request must be equal where only its last text is alike, `probe` what the core compares
    that text by, in the terms of `embedder`; None: found by its exact key only. `decided` is its vector by the second
    embedder `decider`, where there is one.
    """

    key: bytes
    account_id: str
    body: bytes
    deployment: str
    simulated: bool
    prompt_tokens: int
    completion_tokens: int
    stored_ms: int
    expires_ms: int
    scope: bytes | None = None
    probe: bytes | None = None
    embedder: str | None = None
    decider: str | None = None
    decided: bytes | None = None


class Decider(Protocol):
    """A second embedder, which decides where the built-in one only comes near."""

    @property
    def id(self) -> str:
        """Which model this is; vectors of two models say nothing about each other."""
        ...

    async def embed(self, text: str) -> bytes | None:
        """Return a text's vector as signed bytes of which only the direction counts; None when it takes too long."""
        ...
