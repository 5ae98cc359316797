"""What people look at: every page of the dashboard and its JSON twin, with the filters and tabs that they have."""

import time
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlencode

from .questions import USER, Known, Question

FILTERS: Final = ({"user": USER}, {"feature": "support-chat"}, {"model": "gpt-4o"})
PERIODS: Final = ("24h", "90d", "month", "last-month")
"""Beside the one that is looked at when nothing is said, which is 30 days."""
FOUND_RARELY: Final = "provider_auth"
"""What nearly no request has: it is looked for in as many as one question may examine."""


def screens(known: Known) -> dict[str, list[Question]]:
    """Return the questions by route, those of the JSON twins under their own routes."""
    pages: Mapping[str, tuple[str, Iterable[dict[str, str]]]] = {
        "/": ("/control-center.json", _narrowed()),
        "/attribution": ("/attribution.json", _attribution()),
        "/requests": ("/requests.json", _requests(known)),
        "/security": ("/security.json", _security()),
        "/routing": ("/routing.json", _routing()),
        "/cache": ("/cache.json", _narrowed()),
        "/providers": ("/providers.json", _narrowed()),
        "/playground": ("/playground.json", [{}]),
        "/keys": ("/keys.json", [{}]),
        "/reports": ("/reports.json", [{}, *FILTERS]),
        "/settings": ("/settings.json", [{}]),
    }
    asked: dict[str, list[Question]] = {}
    for page, (twin, told) in pages.items():
        for route in (page, twin):
            asked[route] = [Question(route, _address(route, one), "person") for one in told]
    for route in ("/requests/{id}", "/requests/{id}.json"):
        asked[route] = [Question(route, route.replace("{id}", known.request), "person")]
    month = f"/reports/{time.strftime('%Y-%m', time.gmtime())}.json"
    asked["/reports/{month}.json"] = [Question("/reports/{month}.json", month, "person")]
    return asked


def _narrowed() -> list[dict[str, str]]:
    """Every period, and each filter over the usual one, the shortest and the longest."""
    apart = [{"period": period} | told for period in ("24h", "90d") for told in FILTERS]
    return [{}, *({"period": period} for period in PERIODS), *FILTERS, *apart]


def _attribution() -> list[dict[str, str]]:
    tabs = [{"by": by} for by in ("user", "feature", "team", "key", "model")]
    more = [{"search": "ana"}, {"search": "nobody at all"}, {"cursor": "1000"}, {"sort": "saved"}]
    long = [{"period": "90d"} | told for told in (*tabs, *more)]
    return [*_narrowed(), *tabs[1:], *more, *long[1:]]


def _requests(known: Known) -> list[dict[str, str]]:
    own = [
        {"open": known.request}, {"cursor": known.cursor}, {"limit": "200"}, {"status": "503"},
        {"q": USER}, {"q": "nobody at all"}, {"q": known.request}, {"q": known.request[:10]}, {"q": FOUND_RARELY},
        {"task": "coding"}, {"cache": "semantic"}, {"user": "nobody"}, {"session": known.session},
    ]  # fmt: skip
    return [*_narrowed(), *own, *({"period": "90d"} | told for told in own)]


def _security() -> list[dict[str, str]]:
    own = [{"action": "flag"}, {"category": "HIGH"}, {"rule": "no-such-rule"}, {"user": USER}, {"limit": "200"}]
    return [{}, *({"period": period} for period in PERIODS), *own, *({"period": "90d"} | told for told in own)]


def _routing() -> list[dict[str, str]]:
    audits = [{"verdict": "lose"}, {"task": "coding"}, {"candidate": "no-such-model"}, {"kind": "cache"},
              {"limit": "200"}]  # fmt: skip
    tabs = [{"tab": tab} for tab in ("rules", "matrix", "audits", "models")]
    return [*tabs, *({"tab": "audits"} | told for told in audits)]


def _address(route: str, told: Mapping[str, str]) -> str:
    return f"{route}?{urlencode(told)}" if told else route
