"""How often sign-in may be tried: for one person, and from one address."""

import hashlib
from typing import Final

from neuralrouting.errors import RateLimited
from neuralrouting.storage.failures import FailureRows

WINDOW_MS: Final = 15 * 60_000
TRIES_A_PERSON, TRIES_AN_ADDRESS = 10, 30
"""Tries without success within a window."""


class Throttle:
    """Counts tries in the database, so for all workers."""

    def __init__(self, rows: FailureRows) -> None:
        self._rows = rows

    async def tried(self, email: str, address: str, now_ms: int) -> None:
        """Count one try, before its password is looked at. Raises RateLimited, which tells how long to wait.

        An address that nobody has is counted like one that somebody has, so that the two look alike.
        """
        limits = ((_of_address(address), TRIES_AN_ADDRESS), (_of_person(email), TRIES_A_PERSON))
        until_ms = await self._rows.tried(limits, now_ms, WINDOW_MS)
        if until_ms is not None:
            wait_s = max(1, -(-(until_ms - now_ms) // 1_000))
            raise RateLimited(
                f"too many sign-ins that failed; try again in {-(-wait_s // 60)} min", retry_after_s=float(wait_s)
            )

    async def succeeded(self, email: str, address: str) -> None:
        """Forget the failures of this person; those of the address stay, others may share it."""
        await self._rows.succeeded(_of_person(email), _of_address(address))


def _of_person(email: str) -> str:
    """What was typed may be long, or a password in the wrong field: only its digest is kept."""
    return f"person:{hashlib.sha256(email.encode()).hexdigest()}"


def _of_address(address: str) -> str:
    return f"address:{address}"
