"""What is held is enough for whatever the answer costs, and no more than can be had is promised."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralrouting import Engine
from neuralrouting.accounts.bounds import DEFAULT_OUTPUT_TOKENS, Size, Tab, output_bound, plausible
from neuralrouting.accounts.budgets import Charge
from neuralrouting.catalog import Capabilities, Deployment, Price, cost_nanousd
from neuralrouting.exchange import Budget, Usage
from neuralrouting.storage.turns import budget_purse, credits_purse

ACME = credits_purse("acme")
PATIENT = settings(deadline=None)
BASELINE = Price(2_500_000, 10_000_000, 1_250_000, 2_500_000, "v", "s")
SPENT = budget_purse("b1", 0, "")


def charge(purse: str = SPENT, scope: str = "account", subject: str = "") -> Charge:
    return Charge(Budget("b1", "acme", "b1", scope, subject, "total", 10**12, "block"), purse, subject)


picousd = st.integers(0, 10**8)
prices = st.builds(
    Price, picousd, picousd, picousd, picousd, st.just("v"), st.just("s"),
    st.lists(st.tuples(st.integers(1, 20_000), *[picousd] * 4), max_size=2).map(lambda steps: tuple(sorted(steps))),
)  # fmt: skip


def deployments() -> st.SearchStrategy[Deployment]:
    return st.builds(
        lambda name, price, rate, context, most: Deployment(
            f"p/{name}", name, "p", name, "medium", context, most, Capabilities(), price, credits_per_1k=rate
        ),
        st.sampled_from("abcdef"), st.none() | prices, st.integers(0, 500), st.integers(100, 200_000),
        st.integers(1, 50_000),
    )  # fmt: skip


sizes = st.builds(
    Size, st.integers(0, 100_000), st.integers(1, 50), st.integers(1, 4), st.none() | st.integers(1, 40_000),
    st.booleans(),
)  # fmt: skip
candidates = st.lists(deployments(), min_size=1, max_size=3)
limits = st.none() | st.integers(1, 20_000)
TAB = Tab("acme", (charge(),), BASELINE)


@st.composite
def answers(draw: st.DrawFn, size: Size, served: Deployment, limit: int | None) -> Usage:
    """Whatever a provider may count for such a request: a prompt within the bound, output within the limit."""
    prompt = draw(st.integers(0, size.prompt_bound))
    completion = draw(st.integers(0, size.choices * output_bound(size, served, limit)))
    cached = draw(st.integers(0, prompt))
    return Usage(prompt, completion, cached, draw(st.integers(0, prompt - cached)), draw(st.integers(0, completion)))


@PATIENT
@given(st.data(), sizes, candidates, limits)
def test_whoever_serves_credits_never_cost_more_than_is_held(
    data: st.DataObject, size: Size, found: list[Deployment], limit: int | None
):
    served = data.draw(st.sampled_from(found))
    held = dict(TAB.parts(size, found, limit))
    usage = data.draw(answers(size, served, limit))
    assert 0 <= TAB.charged_mc(served, usage) <= held.get(ACME, 0)


@PATIENT
@given(st.data(), sizes, candidates, limits)
def test_whoever_serves_a_budget_never_pays_more_than_is_held(
    data: st.DataObject, size: Size, found: list[Deployment], limit: int | None
):
    served = data.draw(st.sampled_from(found))
    price = served.price or BASELINE
    held = dict(TAB.parts(size, found, limit))
    usage = data.draw(answers(size, served, limit))
    cost = None
    if served.price is not None:
        cost = cost_nanousd(price, usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens,
                            usage.cache_write_tokens)  # fmt: skip
    [(purse, spent)] = TAB.spends((charge(),), served, usage, cost)
    assert purse == SPENT
    assert 0 <= spent <= held.get(SPENT, 0)


@PATIENT
@given(sizes, candidates, limits)
def test_parts_cover_every_candidate_and_nothing_is_held_for_nothing(
    size: Size, found: list[Deployment], limit: int | None
):
    parts = dict(TAB.parts(size, found, limit))
    for purse in (ACME, SPENT):
        assert parts.get(purse, 0) == max(TAB.need(purse, size, d, limit) for d in found)
    assert all(amount > 0 for amount in parts.values())


@PATIENT
@given(sizes, deployments(), st.integers(0, 10**9))
def test_what_is_affordable_fits_and_one_token_more_does_not(size: Size, found: Deployment, free: int):
    for purse in (ACME, SPENT):
        limit = TAB.affordable(purse, free, size, found)
        most = output_bound(size, found, None)
        assert 0 <= limit <= most
        if limit:
            assert TAB.need(purse, size, found, limit) <= free
        if limit < most:
            assert TAB.need(purse, size, found, limit + 1) > free


@PATIENT
@given(sizes, deployments(), st.integers(0, 20_000), st.integers(0, 20_000))
def test_more_tokens_never_cost_less(size: Size, found: Deployment, one: int, other: int):
    less, more = sorted((one, other))
    for purse in (ACME, SPENT):
        assert TAB.need(purse, size, found, less) <= TAB.need(purse, size, found, more)
    assert TAB.charged_mc(found, Usage(less, less)) <= TAB.charged_mc(found, Usage(more, more))


@PATIENT
@given(st.lists(st.text(min_size=0, max_size=400), min_size=1, max_size=8), st.integers(80, 115))
def test_the_bound_is_never_below_what_a_provider_may_count(texts: list[str], percent: int):
    """Taken the other way round: whatever is within 15 % of our count, 8 a message and 64 for the request."""
    body = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": text} for text in texts]})
    found = Engine().inspect(body, "acme")
    size = Size(found.prompt_tokens, found.message_count, 1, None, has_media=False)
    assert size.prompt_bound >= found.prompt_tokens * percent // 100 + 8 * len(texts) + 64


@PATIENT
@given(sizes, deployments(), st.integers(0, 10**8), st.integers(0, 10**8), st.integers(0, 10**8))
def test_what_is_believed_is_never_more_than_can_be_and_the_truth_is_left_alone(
    size: Size, found: Deployment, prompt: int, completion: int, cached: int
):
    most = size.choices * output_bound(size, found, None)
    told = Usage(prompt, completion, min(cached, prompt), 0, completion)
    usage = plausible(told, size, most)
    assert usage.prompt_tokens <= 2 * size.prompt_bound
    assert usage.completion_tokens <= most
    assert usage.cached_tokens + usage.cache_write_tokens <= usage.prompt_tokens
    assert usage.reasoning_tokens <= usage.completion_tokens
    is_true = prompt <= 2 * size.prompt_bound and completion <= most
    assert (usage == told) is is_true
    assert usage.source == ("provider" if is_true else "capped")


def deployment(price: Price | None = BASELINE, rate: int = 100, **more: object) -> Deployment:
    found = Deployment("p/m", "m", "p", "m", "medium", 128_000, 16_384, Capabilities(), price, credits_per_1k=rate)
    return msgspec.structs.replace(found, **more)


def size(prompt: int = 1_000, output: int | None = 500, messages: int = 2) -> Size:
    return Size(prompt, messages, 1, output, has_media=False)


def test_a_hold_by_hand():
    """1,000 x 1.15 + 2 x 8 + 64 = 1,230 prompt tokens and 500 of output."""
    parts = dict(TAB.parts(size(), [deployment()], None))
    assert parts[ACME] == 100 * (1_230 + 500)
    assert parts[SPENT] == (1_230 * 2_500_000 + 500 * 10_000_000) // 1_000


def test_the_dearest_candidate_decides():
    cheap, dear = deployment(rate=10, id="p/cheap"), deployment(rate=300, id="p/dear")
    for found in ([cheap, dear], [dear, cheap]):
        assert dict(TAB.parts(size(), found, None))[ACME] == 300 * 1_730


def test_without_a_limit_of_its_own_a_request_has_room_for_what_the_largest_models_say():
    assert output_bound(size(output=None), deployment(max_output_tokens=100_000), None) == DEFAULT_OUTPUT_TOKENS
    assert output_bound(size(output=None), deployment(max_output_tokens=400), None) == 400
    assert output_bound(size(output=None), deployment(context_tokens=1_100), None) == 100
    assert output_bound(size(output=None), deployment(), 50) == 50
    assert output_bound(size(output=None), deployment(context_tokens=900), None) == 0


def test_a_prompt_that_may_be_written_to_the_providers_cache_is_held_at_that_price():
    price = Price(3_000_000, 15_000_000, 300_000, 3_750_000, "v", "s")
    assert dict(TAB.parts(size(), [deployment(price)], None))[SPENT] == (1_230 * 3_750_000 + 500 * 15_000_000) // 1_000


def test_what_has_no_price_counts_at_the_baselines_in_budgets_and_never_nothing():
    unpriced = deployment(None, rate=7)
    held = dict(TAB.parts(size(), [unpriced], None))
    assert held[SPENT] == (1_230 * 2_500_000 + 500 * 10_000_000) // 1_000
    assert TAB.spends((charge(),), unpriced, Usage(10, 5), None) == ((SPENT, 75_000),)
    assert TAB.charged_mc(unpriced, Usage(10, 5)) == 7 * 15


def test_images_and_sound_have_room_of_their_own():
    with_media = Size(1_000, 2, 1, 500, has_media=True)
    assert with_media.prompt_bound == size().prompt_bound + 4_096


def test_a_budget_of_one_model_counts_only_that_model():
    mine = Tab(None, (charge(scope="model", subject="m"),), BASELINE)
    assert mine.parts(size(), [deployment()], None) != ()
    assert mine.parts(size(), [deployment(id="p/x", model="x")], None) == ()
    assert mine.charged_mc(deployment(), Usage(10, 5)) == 0, "credits are not counted here"


@pytest.mark.parametrize("found", [[deployment(Price(0, 0, 0, 0, "v", "s"), rate=0)]])
def test_what_costs_nothing_holds_nothing(found: Sequence[Deployment]):
    assert TAB.parts(size(), found, None) == ()


def test_a_price_that_falls_with_the_prompts_size_is_held_at_its_dearest():
    """The step that counts is the actual prompt's, which may be below the bound's."""
    falling = Price(3_000_000, 9_000_000, 3_000_000, 3_000_000, "v", "s", ((1_100, *[1_000_000] * 4),))
    assert dict(TAB.parts(size(), [deployment(falling)], None))[SPENT] == 1_230 * 3_000 + 500 * 9_000


@PATIENT
@given(st.data(), sizes, st.lists(deployments(), min_size=2, max_size=4), limits)
def test_a_cascade_holds_enough_for_its_first_candidate_and_whichever_comes_after_it(
    data: st.DataObject, size: Size, found: list[Deployment], limit: int | None
):
    first, *others = found
    last = data.draw(st.sampled_from(others))
    held = dict(TAB.parts(size, found, limit, cascade=True))
    used = [data.draw(answers(size, served, limit)) for served in (first, last)]
    charged = [TAB.charged_mc(served, usage) for served, usage in zip((first, last), used, strict=True)]
    assert sum(charged) <= held.get(ACME, 0)
    for purse in (ACME, SPENT):
        dearest = max(TAB.need(purse, size, d, limit) for d in others)
        assert held.get(purse, 0) == TAB.need(purse, size, first, limit) + dearest
