"""What every page has in common: who may see it, its JSON and CSV, what its forms do, and what it never does."""

import csv
import io

import pytest
from looking import HERE, looking, person
from starlette.testclient import TestClient

from neuralrouting.dashboard.page import Ask, Column, Deed, Form, Page, Table
from neuralrouting.dashboard.rights import ROLES, UserRole, may
from neuralrouting.dashboard.viewer import Viewer
from neuralrouting.errors import InvalidField
from neuralrouting.exchange import JsonObject

EVIL = '<script>alert(1)</script>{{ 7*7 }}=cmd|"'


async def body(ask: Ask) -> JsonObject:
    rows = [
        {"model": EVIL, "requests": 3, "cost_nanousd": 1_500_000_000, "saved_usd": "-0.500000000"},
        {"model": "=1+1", "requests": 0, "cost_nanousd": None, "saved_usd": None},
    ]
    return {"object": "page.sample", "by_model": rows, "account": ask.viewer.account_id, "period": ask.bar.period}


COLUMNS = (
    Column("model", "Model", narrows="model"),
    Column("requests", "Requests", "count"),
    Column("cost_nanousd", "Spent", "usd"),
)
PAGE = Page(
    "sample", "Sample", "see_money", body,
    {"by_model": Table("By model", COLUMNS, lambda found: found["by_model"])}, path="/",
)  # fmt: skip


async def rename(viewer: Viewer, form: Form) -> None:
    viewer.need("set_keys")
    if form.get("name") != "good":
        raise InvalidField("`name` must be good", param="name")


DEED = Deed("/rename", "set_keys", rename, "The name was changed.")


@pytest.fixture
def client():
    with looking([PAGE], [DEED], viewer=person()) as found:
        yield found


def test_a_page_shows_what_its_json_says_and_no_markup_of_others(client: TestClient):
    text = client.get("/?period=7d").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7*7 }}" in text
    assert '<data class="usd" value="1.500000000"' in text
    assert "unpriced" in text
    told = client.get("/sample.json?period=7d").json()
    assert told["by_model"][0]["cost_nanousd"] == 1_500_000_000
    assert told["period"] == "7d"


def test_a_csv_runs_no_formula_and_keeps_numbers_exact(client: TestClient):
    answer = client.get("/sample.csv?table=by_model")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows[1]["model"] == "'=1+1"
    assert rows[0]["saved_usd"] == "-0.500000000"
    assert rows[1]["cost_nanousd"] == ""
    assert "attachment" in answer.headers["content-disposition"]


def test_every_page_is_strict_about_what_it_loads(client: TestClient):
    headers = client.get("/").headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


def test_a_filter_that_is_misspelt_is_told_and_not_passed_over(client: TestClient):
    answer = client.get("/?modle=x")
    assert answer.status_code == 422
    assert "modle" in answer.text
    assert client.get("/sample.json?modle=x").json()["error"]["param"] == "modle"
    assert client.get("/?period=fortnight").status_code == 422


def test_a_form_leaves_what_is_empty_out_of_the_address(client: TestClient):
    answer = client.get("/?chosen=1&period=7d&user=&model=gpt-4o&money=")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?period=7d&model=gpt-4o"


@pytest.mark.parametrize("role", ROLES)
def test_a_role_sees_and_does_what_it_may(role: UserRole):
    with looking([PAGE], [DEED], viewer=person(role)) as client:
        assert client.get("/").status_code == (200 if may(role, "see_money") else 403)
        answer = client.post("/rename", data={"name": "good"})
        assert answer.status_code == (303 if may(role, "set_keys") else 403)


def test_nobody_is_sent_to_sign_in_and_told_where_they_wanted_to_go():
    with looking([PAGE], [DEED], viewer=None) as client:
        assert client.get("/?period=7d").headers["location"] == "/login?next=%2F%3Fperiod%3D7d"
        assert client.get("/sample.json").status_code == 401
        assert client.get("/sample.csv").status_code == 401
        assert client.post("/rename", data={"name": "good"}).headers["location"].startswith("/login")


def test_a_deed_says_that_it_is_done_and_puts_no_words_of_others_there(client: TestClient):
    answer = client.post("/rename", data={"name": "good", "back": "/?period=7d"})
    assert answer.headers["location"] == "/?period=7d&done=%2Frename"
    assert "The name was changed." in client.get(answer.headers["location"]).text
    assert "pay me" not in client.get("/?done=pay+me").text


@pytest.mark.parametrize("back", ["https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)", "/a\nb"])
def test_a_deed_leads_to_a_path_of_ours_only(client: TestClient, back: str):
    answer = client.post("/rename", data={"name": "good", "back": back})
    assert answer.headers["location"].startswith("/?done=")


def test_a_form_of_another_site_changes_nothing(client: TestClient):
    for foreign in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}):
        assert client.post("/rename", data={"name": "good"}, headers=foreign).status_code == 403


def test_a_form_that_cannot_be_read_or_is_wrong_is_told(client: TestClient):
    wrong = client.post("/rename", data={"name": "bad"})
    assert (wrong.status_code, "must be good" in wrong.text) == (422, True)
    assert client.post("/rename", json={"name": "good"}).status_code == 422
    assert client.post("/rename", content=b"\xff=1", headers={"content-type": FORM} | HERE).status_code == 422
    assert client.post("/rename", content="a=1&" * 200, headers={"content-type": FORM} | HERE).status_code == 422


FORM = "application/x-www-form-urlencoded"


def test_scripts_and_styles_are_small_and_change_their_address_with_their_content(client: TestClient):
    address = client.get("/").text.partition('rel="stylesheet" href="')[2].partition('"')[0]
    plain = client.get(address, headers={"accept-encoding": "identity"})
    packed = client.get(address, headers={"accept-encoding": "gzip"})
    assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert packed.headers["content-encoding"] == "gzip"
    assert plain.text == packed.text
    assert client.get("/static/0/app.css").status_code == 404
