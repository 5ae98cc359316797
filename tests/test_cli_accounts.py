"""The commands of accounts, plans, budgets, credits and keys' options: each in one line, right or wrong."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.accounts.budgets import epoch_ms
from neuralrouting.cli import main
from neuralrouting.cli.amounts import decimal_text, parse_decimal
from neuralrouting.storage.database import open_database
from neuralrouting.storage.turns import budget_purse

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder with an environment of its own."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str, **environ: str) -> Result:
        settings = {"NEURALROUTING_CONFIG": None, "DATABASE_URL": None, "DATA_DIR": str(tmp_path / "data")}
        return CliRunner().invoke(main, words, env=settings | environ, prog_name="neuralrouting")

    return command


@pytest.fixture
def tell(run: Run) -> Callable[..., object]:
    """Run a command that must succeed and return its JSON."""

    def command(*words: str, **environ: str) -> object:
        done = run(*words, "--json", **environ)
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    return command


@pytest.fixture
def acme(run: Run) -> str:
    assert run("accounts", "create", "acme", "--plan", "free").exit_code == 0
    return "acme"


def refused(done: Result) -> str:
    """The one line that a command which failed told."""
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("Error: ").rstrip()


@pytest.mark.parametrize(
    "words",
    ["accounts", "accounts list", "accounts create", "accounts set-plan", "plans", "plans list", "plans set",
     "plans remove", "budgets", "budgets list", "budgets set", "budgets remove", "credits", "credits show",
     "credits top-up", "ledger", "ledger verify", "keys create", "keys set"],
)  # fmt: skip
def test_every_command_has_help_that_teaches(run: Run, words: str):
    done = run(*words.split(), "--help")
    assert done.exit_code == 0
    assert re.search(rf"neuralrouting {words}\b", done.stdout.partition("\n\n")[2])


# --- amounts --------------------------------------------------------------------------------------------------------


@given(value=st.integers(-(10**18), 10**18), places=st.integers(0, 12))
def test_an_amount_reads_back_as_it_was_written(value: int, places: int):
    text = decimal_text(value, places)
    read = parse_decimal(text.removeprefix("-"), places)
    whole = abs(value) // 10**places
    assert read == (abs(value) if whole < 10**15 else None)
    assert text.startswith("-") == (value < 0)
    assert not re.search(r"\.\d*0$|\.$", text)


@pytest.mark.parametrize(
    ("text", "mc"),
    [("5000", 5_000_000), ("0.5", 500), ("12.50", 12_500), ("0.001", 1), ("1.0000", 1_000), ("007", 7_000)],
)
def test_credits_are_read_to_the_millicredit(text: str, mc: int):
    assert parse_decimal(text, 3) == mc


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1e3", "1,000", ".5", "5.", "0.0001", "NaN", "\u0661", " 1", "1\n", "9" * 16]
)
def test_what_is_no_amount_is_not_guessed_at(text: str):
    assert parse_decimal(text, 3) is None


# --- accounts -------------------------------------------------------------------------------------------------------


def test_an_account_is_made_listed_and_given_another_plan(run: Run, tell: Callable[..., object]):
    assert "neuralrouting accounts create" in run("accounts", "list").stdout
    made = tell("accounts", "create", "acme", "--name", "Acme Corporation", "--plan", "starter")
    assert made == {"id": "acme", "name": "Acme Corporation", "plan": "starter"}
    assert run("accounts", "set-plan", "acme", "growth").stdout == "account acme has the plan growth\n"
    [row] = tell("accounts", "list")
    assert (row["id"], row["name"], row["plan"]) == ("acme", "Acme Corporation", "growth")
    assert "Acme Corporation" in run("accounts", "list").stdout


def test_an_account_without_a_plan_gets_the_default_one(tell: Callable[..., object]):
    tell("accounts", "create", "one")
    tell("accounts", "create", "two", BILLING_DEFAULT_PLAN="free")
    tell("keys", "create", "--account", "three", BILLING_DEFAULT_PLAN="starter")
    rows = tell("accounts", "list")
    assert {row["id"]: row["plan"] for row in rows} == {"one": "unlimited", "two": "free", "three": "starter"}


def test_what_cannot_be_done_with_an_account_is_told_in_one_line(run: Run, acme: str):
    assert refused(run("accounts", "create", acme)).startswith("there is an account 'acme' already")
    assert refused(run("accounts", "create", "b", "--plan", "gold")).startswith("no plan 'gold'")
    assert refused(run("accounts", "create", "a b")).startswith("an id is up to 100")
    assert refused(run("accounts", "set-plan", "nobody", "free")).startswith("no account 'nobody'")
    assert refused(run("accounts", "set-plan", acme, "gold")).startswith("no plan 'gold'")
    assert refused(run("keys", "create", "--account", "b", BILLING_DEFAULT_PLAN="gold")).startswith("no plan 'gold'")


# --- plans ----------------------------------------------------------------------------------------------------------


def test_plans_are_listed_cheapest_first(run: Run, tell: Callable[..., object]):
    rows = tell("plans", "list")
    assert [(row["id"], row["price_usd"], row["monthly_credits"]) for row in rows] == [
        ("free", "0", "5000"),
        ("starter", "29", "50000"),
        ("growth", "89", "200000"),
        ("business", "349", "1000000"),
        ("unlimited", "0", None),
    ]
    assert "unlimited" in run("plans", "list").stdout


def test_a_plan_is_defined_changed_in_part_and_removed(run: Run, tell: Callable[..., object]):
    words = ("--name", "Team", "--price", "49.50", "--monthly-credits", "100000.5", "--requests-per-minute", "120")
    made = tell("plans", "set", "team", *words, "--tokens-per-minute", "5000", "--modes", "auto, cost", "--force-model")
    assert made == {
        "id": "team", "name": "Team", "price_usd": "49.5", "monthly_credits": "100000.5", "requests_per_minute": 120,
        "tokens_per_minute": 5_000, "parallel": None, "modes": ["auto", "cost"], "force_model": True,
    }  # fmt: skip
    changed = tell("plans", "set", "team", "--requests-per-minute", "none", "--parallel", "3", "--no-force-model")
    assert changed == made | {"requests_per_minute": None, "parallel": 3, "force_model": False}
    assert tell("plans", "set", "team", "--monthly-credits", "unlimited")["monthly_credits"] is None
    assert tell("plans", "remove", "team") == {"id": "team", "removed": True}
    assert len(tell("plans", "list")) == 5


def test_what_cannot_be_done_with_a_plan_is_told_in_one_line(run: Run, acme: str):
    assert refused(run("plans", "remove", "free")) == "the plan is that of 1 account: give them another first"
    assert refused(run("plans", "remove", "gold")).startswith("no plan 'gold'")
    assert refused(run("plans", "remove", "unlimited")).startswith("'unlimited' is billing.default_plan")
    assert refused(run("plans", "set", "free", "--modes", "cost")).startswith("modes are 'auto' and any of")
    assert refused(run("plans", "set", "free", "--requests-per-minute", "0")).startswith("requests_per_minute is a")


def test_a_plan_that_is_half_said_is_wrong_use(run: Run):
    assert "a new one needs --monthly-credits" in run("plans", "set", "team").stderr
    for words in (("--monthly-credits", "1.0001"), ("--requests-per-minute", "1.5"), ("--price", "0.001")):
        done = run("plans", "set", "free", *words)
        assert done.exit_code == 2
        assert f"Invalid value for '{words[0]}'" in done.stderr


# --- budgets --------------------------------------------------------------------------------------------------------


def test_a_budget_is_set_changed_listed_and_removed(run: Run, tell: Callable[..., object], acme: str):
    words = ("budgets", "set", "--account", acme, "--scope", "user", "--subject", "*", "--period", "day")
    made = tell(*words, "--limit-usd", "12.50", "--action", "downgrade", "--warn-percent", "50")
    assert made == {
        "id": made["id"], "account": acme, "name": "day user *", "scope": "user", "subject": "*", "period": "day",
        "limit_usd": "12.5", "action": "downgrade", "warn_percent": 50,
    }  # fmt: skip
    again = tell(*words, "--limit-usd", "0.000000001", "--action", "downgrade", "--name", "Users")
    assert again == made | {"limit_usd": "0.000000001", "name": "Users", "warn_percent": 80}
    other = tell(*words, "--limit-usd", "20", "--action", "block")
    rows = tell("budgets", "list", "--account", acme)
    assert {row["id"]: row["windows"] for row in rows} == {made["id"]: [], other["id"]: []}
    assert "0.000000001" in run("budgets", "list", "--account", acme).stdout
    assert tell("budgets", "remove", other["id"], "--account", acme) == {"id": other["id"], "removed": True}
    assert [row["id"] for row in tell("budgets", "list", "--account", acme)] == [made["id"]]


def test_one_account_cannot_see_or_remove_the_budget_of_another(run: Run, tell: Callable[..., object], acme: str):
    tell("accounts", "create", "other")
    made = tell("budgets", "set", "--account", acme, "--limit-usd", "1")
    assert tell("budgets", "list", "--account", "other") == []
    told = refused(run("budgets", "remove", made["id"], "--account", "other"))
    assert told.startswith(f"account other has no budget '{made['id']}'")
    assert len(tell("budgets", "list", "--account", acme)) == 1


def test_what_cannot_be_done_with_a_budget_is_told(run: Run, acme: str):
    assert refused(run("budgets", "set", "--account", "nobody", "--limit-usd", "1")).startswith("no account 'nobody'")
    assert refused(run("budgets", "set", "--account", acme, "--limit-usd", "0")).startswith("a limit is above 0")
    assert refused(run("budgets", "remove", "x", "--account", acme)).startswith("account acme has no budget 'x'")
    for words in (
        ("--limit-usd", "0.0000000001"), ("--limit-usd", "1e3"), (), ("--limit-usd", "1", "--scope", "user"),
        ("--limit-usd", "1", "--period", "year"), ("--limit-usd", "1", "--warn-percent", "0"),
    ):  # fmt: skip
        assert run("budgets", "set", "--account", acme, *words).exit_code == 2
    assert "neuralrouting budgets set" in run("budgets", "list", "--account", acme).stdout


def execute(folder: Path, sql: str, *args: object) -> None:
    """Change the database behind everybody's back."""

    async def work() -> None:
        database = await open_database(None, folder / "data")
        try:
            await database.execute(sql, *args)
        finally:
            await database.close()

    asyncio.run(work())


