"""Rows of feedback: what was said of an answer on purpose, and the weak signs that nobody gave on purpose."""

from typing import Final, Literal

import msgspec

from neuralrouting.storage.database import Database, Row

Source = Literal["user", "reask", "edit"]

COMMENT_CHARS: Final = 2_000
"""The longest comment that is kept."""
_COLUMNS = "account_id, request_id, source, score, comment, task, deployment, created_ms"
_INSERT = f"INSERT INTO feedback ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"  # noqa: S608  our own SQL
_REPLACE = f"""
{_INSERT} ON CONFLICT (account_id, request_id, source) DO UPDATE SET score = excluded.score,
comment = excluded.comment, task = excluded.task, deployment = excluded.deployment, created_ms = excluded.created_ms
"""
INSERT_SIGN: Final = f"{_INSERT} ON CONFLICT (account_id, request_id, source) DO NOTHING"
"""Takes `Feedback.values()`. Of one answer a sign is noted once."""
_OF = f"SELECT {_COLUMNS} FROM feedback WHERE account_id = $1 AND request_id = $2 ORDER BY source"  # noqa: S608


class Feedback(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was said of one answer, in the order of its columns.

    `score` goes from -1 to 1, `created_ms` is Unix time. `task` and `deployment` are those of the answer, None where
    it cannot move a cell: it came from the cache, or nobody knows of what kind the request was.
    """

    account_id: str
    request_id: str
    source: Source
    score: float
    comment: str | None
    task: str | None
    deployment: str | None
    created_ms: int

    def values(self) -> Row:
        """Return what the statements take."""
        return msgspec.structs.astuple(self)


class FeedbackRows:
    """Writes feedback and tells it, each account its own. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, feedback: Feedback) -> None:
        """Write feedback down; what was said of the same answer from the same source before is replaced."""
        await self._database.execute(_REPLACE, *feedback.values())

    async def of(self, account_id: str, request_id: str) -> list[Feedback]:
        """Return all that was said of one answer, at most one of each source."""
        return [Feedback(*row) for row in await self._database.fetch(_OF, account_id, request_id)]
