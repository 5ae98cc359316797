"""The part of the OpenAPI document about figures and administration; `x-access` is the role that a key must have."""

from typing import get_args

import msgspec

from neuralrouting.api import bodies, filters
from neuralrouting.exchange import Decision, JsonObject, Role
from neuralrouting.storage.usage import GROUPS, Measure

_TYPES = (
    bodies.NewAccount,
    bodies.AccountChange,
    bodies.CreditChange,
    bodies.NewKey,
    bodies.KeyChange,
    bodies.PlanBody,
    bodies.BudgetBody,
    bodies.JudgementBody,
    bodies.FeedbackBody,
    bodies.VerdictBody,
    bodies.RoutingRulesBody,
    bodies.RoutingSettingsBody,
    bodies.DryRunBody,
    Decision,
)
_TOLD: dict[str, str] = {
    "account": "whose; an operator may name any, others their own only",
    "from": "first moment: date, time (UTC) or Unix ms",
    "to": "moment before which it ends",
    "user": "only this end user's; empty: those without one. The filters below likewise",
    "feature": "only this feature's",
    "team": "only this team's",
    "model": "a deployment's id (`openai/gpt-4o`) or a model's name",
    "key": "id of a key",
    "endpoint": "such as `/v1/chat/completions`",
    "session": "one session",
    "status": "HTTP status of the answer",
    "group_by": f"by comma: {', '.join(GROUPS)}",
    "sort": f"the biggest first, by one of {', '.join(get_args(Measure))}; the others are counted in `left`",
    "format": "`json` or `csv`",
    "limit": f"rows on a page, up to {filters.MAX_PAGE}; {filters.FIRST_PAGE} unless told",
    "before": "entries with a lower `seq`: the `next` of another page",
    "cursor": "the `next` of another page",
    "bodies": "`true`: with the stored bodies, for owners",
    "common": "`true`: what belongs to no account, such as plans; for operators",
    "all": "`true`: every stored answer of the account",
    "entry": "one stored answer, as `x-nr-cache` names it",
    "scope": "the stored answers of one scope",
    "task": "only this kind of task's",
    "candidate": "a deployment's id: only audits in which it was the candidate",
    "verdict": "`win`, `tie`, `lose`, or `none`: not judged",
    "kind": "`answer` or `cache`",
    "pattern": "stored answers whose text has this in it, in capitals or not",
}
_NUMBERS = ("status", "limit", "before")
_ATTRIBUTED = ("account", *filters.RANGE, *filters.ATTRIBUTION, "session")


def schemas() -> JsonObject:
    """Return the schemas of bodies and decisions, made from their types."""
    return msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")[1]


def paths() -> JsonObject:
    """Return the paths."""
    return {**_figures(), **_budgets(), **_cache(), **_routing(), **_learning(), **_shadow(), **_accounts(), **_rest()}


def _figures() -> JsonObject:
    return {
        "/v1/usage": {
            "get": _does("member", "Figures: requests, tokens, credits, cost, savings",
                         "Sums by what they are grouped by; real and simulated apart. JSON or CSV.",
                         told=(*_ATTRIBUTED, "group_by", "sort", "limit", "format"))
        },
        "/v1/usage/premium-not-needed": {
            "get": _does("member", "Premium answers that a cheaper model could have given",
                         "What the same tokens would have cost there, and whether it is proven to do as well.",
                         told=("account", *filters.RANGE))
        },
        "/v1/credits": {
            "get": _does("member", "Plan, credits and ledger", "The newest entries first.",
                         told=("account", "before", "limit"))
        },
        "/v1/audit": {
            "get": _does("member", "List requests",
                         "Newest first, without a word of their text. As CSV all of them, without a page's end.",
                         told=(*_ATTRIBUTED, "status", "cursor", "limit", "format"))
        },
        "/v1/audit/{request_id}": {
            "get": _does("member", "All about one request",
                         "What was decided and why, attempts, tokens, cost, credits and ledger rows.",
                         told=("account", "bodies"), named=("request_id",))
        },
    }  # fmt: skip


def _budgets() -> JsonObject:
    account = ("account",)
    return {
        "/v1/budgets": {
            "get": _does("member", "List budgets", "Each with what is spent of it now.", told=account),
            "post": _does("owner", "Set a budget", "What it counts stays.", "BudgetBody", told=account),
        },
        "/v1/budgets/{id}": {
            "get": _does("member", "Show a budget", "With what is spent of it now.", told=account, named=("id",)),
            "put": _does("owner", "Change a budget", "Name, limit, action and warning.", "BudgetBody",
                         told=account, named=("id",)),
            "delete": _does("owner", "Remove a budget", "What was spent stays counted.", told=account, named=("id",)),
        },
    }  # fmt: skip


def _cache() -> JsonObject:
    return {
        "/v1/cache": {
            "get": _does("member", "Stored answers", "How many there are, and which share of judged hits was wrong.",
                         told=("account",)),
            "delete": _does("owner", "Purge stored answers", "All that match; every worker forgets them within 2 s.",
                            told=("account", "all", "entry", "scope", "pattern")),
        },
        "/v1/cache/judgements": {
            "post": _does("owner", "Judge a hit", "An answer that was wrong is given no more.", "JudgementBody",
                          told=("account",))
        },
    }  # fmt: skip


