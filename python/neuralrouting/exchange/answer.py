"""Answers, whole and on their way."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, Protocol

import msgspec

from neuralrouting.catalog import Deployment
from neuralrouting.exchange.asking import BudgetNote
from neuralrouting.exchange.judged import Bill, Cascade, Finding, Lookup, Task, Usage

JsonObject = dict[str, Any]
"""A JSON object at the rim, before it is turned into a type."""


class PlainChunk(msgspec.Struct, frozen=True, gc=False):
    """A chunk of a stream that carries nothing but text of its one choice: its JSON without `usage`, and the text."""

    body: bytes
    text: str


Chunk = JsonObject | PlainChunk
"""A `chat.completion.chunk`: parsed, or passed on as it came where there is nothing in it but text."""


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What an answer tells about itself: the same in headers, body fields, billing event and request row.

    `usage` is of the answer that is sent. `bill` is of all calls that are paid for, which are two where a `cascade`
    escalated; `own_nanousd` is what the call that gave this answer cost.
    """

    request_id: str
    deployment: Deployment
    cache: Lookup
    usage: Usage
    bill: Bill
    overhead_us: int
    cascade: Cascade | None = None
    own_nanousd: int | None = None

    @property
    def replaced(self) -> Cascade | None:
        """The call whose answer another one has replaced; it is paid for like that one."""
        return self.cascade if self.cascade is not None and self.cascade.outcome == "escalated" else None

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

    __slots__ = ("batches", "budgets", "cache", "cascade", "deployment", "facts", "finding", "overhead_us", "task")

    def __init__(
        self,
        deployment: Deployment,
        cache: Lookup,
        overhead_us: int,
        finding: Finding | None,
        task: Task | None,
    ) -> None:
        self.deployment = deployment
        self.cache = cache
        self.finding = finding
        self.task = task
        self.overhead_us = overhead_us
        self.budgets: tuple[BudgetNote, ...] = ()
        self.cascade: Cascade | None = None
        self.facts: Facts | None = None
        self.batches: Batches
