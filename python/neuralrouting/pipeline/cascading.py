"""A cascade: the economy model answers first, and only a doubtful answer is asked of a better one before it is sent.

Both calls are paid for, and both are held beforehand. What the first call came to stands in `Turn.cascade` as soon as
it has answered, so that its cost is known however the request ends.
"""

import logging
import time

import msgspec

from neuralrouting.accounts.admission import Admitted
from neuralrouting.catalog import TIER_RANK, Deployment, blended_picousd
from neuralrouting.engine import Inspection, estimate_tokens
from neuralrouting.errors import UpstreamError
from neuralrouting.exchange import JsonObject, Route, Usage
from neuralrouting.layers.routing import NO_ADVICE
from neuralrouting.layers.verification import Asked, doubt
from neuralrouting.pipeline.ending import Ending
from neuralrouting.pipeline.turn import Turn
from neuralrouting.providers.base import billed_usage, said_in
from neuralrouting.providers.dispatcher import Dispatcher, OpenedStream, Served

log = logging.getLogger("neuralrouting.pipeline")


class Cascading:
    """Asks models on behalf of requests, one of them or first a cheap one: one per worker."""

    def __init__(self, dispatcher: Dispatcher, ending: Ending) -> None:
        self._dispatcher = dispatcher
        self._ending = ending

    async def complete(self, turn: Turn, admitted: Admitted) -> Served:
        """Return the answer to send, whole. Raises UpstreamError."""
        inspection, attempts, limit = turn.inspection, turn.attempts, admitted.output_limit
        if not admitted.route.cascade:
            return await self._dispatcher.complete(admitted.route, inspection, attempts, limit)
        began_s = time.monotonic()
        first = await self._first(turn, admitted)
        if first is not None and not _is_doubtful(turn):
            return first
        try:
            return await self._dispatcher.complete(_after(admitted.route, first), inspection, attempts, limit, began_s)
        except UpstreamError as error:
            return _fall_back(turn, first, error)

    async def open(self, turn: Turn, admitted: Admitted) -> OpenedStream | Served:
        """Return the answer to send: a stream that has begun, or what a cascade's first model said, whole.

        Raises UpstreamError.
        """
        inspection, attempts, limit = turn.inspection, turn.attempts, admitted.output_limit
        if not admitted.route.cascade:
            return await self._dispatcher.open(admitted.route, inspection, attempts, limit)
        began_s = time.monotonic()
        first = await self._first(turn, admitted)
        if first is not None and not _is_doubtful(turn):
            return first
        try:
            return await self._dispatcher.open(_after(admitted.route, first), inspection, attempts, limit, began_s)
        except UpstreamError as error:
            return _fall_back(turn, first, error)

    async def _first(self, turn: Turn, admitted: Admitted) -> Served | None:
        """Return what the first candidate says, with `Turn.cascade` made of it; None where it failed."""
        first, inspection = admitted.route.candidates[0], turn.inspection
        try:
            served = await self._dispatcher.once(first, inspection, turn.attempts, admitted.output_limit)
        except UpstreamError as error:
            if not error.failover:
                raise
            return None
        data = served.completion.data
        usage = used_by(data, inspection)
        turn.cascade = self._ending.first_of_two(turn, first, usage, None)  # paid for, whatever comes now
        self._dispatcher.speeds.learn(first.id, None, usage.completion_tokens, turn.attempts[-1].latency_us)
        reason = doubt(_asked(turn, admitted), data) if _after(admitted.route, served).candidates else None
        if reason is not None:
            turn.cascade = msgspec.structs.replace(turn.cascade, doubt=reason, outcome="escalated")
            turn.attempts[-1] = msgspec.structs.replace(turn.attempts[-1], outcome="doubtful")
        return served


def is_better(one: Deployment, other: Deployment) -> bool:
    """Whether one model is of a higher tier than another one, or dearer in the same tier."""
    if one.tier != other.tier:
        return TIER_RANK[one.tier] > TIER_RANK[other.tier]
    dear = [blended_picousd(d.price) if d.price is not None else 0 for d in (one, other)]
    return dear[0] > dear[1]


def used_by(data: JsonObject, inspection: Inspection) -> Usage:
    """Return the usage of a whole answer: as told, counted by us where it is not."""

    def counted() -> Usage:
        text = "".join(part for choice in data["choices"] for part in said_in(choice.get("message") or {}))
        return Usage(inspection.prompt_tokens, estimate_tokens(text), source="estimated")

    return billed_usage(data, counted)


def _is_doubtful(turn: Turn) -> bool:
    return turn.cascade is not None and turn.cascade.doubt is not None


def _after(route: Route, first: Served | None) -> Route:
    """The route from its second candidate on; only the better ones where the first has answered."""
    asked, *others = route.candidates
    left = tuple(d for d in others if first is None or is_better(d, asked))
    return msgspec.structs.replace(route, candidates=left, cascade=False)


def _fall_back(turn: Turn, first: Served | None, error: UpstreamError) -> Served:
    """Return the doubtful answer where nobody has a better one; raises the error where there is none."""
    if first is None or turn.cascade is None:
        raise error
    log.warning(
        "request %s: its answer is doubtful (%s) and no better model answered (%s): it is sent all the same",
        turn.arrival.request_id, turn.cascade.doubt, error.code,
    )  # fmt: skip
    turn.cascade = msgspec.structs.replace(turn.cascade, outcome="fell_back")
    return first


def _asked(turn: Turn, admitted: Admitted) -> Asked:
    found, task = turn.inspection, turn.task
    needs_body = found.json_mode == "schema" or found.has_tools
    limits = [limit for limit in (found.max_output_tokens, admitted.output_limit) if limit is not None]
    return Asked(
        found.last_user_text,
        task.task if task is not None else "other",
        found.json_mode,
        found.has_tools,
        min(limits, default=None),
        task is not None and task.risk_domain == NO_ADVICE,
        found.body if needs_body else b"",
    )
