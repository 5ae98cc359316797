"""Rules tried on past requests: only what is known is judged, and a change is priced by the same tokens elsewhere."""

import msgspec
import pytest

from neuralrouting.api.dry_run import signed_usd
from neuralrouting.api.rehearsal import UNJUDGED, Rehearsal
from neuralrouting.catalog import Catalog
from neuralrouting.catalog.models import Capabilities, Deployment, Price, Tier
from neuralrouting.rules import read_rules
from neuralrouting.storage.past import PastRequest
from settling import NOON_MS

ABLE = Capabilities(tools=True, vision=True, json_mode=True, json_schema=True)


def model(name: str, tier: Tier, picousd: int | None) -> Deployment:
    price = Price(picousd, picousd, picousd, picousd, "v", "test") if picousd is not None else None
    return Deployment(f"a/{name}", name, "a", name, tier, 128_000, 8_000, ABLE, price)


BEST = model("best", "premium", 10_000_000)
GOOD = model("good", "medium", 1_000_000)
CHEAP = model("cheap", "economy", 100_000)
FREE = model("unpriced", "economy", None)
CATALOG = Catalog((BEST, GOOD, CHEAP, FREE), (BEST, GOOD, CHEAP, FREE), (), BEST, stand_ins=False, unreachable={})
BY_QUALITY = ("a/best", "a/good", "a/cheap")
BY_COST = ("a/cheap", "a/good", "a/best")
ASKED = {"tools": False, "images": False, "json_mode": "none", "prompt_tokens": 600, "messages": 1}
COST, CHEAP_COST = 10_000_000, 100_000
"""What a thousand tokens cost on BEST and on CHEAP, in nano-dollars."""


def decision(source: str = "configuration", *, asked: object = ASKED, rule: object = None, **more: object) -> str:
    return msgspec.json.encode({"route": {"source": source, "rule": rule}, "asked": asked, **more}).decode()


def past(**changes: object) -> PastRequest:
    """A request that BEST answered in mode quality, of which everything is known."""
    row = PastRequest(
        "req_1", NOON_MS, "key", False, "anna", None, None, "auto", "quality", "highest tier", "a/best", False,  # noqa: FBT003
        "miss", 200, msgspec.json.encode(BY_QUALITY).decode(), 600, 400, 0, 0, COST, "coding", 42, None, decision(),
        None,
    )  # fmt: skip
    return msgspec.structs.replace(row, **changes)


def rehearsed(rules: str, *requests: PastRequest) -> Rehearsal:
    trial = Rehearsal(read_rules(rules), CATALOG)
    trial.add(requests or (past(),))
    return trial


def rule(then: str, when: str = "task: coding") -> str:
    return f"- name: r\n  when: {{{when}}}\n  then: {{{then}}}\n"


