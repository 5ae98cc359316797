"""The nightly check: once a UTC day, by whichever worker comes first, books and trail are verified, the result kept."""

from datetime import UTC, datetime

import msgspec

from neuralrouting.storage.database import Database
from neuralrouting.storage.trail import Trail
from neuralrouting.storage.verify import Breach, verify

_CLAIM = """
INSERT INTO checks (name, ran_ms, day, findings) VALUES ('ledger', $1, $2, '')
ON CONFLICT (name) DO UPDATE SET ran_ms = excluded.ran_ms, day = excluded.day, findings = ''
WHERE checks.day < excluded.day
"""
_REPORT = "UPDATE checks SET findings = $1 WHERE name = 'ledger' AND day = $2"


async def check_of_the_day(database: Database, now_ms: int) -> list[Breach] | None:
    """Verify all books and the trail unless somebody has begun to today; return what breaks, None: not our turn.

    `now_ms` is Unix time. The result stays in the table `checks` as JSON; empty text: not finished. Raises Unavailable.
    """
    day = datetime.fromtimestamp(now_ms // 1_000, UTC).date().isoformat()
    if not await database.execute(_CLAIM, now_ms, day):
        return None
    breaches = [*await verify(database, now_ms), *await Trail(database).verify()]
    await database.execute(_REPORT, msgspec.json.encode(breaches).decode(), day)
    return breaches
