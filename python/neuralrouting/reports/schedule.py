"""The scheduled run: soon after a month has ended, one worker makes the reports of every account that had requests."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from neuralrouting.background import Background, Complaints, again
from neuralrouting.reports.calendar import Month, month_of
from neuralrouting.reports.press import Press
from neuralrouting.reports.typeset import MISSING, installed
from neuralrouting.storage.database import Database
from neuralrouting.storage.monthly import MonthlyTurn

GRACE_MS: Final = 15 * 60_000
"""After the end of a month, so that requests of its last minutes are in the books: streams last 10 minutes at most,
unless configured otherwise."""
ROUND_S: Final = 60.0
_log = logging.getLogger("neuralrouting.reports")


class Schedule:
    """Makes last month's reports, once for all workers of a database; they are kept on the machine that made them."""

    def __init__(self, database: Database, press: Press, clock: Callable[[], float] = time.time) -> None:
        self._turn = MonthlyTurn(database)
        self._press = press
        self._clock = clock
        self._complaints = Complaints(_log)
        self._background = Background()

    def start(self) -> None:
        """Begin in the background; without typst it says so and does nothing."""
        if not installed():
            _log.info("no reports are made by schedule: %s", MISSING)
            return
        self._background.start(
            reports=again("reports", self._step, self._complaints, "the monthly reports wait", ROUND_S)
        )

    async def close(self) -> None:
        """Stop."""
        await self._background.close()

    async def _step(self) -> float:
        await self.run()
        return ROUND_S

    async def run(self) -> Month | None:
        """Make the reports of the month that ended last, where that is our turn; return it, None where it is not.

        An account whose report fails is told of, the others have theirs, and the month is tried again in an hour.
        """
        month = month_of(self._now_ms() - GRACE_MS).on(-1)
        if not await self._turn.claim(str(month), self._now_ms()):
            return None
        made, failed = 0, 0
        for account_id in await self._press.reports.active(month):
            if await asyncio.to_thread(self._press.archive.has, account_id, month):
                continue
            await self._turn.go_on(str(month), self._now_ms())
            try:
                pdf = await self._press.pdf(account_id, month, self._now_ms(), patient=True)
                await asyncio.to_thread(self._press.archive.put, account_id, month, pdf)
            except Exception as error:  # noqa: BLE001  the other accounts have theirs
                failed += 1
                self._complaints.say(account_id, f"no report of {month} for {account_id} yet: {error}")
            else:
                made += 1
                self._complaints.settle(account_id)
        if not failed:
            await self._turn.finish(str(month), f'{{"made": {made}}}')
            if made:
                _log.info("reports of %s made: %d", month, made)
        return month

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
