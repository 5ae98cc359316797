"""What the shield found: how much of it on which day, every finding with its rules, and whether people agree."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final, get_args

import msgspec

from neuralrouting.api import filters
from neuralrouting.api.security import event_fields
from neuralrouting.clock import unix_ms
from neuralrouting.dashboard.filterbar import Bar
from neuralrouting.dashboard.page import Ask, Column, Deed, Form, Page, Table
from neuralrouting.dashboard.tables import csv_of
from neuralrouting.dashboard.viewer import Viewer
from neuralrouting.engine import Shield
from neuralrouting.errors import InvalidField, NotFound
from neuralrouting.exchange import JsonObject, SecurityEvent, ShieldAction
from neuralrouting.intervals import wilson
from neuralrouting.storage.audit import AuditPlace
from neuralrouting.storage.security import EventFilter, EventPlace, SecurityRows, place_of
from neuralrouting.storage.trail import actor_of
from neuralrouting.storage.usage import DAY_MS
from neuralrouting.storage.verdicts import EventVerdict, EventVerdicts, Verdict, VerdictSum

ACTIONS: Final[tuple[ShieldAction, ...]] = get_args(ShieldAction)
TIERS: Final = ("CRITICAL", "HIGH", "MEDIUM")
PARAMETERS: Final = ("action", "category", "rule", "cursor", "limit")
JUDGE: Final = "/security/judge"
UNKNOWN: Final = ("feature", "model", "team")
"""Filters of the bar that are not known of a finding."""
STREAM_EVENTS: Final = 1_000
_VERDICTS: Final[Mapping[str, Verdict]] = {"right": "right", "wrong": "wrong"}
_EVENTS = (
    Column("created", "Time", "time"),
    Column("action", "Action"),
    Column("category", "Tier"),
    Column("risk", "Risk"),
    Column("rules", "Rules"),
    Column("user", "User", narrows="user"),
    Column("key", "Key", "code", narrows="key"),
    Column("excerpt", "Excerpt"),
    Column("verdict", "A person says"),
)
_DAYS = (Column("day", "Day"), *(Column(action, action.capitalize(), "count") for action in ACTIONS))
ShieldOf = Callable[[str], Shield]
"""Returns what judges the requests of an account."""


class Security:
    """Reads findings and takes verdicts."""

    def __init__(self, rows: SecurityRows, verdicts: EventVerdicts, shield_of: ShieldOf) -> None:
        self._rows = rows
        self._verdicts = verdicts
        self._shield_of = shield_of

    def page(self) -> Page:
        """Return the page."""
        tables = {
            "events": Table("Findings", _EVENTS, lambda body: body["data"], self._csv),
            "by_day": Table("By day", _DAYS, lambda body: body["by_day"]),
        }
        return Page("security", "Security", "see_requests", self.body, tables, PARAMETERS)

    def deeds(self) -> list[Deed]:
        """Return what can be done here."""
        return [Deed(JUDGE, "judge", self.judge, "Noted. What was recorded of the request stays as it is.")]

    async def body(self, ask: Ask) -> JsonObject:
        """Return counts by day, one page of findings, and what people said of those of the period."""
        account_id, bar, told = ask.viewer.account_id, ask.bar, ask.told
        wanted, limit = filter_of(told, bar), filters.page_size(told)
        after = filters.place_at(told.get("cursor"))
        before = EventPlace(after.created_ms, after.request_id) if after is not None else None
        found = await self._rows.page(account_id, wanted, before=before, limit=limit + 1)
        counts, more = await self._rows.counts(account_id, wanted)
        by_day = _days(bar, {(one.day, one.action): one.events for one in counts})
        rules = rules_of(self._shield_of(account_id))
        chosen = told.get("rule")
        return {
            "object": "page.security",
            "account": account_id,
            "totals": {action: sum(day[action] for day in by_day) for action in ACTIONS},
            "by_day": by_day,
            "all_counted": not more,
            "judged": judged(await self._verdicts.sums(account_id, bar.from_ms, bar.to_ms)),
            "data": await self._told(account_id, found[:limit], rules),
            "next": _cursor(found[limit - 1]) if len(found) > limit else None,
            "rule": {**_rule(chosen, rules), "exception": exception(chosen)} if chosen is not None else None,
            "not_applied": [name for name in UNKNOWN if getattr(bar.wanted, name) is not None],
            "actions": ACTIONS,
            "tiers": TIERS,
            "narrowed": any(name in told for name in PARAMETERS) or bool(bar.told()),
        }

    async def judge(self, viewer: Viewer, form: Form) -> None:
        """Take somebody's word on a finding, or take it back."""
        request_id, verdict = form.get("request_id", ""), form.get("verdict")
        if verdict not in (*_VERDICTS, "none"):
            raise InvalidField("`verdict` must be right, wrong or none", param="verdict")
        if "\0" in request_id:
            raise NotFound("nothing was found in such a request", param="request_id")
        actor = actor_of(viewer.id)
        if verdict == "none":
            known = await self._verdicts.take_back(viewer.account_id, request_id, actor=actor)
        else:
            said = EventVerdict(request_id, _VERDICTS[verdict], actor, unix_ms())
            known = await self._verdicts.put(viewer.account_id, said)
        if not known:
            raise NotFound(f"nothing was found in a request {request_id[:64]!r}", param="request_id")

    async def _told(self, account_id: str, events: Sequence[SecurityEvent], rules: "Rules") -> list[JsonObject]:
        said = await self._verdicts.of(account_id, [event.request_id for event in events])
        return [
            {
                **event_fields(event),
                "verdict": one.verdict if (one := said.get(event.request_id)) is not None else None,
                "judged_by": one.actor if one is not None else None,
                "rules_told": [_rule(rule, rules) for rule in event.rule_ids],
            }
            for event in events
        ]

    async def _csv(self, ask: Ask) -> AsyncIterator[bytes]:
        """Yield every finding of the filter, newest first."""
        account_id, wanted = ask.viewer.account_id, filter_of(ask.told, ask.bar)
        table = Table("Findings", _EVENTS, lambda body: body["data"])
        before, first = None, True
        while first or before is not None:
            found = await self._rows.page(account_id, wanted, before=before, limit=STREAM_EVENTS)
            rows = await self._told(account_id, found, {})
            blocks = csv_of(table, {"data": [_flat(row) for row in rows]})
            if not first:
                await anext(blocks)  # the names of the columns
            async for block in blocks:
                yield block
            before, first = place_of(found[-1]) if len(found) == STREAM_EVENTS else None, False


