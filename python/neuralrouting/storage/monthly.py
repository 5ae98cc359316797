"""Whose turn it is to make the reports of a month: one row of `checks`, for all workers of one database."""

from typing import Final

from neuralrouting.storage.database import Database

AGAIN_MS: Final = 3_600_000
"""A month that was begun and neither finished nor continued for so long is anybody's: it failed, or its worker died."""
_CLAIM = """
INSERT INTO checks (name, ran_ms, day, findings) VALUES ('reports', $1, $2, '')
ON CONFLICT (name) DO UPDATE SET ran_ms = excluded.ran_ms, day = excluded.day, findings = ''
WHERE checks.day < excluded.day OR (checks.day = excluded.day AND checks.findings = '' AND checks.ran_ms <= $3)
"""
_GO_ON = "UPDATE checks SET ran_ms = $1 WHERE name = 'reports' AND day = $2"
_FINISH = "UPDATE checks SET findings = $1 WHERE name = 'reports' AND day = $2"


class MonthlyTurn:
    """The turn of a month (`2026-11`); times are Unix ms. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, month: str, now_ms: int) -> bool:
        """Take the turn; False where somebody has it, or where the month is done."""
        return bool(await self._database.execute(_CLAIM, now_ms, month, now_ms - AGAIN_MS))

    async def go_on(self, month: str, now_ms: int) -> None:
        """Say that it is being worked at."""
        await self._database.execute(_GO_ON, now_ms, month)

    async def finish(self, month: str, told: str) -> None:
        """Say that it is done; `told` must not be empty."""
        await self._database.execute(_FINISH, told, month)
