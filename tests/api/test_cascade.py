"""A cascade through a live gateway: what is sent, what it costs, and what is kept of it."""

import itertools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from conversation import ASK_USAGE, CHAT, DISPATCH, DISPATCH_STREAM, chunks, finish_of, said, text_of, wait_until
from customers import Customer, new_customer, opened_stage
from staging import Stage

from fake_faults import error
from fake_replies import Answer
from fake_upstream import Entry, Recorded, Reply
from neuralrouting.storage.requests import RequestRow

CONFIG = """
local: {{enabled: "off"}}
routing: {{cascade: true}}
upstream: {{idle_timeout_s: 5, total_timeout_s: 6}}
providers:
  one: {{base_url: "{url}/one"}}
models:
  - {{model: small, provider: one, tier: economy, context_tokens: 8000, max_output_tokens: 2000, credits_per_1k: 10,
      tools: true, json_mode: true, json_schema: true,
      input_usd_per_mtok: "0.1", output_usd_per_mtok: "0.4"}}
  - {{model: grand, provider: one, tier: premium, context_tokens: 8000, max_output_tokens: 4000, credits_per_1k: 100,
      tools: true, json_mode: true, json_schema: true,
      input_usd_per_mtok: "3", output_usd_per_mtok: "15"}}
"""
REFUSAL = "I'm sorry, but I can't help with that."
SMALL_NANO, GRAND_NANO = 11 * 100 + 7 * 400, 20 * 3_000 + 30 * 15_000
BASELINE_NANO = 20 * 2_500 + 30 * 10_000
FORMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
Json = dict[str, Any]


