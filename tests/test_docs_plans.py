"""What docs/plans.md prints is true: its commands run, its plans and rates are those of the product."""

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from neuralrouting.accounts import sharing
from neuralrouting.catalog import build_catalog
from neuralrouting.catalog.credits import GPT_4O_CREDITS, GPT_4O_PICOUSD
from neuralrouting.cli import main
from neuralrouting.config import Config
from neuralrouting.storage import rates

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "plans.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]


def table(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading."""
    under = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\|(.*)\|$", under, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines[2:]]


def test_the_commands_of_the_page_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    settings = {"NEURALROUTING_CONFIG": None, "DATABASE_URL": None, "DATA_DIR": str(tmp_path / "data")}
    assert len(COMMANDS) > 10
    for line in COMMANDS:
        program, *words = shlex.split(line)
        assert program == "neuralrouting"
        done = CliRunner().invoke(main, words, env=settings)
        assert done.exit_code == 0, f"{line}: {done.stderr}"


def test_the_plans_of_the_page_are_those_of_a_new_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    settings = {"NEURALROUTING_CONFIG": None, "DATABASE_URL": None, "DATA_DIR": str(tmp_path / "data")}
    shown = CliRunner().invoke(main, ["plans", "list", "--json"], env=settings)
    expected = [
        [
            plan["name"],
            plan["price_usd"],
            "not counted" if plan["monthly_credits"] is None else f"{int(plan['monthly_credits']):,}",
            "no limit" if plan["requests_per_minute"] is None else f"{plan['requests_per_minute']:,}",
            ", ".join(plan["modes"]),
            "yes" if plan["force_model"] else "no",
        ]
        for plan in json.loads(shown.stdout)
    ]
    assert table("Plans") == expected


def test_the_times_of_shared_limits_are_those_of_the_product():
    told = dict(table("Limits"))
    assert told["a place becomes free"].startswith(f"{rates.COUNTED_MS // 1000} s")
    assert f"after {sharing.BEAT_S:.0f} s" in told["a new machine"]
    assert f"for {rates.LIVE_MS // 1000} s" in told["a machine is gone"]
    assert f"in the first {rates.ALONE_MS // 1000} s after the only machine" in PAGE
    assert rates.LEASES_A_WINDOW == 20
    assert "up to a twentieth of a machine's share" in PAGE


def test_the_rates_of_the_page_are_those_of_the_catalog():
    credits_ = {d.model: d.credits_per_1k for d in build_catalog(Config(), ["openai", "groq", "together"], None).known}
    told = {name.lower().replace(" ", "-"): int(rate) for name, rate in table("Credits")}
    assert len(told) == 4
    assert {name: credits_[name] for name in told} == told
    assert f"{GPT_4O_CREDITS} credits for ${GPT_4O_PICOUSD / 1_000_000} per million tokens" in PAGE
    assert f"`BILLING_UNPRICED_CREDITS_PER_1K` ({Config().billing.unpriced_credits_per_1k})" in PAGE
