"""What one finished request, or one finding, is counted as."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scraping import Scrape, scraped

from finished_exchange import finished
from neuralrouting.exchange import Attempt, Bill, BudgetNote, Cascade, Exchange, Lookup, SecurityEvent, Usage
from neuralrouting.telemetry.counting import Counting, decided_by, looked
from neuralrouting.telemetry.registry import Registry

N = "neuralrouting_"
HIT = Lookup("semantic", 0.97, 5, "ab" * 32)


def changed(**more: Any) -> Exchange:  # noqa: ANN401
    return msgspec.structs.replace(finished(), **more)


def with_facts(**more: Any) -> Exchange:  # noqa: ANN401
    done = finished()
    return msgspec.structs.replace(done, facts=msgspec.structs.replace(done.facts, **more))


def counted(folder: Path, *events: Exchange | SecurityEvent) -> Scrape:
    registry = Registry(folder)
    counting = Counting(registry)
    for event in events:
        counting.read(event)
    return scraped(registry.render().decode())


def test_an_answer_is_counted_with_its_money_its_tokens_and_its_times(tmp_path: Path):
    done = finished()
    assert done.facts is not None
    model = done.facts.deployment.id
    found = counted(tmp_path, done, done)
    assert found.total(f"{N}requests_total", model=model, decided_by="auto", status="200") == 2
    assert found.total(f"{N}cost_usd_total", model=model) == Decimal("0.000246912")
    assert found.total(f"{N}baseline_usd_total") == Decimal("0.00913578")
    assert found.total(f"{N}tokens_total", direction="prompt") == 2_400
    assert found.total(f"{N}tokens_total", direction="reasoning") == 240
    assert found.total(f"{N}upstream_attempts_total", outcome="upstream_timeout", provider="openai") == 2
    assert found.total(f"{N}request_seconds_sum", cache="miss") == Decimal("1.8")
    assert found.total(f"{N}ttft_seconds_sum", model=model) == Decimal("0.42")
    assert found.total(f"{N}failed_attempts_cost_usd_total") == Decimal("0.0000014")
    assert found.values(f"{N}layer_seconds_count", "layer") >= {"read", "shield", "routing", "admission"}
    assert found.total(f"{N}layer_seconds_sum", layer="routing") == Decimal("0.00012")


def test_what_has_no_price_is_counted_and_adds_nothing(tmp_path: Path):
    found = counted(tmp_path, with_facts(bill=Bill(None, 5_000, None, None, "bench")))
    assert found.total(f"{N}unpriced_requests_total") == 1
    assert found.total(f"{N}cost_usd_total") == found.total(f"{N}baseline_usd_total") == 0


def test_savings_are_of_answers_that_have_a_baseline_only(tmp_path: Path):
    dear = with_facts(bill=Bill(9_000_000_000, None, None, None, "bench"))
    found = counted(tmp_path, finished(), dear)
    saved = found.total(f"{N}baseline_usd_total") - found.total(f"{N}compared_cost_usd_total")
    assert saved == Decimal("0.004444434")


def test_a_failed_request_is_nobodys_and_has_its_code(tmp_path: Path):
    found = counted(tmp_path, changed(facts=None, status=502, error_code="upstream_error"))
    assert found.total(f"{N}requests_total", model="none", provider="none", status="502") == 1
    assert found.total(f"{N}errors_total", code="upstream_error", status="502") == 1
    assert found.total(f"{N}cache_lookups_total") == 0


def test_budgets_cascades_and_findings_are_counted(tmp_path: Path):
    done = finished()
    assert done.facts is not None
    first = Cascade(done.facts.deployment, Usage(1, 1), done.facts.bill, "refusal", "escalated")
    notes = (BudgetNote("b", 85), BudgetNote("c", 100, spent=True))
    event = SecurityEvent(
        "r", 1, "acme", "k", None, "/v1/x", "block", "HIGH", "override", 990, (), None, None, None, None, None, None,
        None, "", truncated=False,
    )  # fmt: skip
    found = counted(tmp_path, with_facts(cascade=first), changed(budgets=notes), event)
    assert found.total(f"{N}cascades_total", outcome="escalated") == 1
    assert found.total(f"{N}budget_warnings_total", state="warned") == 1
    assert found.total(f"{N}budget_warnings_total", state="spent") == 1
    assert found.total(f"{N}security_events_total", action="block", category="override") == 1


@pytest.mark.parametrize(
    ("done", "by"),
    [
        (finished(), "auto"),
        (with_facts(cache=HIT), "cache"),
        (changed(facts=None, route=None), "none"),
        (changed(route=msgspec.structs.replace(finished().route, rule="forced")), "client"),  # pyright: ignore[reportArgumentType]
        (changed(route=msgspec.structs.replace(finished().route, order="cheap mail")), "rule"),  # pyright: ignore[reportArgumentType]
    ],
    ids=["mode", "cache", "nobody", "client", "rule"],
)
def test_who_decided_is_told_in_fixed_words(done: Exchange, by: str):
    assert decided_by(done) == by


def test_a_lookup_is_a_kind_and_a_result():
    assert looked(HIT) == ("semantic", "hit")
    assert looked(Lookup("exact", 1.0, 0, "ab", shared=True)) == ("exact", "shared")
    assert looked(Lookup("miss", reason="numbers")) == ("none", "miss")
    assert looked(Lookup("bypass")) == ("none", "bypass")


def test_an_attempt_of_an_earlier_row_can_still_be_read():
    told = b'{"deployment":"a/b","provider":"a","outcome":"ok","latency_us":5}'
    assert msgspec.json.decode(told, type=Attempt).began_us is None
