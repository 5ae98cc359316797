"""The classifier from Python: a text or a request in, one frozen classification out."""

import json

import pytest

import neuralrouting
from neuralrouting.engine import Classification, Engine, classify

TASKS = {
    "coding",
    "summarization",
    "reasoning",
    "creative",
    "qa",
    "extraction",
    "classification",
    "translation",
    "rewriting",
    "chat",
    "other",
}


def inspected(messages: list[dict[str, object]]) -> Classification:
    body = json.dumps({"model": "auto", "messages": messages}).encode()
    found = Engine(cache_bytes=1 << 20).inspect(body, "tenant").classification
    assert found is not None
    return found


def test_classify_is_part_of_the_public_face():
    assert neuralrouting.classify("Write a poem about rain.").task == "creative"


def test_every_task_type_has_a_probability_and_the_likeliest_comes_first():
    found = classify("Summarize the text below: The bridge is closed. Buses take a longer way.")
    assert {task for task, _ in found.probabilities} == TASKS
    assert found.probabilities[0] == (found.task, found.confidence)
    assert sum(probability for _, probability in found.probabilities) == pytest.approx(1)


def test_an_unclear_prompt_is_abstained_from():
    assert classify("asdf qwer").abstained
    assert not classify("Translate to German: Where is the station?").abstained


@pytest.mark.parametrize(
    ("advice", "topic", "domain"),
    [
        ("Is it safe to take aspirin while pregnant?", "Write a poem about a nurse in spring.", "medical"),
        ("I feel worthless and cannot sleep. What can I do?", "Name three famous psychologists.", "mental_health"),
        ("Can my landlord evict me without notice?", "Write a courtroom scene for my novel.", "legal"),
        ("Should I sell my stocks now or wait?", "Write a slogan for a bank.", "financial"),
        ("Which breaker do I need for a 240V dryer outlet?", "Explain how a battery works.", "safety_critical"),
    ],
)
def test_advice_is_high_risk_and_a_topic_alone_is_not(advice: str, topic: str, domain: str):
    asked, mentioned = classify(advice), classify(topic)
    assert (asked.high_risk, asked.risk_domain) == (True, domain)
    assert (mentioned.high_risk, mentioned.risk_domain) == (False, None)
    assert asked.risk_probability > 0.5 > mentioned.risk_probability


def test_complexity_grows_with_what_is_asked():
    proof = "Prove the theorem rigorously for every integer n, derive the bound, and list the edge cases: $n^2 > 2n$."
    assert classify("hi").complexity < 1 < classify(proof).complexity
    assert 0 <= classify(proof).complexity <= 10


def test_contributions_explain_the_task_type():
    names = [name for name, _ in classify("Translate to Spanish: see you soon").contributions]
    assert any("v_translate" in name for name in names)


def test_a_request_is_classified_by_its_last_user_turn():
    found = inspected(
        [
            {"role": "system", "content": "You write poems."},
            {"role": "user", "content": "Write a poem."},
            {"role": "assistant", "content": "Roses..."},
            {"role": "user", "content": "Fix this Python code: def f(x) return x"},
        ]
    )
    assert found.task == "coding"


def test_a_tool_loop_and_its_errors_are_seen():
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    found = inspected(
        [
            {"role": "user", "content": "What is the weather in Rome?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": '{"error": "timeout"}'},
        ]
    )
    assert (found.tool_loop, found.tool_errors) == (True, 1)
    assert not classify("What is the weather in Rome?").tool_loop


def test_a_cached_answer_needs_no_classification():
    engine = Engine(cache_bytes=1 << 20)
    body = json.dumps({"messages": [{"role": "user", "content": "Hi"}]}).encode()
    key = engine.inspect(body, "tenant").key
    engine.store(key, b"{}", deployment="openai/gpt-4o-mini")
    assert engine.inspect(body, "tenant").classification is None


def test_a_classification_cannot_be_changed():
    with pytest.raises(AttributeError):
        classify("hi").task = "coding"  # pyright: ignore[reportAttributeAccessIssue]
