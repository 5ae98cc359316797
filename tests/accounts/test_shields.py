"""Shields of accounts: compiled off the loop, followed within moments, and never replaced by rules that are bad."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from neuralrouting.accounts.shields import Shields, configured_rules
from neuralrouting.config import ShieldConfig
from neuralrouting.engine import Shield, compile_rules
from neuralrouting.errors import ConfigError, Unavailable
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.rules import RuleRow, RuleRows
from neuralrouting.storage.trail import GATEWAY

pytestmark = pytest.mark.anyio
POLL_S = 0.01


@dataclass
class Pack:
    """A compiled pack that remembers what it was made of."""

    texts: tuple[str, ...]

    @property
    def hash(self) -> str:
        return "+".join(self.texts)


class PanicException(BaseException):
    """What a native panic looks like from here."""


@dataclass
class Compiler:
    """Compiles in no time, refuses what says so, and remembers every call and its thread."""

    calls: list[tuple[str, ...]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def __call__(self, *overlays: tuple[str, str], model: bool) -> Pack:  # noqa: ARG002  as of the real one
        texts = tuple(text for _, text in overlays if text)
        self.calls.append(texts)
        self.threads.add(threading.get_ident())
        if "PANIC" in texts:
            raise PanicException("index out of bounds")
        if any("BAD" in text for text in texts):
            raise ConfigError("rules.toml:1: refused")
        return Pack(texts)


@pytest.fixture
async def rows(database: Database) -> RuleRows:
    for account_id in ("acme", "other"):
        await AccountRows(database).ensure(account_id, account_id, 1, actor=GATEWAY)
    return RuleRows(database)


@pytest.fixture
def compiler() -> Compiler:
    return Compiler()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rules.toml"


@pytest.fixture
async def shields(rows: RuleRows, compiler: Compiler) -> AsyncIterator[Shields]:
    opened = Shields(rows, ShieldConfig(), poll_s=POLL_S, compiler=compiler)
    await opened.start()
    yield opened
    await opened.close()


async def until(happened: Callable[[], bool], within_s: float = 2.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline_s, "it did not happen"
        await asyncio.sleep(POLL_S)


def write(file: Path, text: str) -> None:
    file.write_text(text)


def delete(file: Path) -> None:
    file.unlink()


def made_of(shields: Shields, account_id: str) -> str:
    return shields.for_account(account_id).hash


async def put(rows: RuleRows, account_id: str, toml: str) -> None:
    assert await rows.put(account_id, toml, time.time_ns() // 1_000_000, actor=GATEWAY)


async def test_an_account_without_rules_shares_the_shield_of_all(shields: Shields):
    assert shields.for_account("acme") is shields.for_account("other")
    assert shields.hash == made_of(shields, "acme") == ""


async def test_rules_of_one_account_judge_that_account_only(shields: Shields, rows: RuleRows):
    await put(rows, "acme", "mine")
    await until(lambda: made_of(shields, "acme") == "mine")
    assert made_of(shields, "other") == ""
    await put(rows, "other", "theirs")
    await until(lambda: made_of(shields, "other") == "theirs")
    assert made_of(shields, "acme") == "mine"


async def test_rules_that_are_taken_back_judge_no_longer(shields: Shields, rows: RuleRows):
    await put(rows, "acme", "mine")
    await until(lambda: made_of(shields, "acme") == "mine")
    await put(rows, "acme", "")
    await until(lambda: made_of(shields, "acme") == "")


async def test_bad_rules_leave_the_good_ones_and_say_so_once(
    shields: Shields, rows: RuleRows, caplog: pytest.LogCaptureFixture
):
    await put(rows, "acme", "good")
    await until(lambda: made_of(shields, "acme") == "good")
    with caplog.at_level(logging.ERROR):
        await put(rows, "acme", "BAD")
        await until(lambda: bool(caplog.records))
        await asyncio.sleep(5 * POLL_S)
    assert [record.getMessage() for record in caplog.records] == [
        "the shield's rules for account acme stay as they were: rules.toml:1: refused"
    ]
    assert made_of(shields, "acme") == "good"
    await put(rows, "acme", "mended")
    await until(lambda: made_of(shields, "acme") == "mended")


async def test_rules_that_make_the_native_core_panic_hold_up_nobody_else(
    shields: Shields, rows: RuleRows, caplog: pytest.LogCaptureFixture
):
    await put(rows, "acme", "PANIC")
    await until(lambda: "account acme stay as they were: the native core panicked" in caplog.text)
    await put(rows, "other", "theirs")
    await until(lambda: made_of(shields, "other") == "theirs")
    assert made_of(shields, "acme") == ""


async def test_rules_are_compiled_beside_the_loop_and_once_for_each_change(
    shields: Shields, rows: RuleRows, compiler: Compiler
):
    await put(rows, "acme", "mine")
    await until(lambda: made_of(shields, "acme") == "mine")
    await asyncio.sleep(10 * POLL_S)
    assert compiler.calls == [(), ("mine",)]
    assert threading.get_ident() not in compiler.threads


async def test_a_file_judges_all_accounts_and_stands_below_their_own_rules(
    rows: RuleRows, compiler: Compiler, file: Path
):
    write(file, "all")
    await put(rows, "acme", "mine")
    shields = Shields(rows, ShieldConfig(rules_path=str(file)), poll_s=POLL_S, compiler=compiler)
    await shields.start()
    try:
        assert (made_of(shields, "other"), made_of(shields, "acme")) == ("all", "all+mine")
        write(file, "all, changed")
        await until(lambda: made_of(shields, "acme") == "all, changed+mine")
        assert made_of(shields, "other") == shields.hash == "all, changed"
        write(file, "BAD")
        await until(lambda: ("BAD",) in compiler.calls)
        assert made_of(shields, "other") == "all, changed"
        delete(file)
        await asyncio.sleep(5 * POLL_S)
        assert made_of(shields, "acme") == "all, changed+mine"
    finally:
        await shields.close()


async def test_a_worker_that_starts_with_bad_rules_falls_back_on_the_built_in_ones(
    rows: RuleRows, compiler: Compiler, file: Path
):
    write(file, "BAD")
    await put(rows, "acme", "BAD too")
    shields = Shields(rows, ShieldConfig(rules_path=str(file)), poll_s=POLL_S, compiler=compiler)
    await shields.start()
    try:
        assert (made_of(shields, "acme"), made_of(shields, "other")) == ("", "")
    finally:
        await shields.close()


class AwayRows(RuleRows):
    """Rows of a database that can go away."""

    away = False

    async def changed_since(self, changed_ms: int) -> list[RuleRow]:
        if self.away:
            raise Unavailable("the database is away")
        return await super().changed_since(changed_ms)


async def test_while_the_database_is_away_the_rules_stay(
    database: Database, compiler: Compiler, caplog: pytest.LogCaptureFixture
):
    await AccountRows(database).ensure("acme", "acme", 1, actor=GATEWAY)
    rows = AwayRows(database)
    await put(rows, "acme", "mine")
    shields = Shields(rows, ShieldConfig(), poll_s=POLL_S, compiler=compiler)
    await shields.start()
    try:
        rows.away = True
        await put(rows, "acme", "changed")
        await until(lambda: "the database is away" in caplog.text)
        await asyncio.sleep(5 * POLL_S)
        assert caplog.text.count("the database is away") == 1
        assert made_of(shields, "acme") == "mine"
        rows.away = False
        await until(lambda: made_of(shields, "acme") == "changed")
        rows.away = True
        await until(lambda: caplog.text.count("the database is away") == 2)
    finally:
        await shields.close()


def test_refused_rules_are_told_with_place_and_line():
    with pytest.raises(ConfigError, match=r"^mine\.toml:1: "):
        compile_rules(("mine.toml", "BAD"), model=True)
    assert isinstance(compile_rules(("mine.toml", "# none yet\n"), model=False), Shield)


def test_a_rules_file_that_cannot_be_read_is_told(tmp_path: Path):
    (tmp_path / "latin.toml").write_bytes(b"\xff")
    for name in ("missing.toml", "latin.toml"):
        with pytest.raises(ConfigError, match=f"shield.rules_path: .*{name} cannot be read"):
            configured_rules(ShieldConfig(rules_path=str(tmp_path / name)))
    assert configured_rules(ShieldConfig()) == []
