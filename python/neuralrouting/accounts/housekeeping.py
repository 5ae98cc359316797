"""What must be done now and then, by any worker: journals, leases, months, figures, a nightly check."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from neuralrouting.accounts.recovery import recover
from neuralrouting.background import Background, Complaints, again
from neuralrouting.clock import unix_ms
from neuralrouting.errors import Unavailable
from neuralrouting.storage.books import Books
from neuralrouting.storage.checks import check_of_the_day
from neuralrouting.storage.database import Database
from neuralrouting.storage.figures import FOLD_ROWS, fold

ROUND_S = 5.0
STALE_MS = 30_000
"""Leases of a worker of another machine run out when it was not seen for this long; it stops using them after 10 s."""
BREACHES_TOLD = 20
FOLD_S = 5.0
"""How often what was settled is folded into the figures: the more at once, the fewer rows are written."""
FOLD_PAUSE_S = 0.05
"""Between two transactions where there is more to fold, so that turns of workers come in between."""

Forget = Callable[[str], Awaitable[object]]
"""What is told the id of each worker that died, once its journal is in the tables."""
_log = logging.getLogger("neuralrouting.accounts")


class Housekeeping:
    """Two tasks per worker; everything they do may be done by several at once, or again."""

    def __init__(self, database: Database, journals: Path, machine: str, forget: Forget, *, check: bool) -> None:
        self._database = database
        self._books = Books(database)
        self._journals = journals
        self._machine = machine
        self._forget = forget
        self._check = check
        self._background = Background()

    async def start(self) -> None:
        """Settle what dead workers left, then go on in the background. Raises Unavailable when the database is away."""
        await self._round()
        folding = again("figures", self._fold, Complaints(_log), "figures are not folded yet", FOLD_S)
        self._background.start(housekeeping=self._run(), folding=folding)

    async def close(self) -> None:
        """Stop."""
        await self._background.close()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(ROUND_S)
            try:
                await self._round()
                if self._check:
                    await self._nightly()
            except Unavailable as error:
                _log.info("housekeeping waits: %s", error.message)
            except Exception:  # noqa: BLE001  the next round may find things otherwise
                _log.exception("housekeeping failed")

    async def _round(self) -> None:
        await recover(self._journals, self._books, self._forget)
        await self._books.reap(self._machine, STALE_MS)
        period = time.strftime("%Y-%m", time.gmtime())
        for due in await self._books.due(period):
            await self._books.renew(due.account_id, period, due.monthly_mc)

    async def _fold(self) -> float:
        """Fold once; return after how many seconds there is more."""
        return FOLD_PAUSE_S if await fold(self._database) == FOLD_ROWS else FOLD_S

    async def _nightly(self) -> None:
        """Once a UTC day: see that ledger, balances and rollups agree to the last unit."""
        breaches = await check_of_the_day(self._database, unix_ms())
        if breaches is None:
            return
        if not breaches:
            _log.info("nightly check: ledger, balances and rollups agree")
        for breach in breaches[:BREACHES_TOLD]:
            _log.error("nightly check: %s, %s: %s", breach.invariant, breach.row, breach.says)
