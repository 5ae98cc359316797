"""`eval routing` over rows of our own, where it is known which prompts the cheap model fails."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from neuralrouting.cli import main
from neuralrouting.errors import ConfigError
from neuralrouting.evaluation.routing import Ask, evaluate

NOUNS = ["fox", "sea", "moon", "oak", "river", "lamp", "train", "violin", "bridge", "garden", "clock", "tower"]
VERBS = ["sings", "sleeps", "waits", "turns", "burns", "falls", "rises", "dances"]


def line(nth: int, **models: dict[str, Any]) -> dict[str, Any]:
    noun, verb = NOUNS[nth % 12], VERBS[nth // 12 % 8]
    if nth % 2:
        return {"prompt": f"Name a word that rhymes with {noun} and say why it {verb}, number {nth}.", "models": models}
    hard = f"Prove that the polynomial $x^{nth} + {nth * 7}x + 1$ of the {noun} has no real root where it {verb}."
    return {"prompt": hard, "models": models}


def outcome(nth: int, *, cheap: bool) -> dict[str, Any]:
    right = nth % 2 == 1 if cheap else True
    return {"q": float(right), "usd": 0.001 if cheap else 0.01, "in_tok": 20, "out_tok": 10}


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = [line(nth, mini=outcome(nth, cheap=True), best=outcome(nth, cheap=False)) for nth in range(900)]
    return written(tmp_path / "rows.jsonl", rows)


def test_what_the_cheap_model_can_do_goes_to_it_and_nothing_else(file: Path):
    report = evaluate(Ask(file, pair=("mini", "best"), labels=600))
    point = report["save_at_1pct"]
    assert (report["rows"], report["labels"]) == (300, 600)
    assert report["apgr"] > 0.74
    assert point["loss"] <= 0.01
    assert point["offload_requests"] == pytest.approx(0.5, abs=0.08)
    assert point["saved"] == pytest.approx(0.9 * point["offload_requests"], abs=1e-6)
    assert report["oracle_gap_closed"] > 0.95


def test_what_is_promised_names_its_level_and_keeps_the_budget_at_it(file: Path):
    promised = evaluate(Ask(file, pair=("mini", "best")))["save_at_1pct"]["promised"]
    assert promised["level"] == 0.8
    assert promised["loss"] <= promised["loss_upper"] <= 0.01


def test_the_controls_are_what_they_are_called(file: Path):
    controls = evaluate(Ask(file, pair=("mini", "best")))["controls"]
    assert controls["always_premium"] == {"cost": pytest.approx(10), "quality": 1.0, "loss": 0.0, "saved": 0.0}
    assert controls["always_cheapest"]["saved"] == pytest.approx(0.9)
    assert controls["always_cheapest"]["loss"] == pytest.approx(0.5, abs=0.08)
    assert controls["shuffled"]["apgr"] == pytest.approx(0.5, abs=0.02)
    assert controls["shuffled"]["loss"] > 0.15
    assert controls["fixed_split"]["loss"] > 0.15


def test_one_seed_gives_one_report_and_another_splits_otherwise(file: Path):
    first = evaluate(Ask(file))
    assert first == evaluate(Ask(file))
    assert first["apgr"] != evaluate(Ask(file, seed=1))["apgr"]


def test_the_best_model_is_the_reference_where_nothing_else_is_said(file: Path):
    report = evaluate(Ask(file))
    assert (report["reference"], report["models"]) == ("best", ["mini", "best"])


def test_a_labelled_file_of_its_own_never_holds_what_is_judged(file: Path, tmp_path: Path):
    lines = file.read_text().splitlines()
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join(lines[:500]) + "\n")
    report = evaluate(Ask(file, train=other))
    assert (report["labels"], report["rows"]) == (500, 400)
    assert "500 rows whose prompt is among the labelled ones are left out" in report["notices"]


def test_a_model_without_a_cost_is_left_out_and_that_is_said(tmp_path: Path):
    rows = [
        line(nth, mini=outcome(nth, cheap=True), best=outcome(nth, cheap=False), own={"q": 1.0}) for nth in range(300)
    ]
    report = evaluate(Ask(written(tmp_path / "rows.jsonl", rows), reference="best"))
    assert report["models"] == ["mini", "best"]
    assert report["notices"] == ["no cost known for own: left out; give usd, or in_tok and out_tok"]


def test_a_pair_without_costs_is_counted_in_requests(tmp_path: Path):
    rows = [line(nth, a={"q": float(nth % 2)}, b={"q": 1.0}) for nth in range(300)]
    report = evaluate(Ask(written(tmp_path / "rows.jsonl", rows), pair=("a", "b")))
    point = report["save_at_1pct"]
    assert point["saved"] == point["offload_requests"]
    assert report["notices"][0].startswith("no cost known for a, b")


def test_tokens_are_priced_where_a_listed_model_has_no_cost(tmp_path: Path):
    counted = {"in_tok": 1_000_000, "out_tok": 0}
    rows = [line(nth, **{"gpt-4o-mini": {"q": 1.0, **counted}, "gpt-4o": {"q": 1.0, **counted}}) for nth in range(300)]
    report = evaluate(Ask(written(tmp_path / "rows.jsonl", rows)))
    assert report["reference"] == "gpt-4o"
    assert report["controls"]["always_premium"]["cost"] == pytest.approx(2_500)
    assert report["controls"]["always_cheapest"]["saved"] == pytest.approx(1 - 0.15 / 2.5)
    assert any("gpt-4o-mini" in notice and "list price" in notice for notice in report["notices"])


@pytest.mark.parametrize(
    ("bad", "said"),
    [('{"prompt": "hi"}', "models"), ('{"prompt": "hi", "models": {"a": {"q": 2}}}', "<= 1"), ("{", "truncated")],
)
def test_a_bad_line_is_told_with_its_number(file: Path, bad: str, said: str):
    file.write_text(file.read_text() + bad + "\n")
    with pytest.raises(ConfigError, match=rf"rows.jsonl:901: .*{said}"):
        evaluate(Ask(file))


def test_an_unknown_model_is_told_with_those_that_there_are(file: Path):
    with pytest.raises(ConfigError, match="no row has the model 'nope'; it has mini, best"):
        evaluate(Ask(file, pair=("nope", "best")))


def test_a_handful_of_rows_is_refused(file: Path):
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:60]))
    with pytest.raises(ConfigError, match="both need 50"):
        evaluate(Ask(file))


def test_the_command_prints_a_table_or_json(file: Path):
    shown = CliRunner().invoke(main, ["eval", "routing", str(file), "--pair", "mini:best"])
    assert shown.exit_code == 0, shown.output
    assert "this router" in shown.output
    assert "always cheapest" in shown.output
    assert "lost (one-sided 80 % bound)" in shown.output
    told = CliRunner().invoke(main, ["eval", "routing", str(file), "--pair", "mini:best", "--json"])
    assert {"apgr", "cpt", "curve", "save_at_1pct", "oracle_gap_closed", "controls"} <= set(json.loads(told.stdout))


@pytest.mark.parametrize("pair", ["mini", ":best", "best:best"])
def test_a_pair_that_is_none_is_refused(file: Path, pair: str):
    shown = CliRunner().invoke(main, ["eval", "routing", str(file), "--pair", pair])
    assert shown.exit_code == 2
    assert "CHEAP:PREMIUM" in shown.output
