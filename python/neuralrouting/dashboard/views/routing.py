"""The page of routing: settings and rules, what audits have proven of which model, the audits, and the models."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import msgspec

from neuralrouting.api import filters
from neuralrouting.api.bodies import RoutingSettingsBody
from neuralrouting.api.confidence import ConfidenceMatrix
from neuralrouting.api.models import model_fields
from neuralrouting.api.routing import Routing
from neuralrouting.api.shadow import Shadow, shadow_filter
from neuralrouting.catalog import Catalog, Deployment
from neuralrouting.dashboard.page import Ask, Column, Deed, Form, Page, Shown, Table
from neuralrouting.dashboard.tables import csv_head, csv_rows
from neuralrouting.dashboard.viewer import Viewer
from neuralrouting.dashboard.views.routing_rules import RULES, TABS, RulesEditor
from neuralrouting.errors import InvalidField
from neuralrouting.exchange import JsonObject, Mode
from neuralrouting.providers.speeds import Speeds
from neuralrouting.rules.values import MODES, TASKS
from neuralrouting.storage.shadow_audits import Verdict

NEWEST: Final = 10_000
"""Audits that the figures above their list are made of."""
_OF_TABLE: Final = {"rules": "rules", "matrix": "matrix", "audits": "audits", "models": "models"}
_NARROWING: Final = ("kind", "task", "candidate", "verdict", "cursor", "limit")
_DRAFT: Final = ("new_task", "new_feature", "new_user", "new_model")
_NANOUSD_PER_MTOK: Final = 1_000
"""Pico-dollars for one token, times a million tokens, in nano-dollars."""
_CELLS = (
    Column("candidate", "Model"),
    Column("task", "Task"),
    Column("state", "State"),
    Column("n", "Audits", "count"),
    Column("mean", "Mean difference", "score"),
    Column("low", "From", "score"),
    Column("high", "To", "score"),
    Column("takes", "What it takes"),
)
_AUDITS = (
    Column("judged", "Judged", "time"),
    Column("task", "Task"),
    Column("candidate", "Candidate"),
    Column("verdict", "Verdict"),
    Column("method", "By"),
    Column("reason", "Reason"),
    Column("cost_nanousd", "Cost", "usd"),
)
_MODELS = (
    Column("model", "Model"),
    Column("tier", "Tier"),
    Column("provider", "Provider"),
    Column("input_nanousd_per_mtok", "Input, 1M tokens", "usd"),
    Column("output_nanousd_per_mtok", "Output, 1M tokens", "usd"),
    Column("context_tokens", "Context", "count"),
    Column("candidate", "Candidate", "yes"),
    Column("simulated", "Simulated", "yes"),
    Column("ttft_ms", "First token", "ms"),
    Column("tokens_per_s", "Tokens/s", "count"),
    Column("cooling", "Resting", "yes"),
)


class RoutingParts(msgspec.Struct, frozen=True):
    """What the page shows and does everything with: the same parts as the API."""

    routing: Routing
    matrix: ConfidenceMatrix
    shadow: Shadow
    catalog: Catalog
    speeds: Speeds


class RoutingPage:
    """Shows and changes how an account's requests are routed."""

    def __init__(self, parts: RoutingParts, editor: RulesEditor) -> None:
        self._parts = parts
        self._editor = editor

    def page(self) -> Page:
        """Return the page."""
        tables = {
            "rules": Table("Rules", RULES, lambda body: body["rules"]["data"]),
            "matrix": Table("Matrix", _CELLS, lambda body: body["matrix"]["cells"]),
            "audits": Table("Audits", _AUDITS, lambda body: body["audits"]["data"], self._every_audit),
            "models": Table("Models", _MODELS, lambda body: body["models"]),
        }
        parameters = ("tab", *_NARROWING, *_DRAFT)
        return Page("routing", "Routing", "see_requests", self.body, tables, parameters, filters=False)

    def deeds(self) -> list[Deed]:
        """Return what can be done here."""
        return [
            Deed("/routing/settings", "set_routing", self.set, "The settings are saved; gateways obey within seconds."),
            Deed("/routing/rebuild", "set_routing", self.rebuild, "The matrix was built from all audits there are."),
            Deed("/routing/verdict", "judge", self.judge, "Your word counts from the next time the matrix is built."),
            Deed("/routing", "set_routing", self.edit, "The rules are saved; gateways obey within seconds."),
        ]

    async def body(self, ask: Ask) -> JsonObject:
        """Return what one tab shows; a table's CSV is of the tab on which it is."""
        tab = _OF_TABLE.get(ask.told.get("table", ""), ask.told.get("tab", "rules"))
        if tab not in TABS:
            raise InvalidField(f"`tab` must be one of {', '.join(TABS)}", param="tab")
        account_id = ask.viewer.account_id
        body: JsonObject = {"object": "page.routing", "tab": tab, "tabs": TABS}
        if tab == "rules":
            return body | await self._editor.body(account_id, draft=_draft(ask.told))
        if tab == "matrix":
            return body | await self._matrix(account_id, ask.told)
        if tab == "audits":
            told = _narrowing(ask.told)
            listed = await self._parts.shadow.listed(account_id, told)
            figures = await self._parts.shadow.figures(account_id, NEWEST)
            return body | {
                "audits": listed,
                "shadow": figures,
                "newest": NEWEST,
                "tasks": TASKS,
                "narrowed": dict.fromkeys(_NARROWING) | told,
            }
        return body | {"models": self._models()}

    async def edit(self, viewer: Viewer, form: Form) -> Shown | str:
        """Do with the rules what a button of the editor says."""
        return await self._editor.do(self.page(), viewer, form)

    async def set(self, viewer: Viewer, form: Form) -> str:
        """Replace mode, cascade and shadow audits of the account."""
        told = RoutingSettingsBody(_mode(form.get("mode")), _flag(form, "cascade"), _flag(form, "shadow") is not False)
        await self._parts.routing.change_settings(viewer.caller, viewer.account_id, told)
        return "/routing"

    async def rebuild(self, viewer: Viewer, _form: Form) -> str:
        """Build the matrix now."""
        await self._parts.matrix.build(viewer.caller, viewer.account_id)
        return "/routing?tab=matrix"

    async def judge(self, viewer: Viewer, form: Form) -> None:
        """Take a person's verdict on an audit, or take it back."""
        verdicts: Mapping[str, Verdict | None] = {"win": "win", "tie": "tie", "lose": "lose", "none": None}
        said = form.get("verdict", "")
        if said not in verdicts:
            raise InvalidField(f"`verdict` must be one of {', '.join(verdicts)}", param="verdict")
        audit_id = form.get("audit", "")
        await self._parts.shadow.take_verdict(viewer.caller, viewer.account_id, audit_id, verdicts[said])

    async def _matrix(self, account_id: str, told: filters.Told) -> JsonObject:
        matrix = await self._parts.matrix.matrix_of(account_id)
        margin: float = matrix["settings"]["margin"]
        cells = [cell | {"takes": what_it_takes(cell, margin)} for cell in matrix["cells"]]
        grid = _grid(cells, [d.id for d in self._parts.catalog.candidates])
        wanted = (told.get("candidate"), told.get("task"))
        picked = next(
            (cell for row in grid for cell in row["cells"] if (cell["candidate"], cell["task"]) == wanted), None
        )
        return {"matrix": matrix | {"cells": cells}, "tasks": TASKS, "grid": grid, "picked": picked}

    def _models(self) -> list[JsonObject]:
        catalog, now_s = self._parts.catalog, time.monotonic()
        candidates = frozenset(d.id for d in catalog.candidates)
        reachable = sorted((*catalog.servable, *catalog.by_name_only), key=lambda d: (_dear(d), d.id))
        return [self._model(d, now_s, is_candidate=d.id in candidates) for d in reachable]

    def _model(self, deployment: Deployment, now_s: float, *, is_candidate: bool) -> JsonObject:
        price, speed = deployment.price, self._parts.speeds.of(deployment.id)
        told = model_fields(deployment)
        return {
            "model": deployment.id,
            **{name: told[name] for name in ("tier", "context_tokens", "simulated")},
            "provider": deployment.provider,
            "candidate": is_candidate,
            "input_nanousd_per_mtok": price.input_picousd * _NANOUSD_PER_MTOK if price is not None else None,
            "output_nanousd_per_mtok": price.output_picousd * _NANOUSD_PER_MTOK if price is not None else None,
            "price_version": price.version if price is not None else None,
            "ttft_ms": speed.ttft_us / 1000 if speed is not None and speed.ttft_us is not None else None,
            "tokens_per_s": round(1e6 / speed.token_us) if speed is not None and speed.token_us else None,
            "cooling": self._parts.speeds.cooling(deployment.id, now_s),
        }

    def _every_audit(self, ask: Ask) -> AsyncIterator[bytes]:
        told = _narrowing(ask.told)
        shadow_filter(told)  # what is wrong with it is told before the first line
        return self._audit_lines(ask.viewer.account_id, told | {"limit": str(filters.MAX_PAGE)})

    async def _audit_lines(self, account_id: str, told: dict[str, str]) -> AsyncIterator[bytes]:
        names: Sequence[str] = ()
        while True:
            page = await self._parts.shadow.listed(account_id, told)
            rows: list[JsonObject] = page["data"]
            if not names:
                names = list(rows[0]) if rows else [column.key for column in _AUDITS]
                yield csv_head(names)
            yield csv_rows(names, rows)
            if page["next"] is None:
                return
            told = told | {"cursor": page["next"]}