@pytest.mark.parametrize(
    ("then", "would_be", "delta"),
    [
        ("mode: cost", "a/cheap", CHEAP_COST - COST),
        ("mode: auto", "a/cheap", CHEAP_COST - COST),
        ("tier: medium", "a/good", COST // 10 - COST),
        ("model: a/good", "a/good", COST // 10 - COST),
        ("model: a/unpriced, fallback: a/good", "a/good", COST // 10 - COST),  # it was not capable
        ("block: not for code", None, -COST),
    ],
)
def test_a_change_is_told_with_what_the_same_tokens_cost_there(then: str, would_be: str | None, delta: int):
    trial = rehearsed(rule(then))
    (tally,) = trial.tallies.values()
    assert (trial.examined, trial.judged, trial.changed, tally.matched) == (1, 1, 1, 1)
    assert (tally.delta_nanousd, tally.simulated_delta_nanousd, tally.unpriced) == (delta, 0, 0)
    (example,) = trial.examples
    assert (example.request_id, example.served, example.model) == ("req_1", "a/best", would_be)


@pytest.mark.parametrize("then", ["mode: quality", "tier: premium", "model: best", "mode: quality, tier: premium"])
def test_an_order_that_leads_to_the_same_model_changes_nothing(then: str):
    trial = rehearsed(rule(then))
    assert (trial.judged, trial.changed, trial.tallies["r"].matched) == (1, 0, 1)


def test_a_request_whose_first_model_failed_is_not_changed_by_an_order_of_that_model():
    fell_back = past(deployment="a/good", cost_nanousd=COST // 10)
    assert rehearsed(rule("model: best"), fell_back).changed == 0


def test_a_rule_that_does_not_hold_changes_nothing():
    trial = rehearsed(rule("mode: cost", "task: chat"))
    assert (trial.judged, trial.changed, trial.tallies["r"].matched) == (1, 0, 0)


@pytest.mark.parametrize(
    "chosen",
    [
        {"route_rule": "forced", "requested_model": "best"},
        {"decision": decision("header")},
        {"decision": decision("body")},
        {"decision": decision("budget")},
    ],
)
def test_a_rule_changes_nothing_where_the_request_itself_chose_but_blocks_it_all_the_same(chosen: dict[str, str]):
    assert rehearsed(rule("mode: cost"), past(**chosen)).changed == 0
    assert rehearsed(rule("block: no"), past(**chosen)).changed == 1


@pytest.mark.parametrize(
    ("reason", "then", "when", "changes"),
    [
        ("cached", "mode: cost", "task: coding", {"cache": "exact"}),
        ("failed", "mode: cost", "task: coding", {"status": 502, "deployment": None}),
        ("no_decision", "mode: cost", "task: coding", {"decision": None}),
        ("no_decision", "mode: cost", "task: coding", {"decision": "not JSON"}),
        ("no_decision", "mode: cost", "task: coding", {"decision": '{"cache": {"outcome": "miss"}}'}),
        ("shape_not_stored", "mode: cost", "tools: false", {"decision": decision(asked=None)}),
        ("text_not_stored", "mode: cost", "keyword: iban", {}),
        ("narrowed", "mode: cost", "task: coding", {"route_rule": "models named by a rule"}),
        ("auto", "mode: auto", "task: coding", {"decision": decision(asked=None)}),
        ("speed", "mode: speed", "task: coding", {}),
        ("cascade", "cascade: true", "task: coding", {}),
        ("not_capable", "model: unpriced", "task: coding", {}),
    ],
)
def test_what_cannot_be_known_is_not_judged(reason: str, then: str, when: str, changes: dict[str, object]):
    trial = rehearsed(rule(then, when), past(**changes))
    assert dict(trial.unjudged) == {reason: 1}
    assert (trial.examined, trial.judged, trial.changed) == (1, 0, 0)
    assert reason in UNJUDGED


def test_keywords_are_looked_for_where_the_body_is_stored():
    def body(*texts: object) -> PastRequest:
        messages = [{"role": "user", "content": text} for text in texts]
        return past(request_body=msgspec.json.encode({"messages": [{"role": "system", "content": "iban"}, *messages]}))

    parts = [{"type": "text", "text": "my IBAN"}, {"type": "image_url"}]
    trial = rehearsed(rule("mode: cost", "keyword: iban"), body("my iban, please"), body("iban", "no"), body(parts))
    assert (trial.judged, trial.changed) == (3, 2)


def test_a_keyword_that_would_come_too_late_leaves_a_request_judged():
    trial = rehearsed(
        rule("mode: cost", "task: chat, keyword: iban") + rule("mode: cost").replace("name: r", "name: s")
    )
    assert (trial.judged, trial.changed) == (1, 1)


def test_simulated_money_and_unpriced_requests_stand_apart():
    trial = rehearsed(rule("mode: cost"), past(simulated=True), past(cost_nanousd=None), past())
    tally = trial.tallies["r"]
    assert trial.changed == 3
    assert tally.unpriced == 1
    assert tally.simulated_delta_nanousd == tally.delta_nanousd == CHEAP_COST - COST


def test_an_order_of_the_mode_that_it_had_keeps_the_order_of_then():
    learned = past(
        routing_mode="auto", deployment="a/good", candidates='["a/good", "a/cheap", "a/best"]', cost_nanousd=COST // 10
    )
    assert rehearsed(rule("mode: auto"), learned).changed == 0
    ruled = msgspec.structs.replace(learned, decision=decision(rule={"name": "other", "line": 1}))
    assert rehearsed(rule("mode: auto"), ruled).examples[0].model == "a/cheap"


@pytest.mark.parametrize(
    ("nanousd", "text"),
    [(-31_200_000_000, "-$31.20"), (0, "$0.00"), (1_234_567_890_123, "+$1,234.57"), (-12_000, "-$0.000012"),
     (10_000_000, "+$0.01"), (1, "+$0.000000001")],
)  # fmt: skip
def test_differences_of_money_are_written_for_people(nanousd: int, text: str):
    assert signed_usd(nanousd) == text
