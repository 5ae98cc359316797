"""The values of rules: what is known of a request, when a rule holds, what it orders."""

from datetime import datetime
from typing import Final, Literal

import msgspec

from neuralrouting.catalog import Tier
from neuralrouting.exchange import Mode

TASKS: Final = (
    "qa", "chat", "summarization", "classification", "extraction", "translation",
    "rewriting", "coding", "reasoning", "creative", "other",
)  # fmt: skip
"""Tasks as the classifier names them."""
DOMAINS: Final = ("medical", "mental_health", "legal", "financial", "safety_critical", "harmful", "elections")
"""Domains of risk as the classifier names them."""
MODES: Final[tuple[Mode, ...]] = ("auto", "cost", "quality", "speed")
TIERS: Final[tuple[Tier, ...]] = ("economy", "medium", "premium", "fast")
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES: Final = 1_440
Risk = Literal["none", "any"]


class RuleFacts(msgspec.Struct, frozen=True, gc=False):
    """What rules look at. None is: there is none, or it is not known; a condition on it then does not hold.

    `model` as the client asked, `risk` the domain of high risk, `text` the last message of the user, `at` the time of
    the request with its zone. `complexity` goes from 0 to 10.
    """

    at: datetime
    task: str | None = None
    complexity: float | None = None
    risk: str | None = None
    user: str | None = None
    feature: str | None = None
    key: str | None = None
    team: str | None = None
    model: str | None = None
    prompt_tokens: int = 0
    has_tools: bool = False
    has_images: bool = False
    json_mode: bool = False
    stream: bool = False
    text: str | None = None


class Span(msgspec.Struct, frozen=True):
    """A range with both its ends in it; None is open."""

    low: float | None
    high: float | None


class Clock(msgspec.Struct, frozen=True):
    """Days of the week (0 is Monday) and minutes of the day, from `start` on and before `end`, by the clock of a zone.

    Where `end` is not after `start` the time goes on past midnight, as part of the day on which it began.
    """

    days: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    start: int = 0
    end: int = DAY_MINUTES
    zone: str = "UTC"


class When(msgspec.Struct, frozen=True):
    """When a rule holds: all that is said must; of several values one. Empty or None: nothing is said.

    `risk` is ("none",), ("any",) or domains. The texts of `user` to `model` may have `*` in them for any characters.
    """

    task: tuple[str, ...] = ()
    complexity: Span | None = None
    risk: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    feature: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    team: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    prompt_tokens: Span | None = None
    tools: bool | None = None
    images: bool | None = None
    json: bool | None = None
    stream: bool | None = None
    keyword: tuple[str, ...] = ()
    time: Clock | None = None


class Then(msgspec.Struct, frozen=True):
    """What a rule orders; None and empty: it says nothing of it. `block` is the reason, and then stands alone.

    `fallback` are the models that are asked when `model` fails, in this order.
    """

    mode: Mode | None = None
    tier: Tier | None = None
    model: str | None = None
    fallback: tuple[str, ...] = ()
    cascade: bool | None = None
    block: str | None = None


class Rule(msgspec.Struct, frozen=True):
    """One rule; `line` is where it begins in the text it was read from."""

    name: str
    line: int
    when: When
    then: Then
