"""What one worker holds of limits that several machines share: arithmetic only, told the time."""

from collections import deque
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

from neuralrouting.storage.rates import LEASE_MS, Grant, Unused, Want

USED_S: Final = (LEASE_MS - 50) / 1000
"""How long a unit is used, from when it was asked for. The rest of its second is for clocks that do not run alike over
a minute, and for a worker that loses its core between the last look at the clock and the admission."""
REFUSED_S: Final = 1.0
"""A refusal is not asked for again within this; by then others may have given back."""


class Spent(Exception):
    """All machines together have let in what the limit allows; there is room in `retry_s`, if nobody else takes it."""

    def __init__(self, name: str, limit: int, retry_s: float) -> None:
        super().__init__(name, limit, retry_s)
        self.name = name
        self.limit = limit
        self.retry_s = retry_s


class Apart(Exception):
    """There are no units to wait for: the database does not answer, or the machine has become alone."""


class Unit(NamedTuple):
    """Leave to let one request in, until then on the worker's monotonic clock."""

    granted_ms: int
    until_s: float


class Waiter(Protocol):
    """Whoever waits for a unit: a future."""

    def done(self) -> bool:
        """Whether it has one, or has gone away."""
        ...

    def set_result(self, result: Unit, /) -> None:
        """Give it one."""
        ...

    def set_exception(self, exception: BaseException, /) -> None:
        """Tell it that there is none."""
        ...


class Shelf:
    """The units at hand of one subject, who waits for more, and what is known of the rest of its minute."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.key = sha256(name.encode()).hexdigest()
        self.waiting: deque[Waiter] = deque()
        self._limit = 0
        self._units = 0
        self._lease = Unit(0, 0.0)
        self._free = 0
        self._ask_s = 0.0
        self._frees_s = 0.0

    def take(self, now_s: float) -> Unit | None:
        """Take a unit, if one is at hand."""
        if self._units and now_s < self._lease.until_s:
            self._units -= 1
            return self._lease
        return None

    def put_back(self, unit: Unit) -> None:
        """Bring a unit that let nobody in. One of an earlier lease is lost: it was given back or counts as used."""
        if unit.granted_ms == self._lease.granted_ms:
            self._units += 1

    def refused_s(self, now_s: float) -> float | None:
        """Return how long there is no room, as told a moment ago; None: it is worth asking."""
        return self._frees_s - now_s if now_s < self._ask_s else None

    def room(self, now_s: float) -> tuple[int, float]:
        """Return what is left for all machines, as far as known here, and for how long nothing is, in seconds."""
        left = self._free + self._units
        return left, 0.0 if left else max(0.0, self._frees_s - now_s)

    def wait(self, limit: int, waiter: Waiter) -> None:
        """Queue for a unit of what is then the limit."""
        self._limit = limit
        self.waiting.append(waiter)

    def want(self) -> Want | None:
        """Return what to ask for; None: nobody waits any more."""
        self.waiting = deque(waiter for waiter in self.waiting if not waiter.done())
        return Want(self.key, self._limit, len(self.waiting)) if self.waiting else None

    def surrender(self, now_s: float) -> Unused | None:
        """Take what nobody used of a lease that is over. Call it when nobody may put a unit back any more."""
        if not self._units or now_s < self._lease.until_s:
            return None
        unused = Unused(self.key, self._lease.granted_ms, self._units)
        self._units = 0
        return unused

    def learn(self, grant: Grant, asked_s: float, now_s: float) -> None:
        """Put a grant on the shelf, asked for at `asked_s`, and serve who waits, in the order in which they came."""
        self._free = grant.free
        self._frees_s = now_s + grant.retry_ms / 1000
        self._units = grant.units
        self._lease = Unit(grant.granted_ms, asked_s + USED_S)
        if not grant.units:
            self._ask_s = min(self._frees_s, now_s + REFUSED_S)
        while self.waiting:
            if self.waiting[0].done():
                self.waiting.popleft()
            elif (unit := self.take(now_s)) is not None:
                self.waiting.popleft().set_result(unit)
            elif grant.free or self._units:  # the lease was over when it came
                return
            else:
                self.waiting.popleft().set_exception(Spent(self.name, self._limit, self._frees_s - now_s))

    def turn_away(self) -> None:
        """Tell all who wait to go another way."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_exception(Apart())

    def is_bare(self, now_s: float) -> bool:
        """Whether nothing is lost when this is forgotten."""
        return not (self._units or self.waiting or now_s < max(self._ask_s, self._lease.until_s))


def part_of(limit: int, machine: str, machines: Sequence[str]) -> int:
    """Return a machine's part of a limit; the parts of all of them, which know them in one order, add up to it."""
    return limit // len(machines) + (machines.index(machine) < limit % len(machines))


def split(limit: int | None, machines: int) -> int | None:
    """Return what each machine may let in of a limit that is not counted together: at least one, if any."""
    return limit if limit is None else min(limit, max(1, limit // machines))
