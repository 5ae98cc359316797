"""`neuralrouting usage` and `neuralrouting audit`: the figures of the API, read without a running gateway."""

import asyncio
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neuralrouting.cli import main
from neuralrouting.storage.database import open_database
from neuralrouting.storage.requests import RequestRow
from neuralrouting.storage.turns import Settlement
from settling import NOON_MS, new_account, new_worker, request_row

Run = Callable[..., Result]
DECISION = {"route": {"candidates": [{"model": "a/b"}, {"model": "c/d", "lost": "dearer"}]}}
DAY = ("--from", "2026-11-28", "--to", "2026-11-29")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on a database in which the account `acme` has made five requests."""
    monkeypatch.chdir(tmp_path)
    asyncio.run(
        _settle(
            tmp_path / "data",
            request_row("r1", end_user="anna", feature="=mail"),
            request_row("r2", end_user="bert\x1b[2J", cost_nanousd=None, created_ms=NOON_MS + 1),
            request_row("r3", cost_nanousd=5_000, created_ms=NOON_MS + 2, status=502, error_code="upstream_error"),
            request_row("r4", simulated=True, deployment="simulated/gpt-4o", cost_nanousd=7, session_id="talk"),
            request_row("r5", created_ms=NOON_MS - 24 * 3_600_000, decision=json.dumps(DECISION)),
        )
    )

    def command(*words: str) -> Result:
        environ = {"NEURALROUTING_CONFIG": None, "DATABASE_URL": None, "DATA_DIR": str(tmp_path / "data")}
        return CliRunner().invoke(main, words, env=environ, prog_name="neuralrouting")

    return command


async def _settle(folder: Path, *rows: RequestRow) -> None:
    database = await open_database(None, folder)
    try:
        books = await new_account(database)
        await new_account(database, "globex")
        worker = await new_worker(books)
        await worker.turn(*(Settlement(row, metered=False) for row in rows))
    finally:
        await database.close()


def printed(done: Result) -> str:
    assert done.exit_code == 0, done.stderr
    return done.stdout


def refused(done: Result, code: int = 1) -> str:
    assert (done.exit_code, done.stdout) == (code, "")
    return done.stderr


def test_a_table_tells_each_group_and_the_totals_real_and_simulated_apart(run: Run):
    lines = printed(run("usage", "--account", "acme", "--group-by", "user", *DAY)).splitlines()
    assert lines[0] == "acme, 2026-11-28T00:00:00Z to 2026-11-29T00:00:00Z"
    assert [line.split()[0] for line in lines[2:6]] == ["1", "simulated", "anna", "bert\\x1b[2J"]
    assert "0.000000000 (1 unpriced)" in lines[5]
    real, simulated = lines[6].split(), lines[7].split()
    assert real[:3] == ["all", "real", "3"]
    assert "0.000005100" in lines[6]
    assert "-0.000003100" in lines[6]
    assert simulated[:3] == ["all", "simulated", "1"]


def test_json_and_csv_have_the_same_figures(run: Run):
    words = ("usage", "--account", "acme", "--group-by", "day,feature", "--from", "2026-11-27", "--to", "2026-11-29")
    body = json.loads(printed(run(*words, "--json")))
    rows = list(csv.DictReader(io.StringIO(printed(run(*words, "--csv")), newline="")))
    assert [row["cost_nanousd"] for row in rows] == [str(row["cost_nanousd"]) for row in body["data"]]
    assert [row["day"] for row in rows] == [row["day"] for row in body["data"]]
    assert {row["feature"] for row in rows} == {"", "'=mail"}
    assert body["totals"]["real"]["requests"] == 4


def test_filters_leave_what_they_name(run: Run):
    body = json.loads(printed(run("usage", "--account", "acme", "--user", "anna", "--json", *DAY)))
    assert body["totals"]["real"]["requests"] == 1
    body = json.loads(printed(run("usage", "--account", "acme", "--model", "gpt-4o", "--json", *DAY)))
    assert (body["totals"]["real"]["requests"], body["totals"]["simulated"]["requests"]) == (0, 1)


def test_a_session_stands_alone(run: Run):
    assert "simulated" in printed(run("usage", "--account", "acme", "--session", "talk"))
    told = json.loads(printed(run("usage", "--account", "acme", "--session", "talk", "--json")))
    assert told["totals"]["simulated"]["cost_nanousd"] == 7
    assert "no session" in refused(run("usage", "--account", "acme", "--session", "silence"))
    assert "stands alone" in refused(run("usage", "--session", "talk", "--user", "anna"), 2)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("usage", "--account", "acme", "--from", "yesterday"), "`from` must be a date"),
        (("usage", "--account", "acme", "--group-by", "colour"), "allowed, by comma: day"),
        (("usage", "--account", "nobody"), "no account 'nobody'"),
        (("audit", "list", "--account", "nobody"), "no account 'nobody'"),
        (("audit", "list", "--account", "acme", "--status", "ok"), "whole number"),
        (("audit", "r9", "--account", "acme"), "has no request 'r9'"),
        (("audit", "r1", "--account", "globex"), "has no request 'r1'"),
    ],
)
def test_what_cannot_be_told_is_said_in_one_line(run: Run, words: tuple[str, ...], told: str):
    message = refused(run(*words))
    assert told in message
    assert message.count("\n") == 1


def test_wrong_use_is_exit_code_2(run: Run):
    assert "not both" in refused(run("usage", "--csv", "--json"), 2)
    assert "stands alone" in refused(run("audit", "r1", "--user", "anna"), 2)
    refused(run("audit"), 2)


def test_requests_are_listed_newest_first_page_by_page(run: Run):
    listed = json.loads(printed(run("audit", "list", "--account", "acme", "--limit", "3", "--json")))
    assert [row["request_id"] for row in listed["data"]] == ["r3", "r2", "r4"]
    rest = run("audit", "list", "--account", "acme", "--cursor", listed["next"], "--json")
    assert [row["request_id"] for row in json.loads(printed(rest))["data"]] == ["r1", "r5"]
    table = printed(run("audit", "list", "--account", "acme", "--status", "502")).splitlines()
    assert len(table) == 2
    assert "r3" in table[1]
    assert "bert\\x1b[2J" in printed(run("audit", "list", "--account", "acme"))
    assert "no such requests" in printed(run("audit", "list", "--account", "acme", "--status", "418"))


def test_one_request_is_shown_with_its_ledger_rows(run: Run):
    told = json.loads(printed(run("audit", "r1", "--account", "acme", "--json")))
    assert (told["user"], told["cost_usd"]) == ("anna", "0.000000100")
    assert [entry["kind"] for entry in told["ledger"]] == ["usage"]
    shown = printed(run("audit", "r1", "--account", "acme"))
    assert "kind=usage" in shown
    assert "0.000000100" in shown


def test_one_request_is_shown_with_what_each_model_lost_by(run: Run):
    told = json.loads(printed(run("audit", "r5", "--account", "acme", "--json")))
    assert told["decision"] == DECISION
    assert "a/b: asked first" in printed(run("audit", "r5", "--account", "acme"))
    assert "c/d: dearer" in printed(run("audit", "r5", "--account", "acme"))
    assert json.loads(printed(run("audit", "r1", "--account", "acme", "--json")))["decision"] is None


@pytest.mark.parametrize("words", [("usage",), ("audit",)])
def test_help_teaches_by_example(run: Run, words: tuple[str, ...]):
    assert f"neuralrouting {words[0]} " in printed(run(*words, "--help")).partition("Options")[0]
