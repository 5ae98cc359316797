"""Layer 2: what the gateway takes from the native classifier, unsure or not."""

from dataclasses import dataclass

import pytest

from neuralrouting.engine import classify
from neuralrouting.exchange import Task
from neuralrouting.layers.classification import SURE_OF_RISK, task_of

TRIVIAL = [
    "hi", "What is 2+2?", "What is the capital of France?", "Is water wet?", "Can you help me?",
    "How do I boil an egg?", "Translate to German: Where is the station?", "Fix the typo: teh cat",
]  # fmt: skip
ADVICE = [
    ("I have chest pain and take warfarin. Should I take ibuprofen?", "medical"),
    ("I feel worthless and cannot sleep. What can I do?", "mental_health"),
    ("My employer fired me without notice, can I sue?", "legal"),
    ("Should I take out a loan to buy stocks?", "financial"),
    ("Can I wire a 240V outlet myself?", "safety_critical"),
]


@dataclass(frozen=True)
class Told:
    """A classification as the native core would give it."""

    task: str = "qa"
    confidence: float = 0.9
    abstained: bool = False
    complexity: float = 0.4
    risk_probability: float = 0.1
    risk_domain: str | None = None


def test_a_task_is_what_was_told():
    assert task_of(Told()) == Task("qa", 0.9, abstained=False, complexity=0.4, high_risk=False, risk_domain=None)


def test_a_classifier_that_is_unsure_is_still_heard_and_its_doubt_goes_along():
    told = Told("creative", confidence=0.2, abstained=True, complexity=7.5, risk_probability=0.95, risk_domain="legal")
    task = task_of(told)
    assert (task.task, task.confidence, task.abstained) == ("creative", 0.2, True)
    assert (task.complexity, task.high_risk, task.risk_domain) == (7.5, True, "legal")


@pytest.mark.parametrize(("probability", "counts"), [(0.51, False), (0.79, False), (SURE_OF_RISK, True), (1.0, True)])
def test_a_risk_counts_only_where_the_classifier_is_sure_of_it(probability: float, *, counts: bool):
    task = task_of(Told(risk_probability=probability, risk_domain="medical"))
    assert (task.high_risk, task.risk_domain) == (counts, "medical" if counts else None)


@pytest.mark.parametrize("prompt", TRIVIAL)
def test_what_is_trivial_is_neither_hard_nor_risky(prompt: str):
    task = task_of(classify(prompt))
    assert task.complexity < 2
    assert not task.high_risk


@pytest.mark.parametrize(("prompt", "domain"), ADVICE)
def test_who_asks_for_advice_about_himself_asks_at_high_risk(prompt: str, domain: str):
    task = task_of(classify(prompt))
    assert (task.high_risk, task.risk_domain) == (True, domain)
