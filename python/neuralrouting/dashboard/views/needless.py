"""The list of premium answers that were perhaps not needed, and the click that makes a proven row a rule."""

from collections.abc import Mapping

from neuralrouting.api import filters
from neuralrouting.api.figures import moment
from neuralrouting.api.premium import Premium
from neuralrouting.api.routing import Routing
from neuralrouting.clock import unix_ms
from neuralrouting.dashboard.page import Ask, Column, Deed, Form, Table
from neuralrouting.dashboard.viewer import Viewer
from neuralrouting.errors import InvalidField
from neuralrouting.exchange import JsonObject
from neuralrouting.storage.audit import AuditQuery

FRESH_MS = 60_000
MOST_KEPT = 64
"""Lists of accounts and periods that are kept for a minute."""
COLUMNS = (
    Column("task", "Task"),
    Column("model", "Answered by", narrows="model"),
    Column("alternative", "Instead"),
    Column("requests", "Requests", "count"),
    Column("cost_nanousd", "Cost", "usd"),
    Column("saving_nanousd", "Would save", "usd"),
    Column("state", "Proof"),
)
TABLE = Table("Premium not needed", COLUMNS, lambda body: body["premium"]["data"])


class NeedlessList:
    """Shows the rows of a period, and adds rules."""

    def __init__(self, premium: Premium, rules: Routing) -> None:
        self._premium = premium
        self._rules = rules
        self._kept: dict[AuditQuery, tuple[int, JsonObject]] = {}

    def deed(self) -> Deed:
        """Return what can be done with a row."""
        said = "The rule stands behind yours. Every gateway obeys it within two seconds."
        return Deed("/control-center/rule", "set_routing", self.add_rule, said)

    async def body(self, ask: Ask) -> JsonObject:
        """Return what the API says of the period, real or simulated as the bar says, each row with its proof told."""
        body = await self._recent(AuditQuery(ask.viewer.account_id, ask.bar.from_ms, ask.bar.to_ms), ask.now_ms)
        rows = [{**row, **_proof(row)} for row in body["data"] if row["simulated"] == ask.bar.simulated]
        return {**body, "data": rows}

    async def _recent(self, query: AuditQuery, now_ms: int) -> JsonObject:
        """Return what is at most `FRESH_MS` old: pricing thousands of requests takes longer than all else here."""
        kept = self._kept.get(query)
        if kept is None or now_ms - kept[0] > FRESH_MS:
            kept = (now_ms, {**await self._premium.body(query), "as_of": moment(now_ms - now_ms % 1_000)})
            self._kept[query] = kept
            while len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        return kept[1]

    async def add_rule(self, viewer: Viewer, form: Form) -> None:
        """Add the rule of a row that is proven still. Raises InvalidField where it is not."""
        from_ms, to_ms = filters.time_range(form, unix_ms())
        wanted = {name: form.get(name, "") for name in ("task", "model", "alternative")}
        body = await self._premium.body(AuditQuery(viewer.account_id, from_ms, to_ms))
        rule = next((row["rule"] for row in body["data"] if _fits(row, wanted)), None)
        if rule is None:
            raise InvalidField("nothing proves this row any more, so there is no rule to add", param="model")
        await self._rules.add_rule(viewer.caller, viewer.account_id, rule)


def _fits(row: JsonObject, wanted: Mapping[str, str]) -> bool:
    return all(row[name] == value for name, value in wanted.items())


def _proof(row: JsonObject) -> JsonObject:
    """Say whether a row is proven, and if not, what is missing."""
    known = row["evidence"]
    if row["proven"]:
        missing = "" if row["rule"] else "rules do not know this task"
        return {"state": "proven", "missing": missing}
    if known is None or not known["n"]:
        return {"state": "not audited", "missing": "no shadow audit has compared the two yet"}
    low, high = known["interval"]
    told = f"{known['n']} comparisons put its quality between {low:+.3f} and {high:+.3f} of the reference"
    return {"state": "not proven", "missing": f"{told}; more audits, or better ones, are needed"}
