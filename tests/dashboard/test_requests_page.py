"""The page of requests: what is found and in which order, all of one request, and the same as JSON and CSV."""

import csv
import io
import json
import re
from contextlib import AsyncExitStack

import httpx
import pytest
from looking import Signed, application, person, visiting

from findings_made import an_event
from neuralrouting.app.watching import open_watching
from neuralrouting.dashboard.rights import ROLES, UserRole, may
from neuralrouting.dashboard.views.requests import COLUMNS, SHOWN
from neuralrouting.engine import Shield
from neuralrouting.storage.database import Database
from neuralrouting.storage.feedback import Feedback, FeedbackRows
from neuralrouting.storage.security import INSERT_EVENT, event_values
from settling import NOON_MS, new_account, new_worker, settled

pytestmark = pytest.mark.anyio

EVIL = '<img src=x onerror="alert(1)">{{7*7}}'
RANGE = {"from": str(NOON_MS - 3_600_000), "to": str(NOON_MS + 3_600_000)}
ATTEMPTS = [
    {"deployment": "a/b", "provider": "a", "outcome": "upstream_timeout", "latency_us": 300, "provider_status": 504},
    {"deployment": "openai/gpt-4o", "provider": "openai", "outcome": "ok", "latency_us": 600, "cost_nanousd": 100},
]
DECISION = {
    "cache": {"outcome": "miss", "reason": "near"}, "shield": {"says": "flag", "risk": 0.61, "rules": ["a.b"]},
    "asked": {"tools": True, "images": False, "json_mode": "schema", "prompt_tokens": 12, "messages": 3},
    "task": {"task": "coding", "confidence": 0.9, "complexity": 7.2, "abstained": False}, "predicted": {"cheap": -0.05},
    "route": {
        "mode": "auto", "source": "default", "reason": "cheapest that is proven", "chosen": "openai/gpt-4o",
        "assumed_output_tokens": 512, "further": 3, "rule": {"name": EVIL, "line": 4},
        "candidates": [
            {"model": "openai/gpt-4o", "tier": "premium", "estimated_nanousd": 120, "n": 40},
            {"model": "c/d", "tier": "economy", "lost": "not proven"},
        ],
    },
}  # fmt: skip


SAID = (
    "Classification", "complexity 7.2 of 10", "cheapest that is proven", "not proven", "upstream_timeout", "usage",
    "0.007 charged of 0.007 held", "override.prior", "answered", "2026-01-01",
)  # fmt: skip


def pages(database: Database, role: UserRole = "owner", account_id: str = "acme") -> httpx.AsyncClient:
    viewer = person(role, account_id)
    watching = open_watching(AsyncExitStack(), Signed(viewer), database, lambda _: Shield())
    return visiting(application(watching.pages, watching.deeds, watching.services, viewer=viewer))


@pytest.fixture
async def kept(database: Database) -> Database:
    """Six requests of an account, one of them simulated, and one of another account."""
    worker = await new_worker(await new_account(database, credits_mc=10_000))
    await new_account(database, "globex")
    await worker.turn(
        settled(
            "req_1", 7, end_user=EVIL, feature="=1+1", session_id="talk", deployment="openai/gpt-4o", task="coding",
            complexity_tenths=72, attempts=json.dumps(ATTEMPTS), decision=json.dumps(DECISION), stream=True,
            request_body=b"asked <b>", response_body=b"answered",
        ),
        settled("req_2", 0, created_ms=NOON_MS + 1, cache="exact", cost_nanousd=0, end_user="anna"),
        settled("req_3", 0, created_ms=NOON_MS + 2, status=502, error_code="upstream_error", baseline_nanousd=None),
        settled("req_4", 0, created_ms=NOON_MS + 3, cost_nanousd=None, end_user="anna", session_id="talk"),
        settled("sim_1", 0, created_ms=NOON_MS + 4, simulated=True, deployment="simulated/gpt-4o"),
        settled("old_1", 0, created_ms=NOON_MS - 40 * 86_400_000),
        settled("theirs", 0, account_id="globex"),
    )  # fmt: skip
    await database.write([(INSERT_EVENT, [event_values(an_event("req_1", excerpt=EVIL))])])
    await FeedbackRows(database).put(Feedback("acme", "req_1", "user", -1.0, EVIL, "coding", "openai/gpt-4o", 1))
    return database


async def ids(client: httpx.AsyncClient, **told: str) -> list[str]:
    answer = await client.get("/requests.json", params=RANGE | told)
    assert answer.status_code == 200, answer.text
    return [row["request_id"] for row in answer.json()["data"]]


