"""Who is let in, with whom and how much room: what does not fit is made smaller, or refused with what is missing."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counting_house import UNLIMITED, opened_house
from neuralrouting.accounts.admission import Admission, Admitted
from neuralrouting.accounts.bank import Bank
from neuralrouting.accounts.bounds import DEFAULT_OUTPUT_TOKENS, Size
from neuralrouting.accounts.budgets import Spender
from neuralrouting.accounts.directory import Directory
from neuralrouting.catalog import Capabilities, Deployment, Price
from neuralrouting.errors import BudgetExceeded, InsufficientCredits, Unavailable
from neuralrouting.exchange import Arrival, Budget, Caller, Hints, Mode, Route, Usage
from neuralrouting.storage.books import Books
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.turns import Settlement, credits_purse
from settling import NOON_MS, new_account, request_row

pytestmark = pytest.mark.anyio
ACME = credits_purse("acme")
BASELINE = Price(2_500_000, 10_000_000, 1_250_000, 2_500_000, "v", "s")
DEAR_PRICE = Price(10_000_000, 40_000_000, 10_000_000, 10_000_000, "v", "s")
PAID = msgspec.structs.replace(UNLIMITED, id="paid", name="Paid", monthly_mc=1_000_000)
PROMPT, PROMPT_BOUND = 100, 187
"""100 x 1.15 + 8 for the one message + 64."""


def model(name: str, rate: int, price: Price | None = BASELINE, most: int = 16_384) -> Deployment:
    return Deployment(f"p/{name}", name, "p", name, "medium", 128_000, most, Capabilities(), price, credits_per_1k=rate)


NOTHING = Usage(0, 0)
CHEAP, DEAR = model("cheap", 10), model("dear", 100, DEAR_PRICE)


@dataclass
class Desk:
    """Admission of the account `acme`, which pays in credits."""

    books: Books
    bank: Bank
    directory: Directory
    admission: Admission
    rows: BudgetRows
    count: int = 0
    asked: list[Mode | None] = field(default_factory=list)

    async def admit(
        self, *candidates: Deployment, output: int | None = 500, cost_mode: tuple[Deployment, ...] = (),
        arrival: Arrival | None = None, spender: Spender | None = None, cascade: bool = False,
    ) -> Admitted:  # fmt: skip
        self.asked.clear()

        def choose(mode: Mode | None) -> Route:
            self.asked.append(mode)
            if mode == "cost":
                return Route(mode, "test", cost_mode)
            return Route(mode or "auto", "test", candidates, cascade=cascade)

        size = Size(PROMPT, 1, 1, output, has_media=False)
        spender = spender or Spender("AbCdEfGhIjKl", None, None, None)
        return await self.admission.admit(arrival or self.arrival(), spender, size, choose, stream=False)

    def arrival(self, *, live: bool = True, paid: bool = True) -> Arrival:
        self.count += 1
        caller, plan = Caller("acme", "AbCdEfGhIjKl", live=live), PAID if paid else UNLIMITED
        return Arrival(f"req_{self.count}", caller, plan, Hints("/v1/dispatch"), time.perf_counter_ns(), NOON_MS)

    def end(self, admitted: Admitted, served: Deployment | None = None, usage: Usage = NOTHING) -> Settlement:
        """End a request; `served` None: nobody answered."""
        self.count += 1
        charged = admitted.charged_mc(served, usage) if served is not None else 0
        state = "voided" if served is None else "settled"
        row = request_row(
            f"end_{self.count}", held_mc=admitted.held_mc, charged_mc=charged, hold_state=state, cost_nanousd=None
        )
        spends = admitted.spends(served, usage, None) if served is not None else ()
        one = Settlement(row, metered=admitted.tab.credits is not None, spends=spends)
        self.bank.settle(admitted.hold, one)
        return one

    async def budget(self, limit_nanousd: int, action: str = "block", **more: object) -> Budget:
        """Set a budget and wait until it is known."""
        budget = Budget("b1", "acme", "Monthly", "account", "", "total", limit_nanousd, action)
        budget = msgspec.structs.replace(budget, **more)
        await self.rows.put(budget, int(time.time() * 1_000), actor=GATEWAY)
        async with asyncio.timeout(5):
            while budget not in self.directory.budgets_of("acme"):  # noqa: ASYNC110  it polls
                await asyncio.sleep(0.02)
        return budget

    async def credits(self, mc: int) -> None:
        """Give the account exactly this, as far as nothing is held."""
        await self.bank.flush()
        have = (await self.books.balance("acme")).posted_mc
        if mc != have:
            self.count += 1
            await self.books.adjust("acme", mc - have, f"adjusted_{self.count}", "tests", "for a test")
        await asyncio.sleep(0.11)


@pytest.fixture
async def desk(database: Database, tmp_path: Path) -> AsyncIterator[Desk]:
    books = await new_account(database, "acme", 10_000_000)
    async with opened_house(database, tmp_path, flush_s=0.002) as house:
        admission = Admission(house.bank, house.directory, BASELINE, 3)
        yield Desk(books, house.bank, house.directory, admission, BudgetRows(database))


async def test_the_most_that_one_of_the_candidates_can_cost_is_held(desk: Desk):
    admitted = await desk.admit(CHEAP, DEAR)
    assert admitted.held_mc == 100 * (PROMPT_BOUND + 500)
    assert admitted.hold.parts == ((ACME, admitted.held_mc),)
    assert admitted.output_limit is None, "the client's own limit binds the provider"
    desk.end(admitted)


async def test_candidates_that_are_never_tried_hold_nothing(desk: Desk):
    admitted = await desk.admit(CHEAP, CHEAP, CHEAP, DEAR)
    assert admitted.held_mc == 10 * (PROMPT_BOUND + 500)
    assert DEAR not in admitted.route.candidates
    desk.end(admitted)


async def test_a_dearer_fallback_that_does_not_fit_is_left_out(desk: Desk):
    await desk.credits(100 * (PROMPT_BOUND + 500) - 1)
    admitted = await desk.admit(DEAR, CHEAP)
    assert admitted.route.candidates == (CHEAP,)
    assert admitted.held_mc == 10 * (PROMPT_BOUND + 500)
    desk.end(admitted)


async def test_a_cascade_holds_its_first_candidate_and_the_dearest_of_the_others(desk: Desk):
    admitted = await desk.admit(CHEAP, CHEAP, DEAR, cascade=True)
    assert admitted.route.cascade
    assert admitted.held_mc == (10 + 100) * (PROMPT_BOUND + 500)
    desk.end(admitted)


async def test_a_cascade_that_does_not_fit_leaves_out_the_dear_then_the_second_call(desk: Desk):
    await desk.credits((10 + 100) * (PROMPT_BOUND + 500) - 1)
    admitted = await desk.admit(CHEAP, DEAR, CHEAP, cascade=True)
    assert (admitted.route.candidates, admitted.route.cascade) == ((CHEAP, CHEAP), True)
    assert admitted.held_mc == 20 * (PROMPT_BOUND + 500)
    desk.end(admitted)
    await desk.credits(20 * (PROMPT_BOUND + 500) - 1)
    admitted = await desk.admit(CHEAP, DEAR, CHEAP, cascade=True)
    assert not admitted.route.cascade
    assert admitted.held_mc == 10 * (PROMPT_BOUND + 500)
    desk.end(admitted)


async def test_a_cascade_of_one_is_none(desk: Desk):
    admitted = await desk.admit(CHEAP, cascade=True)
    assert not admitted.route.cascade
    desk.end(admitted)


async def test_a_budget_covers_both_calls_of_a_cascade(desk: Desk):
    await desk.budget(10**12)
    admitted = await desk.admit(CHEAP, DEAR, cascade=True)
    [(_, held)] = [part for part in admitted.hold.parts if part[0] != ACME]
    output, prompt = 500, PROMPT_BOUND
    assert held == (prompt * 2_500 + output * 10_000) + (prompt * 10_000 + output * 40_000)
    desk.end(admitted)


@pytest.mark.parametrize("room", [16, 17, 400])
async def test_without_a_limit_of_its_own_a_request_gets_what_it_can_pay(desk: Desk, room: int):
    await desk.credits(10 * (PROMPT_BOUND + room) + 9)
    admitted = await desk.admit(CHEAP, output=None)
    assert admitted.output_limit == room
    assert admitted.held_mc == 10 * (PROMPT_BOUND + room)
    assert admitted.most_output(CHEAP) == room
    desk.end(admitted)


async def test_without_a_limit_and_rich_a_request_gets_the_usual_room(desk: Desk):
    admitted = await desk.admit(CHEAP, output=None)
    assert admitted.output_limit == DEFAULT_OUTPUT_TOKENS
    desk.end(admitted)


async def test_room_for_fewer_than_sixteen_tokens_is_none(desk: Desk):
    await desk.credits(10 * (PROMPT_BOUND + 15) + 9)
    with pytest.raises(InsufficientCredits) as refused:
        await desk.admit(CHEAP, output=None)
    assert refused.value.status == 402


async def test_a_limit_of_the_clients_own_is_never_made_smaller(desk: Desk):
    await desk.credits(10 * (PROMPT_BOUND + 499))
    with pytest.raises(InsufficientCredits):
        await desk.admit(CHEAP, output=500)


async def test_a_refusal_says_what_is_missing_and_that_trying_again_is_no_use(desk: Desk):
    await desk.credits(1_234)
    with pytest.raises(InsufficientCredits) as refused:
        await desk.admit(CHEAP)
    assert refused.value.code == "insufficient_credits"
    assert refused.value.facts == {"required": "6.870", "available": "1.234", "missing": "5.636"}
    assert "6.870 credits and 1.234 are left" in refused.value.message
    assert "top the account up" in refused.value.message
    assert refused.value.retry_after_s is None


async def test_a_refusal_says_when_requests_under_way_may_free_what_is_missing(desk: Desk):
    await desk.credits(10 * (PROMPT_BOUND + 500) + 5)
    first = await desk.admit(CHEAP)
    with pytest.raises(InsufficientCredits) as refused:
        await desk.admit(CHEAP)
    assert refused.value.facts["available"] == "0.005"
    assert refused.value.retry_after_s == 1.0
    assert "under way" in refused.value.message
    desk.end(first)
    again = await desk.admit(CHEAP)
    desk.end(again)


async def test_one_request_right_after_another_is_not_refused_by_what_the_first_held(desk: Desk):
    await desk.credits(10 * (PROMPT_BOUND + 500))
    for _ in range(5):
        desk.end(await desk.admit(CHEAP))
        await desk.bank.flush()


async def test_test_keys_and_unlimited_plans_hold_no_credits(desk: Desk):
    await desk.credits(0)
    for arrival in (desk.arrival(live=False), desk.arrival(paid=False)):
        admitted = await desk.admit(DEAR, output=None, arrival=arrival)
        assert (admitted.held_mc, admitted.hold.parts, admitted.output_limit) == (0, (), None)
        assert admitted.charged_mc(DEAR, Usage(1_000, 1_000)) == 0
        assert admitted.believed(DEAR, Usage(10**7, 10**7)) == Usage(10**7, 10**7)
        desk.end(admitted)


# Budgets


COST = (PROMPT_BOUND * 2_500 + 500 * 10_000, PROMPT_BOUND * 10_000 + 500 * 40_000)
"""Nano-dollars that the cheap and the dear model can come to."""


async def test_a_budget_blocks_with_what_is_left_of_it(desk: Desk):
    await desk.budget(COST[0] - 1)
    with pytest.raises(BudgetExceeded) as refused:
        await desk.admit(CHEAP)
    assert (refused.value.status, refused.value.code) == (402, "budget_exceeded")
    assert refused.value.facts == {
        "budget": "b1", "required_usd": "0.005467500", "available_usd": "0.005467499",
    }  # fmt: skip
    assert "'Monthly' (0.005467499 USD, total) has 0.005467499 USD left" in refused.value.message


async def test_a_budget_is_exact_to_the_nano_dollar(desk: Desk):
    await desk.budget(COST[0])
    admitted = await desk.admit(CHEAP, arrival=desk.arrival(paid=False))
    with pytest.raises(BudgetExceeded) as refused:
        await desk.admit(CHEAP, arrival=desk.arrival(paid=False))
    assert refused.value.retry_after_s == 1.0, "the first may cost less than it holds"
    desk.end(admitted)


async def test_a_hundred_at_the_edge_of_a_budget_are_exactly_as_many_as_fit(desk: Desk):
    await desk.budget(7 * COST[0] + 1)
    found = await asyncio.gather(
        *(desk.admit(CHEAP, arrival=desk.arrival(paid=False)) for _ in range(100)), return_exceptions=True
    )
    admitted = [one for one in found if isinstance(one, Admitted)]
    assert len(admitted) == 7
    assert all(isinstance(one, Admitted | BudgetExceeded) for one in found)
    for one in admitted:
        desk.end(one, CHEAP, Usage(PROMPT_BOUND, 500))
    await desk.bank.flush()


async def test_a_budget_of_a_model_leaves_that_model_out(desk: Desk):
    await desk.budget(COST[1] - 1, scope="model", subject="dear")
    admitted = await desk.admit(DEAR, CHEAP)
    assert admitted.route.candidates == (CHEAP,)
    desk.end(admitted)


async def test_a_spent_budget_that_downgrades_has_the_request_routed_in_cost_mode(desk: Desk):
    budget = await desk.budget(COST[1] - 1, "downgrade")
    admitted = await desk.admit(DEAR, cost_mode=(CHEAP,))
    assert desk.asked == [None, "cost"]
    assert (admitted.route.mode, admitted.route.candidates) == ("cost", (CHEAP,))
    assert [(note.budget_id, note.spent) for note in admitted.notes] == [(budget.id, True)]
    one = desk.end(admitted, CHEAP, Usage(10, 10))
    assert [amount for _, amount in one.spends] == [10 * 2_500 + 10 * 10_000], "it counts there all the same"


async def test_a_budget_that_warns_lets_everything_in_and_says_how_much_is_used(desk: Desk):
    await desk.budget(1_000_000, "warn")
    first = await desk.admit(CHEAP)
    assert first.notes == ()
    desk.end(first, CHEAP, Usage(100, 60))
    await desk.bank.flush()
    async with asyncio.timeout(10):
        while not (notes := await _notes(desk)):  # noqa: ASYNC110  it polls
            await asyncio.sleep(0.1)
    assert [(note.percent, note.spent) for note in notes] == [(85, False)]


async def _notes(desk: Desk) -> tuple[object, ...]:
    admitted = await desk.admit(CHEAP)
    desk.end(admitted)
    return admitted.notes


async def test_a_budget_for_each_user_is_each_users_own(desk: Desk):
    await desk.budget(COST[0], scope="user", subject="*")
    held = [await desk.admit(CHEAP, spender=Spender("k", None, user, None)) for user in ("ann", "bob")]
    with pytest.raises(BudgetExceeded):
        await desk.admit(CHEAP, spender=Spender("k", None, "ann", None))
    held.append(await desk.admit(CHEAP))  # says nobody
    for one in held:
        desk.end(one)


async def test_what_has_no_price_is_held_at_the_baselines_in_a_budget(desk: Desk):
    await desk.budget(COST[0] - 1)
    with pytest.raises(BudgetExceeded):
        await desk.admit(model("unpriced", 10, None))


async def test_a_free_model_needs_neither_credits_nor_budget(desk: Desk):
    await desk.budget(1)
    await desk.credits(0)
    free = model("free", 0, Price(0, 0, 0, 0, "v", "s"))
    admitted = await asyncio.wait_for(desk.admit(free), 5)
    await asyncio.sleep(0.2)
    desk.end(admitted, free, Usage(10, 10))
    await desk.bank.flush()


async def test_without_a_database_nobody_can_tell(desk: Desk):
    await desk.bank.close()
    with pytest.raises(Unavailable) as refused:
        await desk.admit(CHEAP)
    assert refused.value.code == "ledger_unavailable"


# Properties


counts = st.one_of(st.integers(0, 300), st.integers(0, 2_000), st.integers(0, 10**8))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    balance_mc=st.integers(0, 200_000),
    output=st.none() | st.integers(1, 1_000),
    first=st.booleans(),
    told=st.builds(Usage, counts, counts),
)
async def test_a_charge_never_exceeds_its_hold_nor_the_balance(
    desk: Desk, balance_mc: int, output: int | None, told: Usage, *, first: bool
):
    await desk.credits(balance_mc)
    try:
        admitted = await desk.admit(DEAR, CHEAP, output=output)
    except InsufficientCredits as refused:
        needed_mc, facts = 10 * (PROMPT_BOUND + (16 if output is None else output)), refused.facts
    else:
        needed_mc, facts = 0, {}
    if facts:
        assert balance_mc < needed_mc
        assert facts["available"] == f"{balance_mc // 1_000}.{balance_mc % 1_000:03d}"
        return
    assert admitted.held_mc <= balance_mc
    served = admitted.route.candidates[0 if first else -1]
    usage = admitted.believed(served, told)
    assert admitted.charged_mc(served, usage) <= admitted.held_mc
    lies = told.prompt_tokens > 2 * PROMPT_BOUND or told.completion_tokens > (admitted.most_output(served) or 0)
    if lies or admitted.tab.charged_mc(served, usage) > admitted.held_mc:
        assert usage.source == "capped"
    else:
        assert usage == told
    desk.end(admitted, served, usage)
    await desk.bank.flush()