def _learning() -> JsonObject:
    account = ("account",)
    return {
        "/v1/feedback": {
            "post": _does("member", "Say what an answer was like", "It moves the confidence matrix, gently.",
                          "FeedbackBody", told=account)
        },
        "/v1/routing/matrix": {
            "get": _does("member", "The confidence matrix", "What audits have shown of each model at each task.",
                         told=account)
        },
        "/v1/routing/matrix/rebuild": {
            "post": _does("owner", "Build the confidence matrix now", "Every worker serves by it within two seconds.",
                          told=account)
        },
    }  # fmt: skip


def _shadow() -> JsonObject:
    one, account = ("id",), ("account",)
    return {
        "/v1/shadow": {
            "get": _does("member", "Shadow audits in figures",
                         "How many, with which verdicts, what they cost today, and how far the judge is trusted.",
                         told=account)
        },
        "/v1/shadow/audits": {
            "get": _does("member", "List shadow audits", "Newest first, without a word of prompts or answers.",
                         told=(*account, "kind", "task", "candidate", "verdict", "cursor", "limit"))
        },
        "/v1/shadow/audits/{id}": {
            "get": _does("member", "Show a shadow audit", "What was compared, and how it was judged.",
                         told=account, named=one)
        },
        "/v1/shadow/audits/{id}/verdict": {
            "put": _does("owner", "Judge as a person", "Your verdict beside the judge's.", "VerdictBody",
                         told=account, named=one)
        },
    }  # fmt: skip


def _routing() -> JsonObject:
    explain = _does("member", "What would become of a request",
                    "What every layer sees and decides, who could serve it and why each other model is not the first. "
                    "Takes the body and headers of a chat request; calls no model, costs nothing, keeps nothing.",
                    "ChatRequest")  # fmt: skip
    schema = {"$ref": "#/components/schemas/Decision"}
    explain["responses"]["2XX"]["content"] = {"application/json": {"schema": schema}}
    account = ("account",)
    return {
        "/v1/route/explain": {"post": explain},
        "/v1/routing/rules": {
            "get": _does("member", "Show routing rules", "As they were written.", told=account),
            "put": _does("owner", "Set routing rules", "YAML, or in JSON; a mistake is told with its line.",
                         "RoutingRulesBody", told=account),
        },
        "/v1/routing/rules/dry-run": {
            "post": _does("member", "Try routing rules", "On past requests: what would have changed, and its cost.",
                          "DryRunBody", told=account)
        },
        "/v1/routing/settings": {
            "get": _does("member", "Show routing settings", "Mode, cascade, audits.", told=account),
            "put": _does("owner", "Set routing settings", "All three.", "RoutingSettingsBody", told=account),
        },
    }  # fmt: skip


def _accounts() -> JsonObject:
    one = ("id",)
    return {
        "/v1/admin/accounts": {
            "get": _does("operator", "List accounts", "Oldest first."),
            "post": _does("operator", "Make an account", "409 where it is there.", "NewAccount"),
        },
        "/v1/admin/accounts/{id}": {
            "get": _does("operator", "Show an account", "With its balance.", named=one),
            "patch": _does("operator", "Change an account", "Its name, its plan or both.", "AccountChange", named=one),
        },
        "/v1/admin/accounts/{id}/credits": {
            "post": _does("operator", "Book credits", "Once for each kind and reference.", "CreditChange", named=one)
        },
        "/v1/admin/accounts/{id}/keys": {
            "get": _does("operator", "List an account's keys", "Revoked ones too.", named=one),
            "post": _does("operator", "Make a key", "It is shown in full this once.", "NewKey", named=one),
        },
    }


def _rest() -> JsonObject:
    one = ("id",)
    return {
        "/v1/admin/keys/{id}": {
            "patch": _does("operator", "Change a key", "Its role, team, shield and limits.", "KeyChange", named=one),
            "delete": _does("operator", "Revoke a key", "For good, within two seconds.", named=one),
        },
        "/v1/admin/plans": {"get": _does("operator", "List plans", "Cheapest first.")},
        "/v1/admin/plans/{id}": {
            "put": _does("operator", "Set a plan", "Makes it or replaces it.", "PlanBody", named=one),
            "delete": _does("operator", "Remove a plan", "409 while an account has it.", named=one),
        },
        "/v1/admin/ledger/verify": {
            "post": _does("operator", "Check the ledger", "Tells which row breaks which invariant.")
        },
        "/v1/admin/trail": {
            "get": _does("owner", "Who changed what", "Admin actions with before and after, newest first.",
                         told=("account", "common", "before", "limit"))
        },
        "/v1/admin/trail/verify": {
            "post": _does("operator", "Check the trail", "Tells which entry was changed, and where one is missing.")
        },
    }  # fmt: skip


def _does(
    access: Role,
    summary: str,
    description: str,
    asks: str | None = None,
    *,
    told: tuple[str, ...] = (),
    named: tuple[str, ...] = (),
) -> JsonObject:
    text: JsonObject = {"type": "string"}
    in_path = [{"name": name, "in": "path", "required": True, "schema": text} for name in named]
    failed = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    operation: JsonObject = {
        "summary": summary,
        "description": description,
        "x-access": access,
        "parameters": [*in_path, *(_parameter(name) for name in told)],
        "responses": {
            "2XX": {"description": "done", "content": {"application/json": {"schema": {"type": "object"}}}},
            "default": {"description": "refused; `error.param` names the field", "content": failed},
        },
    }
    if asks is not None:
        schema = {"$ref": f"#/components/schemas/{asks}"}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _parameter(name: str) -> JsonObject:
    kind = "integer" if name in _NUMBERS else "string"
    return {"name": name, "in": "query", "description": _TOLD[name], "schema": {"type": kind}}
