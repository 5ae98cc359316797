"""The units of one subject on a worker's shelf: what is at hand, what goes back, what is known of the rest."""

from neuralrouting.accounts.shares import REFUSED_S, USED_S, Shelf, Unit
from neuralrouting.storage.rates import COUNTED_MS, LEASE_MS, Grant, Unused


def lent(units: int, *, free: int = 10, granted_ms: int = 7, retry_ms: int = 0) -> Shelf:
    """A shelf with units that were asked for and came at 100 s."""
    shelf = Shelf("account/a")
    shelf.learn(Grant(units, granted_ms, free, retry_ms), 100.0, 100.0)
    return shelf


def test_a_unit_counts_for_a_minute_from_when_it_is_used_at_the_latest():
    assert COUNTED_MS - LEASE_MS == 60_000
    assert USED_S * 1000 < LEASE_MS


def test_units_are_taken_while_they_are_fresh():
    shelf = lent(2)
    assert shelf.take(100.0) == Unit(7, 100.0 + USED_S)
    assert shelf.take(100.0 + USED_S) is None
    assert shelf.surrender(100.0 + USED_S) == Unused(shelf.key, 7, 1)
    assert shelf.surrender(200.0) is None, "once"


def test_a_fresh_unit_that_is_put_back_is_taken_again():
    shelf = lent(1)
    unit = shelf.take(100.0)
    assert unit is not None
    assert shelf.take(100.0) is None
    shelf.put_back(unit)
    assert shelf.take(100.1) == unit


def test_a_unit_of_an_earlier_lease_is_not_put_on_a_later_one():
    shelf = lent(1)
    unit = shelf.take(100.0)
    assert unit is not None
    shelf.learn(Grant(1, 8, 5, 0), 102.0, 102.0)
    shelf.put_back(unit)
    assert shelf.room(102.0) == (6, 0.0)
    assert shelf.take(102.0) == Unit(8, 102.0 + USED_S)
    assert shelf.take(102.0) is None


def test_a_refusal_is_believed_until_there_is_room_but_not_for_long():
    assert lent(0, free=0, retry_ms=300).refused_s(100.1) == 100.0 + 0.3 - 100.1
    shelf = lent(0, free=0, retry_ms=50_000)
    assert shelf.refused_s(100.0 + REFUSED_S / 2) == 150.0 - 100.0 - REFUSED_S / 2
    assert shelf.refused_s(100.0 + REFUSED_S) is None
    assert shelf.room(110.0) == (0, 40.0)


def test_a_shelf_is_bare_when_nothing_is_lost_with_it():
    shelf = lent(1)
    assert not shelf.is_bare(200.0), "a unit is to be given back"
    shelf.surrender(200.0)
    assert shelf.is_bare(200.0)
    assert not lent(0, free=0, retry_ms=50_000).is_bare(100.5), "a refusal is known"
