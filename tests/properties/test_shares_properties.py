"""However requests come to several machines, no minute holds more than the limit: shelves and grants at told times."""

import random

from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.accounts.shares import Shelf, Spent, Unit, part_of, split
from neuralrouting.storage.rates import COUNTED_MS, Slice, Unused, grant

MINUTE_S = 60.0


class Waiting:
    """A request that waits; what came of it."""

    def __init__(self) -> None:
        self.unit: Unit | None = None
        self.error: BaseException | None = None

    def done(self) -> bool:
        return self.unit is not None or self.error is not None

    def set_result(self, result: Unit) -> None:
        self.unit = result

    def set_exception(self, exception: BaseException) -> None:
        self.error = exception


class Table:
    """The slices of one subject, as the database keeps them."""

    def __init__(self, limit: int, machines: int) -> None:
        self.limit = limit
        self.machines = machines
        self.slices: list[Slice] = []

    def give_back(self, unused: Unused | None, machine: str) -> None:
        for place, one in enumerate(self.slices):
            if unused and (one.machine, one.granted_ms) == (machine, unused.granted_ms):
                assert one.units >= unused.units
                self.slices[place] = one._replace(units=one.units - unused.units)

    def serve(self, shelf: Shelf, machine: str, asked_s: float, at_s: float, answered_s: float) -> None:
        self.give_back(shelf.surrender(asked_s), machine)
        want = shelf.want()
        assert want is not None
        now_ms = round(at_s * 1000)
        counted = [one for one in self.slices if one.granted_ms > now_ms - COUNTED_MS]
        given = grant(want, counted, self.machines, now_ms)
        assert given.units == 0 or given.free >= 0
        if given.units:
            self.slices.append(Slice(machine, 0, now_ms, given.units))
        shelf.learn(given, asked_s, answered_s)


def simulate(random_: random.Random, limit: int, machines: int, gaps_s: list[float]) -> tuple[list[float], int]:
    """Requests come to any machine, one a gap, some of them in bursts; when were they let in, and how many were not."""
    table = Table(limit, machines)
    names = [f"m{n}" for n in range(machines)]
    shelves = {name: Shelf("account/a") for name in names}
    now_s, admitted, refused = 1000.0, list[float](), 0
    for gap_s in gaps_s:
        now_s += gap_s
        name = random_.choice(names)
        shelf = shelves[name]
        for _ in range(random_.choice([1, 1, 1, 7])):
            unit = shelf.take(now_s)
            if unit is None and shelf.refused_s(now_s) is None:
                waiting = Waiting()
                shelf.wait(limit, waiting)
                asked_s, at_s = now_s, now_s + random_.choice([0.001, 0.001, 0.2, 0.6])
                now_s = at_s + random_.choice([0.001, 0.001, 0.3])
                table.serve(shelf, name, asked_s, at_s, now_s)
                unit = waiting.unit
                assert waiting.error is None or isinstance(waiting.error, Spent)
                shelf.turn_away()
            now_s += random_.choice([0.0, 0.0, 0.01, 0.9])  # it lost its core before it looked at the clock again
            if unit is None:
                refused += 1
            elif now_s < unit.until_s and random_.random() < 0.9:
                admitted.append(now_s)
            else:
                shelf.put_back(unit)
    return admitted, refused


@given(
    limit=st.integers(1, 4) | st.integers(1, 150),
    machines=st.integers(1, 4),
    gaps_s=st.lists(st.sampled_from([0.0, 0.001, 0.05, 0.5, 1.5, 20.0, 59.2, 60.0]), max_size=250),
    seed=st.integers(0, 2**32),
)
def test_no_minute_holds_more_than_the_limit(limit: int, machines: int, gaps_s: list[float], seed: int):
    admitted, _ = simulate(random.Random(seed), limit, machines, gaps_s)
    for first, last in zip(admitted, admitted[limit:], strict=False):
        assert last - first > MINUTE_S


@given(limit=st.integers(1, 150), machines=st.integers(1, 4), seed=st.integers(0, 2**32))
def test_a_flood_gets_the_limit_less_a_lease_of_each_machine(limit: int, machines: int, seed: int):
    random_ = random.Random(seed)
    table = Table(limit, machines)
    shelves = [Shelf("account/a") for _ in range(machines)]
    admitted, now_s = 0, 5.0
    for nth in range(4 * limit):
        now_s += 0.001
        place = random_.randrange(machines)
        waiting = Waiting()
        if shelves[place].take(now_s) is not None:
            admitted += 1
        elif shelves[place].refused_s(now_s) is None:
            shelves[place].wait(limit, waiting)
            table.serve(shelves[place], f"m{place}", now_s, now_s, now_s)
            admitted += waiting.unit is not None
        assert admitted <= limit, nth
    assert admitted >= limit - machines * max(1, limit // (20 * machines))


@given(limit=st.integers(0, 1000), machines=st.lists(st.text(max_size=3), min_size=1, max_size=9, unique=True))
def test_the_parts_of_all_machines_add_up_to_the_limit(limit: int, machines: list[str]):
    parts = [part_of(limit, machine, sorted(machines)) for machine in machines]
    assert sum(parts) == limit
    assert max(parts) - min(parts) <= 1


@given(limit=st.integers(1, 1000), machines=st.integers(1, 9))
def test_what_is_split_leaves_each_machine_one(limit: int, machines: int):
    part = split(limit, machines)
    assert part is not None
    assert part == max(1, limit // machines)
    assert split(None, machines) is None
    assert split(0, machines) == 0
