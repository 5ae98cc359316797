"""Makes PDFs on demand: one at a time, in a thread, and few may wait for it."""

import asyncio
from pathlib import Path
from typing import Final

from neuralrouting.catalog import Catalog
from neuralrouting.errors import Unavailable
from neuralrouting.evidence.matrix import MatrixSettings
from neuralrouting.reports.archive import Archive
from neuralrouting.reports.calendar import Month
from neuralrouting.reports.reading import Reports
from neuralrouting.reports.typeset import typeset
from neuralrouting.storage.attribution import ANYTHING, Attribution
from neuralrouting.storage.database import Database

QUEUE: Final = 4
"""Reports of one worker that are being made or waited for; at 0.2 s each the last one waits about a second."""
RETRY_S: Final = 2.0


class Press:
    """What a worker makes reports with: reads them, sets them, and knows those that were made by schedule."""

    def __init__(self, database: Database, catalog: Catalog, settings: MatrixSettings, data_dir: Path) -> None:
        self.reports: Final = Reports(database, catalog, settings)
        self.archive: Final = Archive(data_dir)
        self._one = asyncio.Lock()
        self._queued = 0

    async def pdf(
        self, account_id: str, month: Month, now_ms: int, wanted: Attribution = ANYTHING, *, patient: bool = False
    ) -> bytes:
        """Return the report of a month as PDF.

        Raises NotFound for no such account, Unavailable without typst and, unless `patient`, where too many wait.
        """
        if self._queued >= QUEUE and not patient:
            raise Unavailable("too many reports are being made; ask again in a moment", retry_after_s=RETRY_S)
        self._queued += 1
        try:
            async with self._one:
                report = await self.reports.month(account_id, month, now_ms, wanted)
                return await asyncio.to_thread(typeset, report)
        finally:
            self._queued -= 1
