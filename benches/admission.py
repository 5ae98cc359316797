"""What it costs to let a request in and to settle it, on leases at hand: `python -m benches.admission`.

One worker's `Bank`, in process, with its journal (one record when a request comes in, one when it ends) and without.
No turn is taken meanwhile: what the database does is measured by `benches.ledger`.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import click

from neuralrouting.accounts.bank import Bank
from neuralrouting.accounts.purse import Part
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.journal import Journal, Started
from neuralrouting.storage.turns import Settlement, budget_purse, credits_purse

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from settling import new_account, new_budget, settled

BAR_US = 5.0
"""Microseconds that letting one request in may take, its record in the journal included."""
REQUESTS, ROUNDS = 400, 50
"""Requests in flight at once, and how often; the median of the rounds counts."""
HELD_MC = 1_000
CREDITS, BUDGET = credits_purse("acme"), budget_purse("b1", 0, "")


class UnwrittenJournal(Journal):
    """A journal that keeps nothing: what admission costs without it."""

    def start(self, started: Started) -> None:
        """Note nothing."""

    def settle(self, settlement: Settlement) -> None:
        """Note nothing."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure microseconds for a hold and for its settlement. Exit code 1 when a hold takes longer than the bar."""
    click.echo(f"{'microseconds':32}{'hold':>8}{'settle':>8}{'bar':>8}")
    missed = False
    for name, kind, parts in (
        ("without journal, credits", UnwrittenJournal, ((CREDITS, HELD_MC),)),
        ("with journal, credits", Journal, ((CREDITS, HELD_MC),)),
        ("with journal, credits + budget", Journal, ((BUDGET, HELD_MC), (CREDITS, HELD_MC))),
    ):
        with tempfile.TemporaryDirectory(prefix="neuralrouting-bench-") as folder:
            hold_us, settle_us = asyncio.run(measure(Path(folder), kind, parts))
        click.echo(f"{name:32}{hold_us:8.2f}{settle_us:8.2f}{BAR_US:8.1f}")
        missed |= hold_us > BAR_US
    sys.exit(missed)


async def measure(folder: Path, kind: type[Journal], parts: tuple[Part, ...]) -> tuple[float, float]:
    """Return the microseconds of one hold and of one settlement."""
    database = await open_database(None, folder / "data")
    try:
        bank = await _open(database, folder, kind)
        await _fill(bank, parts)
        rounds = [await _round(bank, parts, number) for number in range(ROUNDS)]
        await bank.close()
    finally:
        await database.close()
    return median(hold for hold, _ in rounds), median(settle for _, settle in rounds)


async def _open(database: Database, folder: Path, kind: type[Journal]) -> Bank:
    await new_account(database, "acme", 10**12)
    await new_budget(database, "b1", 10**12)
    bank = Bank(Books(database), kind.create(folder / "journals", "w1"), flush_s=3_600)
    await bank.start("here")
    return bank


async def _fill(bank: Bank, parts: tuple[Part, ...]) -> None:
    """Hold much at once, so that the lease that is left covers every round without another turn."""
    much = tuple((purse, amount * REQUESTS) for purse, amount in parts)
    hold = await bank.hold(much, _started(0, 0))
    bank.settle(hold, Settlement(settled("req_first", 0, held_mc=0, hold_state="voided").row, metered=True))


async def _round(bank: Bank, parts: tuple[Part, ...], number: int) -> tuple[float, float]:
    started = [_started(number, place) for place in range(REQUESTS)]
    ends = [settled(one.request_id, 0, held_mc=HELD_MC, hold_state="voided") for one in started]
    began_ns = time.perf_counter_ns()
    holds = [await bank.hold(parts, one) for one in started]
    held_ns = time.perf_counter_ns()
    for hold, end in zip(holds, ends, strict=True):
        bank.settle(hold, end)
    settled_ns = time.perf_counter_ns()
    await bank.flush()
    return (held_ns - began_ns) / REQUESTS / 1_000, (settled_ns - held_ns) / REQUESTS / 1_000


def _started(number: int, place: int) -> Started:
    return Started(
        f"req_{number:08x}{place:08x}", 1, "acme", "AbCdEfGhIjKl", "/v1/chat/completions", stream=False, held_mc=HELD_MC
    )


if __name__ == "__main__":
    main()
