"""`/v1/routing`: the rules and settings by which an account has its requests routed."""

import asyncio
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.accounts.allowance import Allowance
from neuralrouting.api import filters
from neuralrouting.api.access import AccountBook, account_of
from neuralrouting.api.answers import json_response
from neuralrouting.api.bodies import RoutingRulesBody, RoutingSettingsBody, body_of
from neuralrouting.api.changelog import changed
from neuralrouting.catalog import VIRTUAL_MODELS, Catalog
from neuralrouting.clock import unix_ms
from neuralrouting.errors import InvalidField, MalformedBody, NotFound
from neuralrouting.exchange import Caller, JsonObject
from neuralrouting.rules import RuleSet, RulesRejected, read_rules, write_line
from neuralrouting.storage.routing_settings import RoutingSettings, RoutingSettingsRows
from neuralrouting.storage.trail import actor_of

_AS_TEXT: Final = ("text/yaml", "text/x-yaml", "text/plain", "application/yaml", "application/x-yaml")
"""Content types of a body that is the rules themselves, not JSON about them."""


class Routing:
    """Shows and changes rules and settings. Every gateway obeys within two seconds."""

    def __init__(
        self, rows: RoutingSettingsRows, accounts: AccountBook, catalog: Catalog, allowance: Allowance
    ) -> None:
        self._rows = rows
        self._accounts = accounts
        self._missing = missing_from(catalog)
        self._allowance = allowance

    async def rules(self, request: Request, caller: Caller) -> Response:
        """Show the rules as they were written, and how they were understood."""
        return json_response(await self.rules_of(await self._account(request, caller)))

    async def put_rules(self, request: Request, caller: Caller) -> Response:
        """Put rules in the place of those there are; rules with a mistake change nothing."""
        account_id = await self._account(request, caller)
        return json_response(await self.change_rules(caller, account_id, await rules_text(request)))

    async def settings(self, request: Request, caller: Caller) -> Response:
        """Show mode, cascade and whether answers may be audited."""
        return json_response(await self.settings_of(await self._account(request, caller)))

    async def put_settings(self, request: Request, caller: Caller) -> Response:
        """Replace all three settings; a mode that the account's plan does not have is refused."""
        account_id, told = await self._account(request, caller), await body_of(request, RoutingSettingsBody)
        return json_response(await self.change_settings(caller, account_id, told))

    async def rules_of(self, account_id: str) -> JsonObject:
        """Return the rules of an account as they are shown."""
        return await _rules_body(account_id, await self._rows.find(account_id))

    async def settings_of(self, account_id: str) -> JsonObject:
        """Return the settings of an account as they are shown."""
        return _settings_body(account_id, await self._rows.find(account_id))

    async def check(self, account_id: str, text: str) -> RuleSet:
        """Read rules that an account wants. Raises InvalidField with the line, PlanRequired for a mode it has not."""
        rules = await checked_rules(text, self._missing)
        await self._allowance.check_rules(account_id, rules)
        return rules

    async def change_rules(self, caller: Caller, account_id: str, text: str) -> JsonObject:
        """Replace the rules of an account; return them as they are shown. Raises as `check`."""
        rules = await self.check(account_id, text)
        stored = await self._change(caller, account_id, lambda had: replace(had, rules=text))
        changed(caller, "routing.rules", account=account_id, rules=len(rules.rules))
        return await _rules_body(account_id, stored)

    async def add_rule(self, caller: Caller, account_id: str, rule: str) -> JsonObject:
        """Add a rule behind those of an account, whose text stays as its owner wrote it. Raises as `check`."""
        had = (await self._rows.find(account_id)).rules
        text = f"{had.rstrip()}\n\n{rule}" if had.strip() else rule
        rules = await self.check(account_id, text)

        def behind(found: RoutingSettings) -> RoutingSettings:
            if found.rules != had:
                raise InvalidField("the rules were changed a moment ago: look at them, then add it again", param="rule")
            return replace(found, rules=text)

        stored = await self._change(caller, account_id, behind)
        changed(caller, "routing.rules", account=account_id, rules=len(rules.rules))
        return await _rules_body(account_id, stored)

    async def change_settings(self, caller: Caller, account_id: str, told: RoutingSettingsBody) -> JsonObject:
        """Replace the settings of an account; return them as they are shown. Raises PlanRequired."""
        await self._allowance.check_mode(account_id, told.mode)
        stored = await self._change(
            caller,
            account_id,
            lambda had: replace(had, routing_mode=told.mode, cascade=told.cascade, shadow=told.shadow),
        )
        changed(
            caller, "routing.settings", account=account_id, mode=told.mode, cascade=told.cascade, shadow=told.shadow
        )
        return _settings_body(account_id, stored)

    async def _account(self, request: Request, caller: Caller) -> str:
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, ("account",))
        return await account_of(caller, told.get("account"), self._accounts)

    async def _change(
        self, caller: Caller, account_id: str, edit: Callable[[RoutingSettings], RoutingSettings]
    ) -> RoutingSettings:
        stored = await self._rows.change(account_id, edit, unix_ms(), actor=actor_of(caller.key_id))
        if stored is None:
            raise NotFound(f"no account {account_id!r}")
        return stored


def missing_from(catalog: Catalog) -> Callable[[str], str | None]:
    """Return what says why no model is reached by a name, None where one is, by a live key or a test key."""

    def missing(name: str) -> str | None:
        if name in VIRTUAL_MODELS:
            return f"{name!r} is no model: leave it out, and the mode chooses"
        reached = catalog.named(name) or catalog.named(name, live=False)
        return None if reached else catalog.missing(name)

    return missing


async def checked_rules(text: str, missing: Callable[[str], str | None]) -> RuleSet:
    """Read rules off the event loop. Raises InvalidField with the code `invalid_rules` and the line as `param`."""
    try:
        return await asyncio.to_thread(read_rules, text, missing)
    except RulesRejected as error:
        raise InvalidField(str(error), code="invalid_rules", param=f"line {error.line}") from None


async def rules_text(request: Request) -> str:
    """Return the rules in a body: itself where it is sent as YAML, else its field `rules`. Raises RequestError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _AS_TEXT:
        return (await body_of(request, RoutingRulesBody)).rules
    try:
        return (await request.body()).decode()
    except UnicodeDecodeError as error:
        raise MalformedBody(f"the rules are not UTF-8: {error}") from None


async def _rules_body(account_id: str, stored: RoutingSettings) -> JsonObject:
    try:
        rules = await asyncio.to_thread(read_rules, stored.rules)
        wrong = None
    except RulesRejected as error:  # by a version with other fields
        rules, wrong = RuleSet.EMPTY, str(error)
    told = [
        {"name": rule.name, "line": rule.line, "when": write_line(rule.when), "then": write_line(rule.then)}
        for rule in rules.rules
    ]
    return {"object": "routing.rules", "account": account_id, "rules": stored.rules, "data": told, "unreadable": wrong}


def _settings_body(account_id: str, stored: RoutingSettings) -> JsonObject:
    return {
        "object": "routing.settings",
        "account": account_id,
        "mode": stored.routing_mode,
        "cascade": stored.cascade,
        "shadow": stored.shadow,
    }
