"""The page of routing: settings, rules that are not lost, what is proven, the audits, the models."""

import csv
import io
import re
import time
from html import unescape
from typing import Any

import pytest
from routing_stage import compare, routing_page

from compared import CHEAP, MIDDLE, REFERENCE, compared, write
from neuralrouting.dashboard.rights import ROLES, UserRole, may
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.routing_settings import RoutingSettingsRows
from neuralrouting.storage.shadow_audits import ShadowAudits
from neuralrouting.storage.trail import GATEWAY, Trail
from settling import new_account, new_worker, settled

pytestmark = pytest.mark.anyio
RULES = "- name: cheap talk\n  when: {task: chat}\n  then: {mode: cost}\n"
EVIL = '<script>alert(1)</script>"=1+1'
DECISION = (
    '{"asked":{"tools":false,"images":false,"json_mode":"none","prompt_tokens":1000,"messages":1},'
    '"route":{"source":"configuration"}}'
)


@pytest.fixture
async def acme(database: Database) -> Database:
    await new_account(database)
    await AccountRows(database).ensure("other", "other", 1, actor=GATEWAY)
    return database


async def test_an_empty_account_is_taught_what_will_be_here(acme: Database):
    async with routing_page(acme) as client:
        rules = (await client.get("/routing")).text
        matrix = (await client.get("/routing?tab=matrix")).text
        audits = (await client.get("/routing?tab=audits")).text
    assert "No rules yet" in rules
    assert "Not built yet" in matrix
    assert matrix.count("no audits; the first audits: they come by themselves") >= 2 * 11
    assert "No such audits" in audits


async def test_settings_are_saved_and_shown(acme: Database):
    async with routing_page(acme) as client:
        answer = await client.post("/routing/settings", data={"mode": "cost", "cascade": "no", "shadow": "no"})
        assert answer.headers["location"] == "/routing?done=%2Frouting%2Fsettings"
        told = (await client.get("/routing.json")).json()["settings"]
        assert (told["mode"], told["cascade"], told["shadow"]) == ("cost", False, False)
        assert "The settings are saved" in (await client.get(answer.headers["location"])).text
        await client.post("/routing/settings", data={"shadow": "yes"})
        told = (await client.get("/routing.json")).json()["settings"]
        assert (told["mode"], told["cascade"], told["shadow"]) == (None, None, True)
        for wrong in ({"mode": "cheap"}, {"cascade": "1"}, {"shadow": "maybe"}):
            assert (await client.post("/routing/settings", data=wrong)).status_code == 422


async def test_rules_are_saved_and_stand_in_the_order_in_which_they_are_tried(acme: Database):
    text = RULES + "- name: no code\n  when: {task: coding, complexity: 4..8}\n  then: {block: not here}\n"
    async with routing_page(acme) as client:
        saved = await client.post("/routing", data={"editor": "1", "rules": text.replace("\n", "\r\n"), "do": "save"})
        assert saved.headers["location"] == "/routing?done=%2Frouting"
        rows = (await client.get("/routing.json")).json()["rules"]["data"]
        told = list(csv.DictReader(io.StringIO((await client.get("/routing.csv?table=rules")).text)))
    assert [(row["priority"], row["name"], row["when"], row["then"], row["line"]) for row in rows] == [
        (1, "cheap talk", "task: chat", "mode: cost", 1),
        (2, "no code", "task: coding; complexity: 4..8", 'block: "not here"', 4),
    ]
    assert [row["name"] for row in told] == ["cheap talk", "no code"]
    assert (await RoutingSettingsRows(acme).find("acme")).rules == text
    assert (await RoutingSettingsRows(acme).find("other")).rules == ""


async def test_a_mistake_is_told_with_its_line_and_what_was_typed_is_not_lost(acme: Database):
    text = f"{RULES}- name: x # {EVIL}\n  when: {{task: poetry}}\n  then: {{mode: cost}}\n"
    async with routing_page(acme) as client:
        for action in ("save", "try"):
            answer = await client.post("/routing", data={"editor": "1", "rules": text, "do": action})
            assert answer.status_code == 422
            assert "line 5, column 16: unknown task" in unescape(answer.text)
            assert "   5 ▸   when: {task: poetry}" in unescape(answer.text)
            assert typed(answer.text) == text
            assert "<script>alert" not in answer.text
        assert (await client.get("/routing.json")).json()["editor"]["text"] == ""


