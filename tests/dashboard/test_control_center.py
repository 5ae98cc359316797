"""The first page: page, JSON and CSV tell the same figures, real money stays apart, and a proven row becomes a rule."""

import csv
import io
from collections.abc import Mapping

import httpx
import msgspec
import pytest
from looking import application, person, visiting

from neuralrouting.accounts.allowance import Allowance
from neuralrouting.api.premium import Evidence, Premium
from neuralrouting.api.routing import Routing
from neuralrouting.catalog import Catalog
from neuralrouting.catalog.models import Capabilities, Deployment, Price, Tier
from neuralrouting.dashboard.rights import ROLES, UserRole, may
from neuralrouting.dashboard.views.control_center import ControlCenter, ControlRows
from neuralrouting.dashboard.views.needless import NeedlessList
from neuralrouting.rules import read_rules
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.audit import AuditRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.overheads import OverheadRows
from neuralrouting.storage.routing_settings import RoutingSettingsRows
from neuralrouting.storage.trail import Actor
from neuralrouting.storage.usage import DAY_MS, HOUR_MS, UsageRows
from settling import NOON_MS, Worker, new_account, new_worker, spending

pytestmark = pytest.mark.anyio
MIDNIGHT_MS = NOON_MS - NOON_MS % DAY_MS
RANGE = {"from": str(MIDNIGHT_MS - 2 * DAY_MS), "to": str(MIDNIGHT_MS + DAY_MS)}
EVIL = '<script>alert(1)</script>{{ 7*7 }}=cmd|"'
OWN_RULES = "# mine, do not touch\n- name: mine\n  when:\n    feature: mail\n  then:\n    tier: economy\n"


def model(name: str, tier: Tier, picousd: int) -> Deployment:
    price = Price(picousd, picousd, picousd, picousd, "v", "test")
    provider, _, bare = name.partition("/")
    return Deployment(name, bare, provider, bare, tier, 128_000, 8_000, Capabilities(), price)


BEST, CHEAP = model("a/best", "premium", 10_000_000), model("a/cheap", "economy", 100_000)
CATALOG = Catalog((BEST, CHEAP), (BEST, CHEAP), (), BEST, False, {})  # noqa: FBT003


class Known:
    """Proofs of one task only."""

    def evidence(self, account_id: str, model: str, task: str) -> Evidence | None:
        assert account_id == "acme"
        known = {"qa": Evidence(400, -0.01, 0.02, proven=True), "chat": Evidence(20, -0.2, 0.1, proven=False)}
        return known.get(task) if model == "a/cheap" else None


def control_page(database: Database, role: UserRole = "owner", account_id: str = "acme") -> httpx.AsyncClient:
    routing = Routing(RoutingSettingsRows(database), AccountRows(database), CATALOG, Allowance(database))
    needless = NeedlessList(Premium(AuditRows(database), CATALOG, Known()), routing)
    rows = ControlRows(UsageRows(database), OverheadRows(database))
    control = ControlCenter(rows, needless, "http://127.0.0.1:8080")
    return visiting(application([control.page()], control.deeds(), viewer=person(role, account_id)))


def of_best(task: str) -> Mapping[str, object]:
    called = msgspec.json.encode(["a/best", "a/cheap"]).decode()
    return {"task": task, "deployment": "a/best", "candidates": called, "cost_nanousd": 300_000, "prompt_tokens": 30}


@pytest.fixture
async def worker(database: Database) -> Worker:
    return await new_worker(await new_account(database))


