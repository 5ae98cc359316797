"""`/v1/shadow`: what shadow audits have found for an account, what they cost, and a person's word on them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, get_args

from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api import filters
from neuralrouting.api.access import AccountBook, account_of
from neuralrouting.api.answers import json_response
from neuralrouting.api.bodies import VerdictBody, body_of
from neuralrouting.api.changelog import changed
from neuralrouting.api.figures import moment, money
from neuralrouting.catalog import nanousd_of
from neuralrouting.clock import unix_ms
from neuralrouting.config import ShadowConfig
from neuralrouting.errors import InvalidField, NotFound
from neuralrouting.exchange import Caller, JsonObject
from neuralrouting.intervals import wilson
from neuralrouting.storage.shadow_audits import (
    Agreement,
    AuditKind,
    ShadowAudit,
    ShadowAudits,
    ShadowFilter,
    ShadowSums,
    Verdict,
)
from neuralrouting.storage.trail import actor_of

_PAGE = ("account", "kind", "task", "candidate", "verdict", "cursor", "limit")
_PLAIN = (
    "id", "request_id", "kind", "task", "served", "candidate", "reference", "candidate_version", "reference_version",
    "similarity", "propensity", "predicted", "verdict", "difference", "method", "judge", "reason", "simulated", "human",
)  # fmt: skip


class Shadow:
    """Answers questions about shadow audits. `counts` tells what this worker made of what it has drawn."""

    def __init__(
        self,
        audits: ShadowAudits,
        accounts: AccountBook,
        settings: ShadowConfig,
        counts: Callable[[str], Mapping[str, int]],
    ) -> None:
        self._audits = audits
        self._accounts = accounts
        self._settings = settings
        self._counts = counts

    async def show(self, request: Request, caller: Caller) -> Response:
        """Tell how audits ended, what they cost today, how far the judge agrees with people."""
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, ("account",))
        account_id = await account_of(caller, told.get("account"), self._accounts)
        figures = await self.figures(account_id)
        body: JsonObject = {"object": "shadow", "account": account_id, **figures}
        return json_response(body | {"worker": dict(self._counts(account_id))})

    async def page(self, request: Request, caller: Caller) -> Response:
        """List audits, newest first; `next` is the cursor of the page behind, null at the end."""
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, _PAGE)
        account_id = await account_of(caller, told.get("account"), self._accounts)
        return json_response(await self.listed(account_id, told))

    async def one(self, request: Request, caller: Caller) -> Response:
        """Tell all about one audit."""
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, ("account",))
        account_id = await account_of(caller, told.get("account"), self._accounts)
        return json_response(await self._found(account_id, request.path_params["id"]))

    async def judge(self, request: Request, caller: Caller) -> Response:
        """Take a person's verdict, or take it back."""
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, ("account",))
        account_id = await account_of(caller, told.get("account"), self._accounts)
        body = await body_of(request, VerdictBody)
        return json_response(await self.take_verdict(caller, account_id, request.path_params["id"], body.verdict))

    async def take_verdict(self, caller: Caller, account_id: str, audit_id: str, verdict: Verdict | None) -> JsonObject:
        """Set a person's verdict on an audit of this account, None takes it back; return the audit. Raises NotFound."""
        fields = await self._found(account_id, audit_id)
        await self._audits.judge_as_person(account_id, audit_id, verdict, unix_ms(), actor=actor_of(caller.key_id))
        changed(caller, "shadow.verdict", account=account_id, audit=audit_id, verdict=verdict)
        return fields | {"human": verdict}

    async def figures(self, account_id: str, newest: int | None = None) -> JsonObject:
        """Return how the audits of an account, or its newest, ended, and what they cost today."""
        return await shadow_figures(self._audits, account_id, self._settings, unix_ms(), newest)

    async def listed(self, account_id: str, told: filters.Told) -> JsonObject:
        """Return a page of an account's audits; `told` narrows it and tells its `limit` and `cursor`."""
        wanted, limit, behind = shadow_filter(told), filters.page_size(told), filters.text(told, "cursor")
        if behind is not None and await self._audits.find(account_id, behind) is None:
            raise InvalidField("`cursor` must be the `next` of another page", param="cursor")
        found = await self._audits.page(account_id, wanted, limit + 1, behind)
        after = found[limit - 1].id if len(found) > limit else None
        data = [audit_fields(audit) for audit in found[:limit]]
        return {"object": "list", "account": account_id, "data": data, "next": after}

    async def _found(self, account_id: str, audit_id: str) -> JsonObject:
        audit = await self._audits.find(account_id, audit_id) if "\0" not in audit_id else None
        if audit is None:
            raise NotFound(f"no shadow audit {audit_id[:64]!r}")
        return audit_fields(audit)


