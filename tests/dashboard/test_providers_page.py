"""The page of providers: how calls went, which failed and what to do, percentiles of what was measured."""

import csv
import io
from typing import Any

import httpx
import orjson
import pytest
from looking import application, person, visiting

from models_made_up import catalog_of, deployment
from neuralrouting.dashboard.rights import ROLES, UserRole, may
from neuralrouting.dashboard.views.providers import ADVICE, Providers, calls_of, figures
from neuralrouting.providers.speeds import Speeds
from neuralrouting.storage.calls import CallRows, RequestCalls
from neuralrouting.storage.database import Database
from settling import NOON_MS, new_account, new_worker, settled

pytestmark = pytest.mark.anyio
RANGE = {"from": str(NOON_MS - 3_600_000), "to": str(NOON_MS + 3_600_000)}


def attempt(
    deployment: str, outcome: str = "ok", latency_us: int = 1_000, ttft_us: int | None = None
) -> dict[str, Any]:
    provider = deployment.partition("/")[0]
    return {
        "deployment": deployment, "provider": provider, "outcome": outcome,
        "latency_us": latency_us, "ttft_us": ttft_us, "provider_status": None, "cost_nanousd": None,
    }  # fmt: skip


def tried(*attempts: dict[str, Any]) -> str:
    return orjson.dumps(attempts).decode()


def providers_page(database: Database, role: UserRole = "owner", account_id: str = "acme") -> httpx.AsyncClient:
    speeds = Speeds()
    speeds.learn("openai/gpt-4o-mini", 200_000, 100, 1_000_000)
    providers = Providers(CallRows(database), catalog_of([deployment("gpt-4o-mini")]), speeds)
    return visiting(application([providers.page()], viewer=person(role, account_id)))


@pytest.fixture
async def called(database: Database) -> Database:
    worker = await new_worker(await new_account(database, credits_mc=10_000))
    evil = "<script>/x"
    await worker.turn(
        settled("r1", 0, attempts=tried(attempt("openai/gpt-4o-mini", latency_us=3_000_000, ttft_us=1_000_000))),
        settled(
            "r2",
            0,
            attempts=tried(attempt("openai/gpt-4o-mini", "upstream_timeout"), attempt("groq/llama", latency_us=5_000)),
        ),
        settled("r3", 0, attempts=tried(attempt("openai/gpt-4o-mini", "client_closed"))),
        settled("r4", 0, attempts=tried(attempt(evil)), feature="other"),
        settled("r5", 0, attempts=tried(attempt("simulated/small")), simulated=True),
        settled("r6", 0, cache="exact"),
    )
    return database


async def test_calls_and_failures_are_told_by_provider_and_a_client_that_left_is_none(called: Database):
    async with providers_page(called) as client:
        told = (await client.get("/providers.json", params=RANGE)).json()
        page = (await client.get("/providers", params=RANGE)).text
        lines = (await client.get("/providers.csv", params={**RANGE, "table": "providers"})).text
    by_name = {row["provider"]: row for row in told["providers"]}
    assert (by_name["openai"]["calls"], by_name["openai"]["failed"]) == (3, 1)
    assert by_name["openai"]["ttft_p99_us"] == 1_000_000
    assert by_name["openai"]["tokens_per_s"] == 10, "20 tokens in the two seconds behind the first"
    assert told["errors"] == [
        {"provider": "openai", "code": "upstream_timeout", "calls": 1, "advice": ADVICE["upstream_timeout"]}
    ]
    assert "simulated" not in by_name
    assert "&lt;script&gt;" in page
    assert {row["provider"]: row["calls"] for row in csv.DictReader(io.StringIO(lines))}["openai"] == "3"


async def test_a_filter_and_the_kind_of_money_narrow_the_calls(called: Database):
    async with providers_page(called) as client:
        other = (await client.get("/providers.json", params={**RANGE, "feature": "other"})).json()
        simulated = (await client.get("/providers.json", params={**RANGE, "money": "simulated"})).json()
    assert other["calls"] == 1
    assert [row["provider"] for row in simulated["providers"]] == ["simulated"]


async def test_other_accounts_see_none_of_it_and_learn_how_to_begin(called: Database):
    async with providers_page(called, account_id="theirs") as client:
        told = (await client.get("/providers.json", params=RANGE)).json()
        assert (told["calls"], told["providers"]) == (0, [])
        assert "curl" in (await client.get("/providers", params=RANGE)).text


@pytest.mark.parametrize("role", ROLES)
async def test_who_may_look_at_providers(called: Database, role: UserRole):
    async with providers_page(called, role) as client:
        assert (await client.get("/providers")).status_code == (200 if may(role, "see_requests") else 403)


def test_nothing_is_told_of_no_calls():
    told = figures([])
    assert (told["calls"], told["failed_share"], told["ttft_p50_us"], told["tokens_per_s"]) == (0, None, None, None)


def test_tokens_belong_to_the_call_whose_answer_was_taken():
    row = RequestCalls(
        1,
        simulated=False,
        completion_tokens=7,
        attempts=tried(attempt("a/x"), attempt("a/y"), attempt("a/z", "upstream_error")),
    )
    assert [call.completion_tokens for call in calls_of([row])] == [0, 7, 0]
