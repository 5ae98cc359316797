"""The scheduled run: once for all workers, for every account with requests, again where it failed."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from neuralrouting.errors import InvalidField, NotFound, Unavailable
from neuralrouting.reports.archive import Archive
from neuralrouting.reports.calendar import Month
from neuralrouting.reports.press import QUEUE
from neuralrouting.reports.schedule import GRACE_MS, Schedule
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.monthly import AGAIN_MS
from reported import DECEMBER_MS, NOVEMBER, november, press, text_of

pytestmark = pytest.mark.anyio
FIRST_MS = NOVEMBER.to_ms + GRACE_MS


class Clock:
    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> float:
        return self.now_ms / 1000


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[Database]:
    database = await open_database(None, tmp_path / "database")
    await november(database)
    yield database
    await database.close()


def made_in(folder: Path) -> dict[str, Path]:
    """The reports in a folder, by account and month."""
    return {f"{path.parent.name}/{path.stem}": path for path in sorted(folder.rglob("*.pdf"))}


def mode_of(path: Path) -> str:
    return oct(path.stat().st_mode)[-3:]


def block(path: Path) -> None:
    """Put a file where a folder should be."""
    path.parent.mkdir()
    path.touch()


def unblock(path: Path) -> None:
    path.unlink()


async def test_every_account_with_requests_has_its_report_once(full: Database, tmp_path: Path):
    clock = Clock(FIRST_MS)
    machines = [Schedule(full, press(full, tmp_path / name), clock) for name in ("here", "there")]
    assert sorted(map(str, await asyncio.gather(*(one.run() for one in machines)))) == ["2026-11", "None"]
    found = made_in(tmp_path)
    assert list(found) == ["acme/2026-11", "globex/2026-11"]
    assert "globex, November 2026 · made on 2026-12-01 00:15 UTC" in text_of(found["globex/2026-11"].read_bytes())
    assert mode_of(found["acme/2026-11"]) == "600"
    clock.now_ms += 10 * AGAIN_MS
    assert await machines[0].run() is None


async def test_the_month_before_is_made_until_the_last_requests_are_in_the_books(full: Database, tmp_path: Path):
    schedule = Schedule(full, press(full, tmp_path), Clock(FIRST_MS - 1))
    assert await schedule.run() == Month(2026, 10)
    assert list(made_in(tmp_path)) == ["acme/2026-10"]


async def test_what_failed_is_told_once_and_tried_again_in_an_hour(
    full: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    clock = Clock(FIRST_MS)
    schedule = Schedule(full, press(full, tmp_path), clock)
    blocked = tmp_path / "reports" / "acme"
    block(blocked)
    with caplog.at_level(logging.WARNING):
        assert await schedule.run() == NOVEMBER
        assert await schedule.run() is None
        clock.now_ms += AGAIN_MS
        assert await schedule.run() == NOVEMBER
    assert len([r for r in caplog.records if "no report of 2026-11 for acme yet" in r.message]) == 1
    assert list(made_in(tmp_path)) == ["globex/2026-11"]
    unblock(blocked)
    clock.now_ms += AGAIN_MS
    assert await schedule.run() == NOVEMBER
    assert list(made_in(tmp_path)) == ["acme/2026-11", "globex/2026-11"]
    clock.now_ms += AGAIN_MS
    assert await schedule.run() is None


async def test_few_may_wait_for_a_report(full: Database, tmp_path: Path):
    made = press(full, tmp_path)
    asked = [made.pdf("acme", NOVEMBER, DECEMBER_MS) for _ in range(QUEUE + 2)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in found if isinstance(one, Unavailable)]
    assert len(refused) == 2
    assert refused[0].retry_after_s
    assert len([one for one in found if isinstance(one, bytes)]) == QUEUE
    assert await made.pdf("acme", NOVEMBER, DECEMBER_MS)


def test_the_archive_knows_its_own_files_only(tmp_path: Path):
    archive = Archive(tmp_path)
    archive.put("acme", NOVEMBER, b"%PDF-")
    archive.put("acme", Month(2026, 9), b"%PDF-older")
    folder = tmp_path / "reports" / "acme"
    (folder / "notes.pdf").write_bytes(b"mine")
    (folder / "2026-08.txt").write_bytes(b"mine")
    os.utime(folder / "2026-11.pdf", (5, 5))
    assert [(str(one.month), one.size) for one in archive.kept("acme", DECEMBER_MS)] == [
        ("2026-11", 5),
        ("2026-09", 10),
    ]
    assert archive.kept("acme", DECEMBER_MS)[0].made_ms == 5_000
    assert archive.read("acme", NOVEMBER) == b"%PDF-"
    assert archive.kept("globex", DECEMBER_MS) == []
    with pytest.raises(NotFound):
        archive.read("globex", NOVEMBER)


@pytest.mark.parametrize("account", ["../acme", "/etc", "..", "", "a/b"])
def test_no_account_leads_out_of_the_folder(tmp_path: Path, account: str):
    with pytest.raises(InvalidField):
        Archive(tmp_path).put(account, NOVEMBER, b"")
