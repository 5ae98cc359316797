"""The report of November, read once from SQLite."""

import asyncio

import pytest

from neuralrouting.reports.month import MonthlyReport
from neuralrouting.storage.database import open_database
from reported import DECEMBER_MS, NOVEMBER, november, reports


@pytest.fixture(scope="package")
def report(tmp_path_factory: pytest.TempPathFactory) -> MonthlyReport:
    async def read() -> MonthlyReport:
        database = await open_database(None, tmp_path_factory.mktemp("november"))
        try:
            await november(database)
            return await reports(database).month("acme", NOVEMBER, DECEMBER_MS)
        finally:
            await database.close()

    return asyncio.run(read())
