"""Orders of accounts about routing: followed within moments, and never replaced by rules that are bad."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable

import pytest

from neuralrouting.accounts.orders import NO_ORDERS, AccountOrders, Orders
from neuralrouting.errors import Unavailable
from neuralrouting.rules import RuleSet, read_rules
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.routing_settings import RoutingSettings, RoutingSettingsRow, RoutingSettingsRows
from neuralrouting.storage.trail import GATEWAY

pytestmark = pytest.mark.anyio
POLL_S = 0.01
CHEAP = "- name: cheap\n  then: {mode: cost}\n"
FAST = "- name: fast\n  then: {mode: speed}\n"
SECRET = "zanzibar"


class UnsteadyRows(RoutingSettingsRows):
    """Rows of a database that can be away."""

    away = False

    async def changed_since(self, changed_ms: int) -> list[RoutingSettingsRow]:
        if self.away:
            raise Unavailable("gone fishing")
        return await super().changed_since(changed_ms)


@pytest.fixture
async def rows(database: Database) -> UnsteadyRows:
    for account_id in ("acme", "other"):
        await AccountRows(database).ensure(account_id, account_id, 1, actor=GATEWAY)
    return UnsteadyRows(database)


@pytest.fixture
async def orders(rows: UnsteadyRows) -> AsyncIterator[Orders]:
    following = Orders(rows, poll_s=POLL_S)
    await following.start()
    yield following
    await following.close()


async def put(rows: RoutingSettingsRows, account: str, settings: RoutingSettings) -> None:
    assert await rows.change(account, lambda _: settings, time.time_ns() // 1_000_000, actor=GATEWAY) is not None


async def becomes(wanted: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not wanted():  # noqa: ASYNC110  nothing tells when it is read
            await asyncio.sleep(POLL_S)


async def test_an_account_that_has_ordered_nothing_has_no_orders(orders: Orders):
    assert orders.of("acme") == NO_ORDERS == AccountOrders(RuleSet.EMPTY, None, cascade=None, shadow=True)


async def test_orders_from_before_are_known_at_the_start(rows: UnsteadyRows):
    await put(rows, "acme", RoutingSettings(CHEAP, "quality", cascade=True, shadow=False))
    orders = Orders(rows, poll_s=60)
    await orders.start()
    assert orders.of("acme") == AccountOrders(read_rules(CHEAP), "quality", cascade=True, shadow=False)
    await orders.close()


async def test_changed_orders_hold_within_moments_and_for_their_account_only(rows: UnsteadyRows, orders: Orders):
    await put(rows, "acme", RoutingSettings(CHEAP))
    await becomes(lambda: orders.of("acme").rules == read_rules(CHEAP))
    await put(rows, "acme", RoutingSettings(FAST, "cost"))
    await becomes(lambda: orders.of("acme") == AccountOrders(read_rules(FAST), "cost"))
    assert orders.of("other") == NO_ORDERS


async def test_rules_that_cannot_be_read_leave_the_last_good_ones_and_are_told_once(
    rows: UnsteadyRows, orders: Orders, caplog: pytest.LogCaptureFixture
):
    await put(rows, "acme", RoutingSettings(CHEAP))
    await becomes(lambda: orders.of("acme").rules == read_rules(CHEAP))
    with caplog.at_level(logging.ERROR):
        await put(
            rows, "acme", RoutingSettings(f"- name: x\n  when: {{task: {SECRET}}}\n  then: {{mode: cost}}", "speed")
        )
        await becomes(lambda: orders.of("acme").mode == "speed")
        await asyncio.sleep(20 * POLL_S)
    assert orders.of("acme").rules == read_rules(CHEAP)
    (told,) = caplog.messages
    assert "acme" in told
    assert "line 2" in told
    assert SECRET not in told


async def test_a_database_that_is_away_leaves_what_is_known_and_is_told_once(
    rows: UnsteadyRows, orders: Orders, caplog: pytest.LogCaptureFixture
):
    await put(rows, "acme", RoutingSettings(CHEAP))
    await becomes(lambda: orders.of("acme").rules == read_rules(CHEAP))
    with caplog.at_level(logging.WARNING):
        rows.away = True
        await asyncio.sleep(20 * POLL_S)
        assert orders.of("acme").rules == read_rules(CHEAP)
        rows.away = False
        await put(rows, "acme", RoutingSettings(FAST))
        await becomes(lambda: orders.of("acme").rules == read_rules(FAST))
    assert [message.partition(":")[0] for message in caplog.messages] == [
        "orders of accounts about routing stay as they were last known",
        "the database answers again; orders about routing are up to date",
    ]


async def test_a_worker_whose_database_is_away_does_not_start(rows: UnsteadyRows):
    rows.away = True
    with pytest.raises(Unavailable):
        await Orders(rows, poll_s=POLL_S).start()
