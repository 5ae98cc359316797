"""Rows of sign-ins that did not succeed, which all workers count together."""

from collections.abc import Sequence

from neuralrouting.storage.database import Database, Script, ask

_COUNT = """
INSERT INTO sign_in_failures (subject, failures, since_ms) VALUES ($1, 1, $2)
ON CONFLICT (subject) DO UPDATE SET
    failures = CASE WHEN sign_in_failures.since_ms <= $3 THEN 1 ELSE sign_in_failures.failures + 1 END,
    since_ms = CASE WHEN sign_in_failures.since_ms <= $3 THEN excluded.since_ms ELSE sign_in_failures.since_ms END
RETURNING failures, since_ms
"""
_TAKE_BACK = "UPDATE sign_in_failures SET failures = failures - 1 WHERE subject = $1 AND failures > 0"


class FailureRows:
    """Counts them. A try is counted before its password is looked at, so that tries at one time cannot all pass."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tried(self, limits: Sequence[tuple[str, int]], now_ms: int, window_ms: int) -> int | None:
        """Count one try for each subject, in this order, up to the first that is over its limit.

        Returns until when that one is refused, in Unix milliseconds, None where it may go on. A window begins with its
        first try. Rows that no longer count are swept.
        """
        before_ms = now_ms - window_ms
        await self._database.execute("DELETE FROM sign_in_failures WHERE since_ms <= $1", before_ms)

        def script() -> Script[int | None]:
            for subject, limit in limits:
                [(failures, since_ms)] = yield ask(_COUNT, subject, now_ms, before_ms)
                if failures > limit:
                    return since_ms + window_ms
            return None

        return await self._database.transact(script)

    async def succeeded(self, cleared: str, lessened: str) -> None:
        """Forget the failures of `cleared`, and take back the one try of `lessened`."""

        def script() -> Script[None]:
            yield ask("DELETE FROM sign_in_failures WHERE subject = $1", cleared)
            yield ask(_TAKE_BACK, lessened)

        await self._database.transact(script)
