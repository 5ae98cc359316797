"""An arena: a gateway whose accounts pay, a mock provider behind it, either database under it."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec

from live_gateway import LiveGateway, running_gateway
from neuralrouting.accounts.keys import NO_OPTIONS, KeyOptions, create_key
from neuralrouting.exchange import Plan
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.books import Balance, Books
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.plans import PlanRows
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.verify import verify
from postgres_server import PostgresServer
from processes import tree

FULL = os.environ.get("CHAOS") == "full"
"""Whether the counts are those of the bars; else they are what a suite has time for."""
REPOSITORY = Path(__file__).parents[2]
METERED = Plan("metered", "Metered", 0, 0, None, None, None, ("auto", "cost", "quality", "speed"), force_model=True)
"""Counts credits, gives none, limits nothing."""
SIXTY = msgspec.structs.replace(METERED, id="sixty", name="Sixty", requests_per_minute=60)
USAGE_TOKENS, OUTPUT_TOKENS = 288, 40
"""What the mock provider says that every answer of it has used, and how much of that is output."""
DEAR, CHEAP = "dear", "cheap"
RATE = {DEAR: 10, CHEAP: 1}
"""Credits for a thousand tokens, so millicredits for one."""
CONFIG = """
local: {{enabled: "off"}}
simulated: {{enabled: "off"}}
shield: {{mode: "off"}}
upstream: {{idle_timeout_s: 120}}
server: {{max_in_flight: 1000}}
providers:
  mock: {{base_url: "{url}"}}
models:
  - {{model: dear, provider: mock, context_tokens: 8000, tier: premium, credits_per_1k: 10,
      input_usd_per_mtok: "10", output_usd_per_mtok: "20"}}
  - {{model: cheap, provider: mock, context_tokens: 8000, tier: economy, credits_per_1k: 1,
      input_usd_per_mtok: "1", output_usd_per_mtok: "2"}}
