"""Settings of accounts about routing: one row each, changed as one, followed, and nobody else's."""

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.routing_settings import RoutingSettings, RoutingSettingsRow, RoutingSettingsRows
from neuralrouting.storage.trail import GATEWAY

pytestmark = pytest.mark.anyio
FULL = RoutingSettings("- name: a\n  then: {mode: cost}\n", "speed", cascade=True, shadow=False)


def to(settings: RoutingSettings) -> Callable[[RoutingSettings], RoutingSettings]:
    return lambda _: settings


@pytest.fixture
async def rows(database: Database) -> RoutingSettingsRows:
    for account_id in ("acme", "other"):
        await AccountRows(database).ensure(account_id, account_id, 1, actor=GATEWAY)
    return RoutingSettingsRows(database)


async def test_an_account_without_settings_has_those_of_everybody(rows: RoutingSettingsRows):
    assert await rows.find("acme") == RoutingSettings("", None, cascade=None, shadow=True)


@pytest.mark.parametrize("settings", [FULL, RoutingSettings(cascade=False), RoutingSettings(routing_mode="quality")])
async def test_settings_are_read_as_they_were_written(rows: RoutingSettingsRows, settings: RoutingSettings):
    assert await rows.change("acme", to(settings), 1_000, actor=GATEWAY) == settings
    assert await rows.find("acme") == settings
    assert await rows.find("other") == RoutingSettings()


async def test_a_change_of_one_setting_leaves_the_others(rows: RoutingSettingsRows):
    await rows.change("acme", to(FULL), 1_000, actor=GATEWAY)
    await rows.change("acme", lambda had: replace(had, routing_mode=None), 2_000, actor=GATEWAY)
    assert await rows.find("acme") == replace(FULL, routing_mode=None)


async def test_changes_at_the_same_time_lose_nothing_of_each_other(rows: RoutingSettingsRows):
    await asyncio.gather(
        rows.change("acme", lambda had: replace(had, rules="# mine"), 1_000, actor=GATEWAY),
        rows.change("acme", lambda had: replace(had, routing_mode="cost"), 1_000, actor=GATEWAY),
        rows.change("acme", lambda had: replace(had, shadow=False), 1_000, actor=GATEWAY),
    )
    assert await rows.find("acme") == RoutingSettings("# mine", "cost", cascade=None, shadow=False)


async def test_an_account_that_does_not_exist_gets_none(rows: RoutingSettingsRows):
    assert await rows.change("nobody", to(FULL), 1_000, actor=GATEWAY) is None
    assert await rows.changed_since(0) == []


async def test_every_change_is_newer_than_the_last_even_by_a_clock_that_is_behind(rows: RoutingSettingsRows):
    await rows.change("acme", to(FULL), 9_000, actor=GATEWAY)
    await rows.change("other", to(FULL), 10, actor=GATEWAY)
    await rows.change("acme", to(RoutingSettings()), 20, actor=GATEWAY)
    assert await rows.changed_since(9_001) == [
        RoutingSettingsRow("other", FULL, 9_001),
        RoutingSettingsRow("acme", RoutingSettings(), 9_002),
    ]
