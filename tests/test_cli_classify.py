"""`neuralrouting classify`: what a text is taken for, as lines and a table, or as JSON."""

import json

import pytest
from click.testing import CliRunner, Result

from neuralrouting.cli import main

TRANSLATION = "Translate to Spanish: see you soon"


def run(*words: str, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["classify", *words], input=given, prog_name="neuralrouting")


def test_the_help_teaches():
    done = run("--help")
    assert done.exit_code == 0
    assert 'neuralrouting classify "' in done.stdout
    assert "neuralrouting classify - --json" in done.stdout
    assert "premium" in done.stdout


def test_a_text_is_told_as_three_lines_and_a_table():
    done = run(TRANSLATION)
    task, complexity, risk, empty, head, *rows = done.stdout.splitlines()
    assert done.exit_code == 0
    assert task.startswith("translation (1.00), then ")
    assert complexity.startswith("complexity 0.")
    assert risk.startswith("high risk: no (0.")
    assert (empty, head.split()) == ("", ["evidence", "weight"])
    assert any(row.startswith("head:v_translate") and "+0." in row for row in rows)


def test_a_risk_is_told_with_its_domain():
    assert "high risk: medical (" in run("I have chest pain. Should I take ibuprofen with warfarin?").stdout


def test_what_is_unclear_is_told_as_unsure():
    assert run("asdf qwer").stdout.startswith("unsure: ")


def test_everything_is_there_as_json():
    told = json.loads(run("--json", TRANSLATION).stdout)
    assert (told["task"], told["abstained"], told["high_risk"], told["risk_domain"]) == (
        "translation", False, False, None,
    )  # fmt: skip
    assert list(told["probabilities"])[:2] == ["translation", told["runner_up"]["task"]]
    assert told["probability"] == told["probabilities"]["translation"] > told["runner_up"]["probability"]
    assert 0 <= told["complexity"] <= 10
    assert 0 <= told["risk_probability"] < 0.5
    weights = [abs(row["weight"]) for row in told["contributions"]]
    assert weights == sorted(weights, reverse=True)
    assert weights


@pytest.mark.parametrize("given", [TRANSLATION, TRANSLATION.encode() + b" \xff"])
def test_standard_input_is_read_even_where_it_is_no_text(given: str | bytes):
    assert json.loads(run("-", "--json", given=given).stdout)["task"] == "translation"


def test_an_argument_that_is_no_text_is_classified_all_the_same():
    assert run("caf\udcff").exit_code == 0


def test_nothing_at_all_is_unsure_and_no_text_is_wrong_use():
    assert run("").stdout.startswith("unsure: ")
    assert run().exit_code == 2
