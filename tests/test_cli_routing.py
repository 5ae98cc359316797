"""`neuralrouting routing`: rules and settings of accounts, checked before they are set."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neuralrouting.cli import main

Run = Callable[..., Result]
FILE = "mine.yaml"
RULES = "- name: cheap talk\n  when: {task: chat}\n  then: {mode: cost}\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder and an environment of its own; `text` is what stands in FILE."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str, text: str | None = None) -> Result:
        if text is not None:
            (tmp_path / FILE).write_text(text)
        environ = {"NEURALROUTING_CONFIG": None, "DATABASE_URL": None, "DATA_DIR": str(tmp_path / "data")}
        return CliRunner().invoke(main, words, env=environ | {"LOCAL_ENABLED": "off"}, prog_name="neuralrouting")

    return command


@pytest.fixture
def account(run: Run) -> str:
    assert run("keys", "create", "--account", "acme").exit_code == 0
    return "acme"


@pytest.mark.parametrize(
    "words",
    ["routing", "routing rules", "routing rules show", "routing rules check", "routing rules set",
     "routing rules dry-run", "routing settings", "routing settings show", "routing settings set"],
)  # fmt: skip
def test_every_command_has_help_that_teaches(run: Run, words: str):
    done = run(*words.split(), "--help")
    assert done.exit_code == 0
    assert f"neuralrouting {words}" in done.stdout


def test_rules_are_checked_set_shown_and_taken_back(run: Run, account: str):
    assert run("routing", "rules", "check", FILE, text=RULES).stdout == f"{FILE} is good: 1 rule\n"
    assert run("routing", "rules", "show", "--account", account).stderr == "account acme has no rules\n"
    done = run("routing", "rules", "set", FILE, "--account", account, text=RULES)
    assert done.stdout == "account acme has 1 rule\n"
    assert run("routing", "rules", "show", "--account", account).stdout == RULES
    assert run("routing", "rules", "set", FILE, "--account", account, text="").stdout == "account acme has 0 rules\n"
    assert json.loads(run("routing", "rules", "show", "--account", account, "--json").stdout)["rules"] == ""


@pytest.mark.parametrize("command", ["check", "set", "dry-run"])
def test_a_mistake_is_one_line_with_its_place_and_changes_nothing(run: Run, account: str, command: str):
    run("routing", "rules", "set", FILE, "--account", account, text=RULES)
    where = [] if command == "check" else ["--account", account]
    done = run("routing", "rules", command, FILE, *where, text="- name: x\n  then: {model: no-such-model}\n")
    assert done.exit_code == 1
    assert f"{FILE}: line 2, column 17: no model is named 'no-such-model'" in done.stderr
    assert run("routing", "rules", "show", "--account", account).stdout == RULES


def test_settings_are_shown_and_changed_one_by_one(run: Run, account: str):
    default = {"account": account, "mode": None, "cascade": None, "shadow": True}

    def told(*words: str) -> object:
        done = run("routing", "settings", *words, "--account", account, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    assert told("show") == default
    assert told("set", "--mode", "cost", "--cascade", "on") == default | {"mode": "cost", "cascade": True}
    assert told("set", "--no-shadow", "--cascade", "off") == default | {
        "mode": "cost",
        "cascade": False,
        "shadow": False,
    }
    assert told("set", "--mode", "default", "--cascade", "default", "--shadow") == default
    assert run("routing", "settings", "set", "--account", account).exit_code == 2
    assert "cost" in run("routing", "settings", "set", "--account", account, "--mode", "cost").stdout


@pytest.mark.parametrize(
    "words", ["rules show", "rules set mine.yaml", "rules dry-run mine.yaml", "settings show", "settings set --shadow"]
)
def test_an_account_that_does_not_exist_is_told(run: Run, account: str, words: str):
    done = run("routing", *words.split(), "--account", "nobody", text=RULES)
    assert done.exit_code == 1
    assert "no account 'nobody'" in done.stderr


def test_a_mode_that_the_plan_does_not_have_is_refused(run: Run, account: str):
    assert run("plans", "set", "plain", "--monthly-credits", "5", "--modes", "auto").exit_code == 0
    assert run("accounts", "set-plan", account, "plain").exit_code == 0
    done = run("routing", "rules", "set", FILE, "--account", account, text=RULES)
    assert (done.exit_code, done.stderr.partition(";")[0]) == (
        1, "Error: line 1: routing mode 'cost' is not in the plan plain",
    )  # fmt: skip
    assert run("routing", "settings", "set", "--account", account, "--mode", "speed").exit_code == 1


def test_a_dry_run_says_what_it_found_in_one_sentence(run: Run, account: str):
    done = run("routing", "rules", "dry-run", FILE, "--account", account, text=RULES)
    assert done.stdout.splitlines()[0] == "this rule would have changed 0 of last week's 0 requests, $0.00"
    words = ("--account", account, "--from", "2026-11-01", "--json")
    assert json.loads(run("routing", "rules", "dry-run", FILE, *words, text=RULES).stdout)["examined"] == 0


def test_a_key_has_a_routing_mode_of_its_own(run: Run, account: str):
    made = json.loads(run("keys", "create", "--account", account, "--mode", "speed", "--json").stdout)
    assert made["mode"] == "speed"
    changed = json.loads(run("keys", "set", made["id"], "--mode", "default", "--json").stdout)
    assert changed["mode"] == "default"
