"""The page of the monthly reports: months with their figures, and PDFs that are made when they are asked for."""

import asyncio
import csv
import io
import re
from collections.abc import Iterator

import pytest
from looking import looking, person
from starlette.testclient import TestClient

from neuralrouting.api.figures import short_usd
from neuralrouting.dashboard.rights import ROLES
from neuralrouting.dashboard.views.reports import MonthlyReports
from neuralrouting.reports.press import Press
from neuralrouting.storage.database import open_database
from reported import of_last_month, press, settle, text_of

MONTH, ROWS = of_last_month()
COST = sum(row.cost_nanousd or 0 for row in ROWS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Press]:
    """Three requests of last month, in a database that is open as long as the module."""
    folder = tmp_path_factory.mktemp("reports")
    runner = asyncio.Runner()
    database = runner.run(open_database(None, folder))
    runner.run(settle(database, *ROWS))
    yield press(database, folder)
    runner.run(database.close())
    runner.close()


@pytest.fixture
def client(made: Press) -> Iterator[TestClient]:
    view = MonthlyReports(made, "monthly")
    with looking([view.page()], services=view.services(), viewer=person("viewer")) as found:
        yield found


def test_page_json_csv_and_pdf_agree_to_the_last_digit(client: TestClient):
    body = client.get("/reports.json").json()
    [row] = [row for row in body["months"] if row["month"] == str(MONTH)]
    assert (row["requests"], row["cost_nanousd"], row["state"]) == (3, COST, "ended")
    [line] = [
        line for line in csv.DictReader(io.StringIO(client.get("/reports.csv").text)) if line["month"] == str(MONTH)
    ]
    facts = client.get(f"/reports/{MONTH}.json").json()
    assert line["cost_usd"] == row["cost_usd"] == facts["total"]["cost_usd"]
    page = client.get("/reports").text
    assert f'value="{row["cost_usd"]}"' in page
    assert f">{short_usd(COST)}<" in page
    told = text_of(client.get(f"/reports/{MONTH}.pdf").content)
    assert f"Spent {row['cost_usd']} Baseline {row['baseline_usd']}" in told
    assert f"Saved {row['saved_usd']} Providers" in told


def test_the_pdf_is_a_download(client: TestClient):
    answer = client.get(f"/reports/{MONTH}.pdf")
    assert answer.status_code == 200
    assert answer.content.startswith(b"%PDF-")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == f'attachment; filename="neuralrouting-acme-{MONTH}.pdf"'
    assert answer.headers["cache-control"] == "no-store"


def test_the_same_query_string_narrows_page_and_pdf(client: TestClient):
    query = {"user": "#import $x$"}
    page = client.get("/reports", params=query).text
    [address] = re.findall(rf'href="(/reports/{MONTH}\.pdf[^"]*)"', page)
    told = text_of(client.get(address.replace("&amp;", "&")).content)
    assert "Narrowed to user #import $x$." in told
    assert "Spent 0.300000000" in told
    assert client.get(f"/reports/{MONTH}.json", params=query).json()["total"]["requests"] == 1


def test_this_month_is_labelled(client: TestClient):
    newest = client.get("/reports.json").json()["months"][0]
    assert (newest["month"], newest["state"]) == (str(MONTH.on(1)), "so far")
    assert "so far" in text_of(client.get(f"/reports/{MONTH.on(1)}.pdf").content)


def test_what_was_made_by_schedule_is_there(client: TestClient, made: Press):
    assert client.get(f"/reports/scheduled/{MONTH}.pdf").status_code == 404
    place = made.archive.put("acme", MONTH, b"%PDF-kept")
    try:
        assert f'href="/reports/scheduled/{MONTH}.pdf"' in client.get("/reports").text
        assert client.get(f"/reports/scheduled/{MONTH}.pdf").content == b"%PDF-kept"
    finally:
        place.unlink()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/reports/2026-13.pdf", 422),
        ("/reports/9999-01.pdf", 422),
        ("/reports/..%2f2026-01.pdf", 404),
        (f"/reports/{MONTH}.pdf?colour=red", 422),
        (f"/reports/{MONTH}.pdf?user=a&user=b", 422),
        ("/reports/scheduled/x.pdf", 422),
    ],
)
def test_what_cannot_be_is_refused_in_the_envelope(client: TestClient, path: str, status: int):
    assert client.get(path).status_code == status


def test_another_account_sees_its_own_only(made: Press):
    view = MonthlyReports(made, "off")
    with looking([view.page()], services=view.services(), viewer=person("owner", "globex")) as client:
        assert client.get(f"/reports/{MONTH}.pdf").status_code == 404
        assert [row["requests"] for row in client.get("/reports.json").json()["months"]] == [0]


def test_whoever_sees_money_sees_reports_and_nobody_else(made: Press):
    view = MonthlyReports(made, "off")
    for role in ROLES:
        with looking([view.page()], services=view.services(), viewer=person(role)) as client:
            assert client.get("/reports").status_code == 200
    with looking([view.page()], services=view.services(), viewer=None) as client:
        assert client.get(f"/reports/{MONTH}.pdf").status_code == 401
        assert client.get("/reports").status_code == 303
