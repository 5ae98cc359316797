"""Whatever happens to sessions, in any order: one that has ended, or ran out, lets nobody in."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from neuralrouting.accounts.directory import Directory
from neuralrouting.accounts.keys import KeyRing
from neuralrouting.api.door import Door
from neuralrouting.config import DashboardConfig, ServerConfig
from neuralrouting.dashboard.session import SessionGate
from neuralrouting.dashboard.site import Site
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.plans import PlanRows
from neuralrouting.storage.sign_in import SEEN_EVERY_MS, SignInRows
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.users import UserRow, UserRows
from people import new_user

HOUR_MS = 3_600_000
CONFIG = DashboardConfig(session_idle_hours=2, session_days=0.25)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["in", "out", "all", "password", "role", "disable", "enable", "wait", "look"]),
        st.integers(0, 1),
        st.integers(0, 3 * HOUR_MS),
    ),
    min_size=3,
    max_size=25,
)


@dataclass
class Held:
    """A session as it should be: whose, since when, used when, ended or not."""

    user: int
    token: str
    created_ms: int
    used_ms: int
    ended: bool = False


@dataclass
class World:
    """Two users, two workers, one clock, and what should be true of every session."""

    database: Database
    users: list[UserRow]
    now_ms: int = 1_000_000
    held: list[Held] = field(default_factory=list)
    disabled: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rows, self.people = SignInRows(self.database), UserRows(self.database)
        door = Door(KeyRing(KeyRows(self.database)), _directory(self.database), ServerConfig())
        site = Site("127.0.0.1", CONFIG)
        self.workers = [SessionGate(door, self.rows, site, clock=lambda: self.now_ms) for _ in range(2)]

    async def take(self, what: str, who: int, ms: int) -> None:
        gate, user = self.workers[ms % 2], self.users[who]
        if what == "in":
            token, row = gate.session_of(_request(), user.id)
            opened = await self.rows.open(row, gate.idle_ms)
            assert opened == (who not in self.disabled)
            if opened:
                self.held.append(Held(who, token, self.now_ms, self.now_ms))
        elif what == "out":
            last = next((one for one in reversed(self.held) if one.user == who and not one.ended), None)
            if last is not None:
                await gate.leave(_request(last.token))
                last.ended = True
        elif what == "wait":
            self.now_ms += ms
        elif what != "look":
            await self._change(what, user, who)
        await self._look()

    async def _change(self, what: str, user: UserRow, who: int) -> None:
        changed = True
        if what == "all":
            await self.rows.end_all(user.id)
        elif what == "password":
            changed = await self.people.set_password(user.id, "$new", actor=GATEWAY)
        elif what == "role":
            found = await self.people.find(user.id)
            assert found is not None
            await self.people.set_role(
                user.id, "viewer" if found.role == "owner" else "owner", keep_owner=False, actor=GATEWAY
            )
        elif what == "disable":
            await self.people.set_disabled(user.id, self.now_ms, keep_owner=False, actor=GATEWAY)
            self.disabled.add(who)
        else:
            await self.people.set_disabled(user.id, None, actor=GATEWAY)
            self.disabled.discard(who)
            changed = False  # nobody who is disabled has a session
        if changed:
            for one in self.held:
                one.ended |= one.user == who

    async def _look(self) -> None:
        """Ask about every session at a worker that remembers nothing, as both do after a second."""
        for one in self.held:
            for gate in self.workers:
                gate._remembered.clear()
            viewer = await self.workers[0].viewer(_request(one.token))
            lasts = self.now_ms < one.created_ms + gate_most() and self.now_ms < one.used_ms + gate_idle()
            # Use is noted once a minute, so a session may run out that much earlier than it should.
            nearly = self.now_ms >= one.used_ms - SEEN_EVERY_MS + gate_idle()
            if one.ended or not lasts:
                assert viewer is None
                one.ended = True
            elif viewer is None:
                assert nearly
                one.ended = True
            else:
                assert viewer.id == self.users[one.user].id
                one.used_ms = self.now_ms


def gate_idle() -> int:
    return int(CONFIG.session_idle_hours * HOUR_MS)


def gate_most() -> int:
    return int(CONFIG.session_days * 24 * HOUR_MS)


def _directory(database: Database) -> Directory:
    return Directory(PlanRows(database), AccountRows(database), BudgetRows(database))


def _request(token: str | None = None) -> Request:
    headers = [(b"host", b"127.0.0.1"), (b"sec-fetch-site", b"same-origin")]
    if token is not None:
        headers.append((b"cookie", f"nr_session={token}".encode()))
    return Request({"type": "http", "method": "GET", "path": "/", "scheme": "http", "headers": headers, "client": None})


@given(steps=STEPS)
@settings(max_examples=25, deadline=None)
def test_in_any_order_a_session_that_ended_lets_nobody_in(steps: list[tuple[str, int, int]]):
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            database = await open_database(None, Path(folder))
            try:
                world = World(database, [await new_user(database), await new_user(database)])
                for what, who, ms in steps:
                    await world.take(what, who, ms)
            finally:
                await database.close()

    asyncio.run(run())
