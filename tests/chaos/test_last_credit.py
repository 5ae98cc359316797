"""Everybody wants the last credit: who gets it pays for it, and all others hear what is missing."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

from arena import DEAR, OUTPUT_TOKENS, RATE, USAGE_TOKENS, Arena, Payer, suite_or_full, tell
from storm import code_of, prompt

from many_clients import Answered, Client
from neuralrouting.storage.books import Balance, Books
from neuralrouting.storage.database import open_database

CLIENTS = suite_or_full(60, 200)
ROUNDS = suite_or_full(1, 100)
"""In each of the four arenas."""
FIT = CLIENTS // 4
PRICE_MC = RATE[DEAR] * USAGE_TOKENS
SOONER_S = 0.25
"""The header counts whole seconds; nothing is learnt by waiting for one."""
OVER_S = 60.0


@dataclass
class Race:
    """What became of all clients: answers, and refusals with and without a time to come back."""

    sold: int = 0
    at_once: int = 0
    for_now: list[Answered] = field(default_factory=list)
    for_good: list[Answered] = field(default_factory=list)


async def run_race(arena: Arena, payer: Payer, clients: int) -> Race:
    race = Race()

    async def one() -> None:
        async with Client(arena.gateway, payer.key) as client, asyncio.timeout(OVER_S):
            is_first = True
            while True:
                answer = await client.ask(prompt(), model=DEAR, max_tokens=OUTPUT_TOKENS)
                if answer.status == 200:
                    race.sold += 1
                    race.at_once += is_first
                    return
                if "retry-after" not in answer.headers:
                    race.for_good.append(answer)
                    return
                race.for_now.append(answer)
                is_first = False
                await asyncio.sleep(SOONER_S)

    await asyncio.gather(*(one() for _ in range(clients)))
    return race


@contextmanager
def watched(arena: Arena, payer: Payer) -> Iterator[list[Balance]]:
    """Look at the balance all the time, on a connection and a thread of our own."""
    seen: list[Balance] = []
    over = threading.Event()

    async def look() -> None:
        database = await open_database(arena.gateway.database_url, arena.gateway.data_dir)
        try:
            while not over.is_set():
                seen.append(await Books(database).balance(payer.account_id))
                await asyncio.sleep(0.02)
        finally:
            await database.close()

    thread = threading.Thread(target=lambda: asyncio.run(look()), daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def facts(answer: Answered) -> tuple[int, int, int]:
    """What a refusal says is required, available and missing, in millicredits."""
    told = json.loads(answer.body)["error"]
    required, available, missing = (int(Decimal(told[name]) * 1000) for name in ("required", "available", "missing"))
    return required, available, missing


def bound_mc(arena: Arena) -> int:
    """What a request may cost at most, as the refusal of one without a credit says."""
    poor = arena.new_payer(0)
    race = asyncio.run(run_race(arena, poor, 1))
    return facts(race.for_good[0])[0]


def test_the_last_credit_is_sold_once_and_never_kept_back(arena: Arena):
    hold_mc = bound_mc(arena)
    assert PRICE_MC < hold_mc < 2 * PRICE_MC
    at_once: list[int] = []
    began_s = time.monotonic()
    for _ in range(ROUNDS):
        # The last request needs its whole bound; the price of all before it is known.
        payer = arena.new_payer((FIT - 1) * PRICE_MC + hold_mc)
        made = arena.answers_made()
        with watched(arena, payer) as seen:
            race = asyncio.run(run_race(arena, payer, CLIENTS))
        arena.wait_until_returned(payer)
        assert race.sold == FIT
        assert arena.answers_made() - made == FIT
        assert len(race.for_good) == CLIENTS - FIT
        for answer in race.for_now + race.for_good:
            assert (answer.status, code_of(answer)) == (402, "insufficient_credits")
            required, available, missing = facts(answer)
            assert required == hold_mc
            assert available + missing == required
            assert missing > 0
        assert {answer.headers["x-should-retry"] for answer in race.for_good} == {"false"}
        assert {answer.headers["x-should-retry"] for answer in race.for_now} <= {"true"}
        assert all(balance.posted_mc >= balance.reserved_mc >= 0 for balance in seen)
        assert arena.balance(payer).posted_mc == hold_mc - PRICE_MC
        at_once.append(race.at_once)
    tell(f"{ROUNDS} rounds of {CLIENTS} clients in {time.monotonic() - began_s:.1f} s; {FIT} fit each time")
    tell(f"sold to those who asked once only: {min(at_once)} to {max(at_once)}")
    assert arena.breaches() == []


def test_a_refusal_promises_nothing_where_nobody_holds_what_is_missing(arena: Arena):
    """What a worker has leased itself and nobody uses is not counted twice: once as there, once as to come."""
    hold_mc = bound_mc(arena)
    payer = arena.new_payer(PRICE_MC + hold_mc - 1)
    statuses: list[int] = []

    async def one_after_the_other() -> Answered:
        async with Client(arena.gateway, payer.key) as client:
            while True:
                answer = await client.ask(prompt(), model=DEAR, max_tokens=OUTPUT_TOKENS)
                statuses.append(answer.status)
                if answer.status != 200:
                    return answer

    refused = asyncio.run(one_after_the_other())
    assert statuses == [200, 402]
    assert "retry-after" not in refused.headers
    assert refused.headers["x-should-retry"] == "false"
