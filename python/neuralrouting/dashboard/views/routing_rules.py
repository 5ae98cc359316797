"""The editor of rules: what is typed is checked, tried on past requests, saved, and lost in none of these."""

from typing import Final

from neuralrouting.api.dry_run import DryRun
from neuralrouting.api.figures import money
from neuralrouting.api.routing import Routing
from neuralrouting.catalog import Catalog
from neuralrouting.clock import unix_ms
from neuralrouting.config import RoutingConfig
from neuralrouting.dashboard.page import Column, Form, Page, Shown, again
from neuralrouting.dashboard.viewer import Viewer
from neuralrouting.errors import InvalidField, NeuralRoutingError
from neuralrouting.exchange import JsonObject
from neuralrouting.rules import Rule, Then, When, write_rules
from neuralrouting.rules.values import MODES, TASKS, TIERS, Span
from neuralrouting.storage.usage import DAY_MS

TABS: Final = {"rules": "Rules and settings", "matrix": "What is proven", "audits": "Shadow audits", "models": "Models"}
"""The parts of the page of routing, of which this is the first."""
RULES: Final = (
    Column("priority", "Order"),
    Column("name", "Name"),
    Column("when", "When", "code"),
    Column("then", "Then", "code"),
    Column("line", "Line", "count"),
)
DAYS: Final = {"1": "24 hours", "7": "7 days", "30": "30 days"}
"""How far back a dry run looks, by what the form says."""
_ACTIONS: Final = ("add", "try", "save")
_AROUND: Final = 2
"""Lines shown before and after one with a mistake."""
_NEW: Final = ("name", "task", "low", "high", "feature", "user", "team", "mode", "tier", "model", "block")


class RulesEditor:
    """Checks, tries and saves the rules of accounts."""

    def __init__(self, routing: Routing, dry_run: DryRun, catalog: Catalog, config: RoutingConfig) -> None:
        self._routing = routing
        self._dry_run = dry_run
        self._models = sorted({d.id for d in (*catalog.servable, *catalog.by_name_only)})
        self._defaults: JsonObject = {"mode": config.default_mode, "cascade": config.cascade}

    async def body(self, account_id: str, *, text: str | None = None, draft: JsonObject | None = None) -> JsonObject:
        """Return settings, rules, and the editor with `text`, the saved rules where that is None."""
        rules = await self._routing.rules_of(account_id)
        saved: str = rules["rules"]
        rows = [{"priority": place, **row} for place, row in enumerate(rules["data"], 1)]
        return {
            "settings": await self._routing.settings_of(account_id) | {"defaults": self._defaults},
            "rules": {"data": rows, "unreadable": rules["unreadable"]},
            "editor": {
                "text": saved if text is None else text,
                "saved": text is None or text == saved,
                "problem": None,
                "note": None,
                "trial": None,
                "days": "7",
            },
            "draft": dict.fromkeys(_NEW) | (draft or {}),
            "choices": {"tasks": TASKS, "modes": MODES, "tiers": TIERS, "models": self._models, "days": DAYS},
        }

    async def do(self, page: Page, viewer: Viewer, form: Form) -> Shown | str:
        """Add a rule to the text, try it, or save it. A mistake is shown beside what was typed, which stays."""
        action = form.get("do", "save")
        if action not in _ACTIONS:
            raise InvalidField(f"`do` must be one of {', '.join(_ACTIONS)}", param="do")
        account_id = viewer.account_id
        text = form.get("rules", "").replace("\r\n", "\n")
        if "editor" not in form:  # another page hands a rule in, which goes behind those there are
            text = (await self._routing.rules_of(account_id))["rules"]
        outcome: JsonObject = {}
        status = 200
        draft: JsonObject = {}
        try:
            if action == "add":
                draft = {name: form[name] for name in _NEW if name in form}
                text = appended(text, form["yaml"].replace("\r\n", "\n") if "yaml" in form else new_rule(form))
                await self._routing.check(account_id, text)
                outcome, draft = {"note": "The rule stands at the end of the text. Nothing is saved yet."}, {}
            elif action == "try":
                outcome = await self._tried(account_id, text, form.get("days", "7"))
            else:
                await self._routing.change_rules(viewer.caller, account_id, text)
                return page.address
        except NeuralRoutingError as error:
            outcome, status = {"problem": problem(error, text)}, error.status
        body: JsonObject = {"object": "page.routing", "tab": "rules", "tabs": TABS}
        body |= await self.body(account_id, text=text, draft=draft)
        body["editor"] |= outcome
        return again(page, viewer, body, unix_ms(), status)

    async def _tried(self, account_id: str, text: str, days: str) -> JsonObject:
        if days not in DAYS:
            raise InvalidField(f"`days` must be one of {', '.join(DAYS)}", param="days")
        now_ms = unix_ms()
        ends: dict[str, str | int | None] = {} if days == "7" else {"from": now_ms - int(days) * DAY_MS, "to": now_ms}
        await self._routing.check(account_id, text)
        found = await self._dry_run.tried(account_id, text, ends)
        by_rule = [_before_and_after(row) for row in found["by_rule"]]
        return {"trial": _before_and_after(found) | {"by_rule": by_rule}, "days": days}


def new_rule(form: Form) -> str:
    """Write the rule of the form as YAML. Raises InvalidField where it has no name, says nothing, or has a bad number.

    Whether it makes sense is for the reader of rules to say, as of any text.
    """
    if "name" not in form:
        raise InvalidField("give the new rule a name", param="name")
    low, high = _number(form, "low"), _number(form, "high")
    when = When(
        task=_one(form, "task"),
        complexity=None if low is None and high is None else Span(low, high),
        feature=_one(form, "feature"),
        user=_one(form, "user"),
        team=_one(form, "team"),
    )
    told = {name: form[name] for name in ("mode", "tier", "model", "block") if name in form}
    then = Then(**told)  # pyright: ignore[reportArgumentType]  unknown words are told with their line afterwards
    if then == Then():
        raise InvalidField("say what the new rule orders: a mode, a tier, a model, or a reason to block", param="then")
    return write_rules([Rule(form["name"], 1, when, then)])


def appended(text: str, rule: str) -> str:
    """Put a rule behind others."""
    return rule if not text.strip() else f"{text.rstrip()}\n\n{rule}"


def problem(error: NeuralRoutingError, text: str) -> JsonObject:
    """Return what is wrong, with the lines around it where it is known in which line that is."""
    told = (error.param or "").removeprefix("line ")
    at = int(told) if error.param != told and told.isdigit() else None
    lines = text.splitlines() if at is not None else []
    shown = [
        {"line": number, "text": line, "here": number == at}
        for number, line in enumerate(lines, 1)
        if at is not None and abs(number - at) <= _AROUND
    ]
    return {"message": error.message, "line": at, "around": shown}


def _before_and_after(row: JsonObject) -> JsonObject:
    """Add what the changed requests would have cost to what they did cost; real and simulated money apart."""
    told = dict(row)
    for kind in ("", "simulated_"):
        after = row[f"{kind}changed_cost_nanousd"] + row[f"{kind}cost_delta_nanousd"]
        told |= money(f"{kind}changed_cost_after", after)
    return told


def _one(form: Form, name: str) -> tuple[str, ...]:
    return (form[name],) if name in form else ()


def _number(form: Form, name: str) -> float | None:
    try:
        return float(form[name]) if name in form else None
    except ValueError:
        raise InvalidField(f"`{name}` must be a number from 0 to 10", param=name) from None
