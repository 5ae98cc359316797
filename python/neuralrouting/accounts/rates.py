"""Rate limits of keys and accounts: who may come in now, and what the headers say about it."""

import math
from collections.abc import Sequence

from neuralrouting.accounts.shares import Apart, Spent, split
from neuralrouting.accounts.sharing import Sharing, unknown
from neuralrouting.engine import Limits, Permit, Refusal
from neuralrouting.errors import RateLimited, Unavailable
from neuralrouting.exchange import Caller, Plan

_WHAT = {"requests": "requests a minute", "tokens": "tokens a minute", "parallel": "requests at once"}
_Ask = tuple[str, int | None, int | None]


class SharedPermit:
    """A permit of this machine whose limits of requests other machines count in: the figures are those of all."""

    __slots__ = ("limit_requests", "permit", "remaining_requests", "reset_requests_ms")

    def __init__(self, permit: Permit, limit: int, remaining: int, reset_ms: int) -> None:
        self.permit = permit
        self.limit_requests = limit
        self.remaining_requests = remaining
        self.reset_requests_ms = reset_ms

    @property
    def limit_tokens(self) -> int | None:
        """As of this machine's permit."""
        return self.permit.limit_tokens

    @property
    def remaining_tokens(self) -> int | None:
        """As of this machine's permit."""
        return self.permit.remaining_tokens

    @property
    def reset_tokens_ms(self) -> int | None:
        """As of this machine's permit."""
        return self.permit.reset_tokens_ms

    def leave(self, tokens: int | None = None) -> None:
        """Give the places back; see `Permit.leave`."""
        self.permit.leave(tokens)


Entry = Permit | SharedPermit
"""A request that was let in; it ends with `leave`."""


class Rates:
    """The limits of one worker, counted together with all workers of this machine, and through `sharing` of all others.

    Requests a minute are counted over all machines. Tokens a minute and requests at once are not: while several
    machines are there, each has its part of them.
    """

    def __init__(self, limits: Limits, sharing: Sharing | None = None) -> None:
        self._limits = limits
        self._sharing = sharing

    async def enter(self, caller: Caller, plan: Plan) -> Entry:
        """Count a request against its account and its key; end what comes back with `leave`.

        Waits only where other machines count in. Raises RateLimited, and Unavailable where it cannot be counted.
        """
        sharing = self._sharing
        asks = (
            (f"account/{caller.account_id}", plan.requests_per_minute, plan.parallel),
            (f"key/{caller.key_id}", caller.requests_per_minute, caller.parallel),
        )
        if sharing is None or sharing.alone:  # no `await` from here to the count: `alone` may change meanwhile
            return self._count(asks)
        return await self._enter_shared(sharing, asks)

    def take_tokens(self, entry: Entry, caller: Caller, plan: Plan, tokens: int) -> None:
        """Count what a request may come to, where its account or key is limited in tokens. Raises as `enter`."""
        if plan.tokens_per_minute is None and caller.tokens_per_minute is None:
            return
        machines = self._machines()
        subjects = (
            (f"account/{caller.account_id}", split(plan.tokens_per_minute, machines)),
            (f"key/{caller.key_id}", split(caller.tokens_per_minute, machines)),
        )
        permit = entry.permit if isinstance(entry, SharedPermit) else entry
        try:
            found = self._limits.take_tokens(permit, subjects, tokens)
        except OSError as error:
            raise _uncounted(error) from error
        if found is not None:
            raise _refusal(found, machines)

    def _machines(self) -> int:
        return 1 if self._sharing is None or self._sharing.alone else len(self._sharing.machines)

    def _count(self, asks: Sequence[_Ask], machines: int = 1, *, apart: bool = False) -> Permit:
        try:
            found = self._limits.enter(asks)
        except OSError as error:
            raise _uncounted(error) from error
        if isinstance(found, Refusal):
            raise _refusal(found, machines if apart or found.limit == "parallel" else 1)
        return found

    async def _enter_shared(self, sharing: Sharing, asks: Sequence[_Ask]) -> Entry:
        """Take a unit for each limit first: who is refused here was not counted there, and the other way round."""
        limited = tuple((name, limit) for name, limit, _ in asks if limit)
        units = None
        while units is None:
            try:
                units = await sharing.take(limited)
            except Spent as spent:
                raise _spent(spent) from None
            except Apart:
                if sharing.alone:
                    return self._count(asks)
                if sharing.is_apart:
                    return self._enter_apart(sharing, asks)
        try:  # no `await` from here to the count: units are good for a moment
            machines = len(sharing.machines)
            permit = self._count(_split_places(asks, machines), machines)
        except BaseException:
            sharing.put_back(units)
            raise
        if not limited:
            return permit
        return _told(permit, [(limit, *sharing.room(name)) for name, limit in limited])

    def _enter_apart(self, sharing: Sharing, asks: Sequence[_Ask]) -> Permit:
        """Let this machine's part in."""
        machines = len(sharing.machines)
        parts = [(name, None if limit is None else sharing.part(limit), places) for name, limit, places in asks]
        if any(limit and not part for (_, limit, _), (_, part, _) in zip(asks, parts, strict=True)):
            raise unknown()
        permit = self._count(_split_places(parts, machines), machines, apart=True)
        for name, limit, _ in asks:
            if limit is not None:
                sharing.owe(name)
        return permit


