"""Whatever is stored, purged and judged, however late it is written: a worker that has followed holds nothing gone."""

import asyncio
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cache_rows import answer, scope_of, stored
from neuralrouting.errors import NotFound
from neuralrouting.exchange import CacheEntry
from neuralrouting.pipeline.stock import CacheStock
from neuralrouting.storage.database import open_database
from neuralrouting.storage.entries import INSERT_ENTRY, EntryRows, entry_values
from neuralrouting.storage.judgements import Judgement, Judgements
from neuralrouting.storage.purges import SWEEPS_MS, Purges
from neuralrouting.storage.trail import GATEWAY
from postgres_server import PostgresServer

T = TypeVar("T")
accounts = st.sampled_from(["acme", "zeta"])
keys = st.sampled_from([b"a", b"b", b"c"])
scopes = st.sampled_from([None, scope_of("s"), scope_of("t")])
patterns = st.sampled_from([None, "PARIS", "Answer", "nothing"])
texts = st.sampled_from(["It is Paris.", "an answer", "words"])
workers = st.integers(0, 1)


class Memory:
    """What an engine holds. It goes by whole seconds; so does time here."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, bytes], CacheEntry] = {}

    def take(self, entry: CacheEntry) -> bool:
        self.held[entry.account_id, entry.key] = entry
        return True

    def purge(self, *, account: str, before_s: int, scope: bytes | None, key: bytes | None, pattern: str | None) -> int:
        gone = [
            place
            for place, entry in self.held.items()
            if entry.account_id == account
            and entry.stored_ms // 1_000 <= before_s
            and scope in (None, entry.scope)
            and key in (None, entry.key)
            and (pattern is None or pattern.lower() in entry.body.decode().lower())
        ]
        for place in gone:
            del self.held[place]
        return len(gone)

    def retire(self, scope: bytes, key: bytes, similarity: float) -> bool:
        """Its purge has taken the entry already."""
        return bool(scope and key and similarity) and False


class Cache(RuleBasedStateMachine):
    """Two workers, each with rows that wait to be written; `gone` is what was purged, as a list of what to match."""

    server: PostgresServer | None = None

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory(prefix="nr-purge-")
        if self.server is not None:
            self.server.empty()
        url = self.server.url() if self.server is not None else None
        self.database = self.run(open_database(url, Path(self.folder.name)))
        self.memories = [Memory(), Memory()]
        self.stocks = [self.new_stock(memory) for memory in self.memories]
        self.waiting: list[list[CacheEntry]] = [[], []]
        self.made: list[CacheEntry] = []
        self.gone: list[tuple[str, bytes | None, bytes | None, str | None, int]] = []
        self.now_ms = int(time.time()) * 1_000
        self.fresh = [True, True]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(work)

    def new_stock(self, memory: Memory) -> CacheStock:
        return CacheStock(memory, memory.take, self.database, memory_bytes=1 << 30, alone=False)

    @rule(worker=workers, account=accounts, key=keys, scope=scopes, text=texts, old=st.integers(0, 3))
    def store(self, worker: int, account: str, key: bytes, scope: bytes | None, text: str, old: int) -> None:
        """An answer whose request came up to three seconds ago; its row waits."""
        unique = answer(f"{text} #{len(self.made)}")
        entry = stored(key, account, scope=scope, body=unique, stored_ms=self.now_ms - 1_000 * old)
        if self.stocks[worker].covers(entry):
            return
        self.memories[worker].take(entry)
        self.waiting[worker].append(entry)
        self.made.append(entry)
        self.fresh[worker] = self.fresh[worker] and not self.is_gone(entry)

    @rule(worker=workers)
    def write(self, worker: int) -> None:
        rows = [entry_values(entry) for entry in self.waiting[worker]]
        self.run(self.database.write([(INSERT_ENTRY, rows)]))
        self.waiting[worker] = []

    @rule(account=accounts, key=keys)
    def write_after_a_purge(self, account: str, key: bytes) -> None:
        """The worst case, which chance finds seldom."""
        self.store(0, account, key, None, "words", 0)
        self.purge(account, None, None, None)
        self.follow(1)
        self.write(0)
        self.follow(1)

    @rule(account=accounts)
    def purge_all(self, account: str) -> None:
        self.purge(account, None, None, None)

    @rule(account=accounts, scope=scopes, key=st.none() | keys, pattern=patterns)
    def purge_some(self, account: str, scope: bytes | None, key: bytes | None, pattern: str | None) -> None:
        self.purge(account, scope, key, pattern)

    def purge(self, account: str, scope: bytes | None, key: bytes | None, pattern: str | None) -> None:
        purges = Purges(self.database)
        self.run(purges.purge(account, scope=scope, key=key, pattern=pattern, now_ms=self.now_ms, actor=GATEWAY))
        self.note(account, scope, key, pattern)

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def judge(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.made))
        judgement = Judgement(entry.account_id, entry.key, "semantic", 0.9, agreed=False, source="operator")
        try:
            self.run(Judgements(self.database).judge(judgement, self.now_ms, actor=GATEWAY))
        except NotFound:
            return
        self.note(entry.account_id, None, entry.key, None)

    def note(self, account: str, scope: bytes | None, key: bytes | None, pattern: str | None) -> None:
        self.gone.append((account, scope, key, pattern, self.now_ms))
        self.now_ms += 1_000
        self.fresh = [False, False]

    @rule(worker=workers)
    def follow(self, worker: int) -> None:
        self.run(self.stocks[worker].follow())
        self.fresh[worker] = True

    @rule(worker=workers)
    def restart(self, worker: int) -> None:
        self.memories[worker].held.clear()
        self.stocks[worker] = self.new_stock(self.memories[worker])
        self.run(self.stocks[worker].follow())
        self.fresh[worker] = True

    @rule()
    def sweep(self) -> None:
        for after_ms in SWEEPS_MS:
            self.run(Purges(self.database).sweep(self.now_ms + after_ms))

    @invariant()
    def nothing_else_is_lost(self) -> None:
        rows = {entry.body for _, entry in self.run(EntryRows(self.database).since(0, 10_000))}
        waiting = {entry.body for entries in self.waiting for entry in entries}
        assert {entry.body for entry in self.made if not self.is_gone(entry)} <= rows | waiting

    def is_gone(self, entry: CacheEntry) -> bool:
        return any(
            account == entry.account_id
            and entry.stored_ms <= purged_ms
            and scope in (None, entry.scope)
            and key in (None, entry.key)
            and (pattern is None or pattern.lower() in entry.body.decode().lower())
            for account, scope, key, pattern, purged_ms in self.gone
        )

    @invariant()
    def a_worker_that_has_followed_holds_nothing_that_is_gone(self) -> None:
        for fresh, memory in zip(self.fresh, self.memories, strict=True):
            if fresh:
                assert not [entry for entry in memory.held.values() if self.is_gone(entry)]

    def teardown(self) -> None:
        self.run(self.database.close())
        self.loop.close()
        self.folder.cleanup()


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_no_worker_that_has_followed_serves_what_is_gone(request: pytest.FixtureRequest, dialect: str):
    server = request.getfixturevalue("postgres_server") if dialect == "postgres" else None
    machine = type("Machine", (Cache,), {"server": server})
    counts = settings(
        max_examples=15 if server else 40,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=counts)