async def test_a_rule_of_the_form_goes_behind_the_text_and_is_not_saved_yet(acme: Database):
    form = {"editor": "1", "rules": RULES, "do": "add", "name": 'Sum "up": all', "task": "summarization",
            "low": "2", "high": "6.5", "feature": "reports", "user": "u*", "team": "sales",
            "tier": "economy"}  # fmt: skip
    async with routing_page(acme) as client:
        answer = await client.post("/routing", data=form)
        text = typed(answer.text)
        assert text.startswith(RULES)
        assert text.endswith(
            '\n- name: "Sum \\"up\\": all"\n  when:\n    task: summarization\n    complexity: 2..6.5\n'
            '    user: "u*"\n    feature: reports\n    team: sales\n  then:\n    tier: economy\n'
        )
        assert "Nothing is saved yet" in answer.text
        assert "not saved" in answer.text
        wrong = await client.post("/routing", data=form | {"model": CHEAP})
        assert wrong.status_code == 422
        assert "orders nothing" in wrong.text
        for without, said in (("name", "give the new rule a name"), ("tier", "say what the new rule orders")):
            refused = await client.post("/routing", data={k: v for k, v in form.items() if k != without})
            assert (refused.status_code, said in refused.text) == (422, True)
            assert typed(refused.text) == RULES
            assert 'value="reports"' in refused.text
        assert (await RoutingSettingsRows(acme).find("acme")).rules == ""


async def test_another_page_hands_a_rule_in(acme: Database):
    async with routing_page(acme) as client:
        await client.post("/routing", data={"editor": "1", "rules": RULES, "do": "save"})
        answer = await client.post("/routing", data={"do": "add", "yaml": "- name: more\n  then: {mode: speed}\n"})
        assert typed(answer.text) == f"{RULES}\n- name: more\n  then: {{mode: speed}}\n"
        drafted = (await client.get("/routing", params={"new_task": "qa", "new_model": CHEAP})).text
        assert re.search(rf"<option selected>{CHEAP}</option>", drafted)


async def test_a_dry_run_tells_what_would_move_and_what_it_cost_and_would_cost(acme: Database):
    worker, now_ms = await new_worker(await new_account(acme)), int(time.time() * 1000)
    asked = {
        "created_ms": now_ms - 3_600_000, "deployment": REFERENCE, "task": "chat", "decision": DECISION,
        "candidates": f'["{REFERENCE}", "{CHEAP}"]', "prompt_tokens": 1000, "completion_tokens": 1000,
        "cost_nanousd": 20_000_000, "routing_mode": "quality",
    }  # fmt: skip
    await worker.turn(*(settled(f"r{n}", 0, **asked) for n in range(3)), settled("r9", 0, **asked | {"task": "qa"}))
    async with routing_page(acme) as client:
        answer = await client.post("/routing", data={"editor": "1", "rules": RULES, "do": "try", "days": "1"})
    assert answer.status_code == 200
    assert "would have changed 3 of 4 requests" in answer.text
    assert '<data value="4">4</data> requests were looked at' in answer.text
    assert '<data class="usd" value="0.060000000"' in answer.text
    assert '<data class="usd" value="0.001200000"' in answer.text
    assert typed(answer.text) == RULES
    assert (await RoutingSettingsRows(acme).find("acme")).rules == ""


async def test_the_map_shows_what_is_proven_and_what_it_would_take(acme: Database):
    await compare(acme)
    await compare(acme, "other")
    async with routing_page(acme) as client:
        rebuilt = await client.post("/routing/rebuild", data={"now": "1"})
        assert rebuilt.headers["location"] == "/routing?tab=matrix&done=%2Frouting%2Frebuild"
        told = (await client.get("/routing.json?tab=matrix")).json()
        page = unescape((await client.get("/routing?tab=matrix&candidate=" + CHEAP + "&task=qa")).text)
        lines = list(csv.DictReader(io.StringIO((await client.get("/routing.csv?table=matrix")).text)))
    cells = {(cell["candidate"], cell["task"]): cell for cell in told["matrix"]["cells"]}
    assert cells[CHEAP, "qa"]["state"] == "proven"
    assert cells[CHEAP, "coding"]["state"] == "refused"
    assert cells[MIDDLE, "summarization"]["state"] == "unproven"
    assert f"{CHEAP} at qa: proven, mean {cells[CHEAP, 'qa']['mean']:+.3f}" in page
    assert f"{CHEAP} at coding: refused" in page
    assert f"{MIDDLE} at qa: no audits" in page
    assert page.count('class="heat-cell') == 0
    assert len(re.findall(r"<a href=\"/routing\?tab=matrix&candidate", page)) == 22
    assert [(row["candidate"], row["task"], float(row["mean"])) for row in lines] == [
        (cell["candidate"], cell["task"], cell["mean"]) for cell in told["matrix"]["cells"]
    ]
    assert cells[CHEAP, "coding"]["takes"].startswith("a mean above -0.05")


