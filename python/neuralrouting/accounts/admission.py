"""Lets a routed request in: finds what it may cost at most and sets that aside, or says what is missing."""

from collections import Counter
from collections.abc import Callable

import msgspec

from neuralrouting.accounts.bank import Bank, Hold
from neuralrouting.accounts.bounds import (
    DEFAULT_OUTPUT_TOKENS,
    LEAST_OUTPUT_TOKENS,
    Size,
    Tab,
    output_bound,
    plausible,
)
from neuralrouting.accounts.budgets import Charge, Spender, matching
from neuralrouting.accounts.directory import Directory
from neuralrouting.accounts.purse import Part, Short
from neuralrouting.catalog import Deployment, Price
from neuralrouting.errors import BudgetExceeded, InsufficientCredits, NoCapableModel, PaymentRequired
from neuralrouting.exchange import Arrival, BudgetNote, Cascade, Mode, Route, Usage
from neuralrouting.storage.journal import Started
from neuralrouting.storage.turns import credits_purse

SOON_S = 1.0
"""When to try again while other requests hold what is missing; most requests end within seconds."""
Choose = Callable[[Mode | None], Route]
"""Routing: the candidates of this request, in another mode than its own where one is named. Raises RequestError."""


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """A request that may be sent: to whom, with how much room for each choice, and what is set aside for it.

    `charges` are all budgets that it counts in; `notes` are worth a word to its sender.
    """

    route: Route
    hold: Hold
    held_mc: int
    output_limit: int | None
    tab: Tab
    size: Size
    charges: tuple[Charge, ...]
    notes: tuple[BudgetNote, ...]

    def most_output(self, served: Deployment) -> int | None:
        """Return how many tokens all choices together were given room for; None where nothing is held for them."""
        if not self.hold.parts:
            return None
        return self.size.choices * output_bound(self.size, served, self.output_limit)

    def believed(self, served: Deployment, usage: Usage, replaced: Cascade | None = None) -> Usage:
        """Return what is believed of a usage: what it can be at most, marked `capped` where more was told.

        So is one that would, with the call it `replaced`, be charged more than is held. Where nothing is held, a
        provider is taken at its word.
        """
        most = self.most_output(served)
        if most is None:
            return usage
        usage = plausible(usage, self.size, most)
        if self._due_mc(served, usage, replaced) > self.held_mc:
            return msgspec.structs.replace(usage, source="capped")
        return usage

    def charged_mc(self, served: Deployment, usage: Usage, replaced: Cascade | None = None) -> int:
        """Return what is charged for an answer, and for the one it `replaced`: never more than is held."""
        return min(self.held_mc, self._due_mc(served, usage, replaced))

    def spends(
        self, served: Deployment, usage: Usage, cost_nanousd: int | None, replaced: Cascade | None = None
    ) -> tuple[Part, ...]:
        """Return what the answer, at this cost of its own, and the one it `replaced` spend of which budget."""
        last = self.tab.spends(self.charges, served, usage, cost_nanousd)
        if replaced is None:
            return last
        first = self.tab.spends(self.charges, replaced.deployment, replaced.usage, replaced.bill.cost_nanousd)
        return tuple((Counter(dict(first)) + Counter(dict(last))).items())

    def _due_mc(self, served: Deployment, usage: Usage, replaced: Cascade | None) -> int:
        due_mc = self.tab.charged_mc(served, usage)
        return due_mc if replaced is None else due_mc + self.tab.charged_mc(replaced.deployment, replaced.usage)