def rate_headers(told: Entry | Refusal) -> tuple[tuple[str, str], ...]:
    """Return `x-ratelimit-*` of the tightest limits; nothing where there is none."""
    headers: list[tuple[str, str]] = []
    for name, limit, remaining, reset_ms in (
        ("requests", told.limit_requests, told.remaining_requests, told.reset_requests_ms),
        ("tokens", told.limit_tokens, told.remaining_tokens, told.reset_tokens_ms),
    ):
        if limit is not None:
            headers += _headers_of(name, limit, remaining, reset_ms)
    return tuple(headers)


def _headers_of(name: str, limit: int, remaining: int | None, reset_ms: int | None) -> list[tuple[str, str]]:
    return [
        (f"x-ratelimit-limit-{name}", str(limit)),
        (f"x-ratelimit-remaining-{name}", str(remaining)),
        (f"x-ratelimit-reset-{name}", f"{reset_ms}ms"),
    ]


def _split_places(asks: Sequence[_Ask], machines: int) -> list[_Ask]:
    return [(name, limit, split(places, machines)) for name, limit, places in asks]


def _told(permit: Permit, rooms: Sequence[tuple[int, int, float]]) -> SharedPermit:
    """Tell of the tightest limit of those that all machines count and those that this one does."""
    figures = [(left, math.ceil(reset_s * 1000), limit) for limit, left, reset_s in rooms]
    if permit.limit_requests is not None:
        figures.append((permit.remaining_requests or 0, permit.reset_requests_ms or 0, permit.limit_requests))
    left, reset_ms, limit = min(figures, key=lambda figure: (figure[0], -figure[1]))
    return SharedPermit(permit, limit, left, reset_ms)


def _whose(subject: str) -> str:
    return "this key" if subject.startswith("key/") else "the account's plan"


def _spent(spent: Spent) -> RateLimited:
    headers = tuple(_headers_of("requests", spent.limit, 0, math.ceil(spent.retry_s * 1000)))
    message = f"{_whose(spent.name)} allows {spent.limit} requests a minute; try again in {spent.retry_s:.1f} s"
    return RateLimited(message, headers, retry_after_s=spent.retry_s)


def _refusal(found: Refusal, machines: int) -> RateLimited:
    """Say what refused. `machines`: over how many the limit is split."""
    where = f", its part on each of {machines} machines" if machines > 1 else ""
    allows = f"{_whose(found.subject)} allows {found.allowed} {_WHAT[found.limit]}{where}"
    if found.retry_after_ms is None:
        advice = "one request can never have so many: set a smaller max_completion_tokens or send a shorter prompt"
        return RateLimited(f"{allows}; {advice}", rate_headers(found))
    again_s = found.retry_after_ms / 1000
    return RateLimited(f"{allows}; try again in {again_s:.1f} s", rate_headers(found), retry_after_s=again_s)


def _uncounted(error: OSError) -> Unavailable:
    return Unavailable(
        f"the rate limits cannot be counted ({error.strerror or error}): nobody is let in uncounted; "
        "free some disk space or mend the data directory",
        code="limits_unavailable",
        retry_after_s=5,
    )
