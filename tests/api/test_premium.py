"""Premium models that were perhaps not needed: only what is proven is called proven, only what was cheaper is told."""

from datetime import UTC, datetime

import msgspec

from neuralrouting.api.premium import NOTHING_PROVEN, SOME_PROVEN, Evidence, needless, needless_body
from neuralrouting.catalog import Catalog
from neuralrouting.catalog.models import Capabilities, Deployment, Price, Tier
from neuralrouting.rules import RuleFacts, Then, read_rules
from neuralrouting.storage.audit import PremiumCall


def _model(id_: str, tier: Tier, picousd: int | None, **changes: object) -> Deployment:
    price = Price(picousd, picousd, picousd, picousd, "v", "test") if picousd is not None else None
    provider, _, model = id_.partition("/")
    made = Deployment(id_, model, provider, model, tier, 128_000, 8_000, Capabilities(), price)
    return msgspec.structs.replace(made, **changes)


BEST = _model("a/best", "premium", 10_000_000)
GOOD = _model("a/good", "medium", 1_000_000)
CHEAP = _model("a/cheap", "economy", 100_000)
FREE = _model("a/unpriced", "economy", None)
GONE = _model("a/gone", "economy", 1)
CATALOG = Catalog((BEST, GOOD, CHEAP, FREE, GONE), (BEST, GOOD, CHEAP, FREE), (), BEST, False, {})  # noqa: FBT003
ALL = ("a/best", "a/good", "a/cheap", "a/unpriced", "a/gone")
TOKENS, COST = 1_000, 10_000_000
"""One call: a thousand tokens at BEST's price, in nano-dollars."""


def _call(*candidates: str, task: str = "qa", deployment: str = "a/best", cost: int = COST) -> PremiumCall:
    told = msgspec.json.encode(candidates or ALL).decode()
    return PremiumCall(task, deployment, told, False, 600, 400, 0, 0, cost)  # noqa: FBT003


class Known:
    """Proofs that a test makes up."""

    def __init__(self, **proven: bool) -> None:
        self._proven = proven

    def evidence(self, account_id: str, model: str, task: str) -> Evidence | None:
        assert account_id == "acme"
        known = self._proven.get(model.removeprefix("a/"))
        return None if known is None or task != "qa" else Evidence(200, -0.02, 0.03, known)


def test_the_cheapest_capable_model_that_can_be_reached_is_the_alternative():
    [row] = needless([_call(), _call()], CATALOG, Known(), "acme")
    assert (row.alternative, row.requests) == ("a/cheap", 2)
    assert (row.cost_nanousd, row.alternative_nanousd) == (2 * COST, 2 * COST // 100)
    assert row.saving_nanousd == 2 * COST - 2 * COST // 100


def test_only_models_that_were_capable_of_the_request_count():
    [row] = needless([_call("a/best", "a/good")], CATALOG, Known(), "acme")
    assert row.alternative == "a/good"
    assert needless([_call("a/best")], CATALOG, Known(), "acme") == []
    assert needless([_call("a/best", "a/unpriced", "a/gone")], CATALOG, Known(), "acme") == []


def test_what_was_no_premium_model_or_not_dearer_is_no_finding():
    assert needless([_call(deployment="a/good")], CATALOG, Known(), "acme") == []
    assert needless([_call(deployment="a/forgotten")], CATALOG, Known(), "acme") == []
    assert needless([_call(cost=COST // 100)], CATALOG, Known(), "acme") == []


def test_a_proven_model_goes_before_a_cheaper_one_that_is_not():
    [row] = needless([_call()], CATALOG, Known(good=True, cheap=False), "acme")
    assert (row.alternative, row.evidence) == ("a/good", Evidence(200, -0.02, 0.03, proven=True))


def test_proof_is_of_the_task_that_was_asked_for():
    rows = needless([_call(), _call(task="coding"), _call(task="coding")], CATALOG, Known(good=True), "acme")
    assert [(row.task, row.alternative) for row in rows] == [("qa", "a/good"), ("coding", "a/cheap")]
    assert rows[0].saving_nanousd < rows[1].saving_nanousd, "proven first, however small"


def test_the_biggest_saving_comes_first():
    rows = needless([_call(task="qa"), _call(task="chat"), _call(task="chat")], CATALOG, Known(), "acme")
    assert [row.task for row in rows] == ["chat", "qa"]


def test_the_answer_says_that_nothing_is_proven_until_something_is():
    body = needless_body(needless([_call()], CATALOG, Known(), "acme"), bounded=None)
    assert body["note"] == NOTHING_PROVEN
    assert (body["data"][0]["proven"], body["data"][0]["evidence"]) == (False, None)
    body = needless_body(needless([_call()], CATALOG, Known(cheap=True), "acme"), bounded=10_000)
    assert (body["note"], body["examined_newest"]) == (SOME_PROVEN, 10_000)
    assert body["data"][0]["evidence"] == {"n": 200, "interval": [-0.02, 0.03]}
    assert body["data"][0]["saving_usd"] == "0.009900000"


def test_a_proven_row_comes_with_the_rule_that_makes_it_so_but_for_hard_and_risky_prompts():
    rows = needless([_call(), _call(task="coding")], CATALOG, Known(cheap=True), "acme")
    proven, unproven = needless_body(rows, bounded=None)["data"]
    assert unproven["rule"] is None
    (rule,) = read_rules(proven["rule"]).rules
    assert rule.then == Then(model="a/cheap", fallback=("a/best",))
    facts = RuleFacts(datetime.now(UTC), task="qa", complexity=6.0)
    assert read_rules(proven["rule"]).first(facts) == rule
    for other in ({"task": "coding"}, {"complexity": 6.1}, {"complexity": None}, {"risk": "medical"}):
        assert read_rules(proven["rule"]).first(msgspec.structs.replace(facts, **other)) is None


def test_a_task_that_rules_do_not_know_has_no_rule():
    rows = needless([_call(task="qa")], CATALOG, Known(cheap=True), "acme")
    renamed = [msgspec.structs.replace(row, task="unheard of") for row in rows]
    assert needless_body(renamed, bounded=None)["data"][0]["rule"] is None
