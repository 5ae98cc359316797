"""Rows of answers that are kept for a repeated `Idempotency-Key`: who makes one, and what it was."""

import msgspec

from neuralrouting.storage.database import Database, Row, Script, ask

MAX_BODY_BYTES = 4 * 1024 * 1024
"""A larger answer is not kept: the same key then runs anew."""
PURGED_AT_ONCE = 1_000
"""Rows of one deletion, so that no write waits long for it."""

_Headers = tuple[tuple[str, str], ...]


class Claim(msgspec.Struct, frozen=True):
    """One request as its sender named it: the key counts within its account and endpoint.

    `fingerprint` is SHA-256 over all that the request asks for.
    """

    account_id: str
    endpoint: str
    key: str
    fingerprint: bytes


class Mine(msgspec.Struct, frozen=True):
    """Nobody has made the answer; it is now this worker's to make."""


class Running(msgspec.Struct, frozen=True):
    """A worker is making the answer."""

    worker_id: str


class Mismatch(msgspec.Struct, frozen=True):
    """The key came with another request before."""


class Stored(msgspec.Struct, frozen=True):
    """An answer as it went out. `body` of a stream is all of its events."""

    status: int
    headers: _Headers
    body: bytes


# An expired row is as good as none, also where nobody has purged it yet.
_BEGIN = """
INSERT INTO idempotency
    (account_id, endpoint, idempotency_key, fingerprint, worker_id, created_ms, expires_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (account_id, endpoint, idempotency_key) DO UPDATE SET
    fingerprint = excluded.fingerprint, worker_id = excluded.worker_id, created_ms = excluded.created_ms,
    expires_ms = excluded.expires_ms, status = NULL, headers = NULL, body = NULL
WHERE idempotency.expires_ms <= excluded.created_ms
RETURNING worker_id
"""
_FIND = """
SELECT fingerprint, worker_id, status, headers, body FROM idempotency
WHERE account_id = $1 AND endpoint = $2 AND idempotency_key = $3 AND expires_ms > $4
"""
_OURS = """
WHERE account_id = $1 AND endpoint = $2 AND idempotency_key = $3 AND fingerprint = $4 AND worker_id = $5
    AND status IS NULL
"""
_FINISH = f"UPDATE idempotency SET status = $6, headers = $7, body = $8, expires_ms = $9 {_OURS}"  # noqa: S608
_ABANDON = f"DELETE FROM idempotency {_OURS}"  # noqa: S608
_EXTEND = "UPDATE idempotency SET expires_ms = $2 WHERE worker_id = $1 AND status IS NULL AND expires_ms < $2"
_FORGET = "DELETE FROM idempotency WHERE worker_id = $1 AND status IS NULL"
_PURGE = """
DELETE FROM idempotency WHERE (account_id, endpoint, idempotency_key) IN (
    SELECT account_id, endpoint, idempotency_key FROM idempotency WHERE expires_ms <= $1 ORDER BY expires_ms LIMIT $2
)
"""


class IdempotencyRows:
    """Reads and writes them. Times are Unix milliseconds. Every method raises Unavailable as the database does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, claim: Claim, worker_id: str, now_ms: int, expires_ms: int
    ) -> Mine | Running | Stored | Mismatch:
        """Take the claim for this worker unless it is taken; `expires_ms` is when a row without answer counts no more.

        What raises Unavailable may have been taken: then `abandon` it.
        """
        whole = (*_place(claim), claim.fingerprint, worker_id, now_ms, expires_ms)

        def script() -> Script[Mine | Running | Stored | Mismatch]:
            while True:
                if (yield ask(_BEGIN, *whole)):
                    return Mine()
                rows = yield ask(_FIND, *_place(claim), now_ms)
                if rows:  # else it was taken back between the two statements, which PostgreSQL allows
                    return _found(claim, rows[0])

        return await self._database.transact(script)

    async def find(self, claim: Claim, now_ms: int) -> Running | Stored | Mismatch | None:
        """Return how a claim stands, without taking it; None where nobody has taken it, or not any more."""
        rows = await self._database.fetch(_FIND, *_place(claim), now_ms)
        return _found(claim, rows[0]) if rows else None

    async def finish(self, claim: Claim, worker_id: str, answer: Stored, expires_ms: int) -> bool:
        """Keep the answer until then; False when it is kept already, too large, or the claim somebody else's by now.

        The claim of an answer that is too large is given up.
        """
        if len(answer.body) > MAX_BODY_BYTES:
            await self.abandon(claim, worker_id)
            return False
        headers = msgspec.json.encode(answer.headers).decode()
        values = (answer.status, headers, answer.body, expires_ms)
        return await self._database.execute(_FINISH, *_place(claim), claim.fingerprint, worker_id, *values) == 1

    async def abandon(self, claim: Claim, worker_id: str) -> None:
        """Give up a claim that this worker has taken and not finished, so that the next request runs anew."""
        await self._database.execute(_ABANDON, *_place(claim), claim.fingerprint, worker_id)

    async def extend(self, worker_id: str, expires_ms: int) -> None:
        """Let the claims that this worker has not finished count until then."""
        await self._database.execute(_EXTEND, worker_id, expires_ms)

    async def forget_worker(self, worker_id: str) -> int:
        """Give up every claim that a worker left unfinished when it died; return how many."""
        return await self._database.execute(_FORGET, worker_id)

    async def purge(self, now_ms: int) -> int:
        """Delete what has expired, up to `PURGED_AT_ONCE` rows; return how many."""
        return await self._database.execute(_PURGE, now_ms, PURGED_AT_ONCE)


def _place(claim: Claim) -> tuple[str, str, str]:
    return claim.account_id, claim.endpoint, claim.key


def _found(claim: Claim, row: Row) -> Running | Stored | Mismatch:
    fingerprint, worker_id, status, headers, body = row
    if fingerprint != claim.fingerprint:
        return Mismatch()
    if status is None:
        return Running(worker_id)
    return Stored(status, msgspec.json.decode(headers, type=_Headers), body)
