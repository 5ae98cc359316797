"""The accounts' side of one worker for tests that need no gateway: directory, bank and books over one database."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from neuralrouting.accounts.bank import Bank
from neuralrouting.accounts.directory import Directory
from neuralrouting.exchange import Plan
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.books import Books
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.journal import Journal
from neuralrouting.storage.plans import PlanRows

EVERY_MODE = ("auto", "cost", "quality", "speed")
UNLIMITED = Plan("unlimited", "Unlimited", 0, None, None, None, None, EVERY_MODE, force_model=True)


@dataclass
class House:
    """What one worker has opened."""

    directory: Directory
    bank: Bank
    books: Books
    journals: Path
    worker_id: str


@contextlib.asynccontextmanager
async def opened_house(
    database: Database, root: Path, worker_id: str = "w1", *, flush_s: float = 0.01
) -> AsyncIterator[House]:
    """Open directory and bank; everything is settled when this ends."""
    books, journals = Books(database), root / "journals"
    directory = Directory(PlanRows(database), AccountRows(database), BudgetRows(database))
    await directory.start()
    bank = Bank(books, Journal.create(journals, worker_id), flush_s=flush_s)
    await bank.start("this machine")
    try:
        yield House(directory, bank, books, journals, worker_id)
    finally:
        await bank.close()
        await directory.close()
