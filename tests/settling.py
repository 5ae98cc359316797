"""Requests that are settled, and workers that take turns: what tests of the money store are made of."""

import itertools

import msgspec

from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import Database
from neuralrouting.storage.requests import RequestRow
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.turns import Settlement, Turn, TurnResult, Want

NOON_MS = 1_795_867_200_000
"""2026-11-28, 12:00 UTC."""


def request_row(request_id: str, **changes: object) -> RequestRow:
    """One answered request of the account `acme` that is settled for nothing."""
    row = RequestRow(
        request_id=request_id,
        created_ms=NOON_MS,
        account_id="acme",
        key_id="AbCdEfGhIjKl",
        endpoint="/v1/chat/completions",
        stream=False,
        end_user=None,
        session_id=None,
        feature=None,
        requested_model="auto",
        routing_mode="auto",
        route_rule="short",
        deployment="openai/gpt-4o-mini",
        model="gpt-4o-mini",
        provider="openai",
        simulated=False,
        cache="miss",
        status=200,
        error_code=None,
        attempts="[]",
        candidates='["openai/gpt-4o-mini"]',
        prompt_tokens=10,
        completion_tokens=20,
        cached_tokens=0,
        cache_write_tokens=0,
        reasoning_tokens=0,
        usage_source="provider",
        cost_nanousd=100,
        baseline_nanousd=1_000,
        price_version="2026-01-01",
        latency_us=1_000,
        ttft_us=None,
        overhead_us=100,
        hold_state="settled",
    )
    return msgspec.structs.replace(row, **changes)


def settled(request_id: str, charged_mc: int, **changes: object) -> Settlement:
    """A metered request that is to be charged so many millicredits."""
    held = {"held_mc": charged_mc, "charged_mc": charged_mc, **changes}
    return Settlement(request_row(request_id, **held), metered=True)


def spending(request_id: str, *spends: tuple[str, int], **changes: object) -> Settlement:
    """A request of an account whose credits are not counted, that spends from budgets."""
    return Settlement(request_row(request_id, **changes), metered=False, spends=spends)


class Worker:
    """One worker's side of its turns."""

    def __init__(self, books: Books, worker_id: str) -> None:
        self.books = books
        self.id = worker_id
        self.number = 0
        self.journal_end = 0

    def next(
        self, *settlements: Settlement, returns: tuple[tuple[str, int], ...] = (), wants: tuple[Want, ...] = ()
    ) -> Turn:
        """The turn after the last one, with these."""
        self.number += 1
        self.journal_end += 100 * len(settlements)
        return Turn(self.id, self.number, self.journal_end, settlements, returns, wants)

    async def turn(
        self, *settlements: Settlement, returns: tuple[tuple[str, int], ...] = (), wants: tuple[Want, ...] = ()
    ) -> TurnResult:
        return await self.books.turn(self.next(*settlements, returns=returns, wants=wants))

    async def lease(self, purse: str, need: int, wish: int = 0) -> int:
        """Lease from one purse; return all that is leased of it."""
        result = await self.turn(wants=(Want(purse, need, wish or need),))
        return result.leases.get(purse, 0)


_names = itertools.count(1)


async def new_worker(books: Books, worker_id: str | None = None, machine: str = "here") -> Worker:
    worker = Worker(books, worker_id or f"worker-{next(_names)}")
    await books.register(worker.id, machine)
    return worker


async def new_account(database: Database, account_id: str = "acme", credits_mc: int = 0) -> Books:
    """Make an account and give it credits."""
    await AccountRows(database).ensure(account_id, account_id, 1, actor=GATEWAY)
    books = Books(database)
    if credits_mc:
        await books.top_up(account_id, credits_mc, "first", "tests", "to begin with")
    return books


async def new_budget(database: Database, budget_id: str, limit_nanousd: int, account_id: str = "acme") -> None:
    """A budget over all that an account spends."""
    await database.execute(
        "INSERT INTO budgets (id, account_id, name, scope, subject, period, limit_nanousd, action, changed_ms) "
        "VALUES ($1, $2, $1, 'account', '', 'total', $3, 'block', 1)",
        budget_id, account_id, limit_nanousd,
    )  # fmt: skip
