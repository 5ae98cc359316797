"""Premium models that were perhaps not needed: what the same answers would have cost on the cheapest capable model."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from neuralrouting.api.figures import money
from neuralrouting.catalog import Catalog, Deployment, blended_picousd, cost_nanousd
from neuralrouting.exchange import JsonObject
from neuralrouting.layers.routing import SIMPLE_COMPLEXITY
from neuralrouting.rules import Rule, Then, When, write_rules
from neuralrouting.rules.values import TASKS, Span
from neuralrouting.storage.audit import EXAMINED_ROWS, AuditQuery, AuditRows, PremiumCall

NOTHING_PROVEN = (
    "No row is proven: whether a cheaper model answers as well is only known once shadow audits have compared answers. "
    "Until then a row is what the same tokens would have cost elsewhere, not a recommendation."
)
SOME_PROVEN = "Rows that are not proven are what the same tokens would have cost elsewhere, not a recommendation."
_CANDIDATES = msgspec.json.Decoder(list[str])


class Evidence(msgspec.Struct, frozen=True):
    """What is known of a model at a task: from `n` comparisons its quality less the reference's, -1 to 1.

    The mean difference is between `low` and `high` with 95 % confidence. `proven`: that is enough to send such requests
    there.
    """

    n: int
    low: float
    high: float
    proven: bool


class Proofs(Protocol):
    """Where it is known which model does which task how well."""

    def evidence(self, account_id: str, model: str, task: str) -> Evidence | None:
        """Return what an account knows of a deployment (its id) at a task, None where that is nothing."""
        ...


class Needless(msgspec.Struct, frozen=True):
    """Answers of one premium model at one task that `alternative` could have given; money in nano-dollars.

    `alternative_nanousd` is what the same tokens would have cost there, as priced today.
    """

    task: str
    model: str
    alternative: str
    simulated: bool
    requests: int
    cost_nanousd: int
    alternative_nanousd: int
    evidence: Evidence | None

    @property
    def saving_nanousd(self) -> int:
        """What would have been saved; always above zero."""
        return self.cost_nanousd - self.alternative_nanousd


def needless(calls: Iterable[PremiumCall], catalog: Catalog, proofs: Proofs, account_id: str) -> list[Needless]:
    """Return what cheaper models could have answered of an account's calls: proven first, then the biggest saving."""
    everything = _everything(catalog)
    chooser = _Chooser(catalog, proofs, account_id)
    sums: dict[tuple[str, str, str], Needless] = {}
    for call in calls:
        served = everything.get(call.deployment)
        if served is None or served.tier != "premium":
            continue
        found = chooser.choose(call)
        if found is None or found[0].price is None:
            continue
        other, evidence = found
        cost = cost_nanousd(
            found[0].price, call.prompt_tokens, call.completion_tokens, call.cached_tokens, call.cache_write_tokens
        )
        place = (call.task, served.id, other.id)
        old = sums.get(place) or Needless(call.task, served.id, other.id, call.simulated, 0, 0, 0, evidence)
        sums[place] = msgspec.structs.replace(
            old,
            requests=old.requests + 1,
            cost_nanousd=old.cost_nanousd + call.cost_nanousd,
            alternative_nanousd=old.alternative_nanousd + cost,
        )
    rows = [row for row in sums.values() if row.saving_nanousd > 0]
    return sorted(rows, key=lambda row: (not _proven(row), -row.saving_nanousd, row.task, row.model))


def premium_ids(catalog: Catalog) -> list[str]:
    """Return the ids of the premium deployments: `needless` looks at no others."""
    return [d.id for d in _everything(catalog).values() if d.tier == "premium"]


def needless_body(rows: Sequence[Needless], *, bounded: int | None) -> JsonObject:
    """Return the rows as they are shown. `bounded`: only so many requests, the newest, were looked at."""
    return {
        "object": "list",
        "note": SOME_PROVEN if any(_proven(row) for row in rows) else NOTHING_PROVEN,
        "examined_newest": bounded,
        "data": [_fields(row) for row in rows],
    }


class Premium:
    """Answers which premium answers of an account cheaper models could have given."""

    def __init__(self, audit: AuditRows, catalog: Catalog, proofs: Proofs) -> None:
        self._audit = audit
        self._catalog = catalog
        self._proofs = proofs

    async def body(self, query: AuditQuery) -> JsonObject:
        """Return the rows of a range as they are shown; of a long one only the newest requests are looked at."""
        calls, more = await self._audit.unforced_calls(query, premium_ids(self._catalog))
        rows = await asyncio.to_thread(needless, calls, self._catalog, self._proofs, query.account_id)
        return needless_body(rows, bounded=EXAMINED_ROWS if more else None)


class _Chooser:
    """Finds the other model: the same for all calls of one model and task with the same candidates."""

    def __init__(self, catalog: Catalog, proofs: Proofs, account_id: str) -> None:
        self._servable: Mapping[str, Deployment] = {d.id: d for d in catalog.servable}
        self._proofs = proofs
        self._account_id = account_id
        self._chosen: dict[tuple[str, str, str], tuple[Deployment, Evidence | None] | None] = {}

    def choose(self, call: PremiumCall) -> tuple[Deployment, Evidence | None] | None:
        """Return the cheapest model proven at the task, else the cheapest capable one; None where there is no other."""
        place = (call.task, call.deployment, call.candidates)
        if place not in self._chosen:
            self._chosen[place] = self._search(call)
        return self._chosen[place]

    def _search(self, call: PremiumCall) -> tuple[Deployment, Evidence | None] | None:
        named = [self._servable[name] for name in _CANDIDATES.decode(call.candidates) if name in self._servable]
        others = [(blended_picousd(d.price), d.id, d) for d in named if d.price is not None and d.id != call.deployment]
        found = [
            (d, self._proofs.evidence(self._account_id, d.id, call.task))
            for _, _, d in sorted(others, key=lambda o: o[:2])
        ]
        proven = [pair for pair in found if pair[1] is not None and pair[1].proven]
        return next(iter(proven or found), None)


def _everything(catalog: Catalog) -> dict[str, Deployment]:
    return {d.id: d for d in (*catalog.known, *catalog.by_name_only, *catalog.servable)}


def _proven(row: Needless) -> bool:
    return row.evidence is not None and row.evidence.proven


def _rule(row: Needless) -> str | None:
    """Return the routing rule that sends such requests there, None for a task that rules do not know.

    A rule that names a model passes over the escalation of hard prompts and risky advice, so it must leave those out.
    """
    if row.task not in TASKS:
        return None
    when = When(task=(row.task,), complexity=Span(None, SIMPLE_COMPLEXITY), risk=("none",))
    then = Then(model=row.alternative, fallback=(row.model,))
    return write_rules([Rule(f"{row.task} to {row.alternative}", 1, when, then)])


def _fields(row: Needless) -> JsonObject:
    known = row.evidence
    return {
        "task": row.task,
        "model": row.model,
        "alternative": row.alternative,
        "simulated": row.simulated,
        "requests": row.requests,
        **money("cost", row.cost_nanousd),
        **money("alternative", row.alternative_nanousd),
        **money("saving", row.saving_nanousd),
        "proven": _proven(row),
        "rule": _rule(row) if _proven(row) else None,
        "evidence": None if known is None else {"n": known.n, "interval": [known.low, known.high]},
    }