@pytest.fixture(scope="module")
def cascade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A gateway in front of a small and a grand model, with cascades on; in the end its books are right."""
    yield from opened_stage(tmp_path_factory.mktemp("cascade"), CONFIG, {})


@pytest.fixture
def customer(cascade: Stage) -> Customer:
    return new_customer(cascade)


def by_model(small: Entry, grand: Entry | None = None) -> Entry:
    """What the two models say to one prompt."""
    better = grand or Answer("the better answer", usage=(20, 30), pieces=("the better ", "answer"))

    def reply(request: Recorded) -> Reply:
        entry = small if request.json()["model"] == "small" else better
        return entry(request) if callable(entry) else entry

    return reply


def models_asked(row: RequestRow) -> list[tuple[str, str, int | None]]:
    """Model, outcome and cost of each call of a request."""
    return [(a["deployment"], a["outcome"], a["cost_nanousd"]) for a in json.loads(row.attempts)]


@FORMS
@pytest.mark.parametrize("path", [CHAT, DISPATCH, DISPATCH_STREAM])
def test_a_good_answer_of_the_small_model_is_kept_and_paid_for_alone(customer: Customer, path: str, *, stream: bool):
    response = customer.post(by_model(Answer("a fine answer")), path, model="auto", stream=stream)
    assert said(response) == "a fine answer"
    assert response.headers["x-nr-cascade"] == "kept"
    assert response.headers["x-nr-model"] == "small"
    row = customer.row(response)
    assert models_asked(row) == [("one/small", "ok", SMALL_NANO)]
    assert (row.cost_nanousd, row.charged_mc, row.house_nanousd) == (SMALL_NANO, 10 * 18, 0)


@FORMS
@pytest.mark.parametrize("path", [CHAT, DISPATCH, DISPATCH_STREAM])
def test_a_refusal_is_never_seen_and_both_calls_are_in_the_bill(customer: Customer, path: str, *, stream: bool):
    response = customer.post(by_model(Answer(REFUSAL)), path, model="auto", stream=stream)
    assert said(response) == "the better answer"
    assert REFUSAL not in response.text
    assert response.headers["x-nr-cascade"] == "escalated; reason=refusal"
    assert response.headers["x-nr-model"] == "grand"
    row = customer.row(response)
    assert models_asked(row) == [
        ("one/small", "doubtful", SMALL_NANO), ("one/grand", "ok", GRAND_NANO),
    ]  # fmt: skip
    assert (row.deployment, row.prompt_tokens, row.completion_tokens) == ("one/grand", 20, 30)
    assert (row.cost_nanousd, row.baseline_nanousd) == (SMALL_NANO + GRAND_NANO, BASELINE_NANO)
    assert (row.charged_mc, row.house_nanousd) == (10 * 18 + 100 * 50, 0)
    assert row.charged_mc <= row.held_mc
    assert customer.spent_mc() == row.charged_mc
    assert len(customer.charges()) == 1


def test_the_bill_of_an_escalated_answer_names_both_parts(customer: Customer):
    response = customer.post(by_model(Answer("")), model="auto")
    told = response.json()
    assert told["model_used"] == "grand"
    assert told["cascade"] == {
        "outcome": "escalated", "reason": "empty", "first_model": "small", "first_cost_usd": SMALL_NANO / 1e9,
    }  # fmt: skip
    assert told["business_metrics"]["cost_usd"] == (SMALL_NANO + GRAND_NANO) / 1e9
    assert float(response.headers["x-nr-saved-usd"]) == (BASELINE_NANO - SMALL_NANO - GRAND_NANO) / 1e9


def test_the_billing_event_of_an_escalated_stream_names_both_parts(customer: Customer):
    response = customer.post(by_model(Answer(REFUSAL)), DISPATCH_STREAM, model="auto")
    bill = chunks(response)[-1]
    assert bill["object"] == "nr.billing"
    assert bill["financials"]["billed_price"] == (SMALL_NANO + GRAND_NANO) / 1e9
    assert bill["cascade"]["outcome"] == "escalated"
    assert bill["usage"]["total_tokens"] == 50


@FORMS
def test_where_no_better_model_answers_the_doubtful_answer_is_sent_and_says_so(customer: Customer, *, stream: bool):
    response = customer.post(by_model(Answer(REFUSAL), error(500, "server_error")), model="auto", stream=stream)
    assert said(response) == REFUSAL
    assert response.headers["x-nr-cascade"] == "fell_back; reason=refusal"
    row = customer.row(response)
    asked = models_asked(row)
    assert asked[0] == ("one/small", "doubtful", SMALL_NANO)
    assert {model for model, _, _ in asked[1:]} == {"one/grand"}
    assert (row.deployment, row.cost_nanousd, row.charged_mc) == ("one/small", SMALL_NANO, 10 * 18)


@FORMS
def test_where_the_small_model_fails_the_grand_one_answers_as_ever(customer: Customer, *, stream: bool):
    response = customer.post(by_model(error(500, "server_error")), model="auto", stream=stream)
    assert said(response) == "the better answer"
    assert "x-nr-cascade" not in response.headers
    row = customer.row(response)
    assert (row.cost_nanousd, row.charged_mc) == (GRAND_NANO, 100 * 50)


def test_where_both_fail_the_request_fails_and_costs_nothing(customer: Customer):
    response = customer.post(by_model(error(500, "server_error"), error(500, "server_error")), model="auto")
    assert response.status_code >= 500
    row = customer.row(response)
    assert (row.hold_state, row.charged_mc, row.cost_nanousd) == ("voided", 0, 0)


@FORMS
def test_an_answer_that_replaced_another_is_the_one_that_is_remembered(customer: Customer, *, stream: bool):
    prompt = customer.stage.prompt(by_model(Answer(REFUSAL)))
    body = {"model": "auto", "messages": [{"role": "user", "content": prompt}], "stream": stream}
    with customer.client() as client:
        first = client.post(CHAT, json=body)
        again = client.post(CHAT, json=body)
    assert said(first) == said(again) == "the better answer"
    assert again.headers["x-nr-cache"].startswith("exact")
    assert "x-nr-cascade" not in again.headers
    assert len(customer.stage.calls(prompt)) == 2


@FORMS
def test_a_doubtful_answer_that_was_sent_is_not_remembered(customer: Customer, *, stream: bool):
    answers = itertools.chain(
        [error(500, "server_error")] * 2, itertools.repeat(Answer("the better answer", usage=(20, 30)))
    )
    prompt = customer.stage.prompt(by_model(Answer(REFUSAL), lambda request: _said(next(answers), request)))
    body = {"model": "auto", "messages": [{"role": "user", "content": prompt}], "stream": stream}
    with customer.client() as client:
        first = client.post(CHAT, json=body)
        again = client.post(CHAT, json=body)
    assert said(first) == REFUSAL
    assert said(again) == "the better answer"


def _said(entry: Entry, request: Recorded) -> Reply:
    return entry(request) if callable(entry) else entry


@FORMS
def test_equal_requests_at_once_share_one_cascade(customer: Customer, *, stream: bool):
    slow = by_model(lambda request: Reply((0.3, *Answer(REFUSAL)(request).steps)))
    prompt = customer.stage.prompt(slow)
    body = {"model": "auto", "messages": [{"role": "user", "content": prompt}], "stream": stream}
    with ThreadPoolExecutor(5) as pool, customer.client() as client:
        answers = list(pool.map(lambda _: client.post(CHAT, json=body), range(5)))
    assert {said(answer) for answer in answers} == {"the better answer"}
    assert len(customer.stage.calls(prompt)) == 2
    assert _eventually(lambda: len(customer.charges()), 1)
    assert sum(row.cost_nanousd or 0 for row in customer.rows()) == SMALL_NANO + GRAND_NANO


def test_a_named_model_and_another_mode_are_no_cascade(customer: Customer):
    for more in ({"model": "small"}, {"model": "auto", "routing_mode": "cost"}):
        response = customer.post(by_model(Answer(REFUSAL)), **more)
        assert said(response) == REFUSAL
        assert "x-nr-cascade" not in response.headers


def test_a_request_that_is_repeated_under_its_key_is_asked_once(customer: Customer):
    prompt = customer.stage.prompt(by_model(Answer(REFUSAL)))
    body = {"model": "auto", "messages": [{"role": "user", "content": prompt}], "temperature": 1.5}
    with customer.client() as client:
        answers = [client.post(CHAT, json=body, headers={"Idempotency-Key": prompt}) for _ in range(2)]
    assert said(answers[0]) == said(answers[1]) == "the better answer"
    assert answers[1].headers["x-nr-cascade"] == "escalated; reason=refusal"
    assert len(customer.stage.calls(prompt)) == 2


def test_both_calls_count_in_a_budget(customer: Customer):
    customer.budget(1_000_000_000, "block")
    customer.post(by_model(Answer(REFUSAL)), model="auto").raise_for_status()
    assert _eventually(customer.budget_spent, SMALL_NANO + GRAND_NANO)


def test_who_cannot_pay_for_two_calls_gets_the_first_one_unseen(cascade: Stage):
    poor = new_customer(cascade, credits_mc=30_000)
    response = poor.post(by_model(Answer(REFUSAL)), model="auto", max_tokens=300)
    assert said(response) == REFUSAL
    assert "x-nr-cascade" not in response.headers


def _eventually(read: Callable[[], int], wanted: int) -> bool:
    wait_until(lambda: read() == wanted, within_s=3)
    return True


# The official client


def test_a_streamed_cascade_looks_like_any_stream_to_the_official_client(customer: Customer):
    said_by = {
        "word " * 40: by_model(Answer("word " * 40)),
        "the better answer": by_model(Answer(REFUSAL)),
    }
    with openai.OpenAI(base_url=f"{customer.stage.gateway.url}/v1", api_key=customer.key, max_retries=0) as client:
        for text, entry in said_by.items():
            messages = [{"role": "user", "content": customer.stage.prompt(entry)}]
            with client.chat.completions.stream(
                model="auto", messages=messages, stream_options={"include_usage": True}
            ) as stream:
                final = stream.get_final_completion()
            assert final.choices[0].message.content == text
            assert final.choices[0].finish_reason == "stop"
            assert final.usage.total_tokens in (18, 50)


def test_a_stream_that_is_replayed_has_one_role_one_end_and_its_usage_last(customer: Customer):
    response = customer.post(by_model(Answer("word " * 40)), model="auto", **ASK_USAGE)
    found = chunks(response)
    assert text_of(found) == "word " * 40
    assert finish_of(found) == ["stop"]
    roles = [c["choices"][0]["delta"].get("role") for c in found if c["choices"]]
    assert roles.count("assistant") == 1
    assert roles[0] == "assistant"
    assert found[-1]["choices"] == []
    assert found[-1]["usage"]["total_tokens"] == 18
    assert len({chunk["id"] for chunk in found}) == 1


# Last: a model that took too long rests for a while


def test_a_slow_first_model_leaves_time_for_the_second(customer: Customer):
    slow = Reply((5.0, *_steps(Answer("too late"))))
    response = customer.post(by_model(slow), model="auto")
    assert said(response) == "the better answer"
    assert models_asked(customer.row(response))[0][1] == "upstream_timeout"


def _steps(answer: Answer) -> tuple[Any, ...]:
    return answer(Recorded("POST", "/", (), b"{}", b"")).steps
