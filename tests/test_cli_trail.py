"""`neuralrouting trail`: what commands have changed, and who typed them; what was tampered with is exit code 1."""

import getpass
import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neuralrouting.cli import main
from neuralrouting.storage.database import FILE_NAME

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder with an environment of its own."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> Result:
        settings = {"NEURALROUTING_CONFIG": None, "DATABASE_URL": None, "DATA_DIR": str(tmp_path / "data")}
        return CliRunner().invoke(main, words, env=settings, prog_name="neuralrouting")

    return command


@pytest.fixture
def acme(run: Run) -> str:
    """An account that commands have made and changed."""
    for words in (
        "accounts create acme --plan free",
        "accounts set-plan acme growth",
        "credits top-up --account acme --credits 5 --ref INVOICE-7",
    ):
        assert run(*words.split()).exit_code == 0
    return "acme"


@pytest.mark.parametrize("words", ["trail", "trail verify"])
def test_every_command_of_the_trail_has_help_that_teaches(run: Run, words: str):
    done = run(*words.split(), "--help")
    assert done.exit_code == 0
    assert re.search(rf"neuralrouting {words}\b", done.stdout.partition("\n\n")[2])


def test_what_commands_have_changed_is_listed_with_the_user_who_typed_them(run: Run, acme: str):
    told = json.loads(run("trail", "--account", acme, "--json").stdout)
    assert [entry["action"] for entry in told["data"]] == ["credits.topup", "account.change", "account.create"]
    assert {entry["actor"] for entry in told["data"]} == {f"cli:{getpass.getuser()}"}
    assert told["data"][1]["before"] == {"plan": "free"}
    assert told["head"] == {"seq": 3, "hash": told["data"][0]["hash"]}


def test_the_table_says_from_what_to_what(run: Run, acme: str):
    shown = run("trail", "--account", acme, "--limit", "2").stdout
    assert "plan: free -> growth" in shown
    assert "account.create" not in shown


def test_plans_are_in_the_chain_of_what_belongs_to_no_account(run: Run):
    assert run("trail", "--common").stdout == "nothing was changed yet\n"
    assert run("plans", "set", "team", "--monthly-credits", "100").exit_code == 0
    [entry] = json.loads(run("trail", "--common", "--json").stdout)["data"]
    assert (entry["action"], entry["subject"]) == ("plan.put", "team")


def test_an_account_that_is_not_there_is_one_line(run: Run):
    done = run("trail", "--account", "nobody")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)


def test_a_trail_that_is_whole_is_exit_code_0_and_one_that_is_not_is_1(run: Run, acme: str, tmp_path: Path):
    whole = run("trail", "verify")
    assert (whole.exit_code, whole.stdout) == (0, "1 chains, 3 entries checked: all there, none changed\n")
    connection = sqlite3.connect(tmp_path / "data" / FILE_NAME, isolation_level=None)
    connection.execute("DROP TRIGGER trail_is_not_changed")
    connection.execute("UPDATE trail SET actor = 'nobody' WHERE seq = 2")
    connection.close()
    done = run("trail", "verify")
    assert (done.exit_code, done.stdout) == (1, "entry 2 of account acme: its hash is not that of its columns\n")
    told = json.loads(run("trail", "verify", "--json").stdout)
    assert [breach["row"] for breach in told["breaches"]] == ["entry 2 of account acme"]
