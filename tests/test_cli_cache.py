"""`neuralrouting cache`: why two questions share an answer, what is stored, and the way to be rid of it."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cache_rows import answer, scope_of, stored
from neuralrouting.cli import main
from neuralrouting.intervals import wilson
from neuralrouting.storage.database import open_database
from neuralrouting.storage.entries import INSERT_ENTRY, EntryRows, entry_values
from neuralrouting.storage.judgements import Judgement, Judgements
from neuralrouting.storage.purges import Purges
from neuralrouting.storage.trail import GATEWAY
from settling import new_account

Run = Callable[..., Result]
NOW_MS = time.time_ns() // 1_000_000
FIRST, SECOND, THIRD = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32
MERCURY = ("What is the boiling point of mercury?", "whats the boiling point of MERCURY")
STAIN = ("How do I remove a coffee stain from a carpet?", "How can I remove coffee stains from a carpet?")
PIANO, VIOLIN = "How can I learn to play the piano?", "How can I learn to play the violin?"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on a database where `acme` has three answers, one of them of no use to other questions."""
    monkeypatch.chdir(tmp_path)
    asyncio.run(_fill(tmp_path / "data"))

    def command(*words: str) -> Result:
        environ = {"NEURALROUTING_CONFIG": None, "DATABASE_URL": None, "DATA_DIR": str(tmp_path / "data")}
        return CliRunner().invoke(main, ("cache", *words), env=environ, prog_name="neuralrouting")

    return command


async def _fill(folder: Path) -> None:
    database = await open_database(None, folder)
    try:
        for account in ("acme", "globex", "initech"):
            await new_account(database, account)
        hours = answer("Our OPENING Hours are nine to five.")
        entries = (
            stored(FIRST, body=hours, scope="s", stored_ms=NOW_MS),
            stored(SECOND, scope="t", stored_ms=NOW_MS),
            stored(THIRD, stored_ms=NOW_MS),
            stored(FIRST, "globex", body=hours, scope="s", stored_ms=NOW_MS),
        )
        await database.write([(INSERT_ENTRY, [entry_values(entry) for entry in entries])])
    finally:
        await database.close()


def left(folder: Path) -> set[tuple[str, bytes]]:
    """Whose answers are still there, by key."""

    async def read() -> set[tuple[str, bytes]]:
        database = await open_database(None, folder / "data")
        try:
            return {(entry.account_id, entry.key) for _, entry in await EntryRows(database).since(0, 100)}
        finally:
            await database.close()

    return asyncio.run(read())


def printed(done: Result) -> str:
    assert done.exit_code == 0, done.stderr
    return done.stdout


def refused(done: Result) -> str:
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


def explained(run: Run, *words: str) -> dict[str, object]:
    return json.loads(printed(run("explain", *words, "--json")))


# --- explain --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pair", "level"), [(MERCURY, "canonical"), (STAIN, "semantic")])
def test_two_questions_that_share_an_answer_are_told_with_their_level(run: Run, pair: tuple[str, str], level: str):
    told = explained(run, *pair)
    assert (told["served"], told["level"], told["unfit"], told["rule"], told["likeness"]) == (
        True, level, None, None, "same",
    )  # fmt: skip
    assert told["words"] and len(told["words"]) == 2  # noqa: PT018
    lines = printed(run("explain", *pair)).splitlines()
    assert any(line.split()[:2] == ["level", level] for line in lines)


def test_two_questions_that_ask_different_things_are_told_with_the_rule(run: Run):
    told = explained(run, PIANO, VIOLIN)
    assert (told["served"], told["level"], told["likeness"] == "same") == (False, None, False)
    assert told["rule"]
    order = explained(run, "Convert 5 miles to km", "Convert 5 km to miles")
    assert order["similarity"] > 0.92
    assert (order["served"], order["likeness"]) == (False, "differs")


def test_likeness_below_the_threshold_is_not_enough(run: Run):
    told = explained(run, *STAIN)
    assert 0.92 < told["similarity"] < 0.999
    assert explained(run, *STAIN, "--threshold", "0.999")["served"] is False
    assert explained(run, *MERCURY, "--threshold", "0.999")["served"] is True, "canonical needs no likeness"


def test_without_the_verifier_the_cosine_alone_decides(run: Run):
    pair = ("Convert 5 miles to km", "Convert 5 km to miles")
    assert explained(run, *pair, "--verifier", "off")["served"] is True
    assert explained(run, *pair, "--verifier", "std")["served"] is False


def test_a_text_that_takes_no_part_is_told_with_the_reason(run: Run):
    told = explained(run, "Boiling point?", "boiling POINT")
    assert (told["served"], told["unfit"], told["similarity"]) == (False, "short", None)
    assert "short" in printed(run("explain", "Boiling point?", "boiling POINT"))


