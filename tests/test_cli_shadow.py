"""`neuralrouting shadow`: figures, audits, and a person's word on one of them."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neuralrouting.cli import main
from neuralrouting.storage.database import open_database
from neuralrouting.storage.shadow_audits import ShadowAudit, ShadowAudits
from settling import new_account
from shadow_rows import audit_row

Run = Callable[..., Result]


@pytest.fixture
def lost() -> ShadowAudit:
    return audit_row(verdict="lose", difference=-1.0, task="coding")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: ShadowAudit) -> Run:
    """Run a command on a database where `acme` has three audits, one of them lost."""
    monkeypatch.chdir(tmp_path)
    asyncio.run(_fill(tmp_path / "data", lost))

    def command(*words: str) -> Result:
        environ = {"NEURALROUTING_CONFIG": None, "DATABASE_URL": None, "DATA_DIR": str(tmp_path / "data")}
        return CliRunner().invoke(main, ("shadow", *words), env=environ, prog_name="neuralrouting")

    return command


async def _fill(folder: Path, lost: ShadowAudit) -> None:
    database = await open_database(None, folder)
    try:
        for account in ("acme", "globex"):
            await new_account(database, account)
        audits = ShadowAudits(database)
        for audit in (audit_row(), lost, audit_row(kind="cache"), audit_row(account_id="globex")):
            await audits.write(audit, None)
    finally:
        await database.close()


def test_status_counts_audits_by_how_they_ended(run: Run):
    told = json.loads(run("status", "--account", "acme", "--json").stdout)
    assert (told["answers"]["audits"], told["answers"]["lose"], told["cache"]["tie"]) == (2, 1, 1)
    assert told["today"]["budget_usd"] == "1.000000000"
    shown = run("status", "--account", "acme").stdout
    assert "today $0.000000000 of $1.000000000" in shown


def test_audits_are_found_by_what_they_are_about(run: Run, lost: ShadowAudit):
    found = json.loads(run("audits", "--account", "acme", "--verdict", "lose", "--task", "coding", "--json").stdout)
    assert [audit["id"] for audit in found] == [lost.id]
    assert len(json.loads(run("audits", "--account", "acme", "--limit", "2", "--json").stdout)) == 2
    assert lost.id in run("audits", "--account", "acme").stdout


def test_a_person_judges_and_takes_it_back(run: Run, lost: ShadowAudit):
    assert run("verdict", lost.id, "tie", "--account", "acme").exit_code == 0
    assert json.loads(run("audits", "--account", "acme", "--verdict", "lose", "--json").stdout)[0]["human"] == "tie"
    assert "the judge agrees with people on 0 of 1" in run("status", "--account", "acme").stdout
    assert run("verdict", lost.id, "none", "--account", "acme").exit_code == 0
    assert json.loads(run("status", "--account", "acme", "--json").stdout)["judge"]["judged"] == 0


@pytest.mark.parametrize(
    "words",
    [("status", "--account", "nobody"), ("verdict", "aud_0", "tie", "--account", "acme"), ("audits", "--account", "x")],
)
def test_what_is_not_there_is_an_error_of_one_line(run: Run, words: tuple[str, ...]):
    done = run(*words)
    assert done.exit_code == 1
    assert len(done.stderr.strip().splitlines()) == 1


def test_anothers_audit_cannot_be_judged(run: Run, lost: ShadowAudit):
    assert run("verdict", lost.id, "win", "--account", "globex").exit_code == 1
