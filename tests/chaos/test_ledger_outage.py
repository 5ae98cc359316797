"""PostgreSQL stops at once and comes back: leases are spent, then requests are refused, and nothing is lost."""

import asyncio
import os
import random
import signal
import time

import pytest
from arena import DEAR, FULL, OUTPUT_TOKENS, RATE, USAGE_TOKENS, Arena, Payer, suite_or_full, tell, wait_until
from storm import PATIENCE_S, code_of, prompt, storm_over
from test_killed_workers import RICH_MC, check_books

from many_clients import Answered, Client

STOPS = suite_or_full(3, 20)
SERVES_AGAIN_S = 15.0
LONGEST_S = 2.5 if FULL else 1.0
REFUSED_WITHIN_S = 12.0
LEASES_STAND_S = 10.0
FOLLOWED_S = 1.5
"""Workers look for new accounts and keys twice a second."""
DOWN = (503, "ledger_unavailable")
REPLACED_S = 20.0

ARENAS = ["postgres-1", "postgres-2"] if FULL else ["postgres-2"]
pytestmark = pytest.mark.parametrize("arena", ARENAS, indirect=True)


def stop(arena: Arena) -> None:
    assert arena.server is not None
    arena.server.stop(immediate=True)


def start(arena: Arena) -> None:
    assert arena.server is not None
    arena.server.start()


async def ask_at_once(arena: Arena, payer: Payer, many: int) -> list[tuple[Answered, float]]:
    """So many clients ask once; what each got, and after how many seconds."""

    async def one() -> tuple[Answered, float]:
        async with Client(arena.gateway, payer.key) as client, asyncio.timeout(PATIENCE_S):
            began_s = time.monotonic()
            return await client.ask(prompt(), model=DEAR, max_tokens=OUTPUT_TOKENS), time.monotonic() - began_s

    return await asyncio.gather(*(one() for _ in range(many)))


def serves(arena: Arena, payer: Payer) -> bool:
    [(answer, _)] = asyncio.run(ask_at_once(arena, payer, 1))
    return answer.status == 200


def test_a_ledger_that_stops_and_starts_under_load_has_every_answer_that_was_given(arena: Arena):
    payer = arena.new_payer(RICH_MC)
    made_before = arena.answers_made()
    again_s: list[float] = []
    with storm_over(arena, payer) as storm:
        for _ in range(STOPS):
            time.sleep(random.uniform(0.3, LONGEST_S / 2))
            stop(arena)
            time.sleep(random.uniform(0.1, LONGEST_S))
            start(arena)
            answered = len(storm.whole)
            again_s.append(wait_until(lambda seen=answered: len(storm.whole) > seen, SERVES_AGAIN_S, "no answer"))
    arena.wait_until_settled(payer)
    tell(f"{STOPS} stops; serves again after at most {max(again_s):.1f} s\n{storm.told()}")
    assert set(storm.refused) <= {DOWN}
    assert storm.slowest_refusal_s < REFUSED_WITHIN_S
    assert storm.broken == 0
    check_books(arena, storm, arena.answers_made() - made_before)


def test_while_the_ledger_is_away_no_more_is_let_in_than_leases_pay_for(arena: Arena):
    payer = arena.new_payer(RICH_MC)
    assert {answer.status for answer, _ in asyncio.run(ask_at_once(arena, payer, 8))} == {200}
    time.sleep(1)
    leased = "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM leases WHERE purse = $1"
    [(leased_mc,)] = arena.fetch(leased, f"credits/{payer.account_id}")
    stop(arena)
    try:
        answers = asyncio.run(ask_at_once(arena, payer, 150))
        let_in = sum(answer.status == 200 for answer, _ in answers)
        refused = [(answer, after_s) for answer, after_s in answers if answer.status != 200]
        assert 0 < let_in * RATE[DEAR] * USAGE_TOKENS <= int(str(leased_mc))
        assert {(answer.status, code_of(answer)) for answer, _ in refused} == {DOWN}
        assert all("retry-after" in answer.headers for answer, _ in refused)
        assert max(after_s for _, after_s in refused) < REFUSED_WITHIN_S
        if FULL:
            time.sleep(LEASES_STAND_S)
            late = asyncio.run(ask_at_once(arena, payer, 4))
            assert {(answer.status, code_of(answer)) for answer, _ in late} == {DOWN}
    finally:
        start(arena)
    wait_until(lambda: serves(arena, payer), SERVES_AGAIN_S, "the gateway serves no more")
    arena.wait_until_settled(payer)
    assert arena.breaches() == []
    spent_mc = RICH_MC - arena.balance(payer).posted_mc
    assert spent_mc == (8 + let_in + 1) * RATE[DEAR] * USAGE_TOKENS


def test_accounts_that_were_never_seen_are_refused_at_once_and_served_later(arena: Arena):
    """Of their credits nothing is leased, and nothing known, when the ledger goes away."""
    payers = [arena.new_payer(RICH_MC) for _ in range(6)]
    time.sleep(FOLLOWED_S)

    async def all_ask() -> list[tuple[Answered, float]]:
        told = await asyncio.gather(*(ask_at_once(arena, payer, 5) for payer in payers))
        return [one for answers in told for one in answers]

    stop(arena)
    try:
        answers = asyncio.run(all_ask())
        assert {(answer.status, code_of(answer)) for answer, _ in answers} == {DOWN}
        assert max(after_s for _, after_s in answers) < REFUSED_WITHIN_S
    finally:
        start(arena)
    wait_until(lambda: serves(arena, payers[0]), SERVES_AGAIN_S, "the gateway serves no more")
    assert {answer.status for answer, _ in asyncio.run(all_ask())} == {200}


def test_a_worker_that_dies_while_the_ledger_is_away_takes_no_other_with_it(arena: Arena):
    """Its successor finds no database. Granian would take that for a crash loop, and end the whole gateway."""
    payer = arena.new_payer(RICH_MC)
    victim, *others = arena.worker_ids().values()
    stop(arena)
    try:
        os.kill(victim, signal.SIGKILL)
        time.sleep(2)
        assert sorted(arena.worker_ids().values()) == sorted(others), "the others serve on"
    finally:
        start(arena)
    arena.wait_until_whole(REPLACED_S)
    assert serves(arena, payer)
    assert set(others) < set(arena.worker_ids().values())
    assert arena.breaches() == []
