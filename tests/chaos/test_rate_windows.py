"""Sixty a minute are sixty in every minute: over several workers, keys and a `kill -9` in between."""

import asyncio
import os
import signal
import time
from dataclasses import dataclass

import pytest
from arena import DEAR, FULL, OUTPUT_TOKENS, SIXTY, Arena, Payer, tell
from storm import code_of, prompt

from cache_told import cache_told
from many_clients import Answered, Client
from neuralrouting.accounts.keys import create_key
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.trail import GATEWAY

LIMIT, WINDOW_S = 60, 60.0
HAMMERED_S = 135.0 if FULL else 2.5
RICH_MC = 10**9

pytestmark = pytest.mark.parametrize("arena", ["sqlite-1", "sqlite-2", "sqlite-4"], indirect=True)


@dataclass(frozen=True)
class Entry:
    """One request that was let in: it was counted somewhere between these two, by the client's clock."""

    sent_s: float
    answered_s: float


def second_key(arena: Arena, payer: Payer) -> str:
    async def make(database: object) -> str:
        minted = await create_key(
            KeyRows(database), payer.account_id, "second", live=True, now_ms=time.time_ns() // 1_000_000, actor=GATEWAY
        )
        return minted.key

    return arena.within(make)


async def hammer(arena: Arena, keys: list[str], last_s: float) -> list[Entry]:
    """Ask as often as possible with each of these keys, on many connections."""
    let_in: list[Entry] = []
    over_s = time.monotonic() + last_s

    async def one(number: int) -> None:
        while time.monotonic() < over_s:
            try:
                async with Client(arena.gateway, keys[number % len(keys)]) as client:
                    while (sent_s := time.monotonic()) < over_s:
                        answer = await client.ask(prompt(), model=DEAR, max_tokens=OUTPUT_TOKENS)
                        if answer.status == 200:
                            let_in.append(Entry(sent_s, time.monotonic()))
                        else:
                            assert (answer.status, code_of(answer)) == (429, "rate_limited")
                            assert 0 < int(answer.headers["retry-after"]) <= 60
                            await asyncio.sleep(0.05)
            except (OSError, EOFError):  # its worker was killed: what it had asked may be counted
                let_in.append(Entry(sent_s, time.monotonic()))
                await asyncio.sleep(0.1)

    await asyncio.gather(*(one(number) for number in range(16)))
    return let_in


def most_in_a_window(let_in: list[Entry]) -> int:
    """How many were let in for certain within some window of a minute."""
    return max(
        sum(first.sent_s <= other.sent_s and other.answered_s <= first.sent_s + WINDOW_S for other in let_in)
        for first in let_in
    )


def test_no_minute_has_more_than_the_plan_however_hard_it_is_hammered(arena: Arena):
    payer = arena.new_payer(RICH_MC, SIXTY)
    let_in = asyncio.run(hammer(arena, [payer.key, second_key(arena, payer)], HAMMERED_S))
    assert most_in_a_window(let_in) <= LIMIT
    minutes = int(HAMMERED_S // WINDOW_S) + 1
    assert len(let_in) == minutes * LIMIT, "refused ones must not count"
    rows = arena.fetch("SELECT COUNT(*) FROM requests WHERE account_id = $1", payer.account_id)
    assert arena.balance(payer).posted_mc < RICH_MC
    tell(f"{len(let_in)} let in, in {HAMMERED_S} s, {rows[0][0]} rows")


def test_a_kill_in_between_does_not_begin_the_minute_anew(arena: Arena):
    payer = arena.new_payer(RICH_MC, SIXTY)

    async def some(many: int) -> list[Answered]:
        async with Client(arena.gateway, payer.key) as client:
            return [await client.ask(prompt(), model=DEAR, max_tokens=OUTPUT_TOKENS) for _ in range(many)]

    assert {answer.status for answer in asyncio.run(some(LIMIT // 2))} == {200}
    for pid in arena.worker_ids().values():
        os.kill(pid, signal.SIGKILL)
    arena.wait_until_whole()
    statuses = [answer.status for answer in asyncio.run(some(LIMIT))]
    assert statuses == [200] * (LIMIT // 2) + [429] * (LIMIT // 2)


def test_hits_and_those_whose_client_left_count_and_refused_ones_do_not(arena: Arena):
    payer = arena.new_payer(RICH_MC, SIXTY)
    same = prompt()

    async def leave(many: int) -> None:
        for _ in range(many):
            async with Client(arena.gateway, payer.key) as client:
                task = asyncio.create_task(client.ask(prompt(), model=DEAR, stream=True, max_tokens=OUTPUT_TOKENS))
                await asyncio.sleep(0.03)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def journey() -> tuple[list[Answered], list[int]]:
        async with Client(arena.gateway, payer.key) as client:
            hits = [await client.ask(same, model=DEAR, max_tokens=OUTPUT_TOKENS) for _ in range(20)]
            await leave(20)
            refused = [await client.ask("no such model", model="nobody-has-it") for _ in range(3)]
            rest = [(await client.ask(prompt(), model=DEAR, max_tokens=OUTPUT_TOKENS)).status for _ in range(25)]
            assert {answer.status for answer in refused} == {404}
            return hits, rest

    hits, rest = asyncio.run(journey())
    assert [cache_told(answer) for answer in hits] == ["miss"] + ["exact"] * 19
    # What is wrong in itself was let in and counts; what the limit refused does not.
    assert rest == [200] * 17 + [429] * 8
