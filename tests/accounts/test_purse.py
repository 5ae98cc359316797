"""What one worker may spend without asking: arithmetic, checked against a plain model of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.accounts.purse import IDLE_S, NEWS_S, PACE_S, REFRESH_S, RICH, TYPICAL_HOLDS, Purse, Purses, Short
from neuralrouting.storage.turns import Free, Turn, TurnResult, Want

NOW_S = 1_000.0
A, B = "credits/a", "credits/b"


def turn(*wants: Want, returns: tuple[tuple[str, int], ...] = ()) -> Turn:
    return Turn("w1", 1, 0, (), returns, wants)


def purses(now_s: float = NOW_S, **leases: int) -> Purses:
    """Purses whose leases are these, with as much again free for anybody."""
    names = {f"credits/{name}": amount for name, amount in leases.items()}
    found = Purses()
    wants, _ = found.plan([[(name, amount)] for name, amount in names.items()], now_s)
    found.learn(
        turn(*wants), (), TurnResult(names, {name: Free(amount, amount) for name, amount in names.items()}), now_s
    )
    return found


@given(
    lease=st.integers(0, 10_000),
    holds=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500), st.booleans()), max_size=30),
)
def test_free_is_the_lease_less_what_is_held_and_unsettled(lease: int, holds: list[tuple[int, int, bool]]):
    purse = Purse(NOW_S)
    purse.lease = lease
    held = unsettled = 0
    for amount, spent, ends in holds:
        purse.hold(amount, NOW_S)
        if ends:
            purse.resolve(amount, min(spent, amount))
            unsettled += min(spent, amount)
        else:
            held += amount
        assert (purse.held, purse.unsettled) == (held, unsettled)
        assert purse.free == lease - held - unsettled


def test_what_is_settled_leaves_the_lease_and_what_was_spent_at_once():
    found = purses(a=100)
    found.hold([(A, 60)], NOW_S)
    found.resolve([(A, 60)], {A: 40})
    assert found[A].free == 60
    found.learn(turn(), [(A, 40)], TurnResult({A: 60}, {}), NOW_S)
    assert (found[A].lease, found[A].unsettled, found[A].free) == (60, 0, 60)


def test_all_parts_must_be_covered():
    found = purses(a=100, b=10)
    assert found.cover([(A, 100), (B, 10)])
    assert not found.cover([(A, 100), (B, 11)])
    assert not found.cover([(A, 1), ("credits/unknown", 0)])


def test_waiting_holds_are_asked_for_together_with_some_for_those_that_follow():
    found = purses(a=100)
    found.hold([(A, 70)], NOW_S)
    wants, returns = found.plan([[(A, 50)], [(A, 20)]], NOW_S)
    assert wants == (Want(A, 40, 40 + TYPICAL_HOLDS * 20),)
    assert returns == ()


def test_more_is_wished_for_where_more_is_spent():
    purse = Purse(NOW_S)
    for _ in range(100):
        purse.hold(10, NOW_S)
    assert purse.wish() == 1_000
    purse.hold(10, NOW_S + PACE_S + 0.1)
    assert purse.wish() == TYPICAL_HOLDS * 10


@pytest.mark.parametrize(
    ("left", "idle_s", "surplus"),
    [
        (RICH * 10, 0.0, 1_000 - 2 * TYPICAL_HOLDS * 10),
        (RICH * 10, IDLE_S + 1, 1_000),
        (RICH * 10 - 1, 0.0, 1_000),
        (None, 0.0, 1_000),
    ],
    ids=["rich keeps some", "idle gives all", "poor gives all", "unknown gives all"],
)
def test_what_is_not_needed_goes_back(left: int | None, idle_s: float, surplus: int):
    purse = Purse(NOW_S)
    purse.lease, purse.left = 1_010, left
    purse.hold(10, NOW_S)
    assert purse.surplus(NOW_S + idle_s) == surplus


def test_what_is_held_never_goes_back():
    found = purses(a=100)
    found.hold([(A, 90)], NOW_S)
    _, returns = found.plan([], NOW_S + IDLE_S + 1)
    assert returns == ((A, 10),)


def test_a_lease_that_is_held_is_asked_about_when_its_news_are_old():
    found = purses(a=100)
    found.hold([(A, 100)], NOW_S)
    assert found.plan([], NOW_S + REFRESH_S / 2) == ((), ())
    assert found.plan([], NOW_S + REFRESH_S + 0.1) == ((Want(A, 0, 0),), ())


def test_a_refusal_says_what_is_free_and_what_requests_under_way_may_free():
    found = purses(a=100)
    found.hold([(A, 30)], NOW_S)
    short = found.known_short([(A, 171)], NOW_S + NEWS_S / 2)
    assert isinstance(short, Short)
    assert (short.purse, short.need, short.free, short.reserved) == (A, 171, 170, 30)
    assert found.known_short([(A, 170)], NOW_S + NEWS_S / 2) is None


def test_old_news_refuse_nobody():
    found = purses(a=100)
    assert found.known_short([(A, 10_000)], NOW_S + 2 * NEWS_S) is None
    assert found.known_short([(A, 10_000), ("credits/unknown", 1)], NOW_S) is None


def test_what_the_first_waits_for_is_promised_and_refuses_the_next():
    found = purses(a=100)
    found.hold([(A, 100)], NOW_S)
    promised: dict[str, int] = {}
    assert found.missing([(A, 80)], promised) is None
    assert promised == {A: 80}
    short = found.missing([(A, 30)], promised)
    assert short is not None
    assert (short.free, short.reserved) == (20, 180)
    assert promised == {A: 80}, "who is refused is promised nothing"


def test_a_lease_that_ran_out_under_its_requests_lets_nobody_in_until_it_is_filled():
    found = purses(a=100)
    found.hold([(A, 80)], NOW_S)
    found.learn(turn(), (), TurnResult({}, {}), NOW_S)
    assert found[A].free == -80
    assert not found.cover([(A, 1)])
    wants, _ = found.plan([[(A, 5)]], NOW_S)
    assert wants[0].need == 85
    found.resolve([(A, 80)], {A: 20})
    assert found[A].free == -20


def test_a_purse_that_nobody_needs_is_forgotten_after_a_while():
    found = purses(a=100)
    found.learn(turn(), (), TurnResult({}, {}), NOW_S + NEWS_S / 2)
    assert found[A].lease == 0, "its news still serve"
    found.learn(turn(), (), TurnResult({}, {}), NOW_S + 2 * NEWS_S)
    with pytest.raises(KeyError):
        _ = found[A]


def test_a_purse_with_a_hold_is_never_forgotten():
    found = purses(a=100)
    found.hold([(A, 10)], NOW_S)
    found.learn(turn(), (), TurnResult({}, {}), NOW_S + 100)
    found.resolve([(A, 10)], {A: 10})
    found.learn(turn(), (), TurnResult({}, {}), NOW_S + 200)
    assert found[A].unsettled == 10


def test_a_turn_that_was_committed_before_says_only_what_is_leased():
    found = purses(a=100)
    found.learn(turn(Want(B, 5, 10)), (), TurnResult({A: 40, B: 10}, {}), NOW_S)
    assert found[A].lease == 40
    assert found[A].left == 100


def test_news_from_before_a_turn_refuse_nobody_after_it():
    found = purses(a=100)
    assert found.known_short([(A, 10_000)], NOW_S) is not None
    found.learn(turn(returns=((A, 100),)), (), TurnResult({}, {}), NOW_S)
    assert found.known_short([(A, 10_000)], NOW_S) is None
