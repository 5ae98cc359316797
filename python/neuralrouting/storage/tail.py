"""Requests in the order in which they are written down, for whoever follows them: no row twice, and none left out.

A request is written when it has ended, so one that took minutes comes after many that began later: its time says
nothing of where it stands. What does is the rowid on SQLite, where writers take turns, and a sequence on PostgreSQL.
There the numbers are drawn before the commit: 8 may be seen while 7 is still under way. So nobody is told of a number
before all who may have drawn a lower one have ended; those hold a lock on the table until they commit.
"""

import asyncio
from typing import Final

import msgspec

from neuralrouting.storage.audit import ON_PAGE, AuditQuery, narrowed
from neuralrouting.storage.database import Database
from neuralrouting.storage.requests import RequestRow

STEP: Final = 5_000
"""Numbers that one question looks at, so that a filter that fits little holds nobody else up."""
_REMEMBERED = 16
_PAUSE_S, _PAUSES = 0.02, 50
"""Turns of writers last milliseconds."""
_POSITION = {"sqlite": "rowid", "postgres": "seq"}
_NEWEST = "SELECT COALESCE(MAX(rowid), 0) FROM requests"
_DRAWN = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM requests_seq"
_WRITERS = """
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND relation = 'requests'::regclass AND mode = 'RowExclusiveLock'
"""
# SQLite would go by the account, and sort; the plus sign leaves the rowid as the only index.
_OF_ACCOUNT = {"sqlite": "+account_id = $1", "postgres": "account_id = $1"}


class Written(msgspec.Struct, frozen=True):
    """One request that was written down, without bodies and decision, and its place in the order."""

    seq: int
    row: RequestRow


class Onward(msgspec.Struct, frozen=True):
    """What comes next: some requests, oldest first, and the place up to which there are no others that fit."""

    written: tuple[Written, ...]
    reached: int


class _Drawn(msgspec.Struct, frozen=True):
    """The last number that was drawn, and who was writing then."""

    last: int
    writers: frozenset[str]


class RequestTail:
    """Follows the requests; one for each who follows. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._settled = 0
        self._drawn: list[_Drawn] = []
        self._one = asyncio.Lock()

    async def settled(self) -> int:
        """Return up to which place everything is written: what comes from now on comes behind it.

        On PostgreSQL it is where things stood when this was asked last, if somebody is writing all the time.
        """
        if self._database.dialect == "sqlite":
            [(newest,)] = await self._database.fetch(_NEWEST)
            self._settled = max(self._settled, newest)
            return self._settled
        async with self._one:  # who writes is compared with who wrote before, never with who wrote after
            return await self._settled_on_postgres()

    async def _settled_on_postgres(self) -> int:
        # In this order: whoever draws a lower number after the first question is seen by the second.
        [(last,)] = await self._database.fetch(_DRAWN)
        writers = frozenset(row[0] for row in await self._database.fetch(_WRITERS))
        waiting: list[_Drawn] = []
        for one in (*self._drawn, _Drawn(last, writers)):
            if one.writers & writers:
                waiting.append(one)
            else:
                self._settled = max(self._settled, one.last)
        self._drawn = waiting[:_REMEMBERED]
        return self._settled

    async def now(self) -> int:
        """Return where things stand now, after waiting for those who are writing, a second at most."""
        settled = await self.settled()
        wanted = self._drawn[-1].last if self._drawn else settled
        for _ in range(_PAUSES):
            if settled >= wanted:
                break
            await asyncio.sleep(_PAUSE_S)
            settled = await self.settled()
        return settled

    async def onward(self, query: AuditQuery, after: int, to: int, limit: int) -> Onward:
        """Return up to `limit` requests behind the place `after`, up to the place `to`; their times do not matter.

        Looks at `STEP` places at most: whoever wants more asks again from where this has reached.
        """
        end = min(to, after + STEP)
        if end <= after:
            return Onward((), after)
        dialect = self._database.dialect
        position = _POSITION[dialect]
        texts, values = narrowed(query, 4)
        where = " AND ".join((_OF_ACCOUNT[dialect], f"{position} > $2", f"{position} <= $3", *texts))
        rows = await self._database.fetch(
            f"SELECT {position}, {ON_PAGE} FROM requests WHERE {where} "  # noqa: S608  our own words
            f"ORDER BY {position} LIMIT ${4 + len(values)}",
            query.account_id, after, end, *values, limit,
        )  # fmt: skip
        found = tuple(Written(row[0], msgspec.convert(row[1:], RequestRow, strict=False)) for row in rows)
        return Onward(found, found[-1].seq if len(found) == limit else end)
