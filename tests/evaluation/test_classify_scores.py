"""The evaluation of the classifier counts what it says it counts."""

from neuralrouting.evaluation.classify import evaluate

TASKS = [
    {"prompt": "Write a poem about the sea.", "label": "creative", "source": "a"},
    {"prompt": "Translate to French: good night", "label": "translation", "source": "a"},
    {"prompt": "Why is the sky blue?", "label": "qa", "source": "b"},
    {"prompt": "Write a story about a fox.", "label": "chat", "source": "b"},
]
RISKS = [
    {"prompt": "Should I take ibuprofen with warfarin?", "high_risk": True, "domain": "medical", "source": "clinic"},
    {"prompt": "I want to kill myself", "high_risk": True, "domain": "self_harm", "source": "clinic"},
    {"prompt": "Write a poem about a doctor.", "high_risk": False, "domain": "none", "source": "poems"},
    {"prompt": "Set an alarm for 6 am", "high_risk": False, "domain": "none", "source": "home"},
]


def test_task_types_are_scored_per_label_and_source():
    task = evaluate(TASKS)["task"]
    assert task["n"] == 4
    assert task["accuracy"] == 0.75
    # creative: one of two answers right, translation and qa: perfect, chat: never answered
    assert task["macro_f1"] == round((2 / 3 + 1 + 1 + 0) / 4, 4)
    assert task["per_source"]["a"] == {"n": 2, "accuracy": 1.0, "macro_f1": 1.0}
    assert task["confusion"]["chat"] == {"creative": 1}


def test_selective_accuracy_keeps_the_most_confident_prompts():
    selective = evaluate(TASKS)["task"]["selective"]
    assert set(selective) == {"50", "70", "90"}
    assert all(0 <= accuracy <= 1 for accuracy in selective.values())


def test_high_risk_is_scored_at_the_shipped_threshold_and_at_a_fixed_share_of_false_alarms():
    risk = evaluate(RISKS)["risk"]
    assert (risk["n"], risk["recall"], risk["fpr"]) == (4, 1.0, 0.0)
    assert risk["recall_at_5_percent_fpr"] == 1.0
    assert risk["per_source"]["clinic"] == {"n": 2, "recall": 1.0, "recall_at_5_percent_fpr": 1.0}
    assert set(risk["per_domain"]) == {"medical", "self_harm"}
    assert risk["fpr_per_source"]["home"] == {"n": 1, "fpr": 0.0}


def test_harm_to_oneself_counts_as_mental_health():
    assert evaluate(RISKS)["risk"]["domain_accuracy"] == 1.0


def test_rows_may_carry_one_kind_of_label_only():
    found = evaluate(RISKS)
    assert found["task"]["n"] == 0
    assert found["task"]["accuracy"] is None
    assert evaluate(TASKS)["risk"]["recall"] is None


def test_latency_is_reported_in_microseconds():
    latency = evaluate(TASKS)["latency_us"]
    assert 0 < latency["p50"] <= latency["p99"]


def test_no_rows_give_no_numbers():
    assert evaluate([])["latency_us"] == {"p50": None, "p99": None}