class Rule(msgspec.Struct, frozen=True):
    """What is known of a rule: how bad its findings are, of what kind, and how much they weigh (0 to 1)."""

    tier: str
    category: str
    weight: float


Rules = Mapping[str, Rule]


def rules_of(shield: Shield) -> Rules:
    """Return the rules that judge now, by id; one that fired once may be gone."""
    return {id_: Rule(tier, category, weight) for id_, tier, category, weight in shield.rules()}


def filter_of(told: filters.Told, bar: Bar) -> EventFilter:
    """Read which findings are wanted. Raises InvalidField."""
    actions: dict[str, ShieldAction] = {name: name for name in ACTIONS}
    for name, known in (("action", actions), ("category", TIERS)):
        if name in told and told[name] not in known:
            raise InvalidField(f"`{name}` must be one of {', '.join(known)}", param=name)
    action, wanted = told.get("action"), bar.wanted
    return EventFilter(
        action=actions[action] if action is not None else None,
        category=told.get("category"),
        since_ms=bar.from_ms,
        until_ms=bar.to_ms,
        user=wanted.user,
        key=wanted.key,
        endpoint=wanted.endpoint,
        rule=filters.text(told, "rule"),
    )


def judged(sums: Sequence[VerdictSum]) -> JsonObject:
    """Return how many findings people judged and how many of those were false positives, by action and in all."""
    parts = {action: _rate([one for one in sums if one.action == action]) for action in ACTIONS}
    return {**_rate(sums), "by_action": {action: rate for action, rate in parts.items() if rate["judged"]}}


def exception(rule: str) -> str:
    """Return rules (TOML) for an account that never count this one, and how they would make it count for less."""
    quoted = msgspec.json.encode(rule).decode()
    return f"version = 1\ndisable = [{quoted}]\n\n# or let it count for less:\n# [weights]\n# {quoted} = 0.3\n"


def _rate(sums: Sequence[VerdictSum]) -> JsonObject:
    wrong = sum(one.events for one in sums if one.verdict == "wrong")
    n = sum(one.events for one in sums)
    low, high = wilson(wrong, n)
    return {
        "judged": n,
        "false_positives": wrong,
        "rate": wrong / n if n else None,
        "interval": [round(low, 6), round(high, 6)],
    }


def _rule(rule: str, rules: Rules) -> JsonObject:
    known = rules.get(rule)
    return {"rule": rule, **(msgspec.structs.asdict(known) if known is not None else {"tier": None, "category": None})}


def _days(bar: Bar, counts: Mapping[tuple[int, ShieldAction], int]) -> list[JsonObject]:
    """Return every day of the range, those without a finding among them."""
    first, last = bar.from_ms // DAY_MS, -(-bar.to_ms // DAY_MS)
    return [
        {"day": _day(day), **{action: counts.get((day, action), 0) for action in ACTIONS}} for day in range(first, last)
    ]


def _day(day: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(day * DAY_MS // 1000))


def _cursor(event: SecurityEvent) -> str:
    return filters.cursor_of(AuditPlace(event.created_ms, event.request_id))


def _flat(row: JsonObject) -> JsonObject:
    return {name: value for name, value in row.items() if name not in ("object", "rules_told")}
