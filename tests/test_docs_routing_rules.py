"""What docs/routing-rules.md prints is true: its rules do what it says, its commands run, its tables are complete."""

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from neuralrouting.api.rehearsal import UNJUDGED
from neuralrouting.cli import main
from neuralrouting.rules import RuleFacts, RulesRejected, Then, When, read_rules
from neuralrouting.rules.matching import SEARCHED_CHARS
from neuralrouting.rules.reading import MAX_KEYWORDS, MAX_RULES
from neuralrouting.rules.tree import MAX_BYTES
from neuralrouting.rules.values import DAYS, DOMAINS, MODES, TASKS, TIERS
from neuralrouting.storage.audit import EXAMINED_ROWS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "routing-rules.md").read_text()
(RULES,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(COMMANDS,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(MISTAKE,) = re.findall(r"^```text\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
NIGHT = datetime(2026, 11, 27, 23, tzinfo=UTC)
PLAIN = RuleFacts(NOON, task="chat", complexity=2.0, prompt_tokens=100, text="hello")


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (replace(PLAIN, text="What is the Term\nSheet worth?", risk="financial"), "no contracts in here"),
        (replace(PLAIN, risk="medical"), "advice that could hurt"),
        (replace(PLAIN, risk="elections"), None),
        (replace(PLAIN, feature="report/daily", at=NIGHT), "nightly reports are cheap"),
        (replace(PLAIN, feature="report/daily"), None),
        (replace(PLAIN, task="coding", complexity=5.0), "hard code"),
        (replace(PLAIN, task="coding", complexity=4.9), None),
        (replace(PLAIN, task="coding", complexity=9.0, prompt_tokens=20_001), None),
        (replace(PLAIN, team="free"), "the free plan looks twice"),
        (replace(PLAIN, team="free", stream=True), None),
        (PLAIN, None),
    ],
)
def test_the_rules_of_the_page_hold_for_what_they_say(facts: RuleFacts, name: str | None):
    found = read_rules(RULES).first(facts)
    assert (found.name if found is not None else None) == name


def test_the_commands_of_the_page_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(RULES)
    environ = {"NEURALROUTING_CONFIG": None, "DATABASE_URL": None, "DATA_DIR": str(tmp_path), "LOCAL_ENABLED": "off"}
    assert CliRunner().invoke(main, ["keys", "create", "--account", "acme"], env=environ).exit_code == 0
    for line in COMMANDS.splitlines():
        done = CliRunner().invoke(main, shlex.split(line)[1:], env=environ)
        assert done.exit_code == 0, f"{line}: {done.stderr}"


def test_the_mistake_of_the_page_is_told_as_printed():
    with pytest.raises(RulesRejected) as caught:
        read_rules("- name: x\n  when:\n    task: poetry\n  then: {mode: cost}\n")
    assert str(caught.value) == MISTAKE


@pytest.mark.parametrize(
    "word",
    sorted({*When.__struct_fields__, *Then.__struct_fields__, *TASKS, *DOMAINS, *MODES, *TIERS, *UNJUDGED, *DAYS[::6]}),
)
def test_every_word_of_the_language_is_on_the_page(word: str):
    assert f"`{word}`" in PAGE


def test_the_bounds_of_the_page_are_those_of_the_code():
    assert f"{MAX_BYTES // 1024} KB, {MAX_RULES} rules, and {MAX_KEYWORDS} keywords" in PAGE
    assert f"over {SEARCHED_CHARS:,} characters the first and last {SEARCHED_CHARS // 2:,}" in PAGE
    assert f"the newest {EXAMINED_ROWS:,} at most" in PAGE