def what_it_takes(cell: JsonObject, margin: float) -> str:
    """Say what would prove a cell of the matrix, as far as its own audits tell."""
    needed: int | None = cell["needed"]
    if cell["state"] == "proven":
        return "proven: it serves where it is the cheapest"
    if needed is not None:
        return f"{needed:,} more audits, if the mean stays at {cell['mean']:+.3f}"
    if cell["n"] < 1:
        return "the first audits: they come by themselves"
    return f"a mean above {-margin:g}: more audits alone will not do"


def _grid(cells: Sequence[JsonObject], candidates: Sequence[str]) -> list[JsonObject]:
    """Arrange cells as rows of the map, one for each candidate, cheapest first; with empty ones where nothing is."""
    known = {(cell["candidate"], cell["task"]): cell for cell in cells}
    names = dict.fromkeys([*candidates, *(cell["candidate"] for cell in cells)])
    return [
        {"candidate": name, "cells": [known.get((name, task)) or _empty_cell(name, task) for task in TASKS]}
        for name in names
    ]


def _empty_cell(candidate: str, task: str) -> JsonObject:
    takes = "the first audits: they come by themselves"
    return {"candidate": candidate, "task": task, "state": "empty", "n": 0, "takes": takes}


def _dear(deployment: Deployment) -> int:
    return deployment.price.input_picousd + deployment.price.output_picousd if deployment.price is not None else 0


def _narrowing(told: filters.Told) -> dict[str, str]:
    return {name: told[name] for name in _NARROWING if name in told}


def _draft(told: filters.Told) -> JsonObject:
    """Return what an address puts into the form for a new rule; other pages lead here with it."""
    return {name.removeprefix("new_"): told[name] for name in _DRAFT if name in told}


def _mode(told: str | None) -> Mode | None:
    if told is None:
        return None
    known: Mapping[str, Mode] = {mode: mode for mode in MODES}
    if told not in known:
        raise InvalidField(f"`mode` must be one of {', '.join(MODES)}, or empty", param="mode")
    return known[told]


def _flag(form: Form, name: str) -> bool | None:
    told = form.get(name)
    if told not in (None, "yes", "no"):
        raise InvalidField(f"`{name}` must be yes, no or empty", param=name)
    return None if told is None else told == "yes"
