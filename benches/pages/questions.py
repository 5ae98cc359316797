"""What is asked: for every GET route of the API the questions that pages, tables and people ask of it."""

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple
from urllib.parse import urlencode

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
USER: Final = "ana.acorn@example.com"
"""The busiest user of a store that `benches.million` made."""
GROUPS: Final = ("day", "user", "feature", "team", "model", "key", "endpoint")


Asker = Literal["owner", "operator", "person"]
"""Who asks: with the key of the account's owner or of an operator, or somebody who is signed in at the dashboard."""


class Question(NamedTuple):
    """One address to ask for."""

    route: str
    path: str
    asker: Asker = "owner"


class Known(NamedTuple):
    """What a store has, to be put into addresses: ids, and a cursor in the middle of its requests."""

    account: str
    request: str
    session: str
    audit: str
    budget: str
    cursor: str
    operator_account: str


def questions(known: Known) -> dict[str, list[Question]]:
    """Return the questions by route."""
    plain: Mapping[str, Iterable[str]] = {
        "/v1/usage": _usage(known),
        "/v1/usage/premium-not-needed": _ranges("/v1/usage/premium-not-needed", 1, 30, 90),
        "/v1/credits": ("/v1/credits", "/v1/credits?limit=200", "/v1/credits?before=400000&limit=200"),
        "/v1/audit": _audit(known),
        "/v1/audit/{request_id}": (f"/v1/audit/{known.request}", f"/v1/audit/{known.request}?bodies=true"),
        "/v1/budgets": ("/v1/budgets",),
        "/v1/budgets/{id}": (f"/v1/budgets/{known.budget}",),
        "/v1/cache": ("/v1/cache",),
        "/v1/models": ("/v1/models",),
        "/v1/models/{id}": ("/v1/models/gpt-4o",),
        "/v1/routing/rules": ("/v1/routing/rules",),
        "/v1/routing/settings": ("/v1/routing/settings",),
        "/v1/routing/matrix": ("/v1/routing/matrix",),
        "/v1/shadow": ("/v1/shadow",),
        "/v1/shadow/audits": _shadow(known),
        "/v1/shadow/audits/{id}": (f"/v1/shadow/audits/{known.audit}",),
        "/metrics": ("/metrics",),
        "/healthz": ("/healthz",),
        "/readyz": ("/readyz",),
        "/openapi.json": ("/openapi.json",),
        "/docs": ("/docs",),
    }
    account = known.operator_account
    admin: Mapping[str, Iterable[str]] = {
        "/v1/admin/accounts": ("/v1/admin/accounts",),
        "/v1/admin/accounts/{id}": (f"/v1/admin/accounts/{account}",),
        "/v1/admin/accounts/{id}/keys": (f"/v1/admin/accounts/{account}/keys",),
        "/v1/admin/plans": ("/v1/admin/plans",),
        "/v1/admin/trail": ("/v1/admin/trail", "/v1/admin/trail?limit=200"),
    }
    asked = {route: [Question(route, path) for path in paths] for route, paths in plain.items()}
    return asked | {route: [Question(route, path, "operator") for path in paths] for route, paths in admin.items()}


def _usage(known: Known) -> list[str]:
    """Every group and period of the pages, each filter, two filters, several groups, hours."""
    asked = [_of("/v1/usage", days, group_by=group) for days in (1, 7, 30, 90) for group in ("", *GROUPS)]
    for days in (30, 90):
        filters = ({"user": USER}, {"feature": "support-chat"}, {"model": "gpt-4o"}, {"team": "support"},
                   {"endpoint": "/v1/dispatch"})  # fmt: skip
        asked += [_of("/v1/usage", days, group_by=group, **told) for told in filters for group in ("", "day", "model")]
        asked.append(_of("/v1/usage", days, group_by="day,model"))
        asked.append(_of("/v1/usage", days, group_by="feature", user=USER, model="gpt-4o"))
        asked.append(_of("/v1/usage", days, group_by="user", feature="support-chat"))
        asked.append(_of("/v1/usage", days, group_by="model", feature="support-chat", team="support"))
        asked += [_of("/v1/usage", days, group_by="user", sort=sort) for sort in ("cost", "saved", "requests")]
        asked.append(_of("/v1/usage", days, group_by="user", sort="cost", limit="200", model="gpt-4o"))
    asked += [_hours(hours, group) for hours in (24, 72) for group in ("", "hour", "model", "user")]
    asked += [_of("/v1/usage", 7, group_by="hour"), _of("/v1/usage", 30, group_by="hour")]
    asked.append(f"/v1/usage?session={known.session}")
    return asked


def _audit(known: Known) -> list[str]:
    route = "/v1/audit"
    asked = [route, f"{route}?limit=200", f"{route}?cursor={known.cursor}", f"{route}?limit=200&cursor={known.cursor}"]
    for told in ({"user": USER}, {"user": "nobody"}, {"feature": "support-chat"}, {"model": "gpt-4o"},
                 {"status": "403"}, {"status": "503"}, {"session": known.session}, {"team": "support"},
                 {"user": USER, "feature": "support-chat"}):  # fmt: skip
        asked.append(f"{route}?{urlencode(told)}")
        asked.append(_of(route, 30, **told))
    return asked


def _shadow(known: Known) -> list[str]:
    route = "/v1/shadow/audits"
    asked = [route, f"{route}?limit=200", f"{route}?limit=200&verdict=lose", f"{route}?task=coding"]
    return [*asked, f"{route}?cursor={known.audit}", f"{route}?kind=cache"]


def _ranges(route: str, *days: int) -> list[str]:
    return [route, *(_of(route, count) for count in days)]


def _of(route: str, days: int, **told: str) -> str:
    """Ask for whole days up to and with today."""
    end_ms = _today_ms() + DAY_MS
    return f"{route}?{urlencode({'from': _at(end_ms - days * DAY_MS), 'to': _at(end_ms), **_given(told)})}"


def _hours(hours: int, group: str) -> str:
    end_ms = time.time_ns() // 1_000_000 // HOUR_MS * HOUR_MS
    told = _given({"group_by": group})
    return f"/v1/usage?{urlencode({'from': _at(end_ms - hours * HOUR_MS), 'to': _at(end_ms), **told})}"


def _given(told: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in told.items() if value}


def _today_ms() -> int:
    return time.time_ns() // 1_000_000 // DAY_MS * DAY_MS


def _at(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
