"""Limits of accounts and keys: who is refused is told whose limit it was, and when to come back."""

from pathlib import Path

import msgspec
import pytest

from counting_house import UNLIMITED
from neuralrouting.accounts.rates import Rates, rate_headers
from neuralrouting.engine import Limits
from neuralrouting.errors import RateLimited
from neuralrouting.exchange import Caller, Plan

pytestmark = pytest.mark.anyio

ANN = Caller("acme", "AnnAnnAnnAnn", live=True)
BOB = Caller("acme", "BobBobBobBob", live=True)
FOE = Caller("zeta", "FoeFoeFoeFoe", live=True)


@pytest.fixture
def rates(tmp_path: Path) -> Rates:
    return Rates(Limits(str(tmp_path)))


def plan(**limits: int | None) -> Plan:
    return msgspec.structs.replace(UNLIMITED, **limits)


async def test_nothing_is_told_where_nothing_is_limited(rates: Rates):
    permit = await rates.enter(ANN, UNLIMITED)
    rates.take_tokens(permit, ANN, UNLIMITED, 10**9)
    assert rate_headers(permit) == ()
    permit.leave(None)


async def test_all_keys_of_an_account_share_its_plan(rates: Rates):
    limited = plan(requests_per_minute=2)
    (await rates.enter(ANN, limited)).leave(None)
    (await rates.enter(BOB, limited)).leave(None)
    with pytest.raises(RateLimited, match=r"the account's plan allows 2 requests a minute; try again in 60\.0 s"):
        await rates.enter(ANN, limited)
    (await rates.enter(FOE, limited)).leave(None)


async def test_a_key_has_a_limit_of_its_own(rates: Rates):
    narrow = msgspec.structs.replace(ANN, requests_per_minute=1)
    (await rates.enter(narrow, plan(requests_per_minute=60))).leave(None)
    with pytest.raises(RateLimited, match="this key allows 1 requests a minute") as refused:
        await rates.enter(narrow, plan(requests_per_minute=60))
    assert refused.value.status == 429
    assert 59 < (refused.value.retry_after_s or 0) <= 60
    (await rates.enter(BOB, plan(requests_per_minute=60))).leave(None)


async def test_the_headers_are_those_of_the_tightest_limit(rates: Rates):
    narrow = msgspec.structs.replace(ANN, requests_per_minute=5)
    permit = await rates.enter(narrow, plan(requests_per_minute=60, tokens_per_minute=1_000))
    rates.take_tokens(permit, narrow, plan(tokens_per_minute=1_000), 300)
    told = dict(rate_headers(permit))
    assert told["x-ratelimit-limit-requests"] == "5"
    assert told["x-ratelimit-remaining-requests"] == "4"
    assert told["x-ratelimit-limit-tokens"] == "1000"
    assert told["x-ratelimit-remaining-tokens"] == "700"
    assert told["x-ratelimit-reset-requests"].endswith("ms")
    permit.leave(300)


async def test_a_refusal_carries_the_same_headers(rates: Rates):
    limited = plan(requests_per_minute=1)
    (await rates.enter(ANN, limited)).leave(None)
    with pytest.raises(RateLimited) as refused:
        await rates.enter(ANN, limited)
    assert dict(refused.value.headers)["x-ratelimit-remaining-requests"] == "0"


async def test_requests_at_once_are_limited_until_one_leaves(rates: Rates):
    limited = plan(parallel=1)
    permit = await rates.enter(ANN, limited)
    with pytest.raises(RateLimited, match="allows 1 requests at once"):
        await rates.enter(BOB, limited)
    permit.leave(None)
    (await rates.enter(BOB, limited)).leave(None)


async def test_what_a_request_did_not_use_of_its_tokens_is_free_for_the_next(rates: Rates):
    limited = plan(tokens_per_minute=1_000)
    permit = await rates.enter(ANN, limited)
    rates.take_tokens(permit, ANN, limited, 900)
    permit.leave(100)
    permit = await rates.enter(BOB, limited)
    rates.take_tokens(permit, BOB, limited, 900)
    permit.leave(900)
    permit = await rates.enter(BOB, limited)
    with pytest.raises(RateLimited, match="allows 1000 tokens a minute; try again in"):
        rates.take_tokens(permit, BOB, limited, 1)
    permit.leave(None)


async def test_a_request_that_can_never_have_so_many_tokens_is_told_so_and_not_to_try_again(rates: Rates):
    limited = plan(tokens_per_minute=1_000)
    permit = await rates.enter(ANN, limited)
    with pytest.raises(RateLimited, match="one request can never have so many") as refused:
        rates.take_tokens(permit, ANN, limited, 1_001)
    assert refused.value.retry_after_s is None
    assert refused.value.should_retry is False
    permit.leave(None)