def shadow_filter(told: filters.Told) -> ShadowFilter:
    """Read which audits are wanted. Raises InvalidField."""
    verdict, kind = told.get("verdict"), told.get("kind")
    verdicts: dict[str, Verdict | Literal["none"]] = {name: name for name in (*get_args(Verdict), "none")}
    kinds: dict[str, AuditKind] = {name: name for name in get_args(AuditKind)}
    for name, value, known in (("verdict", verdict, verdicts), ("kind", kind, kinds)):
        if value is not None and value not in known:
            raise InvalidField(f"`{name}` must be one of {', '.join(known)}", param=name)
    return ShadowFilter(
        filters.text(told, "task"),
        filters.text(told, "candidate"),
        verdicts[verdict] if verdict is not None else None,
        kinds[kind] if kind is not None else None,
    )


async def shadow_figures(
    audits: ShadowAudits, account_id: str, settings: ShadowConfig, now_ms: int, newest: int | None = None
) -> JsonObject:
    """Return what is told of an account's audits, or its newest; simulated ones apart, and in no rate."""
    sums = await (audits.sums(account_id) if newest is None else audits.sums(account_id, newest))
    real = [one for one in sums if not one.simulated]
    hits = [one for one in real if one.kind == "cache"]
    agreement = await audits.agreement(account_id)
    wrong = _audits(one for one in hits if one.verdict == "lose")
    return {
        "enabled": settings.enabled,
        "answers": _ended([one for one in real if one.kind == "answer"]),
        "cache": _ended(hits),
        "simulated": _ended([one for one in sums if one.simulated]),
        "wrong_hits": _rate("wrong", wrong, _audits(one for one in hits if one.verdict is not None)),
        "judge": _trust(agreement),
        "today": {
            **money("cost", await audits.spent(account_id, now_ms)),
            **money("budget", nanousd_of(settings.daily_usd)),
        },
    }


def audit_fields(audit: ShadowAudit) -> JsonObject:
    """Return what is told of one audit: nothing from which its prompt or an answer could be read."""
    return {
        "object": "shadow.audit",
        **{name: getattr(audit, name) for name in _PLAIN},
        "complexity": audit.complexity_tenths / 10 if audit.complexity_tenths is not None else None,
        "entry": audit.entry.hex() if audit.entry is not None else None,
        **money("cost", audit.cost_nanousd),
        "judged": moment(audit.judged_ms),
    }


def _ended(sums: Sequence[ShadowSums]) -> JsonObject:
    verdicts = {name: _audits(one for one in sums if one.verdict == name) for name in get_args(Verdict)}
    methods = {name: _audits(one for one in sums if one.method == name) for name in ("check", "judge")}
    return {
        "audits": _audits(sums),
        **verdicts,
        "not_judged": _audits(one for one in sums if one.method == "none"),
        "failed": _audits(one for one in sums if one.method == "failed"),
        "by_method": methods,
        **money("cost", sum(one.cost_nanousd for one in sums)),
    }


def _trust(agreement: Sequence[Agreement]) -> JsonObject:
    """Tell how often the judge says what people say, and each pair of verdicts, by which estimates are corrected."""
    checked = sum(one.audits for one in agreement)
    agreed = sum(one.audits for one in agreement if one.verdict == one.human)
    pairs = [{"judge": one.verdict, "human": one.human, "audits": one.audits} for one in agreement]
    return {**_rate("agreed", agreed, checked), "pairs": pairs}


def _rate(name: str, hits: int, n: int) -> JsonObject:
    """No rate for none: it would be a guess."""
    rate = round(hits / n, 6) if n else None
    return {"judged": n, name: hits, "rate": rate, "interval": [round(bound, 6) for bound in wilson(hits, n)]}


def _audits(sums: Iterable[ShadowSums]) -> int:
    return sum(one.audits for one in sums)
