"""What one worker may spend without asking: the arithmetic of its leases. Pure: nothing is awaited, time is told."""

from collections.abc import Iterable, Sequence

from neuralrouting.storage.turns import Turn, TurnResult, Want

PACE_S = 1.0
"""Spending of about this long is kept at hand."""
RICH = 20
"""A purse with less than this many typical holds left is poor: nothing of it is kept that no request holds."""
TYPICAL_HOLDS = 8
IDLE_S = 30.0
"""A lease that nothing was spent of for this long goes back."""
REFRESH_S = 1.0
"""How old the news of a purse may be while a lease of it is held."""
NEWS_S = 0.1
"""How long a purse that did not cover a hold is taken for as poor as it was, without asking again."""
REFRESHES = 100
"""Purses that are asked about in one turn for no other reason."""

Part = tuple[str, int]
"""A purse and an amount of it."""


class Short(Exception):
    """A purse does not cover a hold: `free` is what it has, `reserved` what requests under way may free again."""

    def __init__(self, purse: str, need: int, free: int, reserved: int) -> None:
        super().__init__(purse)
        self.purse = purse
        self.need = need
        self.free = free
        self.reserved = reserved


class Purse:
    """One worker's share of a purse, in the purse's unit.

    `lease` is what the database says that this worker holds, `held` what its requests hold of that, `unsettled` what
    finished ones spent that is not in the tables yet. The invariant is `free = lease - held - unsettled`; it is below
    zero only after a lease ran out under its requests, and then nothing is admitted until it is filled again.
    """

    __slots__ = (
        "_pace", "_pace_s", "asked_s", "held", "lease", "left", "reserved", "told_s", "typical", "unsettled", "used_s",
    )  # fmt: skip

    def __init__(self, now_s: float) -> None:
        self.lease = self.held = self.unsettled = 0
        self.left: int | None = None
        """What the database had for anybody at `told_s`; None: it has not told yet."""
        self.reserved = 0
        """What all workers' leases held then."""
        self.typical = 0
        self.used_s = now_s
        self.asked_s = now_s
        self.told_s: float | None = None
        """When the news of `left` and `reserved` was asked for; None: there is none yet."""
        self._pace = 0
        self._pace_s = now_s

    @property
    def free(self) -> int:
        """What the next request may hold."""
        return self.lease - self.held - self.unsettled

    @property
    def promising(self) -> int:
        """What requests under way may free: ours, and whatever other workers hold; not what is free here already."""
        return max(0, self.reserved - self.lease) + self.held

    def hold(self, amount: int, now_s: float) -> None:
        """Set an amount aside for a request."""
        self.held += amount
        self.typical = amount
        self.used_s = now_s
        if now_s - self._pace_s > PACE_S:
            self._pace, self._pace_s = 0, now_s
        self._pace += amount

    def resolve(self, amount: int, spent: int) -> None:
        """End a hold: what was not spent is free again."""
        self.held -= amount
        self.unsettled += spent

    def wish(self) -> int:
        """What to lease beyond the need, so that the next requests need not ask."""
        return max(self._pace, TYPICAL_HOLDS * self.typical)

    def surplus(self, now_s: float) -> int:
        """What to give back: all that is free of a poor or idle purse, of a rich one what is beyond twice its wish."""
        if self.free <= 0:
            return 0
        rich = self.left is not None and self.left >= RICH * self.typical
        if not rich or now_s - self.used_s > IDLE_S:
            return self.free
        return max(0, self.free - 2 * self.wish())