class Admission:
    """The accounts' side of admission: one per worker."""

    def __init__(self, bank: Bank, directory: Directory, baseline: Price, max_attempts: int) -> None:
        self._bank = bank
        self._directory = directory
        self._baseline = baseline
        self._max_attempts = max_attempts

    async def admit(self, arrival: Arrival, spender: Spender, size: Size, choose: Choose, *, stream: bool) -> Admitted:
        """Route a request and set aside the most it can cost.

        Candidates that are too dear are left out; a budget that downgrades has the request routed in cost mode; a
        request without an output limit of its own gets one that can be paid. Raises what `choose` raises, then
        InsufficientCredits or BudgetExceeded, and Unavailable when nobody can tell.
        """
        caller = arrival.caller
        budgets = self._directory.budgets_of(caller.account_id) if caller.live else ()
        metered = caller.live and arrival.plan.monthly_mc is not None
        attempt = _Attempt(self._kept(choose(None)), None, frozenset())
        while True:
            route = attempt.route
            charges = matching(budgets, spender, route.candidates, arrival.created_ms) if budgets else ()
            firm = tuple(c for c in charges if c.budget.action != "warn" and c.purse not in attempt.spent)
            tab = Tab(caller.account_id if metered else None, firm, self._baseline)
            parts = attempt.parts(tab, size) if metered or firm else ()
            held_mc = dict(parts).get(credits_purse(caller.account_id), 0) if metered else 0
            limit = attempt.output_limit if attempt.output_limit is not None else _told(size, parts)
            notes = self._notes(charges, attempt.spent) if charges else ()
            try:
                hold = await self._bank.hold(parts, started_of(arrival, held_mc, stream=stream))
            except Short as short:
                attempt = self._smaller(attempt, short, size, tab, choose)
            else:  # nothing that can fail comes between a hold and who ends it
                return Admitted(route, hold, held_mc, limit, tab, size, charges, notes)

    def _kept(self, route: Route) -> Route:
        """Leave out candidates that would never be tried: nothing is set aside for them."""
        return _among(route, route.candidates[: self._max_attempts])

    def _smaller(self, attempt: "_Attempt", short: Short, size: Size, tab: Tab, choose: Choose) -> "_Attempt":
        """Return the next smaller attempt after one that did not fit. Raises PaymentRequired when there is none."""
        charge = next((c for c in tab.budgets if c.purse == short.purse), None)
        if charge is not None and charge.budget.action == "downgrade":
            return _Attempt(self._kept(choose("cost")), attempt.output_limit, attempt.spent | {short.purse})
        candidates = attempt.route.candidates
        needs = {d.id: tab.need(short.purse, size, d, attempt.output_limit) for d in candidates}
        if attempt.route.cascade:
            first, *others = candidates
            fit = tuple(d for d in others if needs[first.id] + needs[d.id] <= short.free)
            return attempt.with_candidates((first, *fit)) if fit else attempt.once()
        fit = tuple(d for d in candidates if needs[d.id] <= short.free)
        if fit:
            return attempt.with_candidates(fit)
        if size.output_tokens is None:
            for d in candidates:
                limit = tab.affordable(short.purse, short.free, size, d)
                if limit >= LEAST_OUTPUT_TOKENS:
                    return attempt.with_candidates((d,), limit)
        raise _refusal(short, min(needs.values()), charge)

    def _notes(self, charges: tuple[Charge, ...], spent: frozenset[str]) -> tuple[BudgetNote, ...]:
        notes = (
            BudgetNote(
                c.budget.id, 100 * self._directory.used(c.purse) // c.budget.limit_nanousd, spent=c.purse in spent
            )
            for c in charges
        )
        return tuple(
            note
            for note, charge in zip(notes, charges, strict=True)
            if note.spent or note.percent >= charge.budget.warn_percent
        )


class _Attempt(msgspec.Struct, frozen=True):
    """One way to let a request in. `spent` are budgets that downgraded it: they need not cover it any more."""

    route: Route
    output_limit: int | None
    spent: frozenset[str]

    def parts(self, tab: Tab, size: Size) -> tuple[Part, ...]:
        return tab.parts(size, self.route.candidates, self.output_limit, cascade=self.route.cascade)

    def once(self) -> "_Attempt":
        """The same without a second call: there is not enough for two."""
        return msgspec.structs.replace(self, route=msgspec.structs.replace(self.route, cascade=False))

    def with_candidates(self, candidates: tuple[Deployment, ...], output_limit: int | None = None) -> "_Attempt":
        if not candidates:
            raise NoCapableModel("no model can serve this request")
        route = _among(self.route, candidates)
        return _Attempt(route, output_limit if output_limit is not None else self.output_limit, self.spent)


def _among(route: Route, candidates: tuple[Deployment, ...]) -> Route:
    """The route with these candidates only; a cascade takes two."""
    return msgspec.structs.replace(route, candidates=candidates, cascade=route.cascade and len(candidates) > 1)


def _told(size: Size, parts: tuple[tuple[str, int], ...]) -> int | None:
    """The bound that was held must bind the provider too, where the client names none."""
    return DEFAULT_OUTPUT_TOKENS if parts and size.output_tokens is None else None


def started_of(arrival: Arrival, held_mc: int, *, stream: bool) -> Started:
    """Return what is noted of a request when it is let in."""
    caller = arrival.caller
    return Started(
        arrival.request_id,
        arrival.created_ms,
        caller.account_id,
        caller.key_id,
        arrival.hints.endpoint,
        stream,
        held_mc,
    )


def _refusal(short: Short, need: int, charge: Charge | None) -> PaymentRequired:
    """Say what is missing; with a time to try again where requests under way may free enough."""
    again_s = SOON_S if short.free + short.reserved >= need else None
    if charge is None:
        facts = {"required": _credits(need), "available": _credits(short.free), "missing": _credits(need - short.free)}
        advice = "requests under way hold the rest; try again in a moment" if again_s else "top the account up"
        told = f"the request may cost up to {facts['required']} credits and {facts['available']} are left"
        return InsufficientCredits(
            f"{told}; {advice}, or set max_completion_tokens to a smaller number", facts, retry_after_s=again_s
        )
    budget = charge.budget
    facts = {"budget": budget.id, "required_usd": _usd(need), "available_usd": _usd(short.free)}
    return BudgetExceeded(
        f"budget {budget.name!r} ({_usd(budget.limit_nanousd)} USD, {budget.period}) has {_usd(short.free)} USD left, "
        f"and the request may cost up to {_usd(need)} USD",
        facts,
        retry_after_s=again_s,
    )


def _credits(millicredits: int) -> str:
    whole, rest = divmod(millicredits, 1_000)
    return f"{whole}.{rest:03d}"


def _usd(nanousd: int) -> str:
    whole, rest = divmod(nanousd, 1_000_000_000)
    return f"{whole}.{rest:09d}"
