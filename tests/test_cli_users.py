"""`neuralrouting users`: people are added, changed and let in, each in one line, right or wrong."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neuralrouting.cli import main
from neuralrouting.clock import unix_ms
from neuralrouting.dashboard.session import digest_of
from neuralrouting.storage.database import open_database
from neuralrouting.storage.sign_in import Link, SignInRows
from neuralrouting.storage.users import UserRows
from people import IDLE_MS, session

Run = Callable[..., Result]
Tell = Callable[..., object]
ANN = "ann@example.com"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder with an environment of its own."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str, **environ: str) -> Result:
        settings = {"NEURALROUTING_CONFIG": None, "DATABASE_URL": None, "DATA_DIR": str(tmp_path / "data")}
        return CliRunner().invoke(main, words, env=settings | environ, prog_name="neuralrouting")

    return command


@pytest.fixture
def tell(run: Run) -> Tell:
    """Run a command that must succeed and return its JSON."""

    def command(*words: str, **environ: str) -> object:
        done = run("users", *words, "--json", **environ)
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    return command


def refused(done: Result) -> str:
    """The one line that a command which failed told."""
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("Error: ").rstrip()


@pytest.mark.parametrize(
    "words", ["users", *(f"users {name}" for name in ("list", "add", "link", "role", "disable", "enable", "sessions"))]
)
def test_every_command_has_help_that_teaches(run: Run, words: str):
    done = run(*words.split(), "--help")
    assert done.exit_code == 0
    assert re.search(rf"neuralrouting {words}\b", done.stdout.partition("\n\n")[2])


def test_a_user_is_added_with_a_link_and_listed(run: Run, tell: Tell):
    assert "neuralrouting users add" in run("users", "list").stdout
    made = tell("add", " Ann@Example.com ", "--role", "owner", SERVER_PORT="9000")
    assert (made["email"], made["role"], made["account"], made["signs_in"]) == (ANN, "owner", "default", "invited")
    assert re.fullmatch(r"http://127\.0\.0\.1:9000/login/link/[\w-]{43}", made["link"])
    [row] = tell("list")
    assert made.items() - {("link", made["link"])} == row.items()
    assert ANN in run("users", "list").stdout
    assert tell("list", "--account", "other") == []


def test_a_link_is_alone_on_its_output_and_takes_the_place_of_the_one_before(run: Run, tmp_path: Path):
    first = run("users", "add", ANN).stdout.strip()
    second = run("users", "link", ANN, "--minutes", "60", SERVER_HOST="0.0.0.0")
    assert "within 60 minutes" in second.stderr
    url = second.stdout.strip()
    assert url.startswith("http://127.0.0.1:8080/login/link/")

    async def find(link: str) -> Link | None:
        database = await open_database(None, tmp_path / "data")
        try:
            return await SignInRows(database).link(digest_of(link.rpartition("/")[2]), unix_ms() + 59 * 60_000)
        finally:
            await database.close()

    assert asyncio.run(find(first)) is None
    assert asyncio.run(find(url)) is not None


def test_a_role_is_changed_and_the_last_owner_stays(run: Run, tell: Tell):
    tell("add", ANN, "--role", "owner")
    assert "last owner" in refused(run("users", "role", ANN, "viewer"))
    assert "last owner" in refused(run("users", "disable", ANN))
    tell("add", "bob@example.com", "--role", "owner")
    assert run("users", "role", ANN, "billing").stdout == f"{ANN} is now billing of default\n"
    assert tell("role", ANN, "viewer")["role"] == "viewer"


def test_a_user_is_disabled_and_let_in_again(run: Run, tell: Tell):
    tell("add", ANN)
    assert run("users", "disable", ANN).stdout == f"{ANN} is disabled\n"
    assert tell("list")[0]["disabled"] is not None
    assert "is disabled" in refused(run("users", "link", ANN))
    assert tell("enable", ANN)["disabled"] is None


def test_sessions_are_listed_and_ended(run: Run, tell: Tell, tmp_path: Path):
    tell("add", ANN)

    async def sign_in() -> None:
        database = await open_database(None, tmp_path / "data")
        try:
            user = await UserRows(database).of_email(ANN)
            assert user is not None
            assert await SignInRows(database).open(session(user.id, unix_ms()), IDLE_MS)
        finally:
            await database.close()

    assert run("users", "sessions", ANN).stdout == f"{ANN} is not signed in\n"
    asyncio.run(sign_in())
    [one] = tell("sessions", ANN)["sessions"]
    assert (one["address"], one["agent"]) == ("192.0.2.1", "a browser")
    assert "192.0.2.1" in run("users", "sessions", ANN).stdout
    assert run("users", "sessions", ANN, "--end").stdout == f"ended 1 sessions of {ANN}\n"
    assert tell("sessions", ANN)["sessions"] == []


@pytest.mark.parametrize(
    "words",
    ["link x@y", "role x@y owner", "disable x@y", "enable x@y", "sessions x@y"],
)
def test_a_user_that_is_not_there_is_told(run: Run, words: str):
    assert refused(run("users", *words.split())) == "no user 'x@y'; see `neuralrouting users list`"


def test_what_is_no_address_and_who_is_there_already_are_told(run: Run, tell: Tell):
    assert "name@example.com" in refused(run("users", "add", "ann"))
    tell("add", ANN)
    assert "there is a user" in refused(run("users", "add", ANN.upper()))
    assert run("users", "add", ANN, "--role", "king").exit_code == 2