@pytest.fixture
async def spent(database: Database, worker: Worker) -> Database:
    """Two days of requests: one dear, hits of both kinds, a failure, a block, one simulated; and one before them."""
    free = {"cost_nanousd": 0, "baseline_nanousd": 2_000}
    await worker.turn(
        spending("r1", end_user=EVIL, created_ms=NOON_MS, house_nanousd=50, overhead_us=100),
        spending("r2", end_user="anna", cache="exact", **free, overhead_us=300),
        spending("r3", end_user="anna", cache="semantic", **free, created_ms=NOON_MS - DAY_MS),
        spending("r4", status=502, error_code="upstream_timeout", cost_nanousd=0, baseline_nanousd=None),
        spending("r5", status=403, error_code="shield_blocked", cost_nanousd=0, baseline_nanousd=None),
        spending("r6", simulated=True, deployment="simulated/x", cost_nanousd=7_000, baseline_nanousd=9_000),
        spending("r7", created_ms=NOON_MS - 4 * DAY_MS, cost_nanousd=400),
    )
    return database


async def test_page_json_and_csv_tell_the_same_figures(spent: Database):
    async with control_page(spent) as client:
        told = (await client.get("/control-center.json", params=RANGE)).json()
        page = (await client.get("/", params=RANGE)).text
        lines = (await client.get("/control-center.csv", params={**RANGE, "table": "by_user"})).text
    now = told["now"]
    assert (now["requests"], now["failed"], now["blocked"], now["cost_nanousd"]) == (5, 1, 1, 100)
    assert now["saved_nanousd"] == 900 + 2_000 + 2_000 - 50
    assert now["cache_share"] == pytest.approx(2 / 5)
    assert told["before"]["cost_nanousd"] == 400
    assert f'value="{now["saved_usd"]}"' in page
    rows = list(csv.DictReader(io.StringIO(lines)))
    assert [(row["user"], row["saved_usd"]) for row in rows] == [
        (one["user"] or "", one["saved_usd"]) for one in told["by_user"]["data"]
    ]
    assert sum(int(row["requests"]) for row in rows) == now["requests"]


async def test_the_causes_come_to_what_was_saved(spent: Database):
    async with control_page(spent) as client:
        told = (await client.get("/control-center.json", params=RANGE)).json()
    causes = {row["cause"]: row["saved_nanousd"] for row in told["causes"]}
    assert causes == {"routing": 900, "exact_cache": 2_000, "semantic_cache": 2_000, "house": -50}
    assert sum(causes.values()) == told["now"]["saved_nanousd"]


async def test_every_day_is_drawn_the_empty_ones_too(spent: Database):
    async with control_page(spent) as client:
        days = (await client.get("/control-center.json", params=RANGE)).json()["over_time"]
        hours = (
            await client.get("/control-center.json", params={"from": str(NOON_MS), "to": str(NOON_MS + 3 * HOUR_MS)})
        ).json()["over_time"]
    assert [(day["at"], day["requests"]) for day in days] == [("2026-11-26", 0), ("2026-11-27", 1), ("2026-11-28", 4)]
    assert [hour["requests"] for hour in hours] == [4, 0, 0]
    assert hours[0]["at"] == "2026-11-28T12:00:00Z"


async def test_simulated_requests_are_told_apart_and_never_added(spent: Database):
    async with control_page(spent) as client:
        real = (await client.get("/control-center.json", params=RANGE)).json()
        page = (await client.get("/", params=RANGE)).text
        simulated = (await client.get("/control-center.json", params={**RANGE, "money": "simulated"})).json()
    assert real["simulated"]["cost_nanousd"] == simulated["now"]["cost_nanousd"] == 7_000
    assert "Apart from these:" in page
    assert [row["model"] for row in simulated["by_model"]["data"]] == ["simulated/x"]


async def test_the_overhead_is_that_of_the_newest_requests_that_fit(spent: Database):
    async with control_page(spent) as client:
        told = (await client.get("/control-center.json", params={**RANGE, "user": "anna"})).json()["overhead"]
        nobody = (await client.get("/control-center.json", params={**RANGE, "user": "nobody"})).json()["overhead"]
    assert (told["measured"], told["p50_us"], told["p99_us"], told["of_newest"]) == (2, 100, 300, 1_000)
    assert (nobody["measured"], nobody["p50_us"]) == (0, None)


