"""What every account orders about routing, kept up to date: rules, mode, whether to cascade and to be audited."""

import asyncio
import logging
import time

import msgspec

from neuralrouting.accounts.marks import Mark
from neuralrouting.background import Background, Complaints
from neuralrouting.errors import Unavailable
from neuralrouting.exchange import Mode
from neuralrouting.rules import RuleSet, RulesRejected, read_rules
from neuralrouting.storage.routing_settings import RoutingSettings, RoutingSettingsRow, RoutingSettingsRows

POLL_S = 0.5
"""Changed orders hold within this, plus one query and the time to read the rules; the promise is 2 s."""

_log = logging.getLogger("neuralrouting.accounts")


class AccountOrders(msgspec.Struct, frozen=True):
    """What one account orders; None: nothing, so that the configured default holds. `shadow`: it may be audited."""

    rules: RuleSet = RuleSet.EMPTY
    mode: Mode | None = None
    cascade: bool | None = None
    shadow: bool = True


NO_ORDERS = AccountOrders()


class Orders:
    """The orders of all accounts in memory.

    Rules that cannot be read change nothing: the last good ones hold, and the log says once why. A database that is
    away leaves what was known last.
    """

    def __init__(self, rows: RoutingSettingsRows, *, poll_s: float = POLL_S) -> None:
        self._rows = rows
        self._poll_s = poll_s
        self._orders: dict[str, AccountOrders] = {}
        self._seen: dict[str, RoutingSettings] = {}
        self._mark = Mark()
        self._complaints = Complaints(_log)
        self._background = Background()

    async def start(self) -> None:
        """Read what there is and begin to follow changes. Raises Unavailable when the database is away."""
        await self._look()
        self._background.start(orders=self._follow())

    async def close(self) -> None:
        """Stop to follow changes."""
        await self._background.close()

    def of(self, account_id: str) -> AccountOrders:
        """Return what this account orders, from memory."""
        return self._orders.get(account_id, NO_ORDERS)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self._look()
            except Unavailable as error:
                what = "orders of accounts about routing stay as they were last known"
                self._complaints.say("database", f"{what}: {error.message}")
            else:
                if self._complaints.settle("database"):
                    _log.warning("the database answers again; orders about routing are up to date")

    async def _look(self) -> None:
        """Read what has changed since the last look."""
        for row in await self._rows.changed_since(self._mark.since_ms(time.monotonic())):
            self._mark.see(row.changed_ms, time.monotonic())
            if self._seen.get(row.account_id) != row.settings:
                self._seen[row.account_id] = row.settings
                await self._learn(row)

    async def _learn(self, row: RoutingSettingsRow) -> None:
        told, had = row.settings, self.of(row.account_id)
        try:
            # 64 KB take long enough to be read in a thread.
            rules = await asyncio.to_thread(read_rules, told.rules)
        except RulesRejected as error:
            # Without the text of the rule: a message can quote it.
            _log.error(
                "the routing rules of account %s stay as they were: line %d cannot be read", row.account_id, error.line
            )
            rules = had.rules
        self._orders[row.account_id] = AccountOrders(rules, told.routing_mode, told.cascade, told.shadow)