class Purses:
    """All purses that one worker holds leases of."""

    def __init__(self) -> None:
        self._purses: dict[str, Purse] = {}

    def __getitem__(self, name: str) -> Purse:
        return self._purses[name]

    def cover(self, parts: Sequence[Part]) -> bool:
        """Whether the leases at hand cover all parts."""
        return all((purse := self._purses.get(name)) is not None and purse.free >= amount for name, amount in parts)

    def hold(self, parts: Sequence[Part], now_s: float) -> None:
        """Set all parts aside."""
        for name, amount in parts:
            self._purses[name].hold(amount, now_s)

    def resolve(self, parts: Sequence[Part], spent: dict[str, int]) -> None:
        """End a hold of these parts; what is not named in `spent` is free again."""
        for name, amount in parts:
            self._purses[name].resolve(amount, spent.get(name, 0))

    def plan(self, waiting: Sequence[Sequence[Part]], now_s: float) -> tuple[tuple[Want, ...], tuple[Part, ...]]:
        """Say what to lease for these holds, in the order in which they came, and what to give back."""
        needs: dict[str, int] = {}
        for parts in waiting:
            for name, amount in parts:
                purse = self._purses.setdefault(name, Purse(now_s))
                purse.typical = amount
                needs[name] = needs.get(name, 0) + amount
        wants = [self._want(name, need, now_s) for name, need in needs.items()]
        returns = [
            (name, surplus)
            for name, purse in self._purses.items()
            if name not in needs and (surplus := purse.surplus(now_s)) > 0
        ]
        for name, surplus in returns:  # whoever comes while this is on its way must not take it
            self._purses[name].lease -= surplus
        stale = [n for n, p in self._purses.items() if p.lease and n not in needs and now_s - p.asked_s > REFRESH_S]
        wants += [self._want(name, 0, now_s) for name in stale[:REFRESHES]]
        return tuple(wants), tuple(returns)

    def _want(self, name: str, waiting: int, now_s: float) -> Want:
        purse = self._purses[name]
        purse.asked_s = now_s
        need = max(0, waiting - purse.free)
        return Want(name, need, need + purse.wish() if waiting else 0)

    def forgive(self, spent: Iterable[Part]) -> None:
        """Forget what will never be settled: it is free again."""
        for name, amount in spent:
            if (purse := self._purses.get(name)) is not None:
                purse.unsettled -= amount

    def learn(self, turn: Turn, settled: Iterable[Part], result: TurnResult, now_s: float) -> None:
        """Take over how things stand after a turn: `settled` is what its settlements spent of leases."""
        self.forgive(settled)
        for name, purse in list(self._purses.items()):
            purse.lease = result.leases.get(name, 0)
            if name not in result.purses:
                purse.told_s = None  # what was heard before this turn moved something is no news
            if not (purse.lease or purse.held or purse.unsettled) and now_s - purse.asked_s > NEWS_S:
                del self._purses[name]
        for want in turn.wants:
            stand = result.purses.get(want.purse)
            if stand is None:  # a turn that was committed before it was asked again
                continue
            purse = self._purses.setdefault(want.purse, Purse(now_s))
            purse.left, purse.reserved, purse.told_s = stand.free, stand.reserved, purse.asked_s

    def known_short(self, parts: Sequence[Part], now_s: float) -> Short | None:
        """Say which part no lease could cover a moment ago, so that the database need not be asked again at once."""
        for name, _ in parts:
            purse = self._purses.get(name)
            if purse is None or purse.told_s is None or now_s - purse.told_s > NEWS_S:
                return None
        return self.missing(parts, {})

    def missing(self, parts: Sequence[Part], promised: dict[str, int]) -> Short | None:
        """Say which part no lease can cover as things stand; None when the next turn can, and then it is `promised`.

        All of its purses must have been heard of.
        """
        for name, amount in parts:
            purse = self._purses[name]
            reach = purse.free + (purse.left or 0) - promised.get(name, 0)
            if amount > reach:
                return Short(name, amount, max(0, reach), purse.promising + promised.get(name, 0))
        promise(parts, promised)
        return None


def promise(parts: Sequence[Part], promised: dict[str, int]) -> None:
    """Note what whoever came first will get."""
    for name, amount in parts:
        promised[name] = promised.get(name, 0) + amount
