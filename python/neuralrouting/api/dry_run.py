"""`POST /v1/routing/rules/dry-run`: rules tried on the requests of the past, and what they would have cost."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api import filters
from neuralrouting.api.access import AccountBook, account_of
from neuralrouting.api.answers import json_response
from neuralrouting.api.bodies import DryRunBody, body_of
from neuralrouting.api.figures import moment, money
from neuralrouting.api.rehearsal import UNJUDGED, Change, Rehearsal, RuleTally
from neuralrouting.api.routing import checked_rules, missing_from
from neuralrouting.catalog import Catalog
from neuralrouting.clock import unix_ms
from neuralrouting.errors import Unavailable
from neuralrouting.exchange import Caller, JsonObject
from neuralrouting.rules import RuleSet
from neuralrouting.storage.audit import AuditQuery
from neuralrouting.storage.past import PastRows
from neuralrouting.storage.usage import DAY_MS

WEEK_MS: Final = 7 * DAY_MS
AT_ONCE: Final = 2
"""Dry runs of one worker at one time: each reads thousands of rows and keeps a thread busy."""
_NANO: Final = 1_000_000_000


class DryRun:
    """Answers what rules would have changed."""

    def __init__(self, rows: PastRows, accounts: AccountBook, catalog: Catalog) -> None:
        self._rows = rows
        self._accounts = accounts
        self._catalog = catalog
        self._missing = missing_from(catalog)
        self._running = 0

    async def run(self, request: Request, caller: Caller) -> Response:
        """Try rules on the requests of a range, of the last seven days unless told."""
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, ("account",))
        account_id = await account_of(caller, told.get("account"), self._accounts)
        body = await body_of(request, DryRunBody)
        return json_response(await self.tried(account_id, body.rules, {"from": body.from_, "to": body.to}))

    async def tried(self, account_id: str, text: str, ends: dict[str, str | int | None]) -> JsonObject:
        """Return what rules would have changed of an account's requests; `ends` are `from` and `to` of the range.

        Raises InvalidField for rules with a mistake, Unavailable while others are tried.
        """
        rules = await checked_rules(text, self._missing)
        query = past_query(account_id, ends, unix_ms())
        if self._running >= AT_ONCE:
            raise Unavailable("other dry runs are under way; try again", retry_after_s=5)
        self._running += 1
        try:
            return await rehearse(rules, self._rows, query, self._catalog)
        finally:
            self._running -= 1


def past_query(account_id: str, told: dict[str, str | int | None], at_ms: int) -> AuditQuery:
    """Read a range as `/v1/usage` does; the last seven days where neither end is told. Raises InvalidField."""
    ends = {name: str(value) for name, value in told.items() if value is not None}
    if not ends:
        return AuditQuery(account_id, at_ms - WEEK_MS, at_ms)
    ends = {"to": str(at_ms), **ends}
    return AuditQuery(account_id, *filters.time_range(ends, at_ms))


async def rehearse(rules: RuleSet, rows: PastRows, query: AuditQuery, catalog: Catalog) -> JsonObject:
    """Try rules on the newest requests of a range and return what came of it."""
    trial = Rehearsal(rules, catalog)
    async for page in rows.pages(query, bodies=rules.needs_text):
        await asyncio.to_thread(trial.add, page)
    return _told(trial, query, bounded=trial.examined if await rows.more(query) else None)


def _told(trial: Rehearsal, query: AuditQuery, bounded: int | None) -> JsonObject:
    tallies = list(trial.tallies.values())
    delta = sum(tally.delta_nanousd for tally in tallies)
    simulated = sum(tally.simulated_delta_nanousd for tally in tallies)
    return {
        "object": "routing.dry_run",
        "account": query.account_id,
        "from": moment(query.from_ms),
        "to": moment(query.to_ms),
        "summary": summary(trial, delta, simulated, is_week=query.to_ms - query.from_ms == WEEK_MS),
        "examined": trial.examined,
        "examined_newest": bounded,
        "judged": trial.judged,
        "not_judged": {name: {"requests": n, "why": UNJUDGED[name]} for name, n in sorted(trial.unjudged.items())},
        "changed": trial.changed,
        "unpriced": sum(tally.unpriced for tally in tallies),
        **money("cost_delta", delta),
        **money("simulated_cost_delta", simulated),
        **money("changed_cost", sum(tally.cost_nanousd for tally in tallies)),
        **money("simulated_changed_cost", sum(tally.simulated_cost_nanousd for tally in tallies)),
        "by_rule": [_tally(tally) for tally in tallies],
        "examples": [_change(change) for change in trial.examples],
    }


def summary(trial: Rehearsal, delta_nanousd: int, simulated_nanousd: int, *, is_week: bool) -> str:
    """Say in one sentence what rules would have changed; real and simulated money apart."""
    who = "this rule" if len(trial.tallies) == 1 else "these rules"
    which = f"last week's {trial.judged:,} requests" if is_week else f"{trial.judged:,} requests"
    amounts = [signed_usd(delta_nanousd)] if delta_nanousd or not simulated_nanousd else []
    if simulated_nanousd:
        amounts.append(f"{signed_usd(simulated_nanousd)} simulated")
    rest = trial.unjudged.total()
    more = f"; {rest:,} more cannot be judged" if rest else ""
    return f"{who} would have changed {trial.changed:,} of {which}, {', '.join(amounts)}{more}"


def signed_usd(nanousd: int) -> str:
    """Write a difference of money for people: `-$31.20`, `+$0.000012`; cents where it has some, else all digits."""
    sign = "-" if nanousd < 0 else "+" if nanousd > 0 else ""
    whole, rest = divmod(abs(nanousd), _NANO)
    if abs(nanousd) >= _NANO // 100 or nanousd == 0:
        cents = (abs(nanousd) + _NANO // 200) // (_NANO // 100)
        return f"{sign}${cents // 100:,}.{cents % 100:02}"
    return f"{sign}${whole}.{rest:09}".rstrip("0")


def _tally(tally: RuleTally) -> JsonObject:
    return {
        "name": tally.name,
        "line": tally.line,
        "matched": tally.matched,
        "changed": tally.changed,
        "unpriced": tally.unpriced,
        **money("cost_delta", tally.delta_nanousd),
        **money("simulated_cost_delta", tally.simulated_delta_nanousd),
        **money("changed_cost", tally.cost_nanousd),
        **money("simulated_changed_cost", tally.simulated_cost_nanousd),
    }


def _change(change: Change) -> JsonObject:
    return {
        "request_id": change.request_id,
        "served": change.served,
        "would_be": change.model,
        "blocked": change.model is None,
        "simulated": change.simulated,
        **money("cost_delta", change.delta_nanousd),
    }
