"""A hundred requests at the edge of a budget, at two workers: none of them gets past it."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from arena import CHEAP, DEAR, METERED, OUTPUT_TOKENS, Arena, Payer, tell
from storm import code_of, prompt

from many_clients import Answered, Client
from neuralrouting.accounts.keys import KeyOptions
from neuralrouting.exchange import Budget, BudgetAction, BudgetPeriod, BudgetScope
from neuralrouting.storage.budgets import BudgetRows, new_budget_id
from neuralrouting.storage.trail import GATEWAY

CLIENTS = 100
COST_NANOUSD = 248 * 10_000 + 40 * 20_000
"""Of one answer by the dear model."""
FIT = 20
FOLLOWED_S = 1.5
"""Workers look for new budgets twice a second."""
SOONER_S = 0.25
RICH_MC = 10**9

pytestmark = pytest.mark.parametrize("arena", ["sqlite-2", "postgres-2"], indirect=True)


@dataclass
class Edge:
    """A payer, its budget, and what its requests say of themselves."""

    payer: Payer
    budget: Budget
    fields: dict[str, Any]


def set_edge(
    arena: Arena,
    scope: BudgetScope,
    subject: str = "",
    period: BudgetPeriod = "total",
    action: BudgetAction = "block",
    **fields: object,
) -> Edge:
    payer = arena.new_payer(RICH_MC, METERED, KeyOptions(team="blue"))
    of = payer.key_id if scope == "key" else subject
    limit = FIT * COST_NANOUSD + COST_NANOUSD // 2
    budget = Budget(new_budget_id(), payer.account_id, scope, scope, of, period, limit, action)
    arena.within(lambda database: BudgetRows(database).put(budget, time.time_ns() // 1_000_000, actor=GATEWAY))
    return Edge(payer, budget, {"model": DEAR, "max_tokens": OUTPUT_TOKENS, **fields})


async def crowd(arena: Arena, edge: Edge, many: int) -> list[Answered]:
    """So many ask at once; who is told to come back does. The last answer that each got."""

    async def one() -> Answered:
        async with Client(arena.gateway, edge.payer.key) as client, asyncio.timeout(60):
            while True:
                answer = await client.ask(prompt(), **edge.fields)
                if answer.status == 200 or "retry-after" not in answer.headers:
                    return answer
                assert (answer.status, code_of(answer)) == (402, "budget_exceeded")
                await asyncio.sleep(SOONER_S)

    return await asyncio.gather(*(one() for _ in range(many)))


async def crowds(arena: Arena, edges: Sequence[Edge]) -> list[list[Answered]]:
    return await asyncio.gather(*(crowd(arena, edge, CLIENTS) for edge in edges))


def spent_nanousd(arena: Arena, edge: Edge) -> int:
    windows = arena.within(lambda database: BudgetRows(database).windows(edge.budget))
    return sum(window.spent_nanousd for window in windows)


def wait_for_an_hour_with_room() -> None:
    """An hour that ends in the middle would begin the budget anew."""
    if time.time() % 3600 > 3570:
        time.sleep(31)


def test_no_budget_is_overspent_by_a_hundred_requests_at_its_edge(arena: Arena):
    wait_for_an_hour_with_room()
    edges = [
        set_edge(arena, "account"),
        set_edge(arena, "key", period="hour"),
        set_edge(arena, "user", "*", "hour", user="ada"),
        set_edge(arena, "feature", "search", feature="search"),
        set_edge(arena, "team", "blue"),
        set_edge(arena, "model", DEAR, "hour"),
    ]
    time.sleep(FOLLOWED_S)
    began_s = time.monotonic()
    for edge, answers in zip(edges, asyncio.run(crowds(arena, edges)), strict=True):
        arena.wait_until_settled(edge.payer)
        served = [answer for answer in answers if answer.status == 200]
        refused = [answer for answer in answers if answer.status != 200]
        assert {(answer.status, code_of(answer)) for answer in refused} == {(402, "budget_exceeded")}
        spent = spent_nanousd(arena, edge)
        assert spent == len(served) * COST_NANOUSD
        assert spent <= edge.budget.limit_nanousd
        required = int(Decimal(json.loads(refused[0].body)["error"]["required_usd"]) * 10**9)
        assert edge.budget.limit_nanousd - spent < required, "it was kept back"
    tell(f"{CLIENTS * len(edges)} clients at the edges of {len(edges)} budgets in {time.monotonic() - began_s:.1f} s")
    assert arena.breaches() == []


def test_a_budget_that_downgrades_has_the_cheap_model_answer_once_it_is_spent(arena: Arena):
    edge = set_edge(arena, "account", action="downgrade")
    edge.fields |= {"model": "auto", "routing_mode": "quality"}
    time.sleep(FOLLOWED_S)
    answers = asyncio.run(crowd(arena, edge, CLIENTS))
    assert {answer.status for answer in answers} == {200}
    dear = [answer for answer in answers if answer.headers["x-nr-model"] == DEAR]
    cheap = [answer for answer in answers if answer.headers["x-nr-model"] == CHEAP]
    assert len(dear) + len(cheap) == CLIENTS
    assert 0 < len(dear) * COST_NANOUSD <= edge.budget.limit_nanousd
    assert all("; spent" in answer.headers["x-nr-budget"] for answer in cheap)


def test_a_budget_that_warns_lets_everybody_in_and_says_so(arena: Arena):
    edge = set_edge(arena, "account", action="warn")
    time.sleep(FOLLOWED_S)
    assert {answer.status for answer in asyncio.run(crowd(arena, edge, CLIENTS))} == {200}
    arena.wait_until_settled(edge.payer)
    time.sleep(FOLLOWED_S + 0.5)  # what is spent is followed once a second
    answers = asyncio.run(crowd(arena, edge, 8))
    told = answers[0].headers["x-nr-budget"]
    assert told.startswith(f"{edge.budget.id}; used=")
    assert int(told.partition("used=")[2].partition("%")[0]) >= 400
    assert spent_nanousd(arena, edge) > edge.budget.limit_nanousd