async def test_page_json_and_csv_tell_the_same_requests_newest_first(kept: Database):
    async with pages(kept) as client:
        assert await ids(client) == ["req_4", "req_3", "req_2", "req_1"]
        page = (await client.get("/requests", params=RANGE)).text
        assert re.findall(r'<tr id="([^"]+)"', page) == ["req_4", "req_3", "req_2", "req_1"]
        table = (await client.get("/requests.csv", params=RANGE)).text
        rows = list(csv.DictReader(io.StringIO(table)))
        told = (await client.get("/requests.json", params=RANGE)).json()["data"]
        assert [row["request_id"] for row in rows] == [row["request_id"] for row in told]
        assert [row["cost_nanousd"] for row in rows] == ["", "100", "0", "100"]
        assert [row["saved_usd"] for row in rows] == [row["saved_usd"] or "" for row in told]
        assert rows[3]["feature"] == "'=1+1"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"q": "req_2"}, ["req_2"]), ({"q": "req_"}, ["req_4", "req_3", "req_2", "req_1"]), ({"q": "r%"}, []),
        ({"q": "anna"}, ["req_4", "req_2"]), ({"q": "talk"}, ["req_4", "req_1"]), ({"q": "upstream_error"}, ["req_3"]),
        ({"status": "502"}, ["req_3"]), ({"session": "talk"}, ["req_4", "req_1"]), ({"task": "coding"}, ["req_1"]),
        ({"cache": "exact"}, ["req_2"]), ({"user": "anna", "cache": "miss"}, ["req_4"]),
        ({"model": "gpt-4o"}, ["req_1"]), ({"money": "simulated"}, ["sim_1"]),
        ({"q": "old_1"}, ["old_1"]), ({"q": "theirs"}, []),
    ],
)  # fmt: skip
async def test_a_filter_leaves_what_it_names(kept: Database, told: dict[str, str], expected: list[str]):
    async with pages(kept) as client:
        assert await ids(client, **told) == expected


async def test_pages_follow_each_other_by_their_links(kept: Database):
    async with pages(kept) as client:
        found, address = [], f"/requests?from={RANGE['from']}&to={RANGE['to']}&limit=2"
        while address:
            page = (await client.get(address)).text
            found += re.findall(r'<tr id="([^"]+)"', page)
            link = re.search(r'rel="next" href="([^"]+)"', page)
            address = link[1].replace("&amp;", "&") if link else ""
        assert found == ["req_4", "req_3", "req_2", "req_1"]


async def test_columns_are_those_of_the_address_and_each_can_be_chosen(kept: Database):
    async with pages(kept) as client:
        usual = (await client.get("/requests", params=RANGE)).text
        assert usual.count('<th scope="col" data-key') == len(SHOWN)
        few = (await client.get("/requests", params=RANGE | {"columns": "provider,rule"})).text
        assert re.findall(r'data-key="([^"]+)"', few) == ["created", "provider", "route_rule"]
        every = await client.get("/requests", params=RANGE | {"columns": ",".join(COLUMNS)})
        assert every.status_code == 200
        assert "unpriced" in every.text


async def test_the_drawer_and_the_page_of_a_request_tell_all_of_it(kept: Database):
    async with pages(kept) as client:
        drawer = (await client.get("/requests", params=RANGE | {"open": "req_1"})).text
        alone = (await client.get("/requests/req_1")).text
        for text in (drawer, alone):
            for said in SAID:
                assert said in text, said
            assert EVIL not in text
            assert "&lt;img src=x" in text
        told = (await client.get("/requests/req_1.json")).json()
        assert (told["cost_nanousd"], told["decision"]["task"]["task"]) == (100, "coding")
        assert [entry["kind"] for entry in told["ledger"]] == ["usage"]
        assert [(one["from_percent"], one["percent"]) for one in told["timeline"]] == [(0.0, 30.0), (30.0, 60.0)]
        assert told["feedback"][0]["score"] == -1.0


async def test_bodies_are_for_owners_only(kept: Database):
    for role in ("owner", "member", "viewer"):
        async with pages(kept, role) as client:
            text = (await client.get("/requests/req_1")).text + (await client.get("/requests/req_1.json")).text
            assert ("answered" in text) == (role == "owner")


async def test_another_account_s_request_is_as_unknown_as_none(kept: Database):
    async with pages(kept) as client:
        for name in ("theirs", "nobody's", "a%00b"):
            assert (await client.get(f"/requests/{name}")).status_code == 404
            assert (await client.get(f"/requests/{name}.json")).status_code == 404
        drawer = await client.get("/requests", params={"open": "theirs"})
        assert drawer.status_code == 200
        assert "There is no request" in drawer.text


@pytest.mark.parametrize(
    "told",
    [
        {"status": "abc"}, {"status": "99"}, {"cache": "warm"}, {"cursor": "!"}, {"columns": "secrets"}, {"limit": "0"},
        {"q": "x" * 600}, {"who": "me"}, {"open": "x", "period": "never"},
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_told(kept: Database, told: dict[str, str]):
    async with pages(kept) as client:
        assert (await client.get("/requests", params=told)).status_code == 422
        assert (await client.get("/requests.json", params=told)).json()["error"]["code"] == "invalid_field"


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_sees_what_it_may(kept: Database, role: UserRole):
    expected = 200 if may(role, "see_requests") else 403
    async with pages(kept, role) as client:
        for path in ("/requests", "/requests.json", "/requests.csv", "/requests/req_1", "/requests/req_1.json"):
            assert (await client.get(path)).status_code == expected, path


async def test_an_empty_page_says_how_to_fill_it_and_a_filtered_one_how_to_start_over(kept: Database):
    async with pages(kept, account_id="empty") as client:
        assert "curl" in (await client.get("/requests")).text
        assert "Start over" in (await client.get("/requests", params={"user": "nobody"})).text
