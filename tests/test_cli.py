"""The command line: what it prints, how it fails, how fast it starts."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neuralrouting.cli import main

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder with an environment of its own."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str, **environ: str) -> Result:
        quiet = dict.fromkeys(("NEURALROUTING_CONFIG", "DATABASE_URL", "OPENAI_API_KEY"))
        settings = {"DATA_DIR": str(tmp_path / "data"), "LOCAL_ENABLED": "off", **environ}
        return CliRunner().invoke(main, words, env=quiet | settings, prog_name="neuralrouting")

    return command


def test_help_imports_nothing_heavy():
    script = (
        "import sys\n"
        "from neuralrouting.cli import main\n"
        "try: main(['--help'], prog_name='neuralrouting')\n"
        "except SystemExit: pass\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Start here" in done.stdout
    heavy = {"starlette", "granian", "asyncpg", "neuralrouting._core", "rich", "yaml", "msgspec", "pydantic"}
    heavy |= {"genai_prices", "asyncio", "httpx", "neuralrouting.config", "neuralrouting.storage"}
    assert heavy.isdisjoint(done.stderr.split())


@pytest.mark.parametrize(
    "words",
    ["serve", "demo", "keys create", "keys list", "keys revoke", "keys", "models", "config check", "config", "version"],
)
def test_every_command_has_help_that_teaches(run: Run, words: str):
    done = run(*words.split(), "--help")
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) > 5
    assert words == "version" or f"neuralrouting {words}" in done.stdout


def test_wrong_use_is_exit_code_2(run: Run):
    assert run("nonsense").exit_code == 2
    assert run("keys", "revoke").exit_code == 2
    assert run("serve", "--port", "99999").exit_code == 2


def test_a_key_is_made_listed_and_revoked(run: Run):
    made = run("keys", "create", "--name", "laptop")
    assert made.exit_code == 0
    key = made.stdout.strip()
    assert key.startswith("nr_live_")
    (row,) = json.loads(run("keys", "list", "--json").stdout)
    assert (row["account"], row["name"], row["kind"], row["revoked"]) == ("default", "laptop", "live", None)
    assert row["id"] in made.stderr
    assert key not in json.dumps(row)
    assert run("keys", "revoke", row["id"]).exit_code == 0
    (row,) = json.loads(run("keys", "list", "--json").stdout)
    assert row["revoked"].endswith("Z")
    assert "laptop" in run("keys", "list").stdout


def test_a_test_key_says_so(run: Run):
    made = json.loads(run("keys", "create", "--test", "--account", "acme", "--json").stdout)
    assert made["key"].startswith("nr_test_")
    assert (made["account"], made["live"]) == ("acme", False)
    assert json.loads(run("keys", "list", "--account", "other", "--json").stdout) == []


def test_a_key_that_is_not_there_cannot_be_revoked(run: Run):
    done = run("keys", "revoke", "nobody")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Error: no key 'nobody' that could be revoked; see `neuralrouting keys list`\n"


def test_an_empty_list_tells_how_to_begin(run: Run):
    assert "neuralrouting keys create" in run("keys", "list").stdout


def test_a_folder_that_cannot_be_made_is_one_line(run: Run, tmp_path: Path):
    (tmp_path / "file").write_text("")
    done = run("keys", "list", DATA_DIR=str(tmp_path / "file" / "data"))
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1


def test_models_shows_price_and_what_is_missing(run: Run):
    table = run("models", OPENAI_API_KEY="sk-1").stdout
    assert "set GROQ_API_KEY" in table
    rows = {row["id"]: row for row in json.loads(run("models", "--json", OPENAI_API_KEY="sk-1").stdout)}
    assert rows["openai/gpt-4o"]["servable"]
    assert rows["openai/gpt-4o"]["input_usd_per_mtok"] == "2.5"
    assert rows["together/llama-3.1-8b"]["why_not"] == "set TOGETHER_API_KEY"
    assert "sk-1" not in table


def test_models_marks_what_is_simulated(run: Run):
    rows = json.loads(run("models", "--json").stdout)
    assert {row["provider"] for row in rows if row["simulated"]} == {"simulated"}


def test_config_check_tells_file_providers_notices_and_slips(run: Run, tmp_path: Path):
    file = tmp_path / "litellm.yaml"
    file.write_text("model_list: [{model_name: a, litellm_params: {model: openai/gpt-4o, rpm: 3}}]")
    words = ("config", "check", "--config", str(file))
    facts = json.loads(run(*words, "--json", OPENAI_API_KEY="sk-1", CACHE_TTL_DAY="3").stdout)
    assert facts["file"] == str(file)
    assert facts["providers"] == {"openai": "https://api.openai.com/v1"}
    assert "model_list[0].litellm_params.rpm: not used" in facts["notices"]
    assert "CACHE_TTL_DAY is set but not read; did you mean CACHE_TTL_DAYS?" in facts["warnings"]
    text = run(*words, OPENAI_API_KEY="sk-1", CACHE_TTL_DAY="3")
    assert text.exit_code == 0
    assert "warning: CACHE_TTL_DAY" in text.stdout
    assert "sk-1" not in text.stdout


def test_config_check_fails_in_one_line(run: Run, tmp_path: Path):
    (tmp_path / "neuralrouting.yaml").write_text("cache: {ttl_day: 1}")
    done = run("config", "check")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == ("Error: neuralrouting.yaml: cache.ttl_day: unknown setting (did you mean 'ttl_days'?)\n")


def test_version_names_package_and_native_module(run: Run):
    facts = json.loads(run("version", "--json").stdout)
    assert facts["native"][0].isdigit()
    assert facts["native"] in run("version").stdout