async def test_names_of_others_are_text_on_the_page(spent: Database):
    async with control_page(spent) as client:
        page = (await client.get("/", params=RANGE)).text
    assert "<script>alert" not in page
    assert "{{ 7*7 }}" in page


async def test_a_long_tail_is_summed_up_and_all_of_it_in_the_csv(database: Database, worker: Worker):
    await worker.turn(*(spending(f"r{place}", end_user=f"u{place:02}", cost_nanousd=place) for place in range(13)))
    async with control_page(database) as client:
        told = (await client.get("/control-center.json", params=RANGE)).json()["by_user"]
        lines = (await client.get("/control-center.csv", params={**RANGE, "table": "by_user"})).text
    assert [row["user"] for row in told["data"]] == [f"u{place:02}" for place in range(12, 2, -1)]
    assert (told["rest"]["groups"], told["rest"]["cost_nanousd"]) == (3, 0 + 1 + 2)
    assert len(list(csv.DictReader(io.StringIO(lines)))) == 13


async def test_an_account_without_requests_is_taught_how_to_send_one(database: Database, worker: Worker):
    async with control_page(database) as client:
        page = (await client.get("/")).text
    assert "curl http://127.0.0.1:8080/v1/chat/completions" in page
    assert 'href="/keys"' in page
    assert "<svg" not in page


async def test_one_account_sees_nothing_of_another(spent: Database):
    await new_account(spent, "other")
    async with control_page(spent, account_id="other") as client:
        told = (await client.get("/control-center.json", params=RANGE)).json()
    assert told["now"]["requests"] == told["simulated"]["requests"] == 0


async def test_a_proven_row_becomes_a_rule_behind_the_owners_own(database: Database, worker: Worker):
    settings = RoutingSettingsRows(database)
    await settings.change("acme", lambda had: msgspec.structs.replace(had, rules=OWN_RULES), 1, actor=Actor("test"))
    await worker.turn(spending("r1", **of_best("qa")))
    form = {"task": "qa", "model": "a/best", "alternative": "a/cheap", **RANGE, "back": "/"}
    async with control_page(database) as client:
        page = (await client.get("/", params=RANGE)).text
        answer = await client.post("/control-center/rule", data=form)
        again = await client.post("/control-center/rule", data=form)
    assert "Make it a rule" in page
    assert (answer.status_code, answer.headers["location"]) == (303, "/?done=%2Fcontrol-center%2Frule")
    text = (await settings.find("acme")).rules
    assert text.startswith(OWN_RULES)
    assert [rule.name for rule in read_rules(text).rules] == ["mine", "qa to a/cheap"]
    assert (again.status_code, "already" in again.text) == (422, True)


async def test_a_row_without_proof_has_no_button_and_says_what_is_missing(database: Database, worker: Worker):
    await worker.turn(spending("r1", **of_best("chat")), spending("r2", **of_best("coding")))
    form = {"task": "chat", "model": "a/best", "alternative": "a/cheap", **RANGE}
    async with control_page(database) as client:
        page = (await client.get("/", params=RANGE)).text
        answer = await client.post("/control-center/rule", data=form)
    assert "20 comparisons put its quality between -0.200 and +0.100 of the reference" in page
    assert "no shadow audit has compared the two yet" in page
    assert "Add this rule" not in page
    assert answer.status_code == 422
    assert (await RoutingSettingsRows(database).find("acme")).rules == ""


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_sees_money_and_makes_rules_as_it_may(database: Database, worker: Worker, role: UserRole):
    await worker.turn(spending("r1", **of_best("qa")))
    form = {"task": "qa", "model": "a/best", "alternative": "a/cheap", **RANGE}
    async with control_page(database, role) as client:
        page = await client.get("/", params=RANGE)
        answer = await client.post("/control-center/rule", data=form)
    assert page.status_code == 200
    assert ("Add this rule" in page.text) is may(role, "set_routing")
    assert answer.status_code == (303 if may(role, "set_routing") else 403)
