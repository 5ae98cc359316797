"""How many requests a second the money store settles: `python -m benches.ledger`.

Each process is one worker that takes turn after turn of 500 settlements through `Books.turn`, and leases what they
cost; they share five accounts, 50 users and two budgets. PostgreSQL is the one that the tests start, without fsync.
"""

import asyncio
import multiprocessing
import sys
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import click
import msgspec

from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import open_database
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.turns import Settlement, Turn, Want, budget_purse, credits_purse

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from postgres_server import missing, running_server
from settling import new_budget, settled

BATCH = 500
ACCOUNTS = 5
USERS = 50
BUDGETS = ("b1", "b2")
CREDITS_MC = 10**12
BARS = {"sqlite": 5_000, "postgres": 3_000}
"""Settled requests a second that one worker must reach."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=5.0, show_default=True, help="How long each figure is measured.")
def main(seconds: float) -> None:
    """Measure settled requests per second with one and two processes. Exit code 1 when a bar is missed."""
    click.echo(f"{'settled requests/s':20}{'1 process':>12}{'2 processes':>14}{'bar':>8}")
    missed = False
    with tempfile.TemporaryDirectory(prefix="neuralrouting-bench-") as folder:
        rates = [measure(None, Path(folder) / str(count), count, seconds) for count in (1, 2)]
        missed |= _tell("sqlite", rates)
    reason = missing()
    if reason is not None:
        raise click.ClickException(reason)
    with running_server() as server:
        rates: list[float] = []
        for count in (1, 2):
            server.empty()
            rates.append(measure(server.url(), Path(), count, seconds))
        missed |= _tell("postgres", rates)
    sys.exit(missed)


def measure(url: str | None, data_dir: Path, processes: int, seconds: float) -> float:
    """Return how many requests a second so many processes settle together."""
    asyncio.run(_prepare(url, data_dir))
    context = multiprocessing.get_context("spawn")
    barrier, counts = context.Barrier(processes), context.Queue()
    workers = [
        context.Process(target=_work, args=(url, data_dir, f"w{place}", barrier, counts, seconds))
        for place in range(processes)
    ]
    for worker in workers:
        worker.start()
    rates = [counts.get(timeout=seconds + 60) for _ in workers]
    for worker in workers:
        worker.join()
    return sum(rates)


def _tell(name: str, rates: list[float]) -> bool:
    click.echo(f"{name:20}{rates[0]:12,.0f}{rates[1]:14,.0f}{BARS[name]:8,}")
    return rates[0] < BARS[name]


async def _prepare(url: str | None, data_dir: Path) -> None:
    database = await open_database(url, data_dir)
    books = Books(database)
    for account in range(ACCOUNTS):
        await AccountRows(database).ensure(f"account-{account}", "measured", 1, actor=GATEWAY)
        await books.top_up(f"account-{account}", CREDITS_MC, "first", "bench", "to begin with")
    for budget in BUDGETS:
        await new_budget(database, budget, 10**15, "account-0")
    await database.close()


def _work(
    url: str | None, data_dir: Path, name: str, barrier: Barrier, counts: "multiprocessing.Queue[float]", seconds: float
) -> None:
    asyncio.run(_take_turns(url, data_dir, name, barrier, counts, seconds))


async def _take_turns(
    url: str | None, data_dir: Path, name: str, barrier: Barrier, counts: "multiprocessing.Queue[float]", seconds: float
) -> None:
    database = await open_database(url, data_dir)
    books = Books(database)
    await books.register(name, "bench")
    batches = [_batch(name, number) for number in range(int(40 * seconds))]
    wants = tuple(Want(credits_purse(f"account-{n}"), 10**8, 10**9) for n in range(ACCOUNTS))
    wants += tuple(Want(budget_purse(budget, 0, ""), 10**8, 10**9) for budget in BUDGETS)
    await books.turn(Turn(name, 1, 0, (), (), wants))
    barrier.wait()
    started_s, done = time.perf_counter(), 0
    for number, batch in enumerate(batches, 2):
        await books.turn(Turn(name, number, number, batch, (), wants[:1]))
        done += len(batch)
        if time.perf_counter() - started_s > seconds:
            break
    counts.put(done / (time.perf_counter() - started_s))
    await database.close()


def _batch(name: str, number: int) -> tuple[Settlement, ...]:
    return tuple(_settlement(name, number * BATCH + place) for place in range(BATCH))


def _settlement(name: str, number: int) -> Settlement:
    one = settled(
        f"req_{name}_{number:024x}",
        1_200,
        account_id=f"account-{number % ACCOUNTS}",
        created_ms=1_795_867_200_000 + number,
        end_user=f"user-{number * 7919 % USERS}",
        session_id=f"session-{number // 8}",
        attempts='[{"deployment":"openai/gpt-4o-mini","provider":"openai","outcome":"ok","latency_us":812345}]',
    )
    return msgspec.structs.replace(one, spends=tuple((budget_purse(budget, 0, ""), 100) for budget in BUDGETS))


if __name__ == "__main__":
    main()
