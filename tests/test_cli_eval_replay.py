"""`neuralrouting eval replay`: outcomes in, losses and savings out."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neuralrouting.cli import main

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    def command(*words: str) -> Result:
        return CliRunner().invoke(main, ["eval", "replay", *words], prog_name="neuralrouting")

    return command


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    file = tmp_path / "outcomes.jsonl"
    rows = [
        {
            "id": place,
            "prompt": f"What is {place} and {place}?",
            "task": "reasoning" if place % 2 else "qa",
            "models": {
                "small": {"q": int(place % 8 != 1), "in_tok": 9, "out_tok": 3, "usd": 0.01},
                "large": {"q": int(place % 8 != 2), "in_tok": 9, "out_tok": 3, "usd": 1},
                "free": {"q": 0, "in_tok": 9, "out_tok": 3},
            },
        }
        for place in range(40)
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_its_help_teaches(run: Run):
    done = run("--help")
    assert done.exit_code == 0
    assert "neuralrouting eval replay rows.jsonl --requests 60000 --audit-rate 0.1 --seed 1 --json" in done.stdout


def test_figures_are_told_as_json(run: Run, outcomes: Path):
    done = run(str(outcomes), "--requests", "400", "--rebuild-every", "100", "--seeds", "2", "--json")
    told = json.loads(done.stdout)
    assert {
        "loss", "late_loss", "net_saved", "gross_saved", "offload", "offload_tokens", "wrong_cells", "promoted_cells",
        "audit_cost", "audits", "regret", "time_to_90pct", "recovery_requests", "timeline", "controls",
    } <= told.keys()  # fmt: skip
    assert told["seeds"] == [1, 2]
    assert told["cells"] == {"by": "task", "names": ["qa", "reasoning"]}
    assert told["candidates"] == ["small"]
    assert "free is left out" in done.stderr


def test_figures_are_told_as_a_table(run: Run, outcomes: Path):
    done = run(str(outcomes), "--requests", "200", "--pair", "small:large", "--drift", "small:free@100", "--predict")
    assert done.exit_code == 0, done.output
    assert "naive_mean" in done.stdout
    assert "oracle per_cell" in done.stdout


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--pair", "small"], "--pair is CHEAP:PREMIUM"),
        (["--pair", "small:large", "--models", "small"], "leave --models and --reference out"),
        (["--drift", "small@3"], "--drift is MODEL:BECOMES@REQUEST"),
        (["--price", "small=3"], "--price is MODEL=IN/OUT"),
        (["--models", "tiny,large"], "tiny: no outcomes; there are free, large, small"),
        (["--models", "free,large"], "free: no price in every row"),
        (["--cells", "subject"], "not every row has a subject"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(run: Run, outcomes: Path, words: list[str], why: str):
    done = run(str(outcomes), *words)
    assert done.exit_code != 0
    assert why in done.stderr


def test_a_price_brings_a_model_in(run: Run, outcomes: Path):
    told = json.loads(run(str(outcomes), "--requests", "50", "--price", "free=0.1/0.2", "--json").stdout)
    assert told["candidates"] == ["free", "small"]