@pytest.mark.parametrize("words", [(PIANO,), (PIANO, VIOLIN, "--threshold", "2"), (PIANO, VIOLIN, "--verifier", "lax")])
def test_what_cannot_be_compared_is_a_wrong_usage(run: Run, words: tuple[str, ...]):
    done = run("explain", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Usage: neuralrouting cache explain" in done.stderr


# --- stats ----------------------------------------------------------------------------------------------------------


def test_what_is_stored_is_counted(run: Run):
    told = json.loads(printed(run("stats", "--account", "acme", "--json")))
    assert (told["entries"], told["semantic_entries"], told["scopes"]) == (3, 2, 2)
    assert (told["judged_hits"], told["wrong_hits"], told["wrong_hit_interval"]) == (0, 0, [0.0, 1.0])
    lines = [line.split() for line in printed(run("stats", "--account", "acme")).splitlines()]
    assert {tuple(line) for line in lines} >= {
        ("entries", "3"), ("semantic_entries", "2"), ("deployments", "openai/gpt-4o-mini:", "3"),
    }  # fmt: skip


def test_judged_hits_are_counted_with_the_interval_of_the_wrong_ones(run: Run, tmp_path: Path):
    async def judge() -> None:
        database = await open_database(None, tmp_path / "data")
        try:
            for agreed in (True, True, False):
                judgement = Judgement("acme", SECOND, "semantic", 0.95, agreed, "user")
                await Judgements(database).judge(judgement, NOW_MS, actor=GATEWAY)
        finally:
            await database.close()

    asyncio.run(judge())
    told = json.loads(printed(run("stats", "--account", "acme", "--json")))
    assert (told["entries"], told["judged_hits"], told["wrong_hits"]) == (2, 3, 1)
    assert told["wrong_hit_interval"] == list(wilson(1, 3))


def test_an_account_that_has_nothing_is_told_so(run: Run):
    told = json.loads(printed(run("stats", "--account", "initech", "--json")))
    assert (told["entries"], told["bytes"], told["oldest_ms"], told["deployments"]) == (0, 0, None, [])
    assert ["deployments", "-"] in [line.split() for line in printed(run("stats", "--account", "initech")).splitlines()]


# --- purge ----------------------------------------------------------------------------------------------------------

ALL = {("acme", FIRST), ("acme", SECOND), ("acme", THIRD), ("globex", FIRST)}


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (("--all",), {FIRST, SECOND, THIRD}),
        (("--entry", SECOND.hex()), {SECOND}),
        (("--entry", SECOND.hex().upper()), {SECOND}),
        (("--scope", scope_of("s").hex()), {FIRST}),
        (("--pattern", "opening hours"), {FIRST}),
        (("--pattern", "AN ANSWER", "--scope", scope_of("t").hex()), {SECOND}),
        (("--pattern", "no such words"), set[bytes]()),
        (("--entry", "0" * 64), set[bytes]()),
    ],
)
def test_what_is_named_goes_from_one_account_and_is_counted(
    run: Run, tmp_path: Path, words: tuple[str, ...], gone: set[bytes]
):
    told = printed(run("purge", "--account", "acme", *words, "--json"))
    assert json.loads(told) == {"account": "acme", "purged": len(gone)}
    assert ALL - left(tmp_path) == {("acme", key) for key in gone}


def test_a_purge_says_in_words_how_much_is_gone_and_is_written_down_for_those_that_run(run: Run, tmp_path: Path):
    assert printed(run("purge", "--account", "acme", "--all")) == "3 stored answers are gone\n"

    async def read() -> list[tuple[str, bytes | None]]:
        database = await open_database(None, tmp_path / "data")
        try:
            return [(purge.account_id, purge.key) for purge in await Purges(database).since(0, NOW_MS)]
        finally:
            await database.close()

    assert asyncio.run(read()) == [("acme", None)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say what is to go"),
        (("--all", "--entry", SECOND.hex()), "say what is to go"),
        (("--all", "--pattern", "x"), "say what is to go"),
        (("--entry", "abc"), "--entry must be 64 hexadecimal digits"),
        (("--entry", "z" * 64), "--entry must be 64 hexadecimal digits"),
        (("--scope", "00"), "--scope must be 64 hexadecimal digits"),
        (("--pattern", ""), "1 to 500 characters"),
        (("--pattern", "x" * 501), "1 to 500 characters"),
    ],
)
def test_a_purge_that_names_nothing_well_is_refused_and_purges_nothing(
    run: Run, tmp_path: Path, words: tuple[str, ...], said: str
):
    assert said in refused(run("purge", "--account", "acme", *words))
    assert left(tmp_path) == ALL


@pytest.mark.parametrize("words", [("stats",), ("purge", "--all")])
def test_an_account_that_does_not_exist_is_told_in_one_line(run: Run, tmp_path: Path, words: tuple[str, ...]):
    assert "no account 'nobody'" in refused(run(*words, "--account", "nobody"))
    assert left(tmp_path) == ALL
