"""`neuralrouting eval cache`: pairs in, rates out."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fake_upstream import FakeUpstream, Recorded, Reply, http_reply
from neuralrouting.cli import main
from tiny_onnx import tiny_model

Run = Callable[..., Result]
QUESTION = "How do migrating birds find their way across the ocean?"
PAIRS = [
    {"a": QUESTION, "b": QUESTION.upper(), "same_answer": 1, "category": "case", "source": "ignored"},
    {"a": QUESTION, "b": QUESTION, "same_answer": 0, "category": "mislabelled"},
    {"a": QUESTION, "b": "Which cheese melts best on a pizza?", "same_answer": 1},
    {"a": "How many grams are in 20 ounces?", "b": "How many grams are in 30 ounces?", "same_answer": 0},
]


@pytest.fixture
def run() -> Run:
    def command(*words: str, **environ: str) -> Result:
        return CliRunner().invoke(main, ["eval", "cache", *words], env=environ, prog_name="neuralrouting")

    return command


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(map(json.dumps, PAIRS)))
    return file


def test_its_help_teaches(run: Run):
    done = run("--help")
    assert done.exit_code == 0
    assert "neuralrouting eval cache pairs.jsonl --json" in done.stdout


def test_rates_are_told_as_json(run: Run, pairs: Path):
    told = json.loads(run(str(pairs), "--json").stdout)
    assert (told["n"], told["hit_true"], told["wrong_false"]) == (4, 0.5, 0.5)
    assert (told["threshold"], told["verifier"]) == (0.92, "strict")
    assert told["by_category"].keys() == {"all", "case", "mislabelled"}
    assert told["by_kind"]["exact"] == {"true": 0, "false": 1}
    assert told["lookup_us"].keys() == {"p50", "p99"}
    assert sum(told["refused"].values()) == 2


def test_rates_are_told_as_a_table(run: Run, pairs: Path):
    done = run(str(pairs), "--threshold", "0.95", "--verifier", "std")
    assert done.exit_code == 0
    assert "50.00 (9.45-90.55)" in done.stdout
    assert "threshold 0.95, verifier std" in done.stdout


def test_the_pairs_that_went_wrong_are_written_down(run: Run, pairs: Path, tmp_path: Path):
    wrong, missed = tmp_path / "wrong.jsonl", tmp_path / "missed.jsonl"
    assert run(str(pairs), "--wrong", str(wrong), "--missed", str(missed)).exit_code == 0
    assert [json.loads(line) for line in wrong.read_text().splitlines()] == [
        {"a": QUESTION, "b": QUESTION, "category": "mislabelled", "kind": "exact", "similarity": 1.0}
    ]
    (lost,) = [json.loads(line) for line in missed.read_text().splitlines()]
    assert lost["b"] == "Which cheese melts best on a pizza?"
    assert lost["reason"]


def test_an_onnx_model_has_the_last_word_where_it_is_asked_to(run: Run, pairs: Path, tmp_path: Path):
    folder = tiny_model(tmp_path / "six-words")
    done = run(str(pairs), "--embedder", "onnx", "--model-path", str(folder), "--json")
    told = json.loads(done.stdout)
    assert told["embedder"].startswith("onnx:six-words:")
    assert "decide_us" in told


def test_an_endpoint_is_asked_with_the_key_of_the_environment(run: Run, pairs: Path):
    def reply(_asked: Recorded) -> Reply:
        return http_reply(200, {"data": [{"embedding": [1.0, 0.0]}]})

    with FakeUpstream(reply) as endpoint:
        words = ("--embedder", "openai", "--url", f"{endpoint.url}/v1", "--model", "simulated-embedder")
        done = run(str(pairs), *words, "--json", SEMANTIC_CACHE_API_KEY="sk-of-the-environment")
    assert json.loads(done.stdout)["embedder"] == "openai:127.0.0.1/simulated-embedder"
    assert endpoint.requests
    assert {asked.headers["authorization"] for asked in endpoint.requests} == {"Bearer sk-of-the-environment"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--embedder", "onnx"], "--embedder onnx needs --model-path"),
        (["--embedder", "openai", "--url", "http://127.0.0.1:1/v1"], "--embedder openai needs --model"),
        (["--model-path", "there"], "--model-path is of no use with --embedder builtin"),
        (["--threshold", "1.5"], "--threshold"),
        (["--verifier", "lenient"], "--verifier"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(run: Run, pairs: Path, words: list[str], said: str):
    done = run(str(pairs), *words)
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_folder_without_a_model_is_one_line(run: Run, pairs: Path, tmp_path: Path):
    done = run(str(pairs), "--embedder", "onnx", "--model-path", str(tmp_path))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: semantic_cache.model_path: {tmp_path} holds none of model.onnx")


def test_an_address_that_is_none_is_one_line(run: Run, pairs: Path):
    done = run(str(pairs), "--embedder", "openai", "--url", "ftp://there", "--model", "small")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: semantic_cache.url: ")


@pytest.mark.parametrize("line", ['{"a":"x","b":"y"}', '{"a":"x","b":"y","same_answer":2}', "no JSON"])
def test_a_mistake_in_the_rows_is_told_with_its_line(run: Run, pairs: Path, line: str):
    pairs.write_text(pairs.read_text() + "\n" + line)
    done = run(str(pairs))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {pairs}:5: ")