async def test_audits_are_listed_and_a_person_may_judge_them(acme: Database):
    await write(acme, [
        compared("lose", id="a1", request_id=f"req/{EVIL}", reason=EVIL, human=None),
        compared("win", id="a2", task="coding"),
        compared("tie", id="theirs", account_id="other"),
    ])  # fmt: skip
    async with routing_page(acme) as client:
        page = (await client.get("/routing?tab=audits")).text
        assert "<script>alert" not in page
        assert "theirs" not in page
        assert '<a href="/requests/req/%3Cscript' in page
        judged = await client.post(
            "/routing/verdict", data={"audit": "a1", "verdict": "tie", "back": "/routing?tab=audits"}
        )
        assert judged.headers["location"] == "/routing?tab=audits&done=%2Frouting%2Fverdict"
        told: dict[str, Any] = (await client.get("/routing.json?tab=audits&verdict=lose")).json()
        assert [(row["id"], row["human"]) for row in told["audits"]["data"]] == [("a1", "tie")]
        assert told["shadow"]["judge"]["judged"] == 1
        await client.post("/routing/verdict", data={"audit": "a1", "verdict": "none"})
        audit = await ShadowAudits(acme).find("acme", "a1")
        assert audit is not None
        assert audit.human is None
        for form in ({"audit": "theirs", "verdict": "win"}, {"audit": "\0", "verdict": "win"}):
            assert (await client.post("/routing/verdict", data=form)).status_code in (404, 422)
        assert (await client.post("/routing/verdict", data={"audit": "a1", "verdict": "great"})).status_code == 422
        lines = list(csv.DictReader(io.StringIO((await client.get("/routing.csv?table=audits&task=qa")).text)))
    assert [(line["id"], line["reason"]) for line in lines] == [("a1", EVIL)]


async def test_a_csv_of_audits_has_all_pages_and_the_list_has_one(acme: Database):
    await write(acme, [compared("tie", id=f"a{n:04}") for n in range(230)])
    async with routing_page(acme) as client:
        page = (await client.get("/routing?tab=audits")).text
        told = (await client.get("/routing.json?tab=audits")).json()
        lines = (await client.get("/routing.csv?table=audits")).text.splitlines()
        older = (await client.get(f"/routing.json?tab=audits&cursor={told['audits']['next']}")).json()
    assert len(lines) == 231
    assert "Older audits" in page
    assert older["audits"]["data"][0]["id"] < told["audits"]["data"][-1]["id"]


async def test_models_are_listed_with_price_and_speed(acme: Database):
    async with routing_page(acme) as client:
        rows = {row["model"]: row for row in (await client.get("/routing.json?tab=models")).json()["models"]}
        page = (await client.get("/routing?tab=models")).text
    assert rows[CHEAP]["input_nanousd_per_mtok"] == 200_000_000
    assert (rows[CHEAP]["ttft_ms"], rows[CHEAP]["tokens_per_s"], rows[CHEAP]["candidate"]) == (180.0, 100, True)
    assert (rows[REFERENCE]["candidate"], rows["simulated/gpt-4o"]["simulated"]) == (False, True)
    assert '<data class="usd" value="0.200000000"' in page


async def test_every_change_stands_in_the_trail_under_the_name_of_who_made_it(acme: Database):
    await write(acme, [compared("lose", id="a1")])
    async with routing_page(acme, "member") as client:
        await client.post("/routing", data={"editor": "1", "rules": RULES, "do": "save"})
        await client.post("/routing/settings", data={"mode": "cost", "shadow": "yes"})
        await client.post("/routing/verdict", data={"audit": "a1", "verdict": "tie"})
    entries = await Trail(acme).page("acme", None, 3)
    assert [(entry.actor, entry.action) for entry in entries] == [
        ("user_member", "shadow.verdict"), ("user_member", "routing.settings"), ("user_member", "routing.rules"),
    ]  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_does_what_it_may_and_is_shown_no_other_form(acme: Database, role: UserRole):
    await write(acme, [compared("lose", id="a1")])
    async with routing_page(acme, role) as client:
        page = await client.get("/routing")
        assert page.status_code == (200 if may(role, "see_requests") else 403)
        assert ("Save rules" in page.text) == may(role, "set_routing")
        for path in ("/routing", "/routing/settings", "/routing/rebuild"):
            answer = await client.post(path, data={"rules": RULES, "editor": "1"})
            assert (answer.status_code == 403) != may(role, "set_routing")
        answer = await client.post("/routing/verdict", data={"audit": "a1", "verdict": "win"})
        assert (answer.status_code == 403) != may(role, "judge")


async def test_what_is_misspelt_is_told(acme: Database):
    async with routing_page(acme) as client:
        for path in ("/routing?tab=all", "/routing?tabs=rules", "/routing?tab=audits&verdict=good",
                     "/routing?tab=audits&cursor=nobody"):  # fmt: skip
            assert (await client.get(path)).status_code == 422
        assert (await client.get("/routing.csv?table=audits&verdict=good")).status_code == 422
        assert (await client.post("/routing", data={"do": "burn"})).status_code == 422


def typed(page: str) -> str:
    """What stands in the editor."""
    found = re.search(r'<textarea class="code"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
    assert found is not None
    return unescape(found[1])