"""
# The mock says 248 prompt tokens whatever it is asked: the prompt must not be shorter, or its bound would be exceeded.
TALE = "The clerk counted the coins on the table, wrote the sum into the book and counted them again by the lamp. " * 14
_numbers = count(1)
_Result = TypeVar("_Result")


def tell(text: str) -> None:
    """Say what was measured; pytest shows it with `-s`."""
    sys.stdout.write(f"\n{text}\n")


def suite_or_full(suite: int, full: int) -> int:
    return full if FULL else suite


@dataclass(frozen=True)
class Payer:
    """An account that pays, and a key of it."""

    account_id: str
    key: str
    key_id: str


@dataclass
class Arena:
    """The gateway, where its provider is, and the database's server where there is one."""

    gateway: LiveGateway
    upstream_url: str
    server: PostgresServer | None
    workers: int

    def within(self, work: Callable[[Database], Awaitable[_Result]]) -> _Result:
        """Do something with the database, on a connection of our own."""

        async def run() -> _Result:
            database = await open_database(self.gateway.database_url, self.gateway.data_dir)
            try:
                return await work(database)
            finally:
                await database.close()

        return asyncio.run(run())

    def new_payer(self, credits_mc: int, plan: Plan = METERED, options: KeyOptions = NO_OPTIONS) -> Payer:
        account_id = f"payer-{next(_numbers)}"

        async def make(database: Database) -> Payer:
            now_ms = time.time_ns() // 1_000_000
            await AccountRows(database).ensure(account_id, account_id, now_ms, plan.id, actor=GATEWAY)
            if credits_mc:
                await Books(database).top_up(account_id, credits_mc, "first", "chaos", "to begin with")
            minted = await create_key(
                KeyRows(database), account_id, "chaos", live=True, now_ms=now_ms, options=options, actor=GATEWAY
            )
            return Payer(account_id, minted.key, minted.id)

        return self.within(make)

    def balance(self, payer: Payer) -> Balance:
        return self.within(lambda database: Books(database).balance(payer.account_id))

    def fetch(self, sql: str, *args: object) -> list[tuple[object, ...]]:
        return self.within(lambda database: database.fetch(sql, *args))

    def answers_made(self) -> int:
        """How many answers the provider has made so far, whether anybody got them or not."""
        return int(httpx.get(self.upstream_url, trust_env=False).text)

    def worker_ids(self) -> dict[str, int]:
        """The workers that have opened their journals, and their processes."""
        return {id_: pid for pid in tree(self.gateway.pid)[1:] if (id_ := _journal_of(pid)) is not None}

    def wait_until_whole(self, within_s: float = 60.0) -> None:
        """Wait until every worker is there and nothing of dead ones is left: no journal, no lease, no row."""
        wait_until(self._is_whole, within_s, "what dead workers left is still there")

    def wait_until_returned(self, payer: Payer) -> None:
        """Wait until nothing is leased of an account; of a rich one leases are kept for half a minute."""
        wait_until(lambda: self.balance(payer).reserved_mc == 0, 60, "leases did not go back")

    def wait_until_settled(self, payer: Payer) -> None:
        """Wait until no more requests of this account are written down; a settlement waits 50 ms for others."""
        count_rows = "SELECT COUNT(*) FROM requests WHERE account_id = $1"
        seen = [self.fetch(count_rows, payer.account_id)]

        def is_quiet() -> bool:
            time.sleep(0.5)
            seen.append(self.fetch(count_rows, payer.account_id))
            return seen[-1] == seen[-2]

        wait_until(is_quiet, 60, "requests are still written down")

    def breaches(self) -> list[object]:
        """What a full check of the books finds."""
        return list(self.within(lambda database: verify(database, time.time_ns() // 1_000_000)))

    def _is_whole(self) -> bool:
        alive = set(self.worker_ids())
        journals = {path.name for path in (self.gateway.data_dir / "journals").glob("[!.]*")}
        known = {str(row[0]) for row in self.fetch("SELECT id FROM workers")}
        leasing = {str(row[0]) for row in self.fetch("SELECT DISTINCT worker_id FROM leases")}
        is_whole = len(alive) == self.workers and journals == known == alive and leasing <= alive
        return is_whole and self._listens()

    def _listens(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.gateway.url}/readyz", trust_env=False).status_code == 200
        return False


def wait_until(reached: Callable[[], bool], within_s: float, otherwise: str) -> float:
    """Wait for something and return how many seconds that took."""
    began_s = time.monotonic()
    while not reached():
        assert time.monotonic() - began_s < within_s, f"{otherwise} after {within_s} s"
        time.sleep(0.1)
    return time.monotonic() - began_s


@contextlib.contextmanager
def open_arena(
    data_dir: Path, workers: int, server: PostgresServer | None = None, **environment: str
) -> Iterator[Arena]:
    """Start provider and gateway, over this PostgreSQL or a SQLite of its own."""
    if server is not None:
        server.empty()
    url = server.url() if server is not None else None
    with mock_provider() as upstream_url:
        asyncio.run(_put_plans(url, data_dir))
        config = CONFIG.format(url=upstream_url)
        environment |= {"SERVER_WORKERS": str(workers), "LOG_LEVEL": "warning"}
        with running_gateway(data_dir, config=config, database_url=url, **environment) as gateway:
            yield Arena(gateway, upstream_url, server, workers)


@contextlib.contextmanager
def mock_provider(first_byte_ms: float = 20, gap_ms: float = 2) -> Iterator[str]:
    """The mock of the load tests, in a process of its own: an answer takes as long as told."""
    told = ["--first-byte-ms", str(first_byte_ms), "--gap-ms", str(gap_ms)]
    command = [sys.executable, "-m", "benches.gateway.mock_upstream", *told]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


async def _put_plans(url: str | None, data_dir: Path) -> None:
    database = await open_database(url, data_dir)
    try:
        for plan in (METERED, SIXTY):
            await PlanRows(database).put(plan, 1, actor=GATEWAY)
    finally:
        await database.close()


def _journal_of(pid: int) -> str | None:
    """A worker holds the lock of its journal open, and the journal bears its name."""
    with contextlib.suppress(OSError):  # the process may end while we look
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            target = entry.readlink()
            if target.name == "lock" and target.parent.parent.name == "journals":
                return target.parent.name.lstrip(".")
    return None
