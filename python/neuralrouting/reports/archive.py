"""Reports that were made by schedule: files of the data directory, `reports/ACCOUNT/2026-11.pdf`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from neuralrouting.errors import InvalidField, NotFound
from neuralrouting.reports.calendar import Month, read_month
from neuralrouting.storage.bounds import check_id

FOLDER: Final = "reports"


class Kept(msgspec.Struct, frozen=True):
    """One report that is there; `made_ms` is Unix time."""

    month: Month
    made_ms: int
    size: int


class Archive:
    """Keeps the reports of every account, each in a folder of its own. Every method touches the disk: use a thread."""

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir / FOLDER

    def put(self, account_id: str, month: Month, pdf: bytes) -> Path:
        """Keep a report, in the place of an older one of this month; nobody sees half of it."""
        place = self._place(account_id, month)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        half = place.with_suffix(f".{os.getpid()}.part")
        half.touch(mode=0o600)
        half.write_bytes(pdf)
        half.replace(place)
        return place

    def has(self, account_id: str, month: Month) -> bool:
        """Whether there is a report of this month."""
        return self._place(account_id, month).exists()

    def read(self, account_id: str, month: Month) -> bytes:
        """Return a report. Raises NotFound where there is none."""
        try:
            return self._place(account_id, month).read_bytes()
        except OSError:
            raise NotFound(f"no report of {month} was made by schedule on this machine") from None

    def kept(self, account_id: str, now_ms: int) -> Sequence[Kept]:
        """Return what there is, newest month first; files that are none of ours are passed over."""
        found: list[Kept] = []
        folder = self._place(account_id, Month(1971, 1)).parent
        for path in folder.glob("*.pdf"):
            try:
                month, told = read_month(path.stem, now_ms), path.stat()
            except (InvalidField, OSError):
                continue
            found.append(Kept(month, told.st_mtime_ns // 1_000_000, told.st_size))
        return sorted(found, key=lambda one: one.month, reverse=True)

    def _place(self, account_id: str, month: Month) -> Path:
        # An id has no slash and does not begin with a dot, so that it cannot lead elsewhere.
        check_id(account_id, "account")
        return self._root / account_id / f"{month}.pdf"
