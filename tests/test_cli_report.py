"""`report`, `top` and `completion`: a month as PDF and JSON, who costs most, and what shells need."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neuralrouting.api.figures import short_usd
from neuralrouting.cli import main
from neuralrouting.cli.bars import bar, sparkline
from neuralrouting.cli.usage import previous
from neuralrouting.reports.calendar import Month
from neuralrouting.storage.database import open_database
from neuralrouting.storage.usage import DAY_MS, UsageQuery
from reported import of_last_month, settle, text_of
from settling import request_row

Run = Callable[..., Result]
MONTH, ROWS = of_last_month()
SPAN = ("--from", str(MONTH.from_ms), "--to", str(MONTH.to_ms))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")

    async def settled() -> None:
        database = await open_database(None, folder)
        try:
            more = request_row("odd", created_ms=MONTH.from_ms, end_user="x\x1b[2J", simulated=True)
            earlier = request_row("old", created_ms=MONTH.from_ms - 1, cost_nanousd=5_000_000_000)
            await settle(database, *ROWS, more, earlier)
        finally:
            await database.close()

    asyncio.run(settled())
    return folder


@pytest.fixture
def run(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> Result:
        environ = {"NEURALROUTING_CONFIG": None, "DATABASE_URL": None, "DATA_DIR": str(data)}
        return CliRunner().invoke(main, words, env=environ, prog_name="neuralrouting")

    return command


def printed(done: Result) -> str:
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_a_report_is_written_where_it_is_wanted(run: Run, tmp_path: Path):
    said = printed(run("report", str(MONTH), "--account", "acme", "-o", "r.pdf"))
    assert said.startswith(f"r.pdf: {MONTH.title}, ")
    assert f"Spent {short_usd(4_145_678_901)}" in text_of((tmp_path / "r.pdf").read_bytes())


def test_without_a_month_or_a_name_it_is_the_last_one_in_a_file_of_its_name(run: Run, tmp_path: Path):
    printed(run("report", "--account", "acme"))
    assert [path.name for path in tmp_path.iterdir()] == [f"neuralrouting-acme-{MONTH}.pdf"]


def test_standard_output_gets_the_pdf_and_nothing_else(run: Run):
    done = run("report", "--account", "acme", "-o", "-", "--user", "anna")
    assert done.exit_code == 0
    assert "Narrowed to user anna." in text_of(done.stdout_bytes)


def test_its_json_has_the_same_figures(run: Run):
    body = json.loads(printed(run("report", str(MONTH), "--account", "acme", "--json")))
    assert body["total"]["cost_usd"] == "4.145678901"
    assert [line["user"] for line in body["by_user"]["data"]] == ["bert", "anna", "#import $x$"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("report", "9999-01"), 1, "has not begun"),
        (("report", "november"), 1, "such as 2026-11"),
        (("report", "--account", "nobody"), 1, "no account 'nobody'"),
        (("report", "--json", "-o", "x.pdf"), 2, "not both"),
        (("top", "colours"), 2, "'users'"),
        (("top", "--account", "nobody"), 1, "no account 'nobody'"),
        (("completion", "tcsh"), 2, "'bash'"),
    ],
)
def test_what_cannot_be_is_said(run: Run, words: tuple[str, ...], code: int, told: str):
    done = run(*words)
    assert (done.exit_code, done.stdout) == (code, "")
    assert told in done.stderr


def test_top_lists_who_costs_most_with_shares(run: Run):
    lines = printed(run("top", "users", "--account", "acme", "--limit", "2", *SPAN)).splitlines()
    assert lines[2].split()[:4] == ["bert", "1", "$2.35", "56.6%"]
    assert lines[3].split()[:4] == ["anna", "1", "$1.50", "36.2%"]
    assert lines[2].count("█") > lines[3].count("█") > 0
    assert lines[4].split()[:3] == ["all", "3", "$4.15"]
    assert "1 more are not listed" in lines[5]
    assert lines[6] == "1 simulated requests are left out"


def test_top_is_told_as_json(run: Run):
    body = json.loads(printed(run("top", "models", "--account", "acme", "--json", *SPAN)))
    [row] = body["data"]
    assert (row["model"], row["share"], body["unlisted"]) == ("openai/gpt-4o-mini", 1.0, 0)
    assert row["cost_nanousd"] == body["total"]["cost_nanousd"] == 4_145_678_901


def test_usage_draws_the_days_and_tells_the_month_before(run: Run):
    lines = printed(run("usage", "--account", "acme", *SPAN)).splitlines()
    [days] = [line for line in lines if line.startswith("spent by day")]
    assert days.removeprefix("spent by day    ").startswith(" █ ")
    assert "most $4.15 on " in days
    [before] = [line for line in lines if line.startswith("period before")]
    assert "$5.00 spent" in before
    assert f"from {MONTH.on(-1)}-01" in before
    body = json.loads(printed(run("usage", "--account", "acme", "--json", *SPAN)))
    assert body["previous"]["real"]["cost_usd"] == "5.000000000"


def test_the_period_before_is_as_long_or_the_month_before():
    november, day = Month(2026, 11), UsageQuery("acme", 10 * DAY_MS, 12 * DAY_MS)
    before = previous(UsageQuery("acme", november.from_ms, november.to_ms))
    assert (before.from_ms, before.to_ms) == (november.on(-1).from_ms, november.from_ms)
    assert (previous(day).from_ms, previous(day).to_ms) == (8 * DAY_MS, 10 * DAY_MS)


def test_a_sparkline_is_as_long_as_its_values():
    assert sparkline([0, 1, 4, 8]) == " ▁▄█"
    assert sparkline([0, 0, -3]) == "   "
    assert sparkline([1, 10**18]) == "▁█"
    assert sparkline([]) == ""


def test_a_bar_is_as_long_as_its_share():
    assert bar(10, 10, 4) == "████"
    assert bar(5, 10, 4) == "██"
    assert bar(1, 10**9, 4) == "▏"
    assert bar(0, 10, 4) == bar(1, 0, 4) == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_says_how_it_is_installed(run: Run, shell: str):
    script = printed(run("completion", shell))
    assert f"neuralrouting completion {shell} > " in script
    assert json.loads(printed(run("completion", shell, "--json")))["shell"] == shell
    # zsh reads what a file is for from its first line.
    assert shell != "zsh" or script.startswith("#compdef neuralrouting")


def test_bash_completes_commands_by_it():
    script = CliRunner().invoke(main, ("completion", "bash"), prog_name="neuralrouting").stdout
    typed = "COMP_WORDS=(neuralrouting rep) COMP_CWORD=1"
    asked = f'{script}\n{typed}\n_neuralrouting_completion neuralrouting\necho "${{COMPREPLY[@]}}"'
    path = str(Path(sys.executable).parent)
    done = subprocess.run(
        ["bash", "-c", asked], env={"PATH": f"{path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["report"]