def test_a_list_of_budgets_tells_what_was_spent_in_this_period_only(
    run: Run, tell: Callable[..., object], acme: str, tmp_path: Path
):
    words = ("--scope", "user", "--subject", "*", "--period", "month", "--limit-usd", "1")
    made = tell("budgets", "set", "--account", acme, *words)
    month = epoch_ms("month", time.time_ns() // 1_000_000)
    sql = "INSERT INTO budget_windows VALUES ($1, $2, $3, $4, $5, $6)"
    for epoch, user, spent in ((month, "ada", 250_000_000), (month, "bob", 5), (month - 1, "zoe", 7)):
        execute(tmp_path, sql, budget_purse(made["id"], epoch, user), made["id"], epoch, user, spent, 1_000)
    [row] = tell("budgets", "list", "--account", acme)
    assert [(window["subject"], window["spent_usd"], window["leased_usd"]) for window in row["windows"]] == [
        ("ada", "0.25", "0.000001"),
        ("bob", "0.000000005", "0.000001"),
    ]
    assert "0.25 ada" in run("budgets", "list", "--account", acme).stdout


# --- credits --------------------------------------------------------------------------------------------------------


def test_credits_are_added_once_for_each_reference(run: Run, tell: Callable[..., object], acme: str):
    words = ("credits", "top-up", "--account", acme, "--credits", "5000.5", "--ref", "INVOICE-7", "--reason", "card")
    first = tell(*words)
    assert (first["credits"], first["balance"], first["reason"]) == ("5000.5", "5000.5", "card")
    assert first["actor"].startswith("cli:")
    assert tell(*words) == first
    shown = tell("credits", "show", "--account", acme)
    assert (shown["plan"], shown["credits"], shown["leased"]) == ("free", "5000.5", "0")
    assert [(entry["kind"], entry["ref"]) for entry in shown["entries"]] == [("topup", "INVOICE-7")]
    assert "5000.5 credits by INVOICE-7" in run(*words).stdout
    assert "INVOICE-7" in run("credits", "show", "--account", acme).stdout


def test_a_top_up_without_a_reference_is_a_new_one_each_time(tell: Callable[..., object], acme: str):
    for _ in range(3):
        last = tell("credits", "top-up", "--account", acme, "--credits", "0.001")
    assert last["balance"] == "0.003"
    assert len({entry["ref"] for entry in tell("credits", "show", "--account", acme)["entries"]}) == 3
    page = tell("credits", "show", "--account", acme, "--entries", "1", "--before", "3")
    assert [entry["seq"] for entry in page["entries"]] == [2]


def test_what_cannot_be_topped_up_is_told(run: Run, acme: str):
    assert run("credits", "top-up", "--account", acme, "--credits", "5", "--ref", "A").exit_code == 0
    assert "the reference A was used" in refused(
        run("credits", "top-up", "--account", acme, "--credits", "6", "--ref", "A")
    )
    assert "nobody" in refused(run("credits", "top-up", "--account", "nobody", "--credits", "6"))
    assert "nobody" in refused(run("credits", "show", "--account", "nobody"))
    assert refused(run("credits", "top-up", "--account", acme, "--credits", "0"))
    for amount in ("-5", "5.0001", "many"):
        assert run("credits", "top-up", "--account", acme, "--credits", amount).exit_code == 2


# --- ledger ---------------------------------------------------------------------------------------------------------


def test_books_in_order_are_told_in_one_line(run: Run, tell: Callable[..., object], acme: str):
    tell("credits", "top-up", "--account", acme, "--credits", "5")
    done = run("ledger", "verify")
    assert (done.exit_code, done.stdout) == (0, "1 accounts, 1 rows checked: no breach\n")
    assert tell("ledger", "verify") == {"accounts": 1, "rows": 1, "breaches": []}


def test_a_cent_from_nowhere_is_found_and_its_row_named(
    run: Run, tell: Callable[..., object], acme: str, tmp_path: Path
):
    tell("credits", "top-up", "--account", acme, "--credits", "5")
    execute(tmp_path, "UPDATE balances SET posted_mc = posted_mc + 1")
    done = run("ledger", "verify")
    assert done.exit_code == 1
    assert re.search(r"^I2: .*acme", done.stdout, re.MULTILINE)
    as_json = run("ledger", "verify", "--json")
    assert as_json.exit_code == 1
    assert "I2" in {breach["invariant"] for breach in json.loads(as_json.stdout)["breaches"]}


# --- keys -----------------------------------------------------------------------------------------------------------

OPTIONS = ("shield", "role", "team", "requests_per_minute", "tokens_per_minute", "parallel")


def options(row: dict[str, object]) -> tuple[object, ...]:
    return tuple(row[name] for name in OPTIONS)


def test_a_key_is_made_with_role_team_and_limits_and_changed_in_part(run: Run, tell: Callable[..., object]):
    words = ("--role", "owner", "--team", "search", "--requests-per-minute", "100", "--parallel", "4")
    made = tell("keys", "create", *words)
    assert options(made) == ("default", "owner", "search", 100, None, 4)
    [row] = tell("keys", "list")
    assert options(row) == options(made)
    for expected in ("owner", "search", "100"):
        assert expected in run("keys", "list").stdout
    changed = tell("keys", "set", made["id"], "--tokens-per-minute", "50000", "--parallel", "none", "--team", "none")
    assert options(changed) == ("default", "owner", None, 100, 50_000, None)
    assert options(tell("keys", "list")[0]) == options(changed)
    assert "requests_per_minute 100" in run("keys", "set", made["id"], "--role", "member").stdout


def test_a_key_cannot_be_given_a_limit_or_role_that_there_is_not(run: Run):
    assert refused(run("keys", "create", "--parallel", "0")).startswith("parallel is a whole number from 1")
    assert run("keys", "create", "--parallel", "1.5").exit_code == 2
    assert run("keys", "create", "--role", "king").exit_code == 2
    assert json.loads(run("keys", "list", "--json").stdout) == []
