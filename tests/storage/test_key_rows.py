"""Key rows: revoked once and for good, and every change can be followed."""

import asyncio

import msgspec
import pytest

from neuralrouting.errors import InvalidField
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database, RowError
from neuralrouting.storage.keys import KeyOptions, KeyRow, KeyRows
from neuralrouting.storage.trail import GATEWAY

pytestmark = pytest.mark.anyio
DIGEST = bytes(range(32))
LIMITS = ("requests_per_minute", "tokens_per_minute", "parallel")


@pytest.fixture
async def rows(database: Database) -> KeyRows:
    for account_id in ("acme", "other"):
        await AccountRows(database).ensure(account_id, account_id, 1, actor=GATEWAY)
    return KeyRows(database)


def _key(key_id: str, created_ms: int = 1_000, *, account_id: str = "acme", live: bool = True) -> KeyRow:
    return KeyRow(key_id, account_id, "laptop", live, DIGEST, "9f3a", created_ms)


async def test_a_key_comes_back_as_it_was_written(rows: KeyRows):
    await rows.insert(_key("one", live=False), actor=GATEWAY)
    assert await rows.find("one") == msgspec.structs.replace(_key("one", live=False), changed_ms=1_000)
    assert await rows.find("two") is None


async def test_keys_are_listed_by_account(rows: KeyRows):
    await rows.insert(_key("b", 2), actor=GATEWAY)
    await rows.insert(_key("a", 3), actor=GATEWAY)
    await rows.insert(_key("c", 1, account_id="other"), actor=GATEWAY)
    assert [row.id for row in await rows.all(None)] == ["c", "b", "a"]
    assert [row.id for row in await rows.all("acme")] == ["b", "a"]
    assert await rows.all("nobody") == []


async def test_a_key_is_revoked_once(rows: KeyRows):
    await rows.insert(_key("one"), actor=GATEWAY)
    assert await rows.revoke("one", 2_000, actor=GATEWAY)
    assert not await rows.revoke("one", 3_000, actor=GATEWAY)
    assert not await rows.revoke("unknown", 3_000, actor=GATEWAY)
    row = await rows.find("one")
    assert row is not None
    assert (row.revoked_ms, row.changed_ms) == (2_000, 2_000)


async def test_a_change_made_by_a_clock_that_is_behind_is_not_missed(rows: KeyRows):
    await rows.insert(_key("ahead", 9_000), actor=GATEWAY)
    seen = (await rows.all(None))[-1].changed_ms
    await rows.insert(_key("behind", 10), actor=GATEWAY)
    await rows.revoke("ahead", 20, actor=GATEWAY)
    assert [(row.id, row.changed_ms) for row in await rows.changed_since(seen + 1)] == [
        ("behind", 9_001),
        ("ahead", 9_002),
    ]


async def test_a_key_of_no_account_is_refused(rows: KeyRows):
    with pytest.raises(RowError):
        await rows.insert(_key("one", account_id="nobody"), actor=GATEWAY)


async def test_an_id_is_used_once(rows: KeyRows):
    await rows.insert(_key("one"), actor=GATEWAY)
    with pytest.raises(RowError):
        await rows.insert(_key("one"), actor=GATEWAY)


async def test_options_are_changes_that_can_be_followed_and_taken_back(rows: KeyRows):
    full = KeyOptions("monitor", "owner", "search", 100, 50_000, 4)
    await rows.insert(msgspec.structs.replace(_key("one"), **msgspec.structs.asdict(full)), actor=GATEWAY)
    await rows.insert(_key("two"), actor=GATEWAY)
    assert [row.options for row in await rows.all("acme")] == [full, KeyOptions()]
    assert await rows.change("two", lambda _: full, 2_000, actor=GATEWAY) == full
    assert [(row.id, row.options) for row in await rows.changed_since(1_500)] == [("two", full)]
    assert await rows.change("two", lambda _: KeyOptions(), 3_000, actor=GATEWAY) == KeyOptions()
    assert [(row.id, row.options) for row in await rows.changed_since(2_500)] == [("two", KeyOptions())]


async def test_two_changes_at_once_both_hold(rows: KeyRows):
    await rows.insert(_key("one"), actor=GATEWAY)
    replace = msgspec.structs.replace
    await asyncio.gather(
        *(rows.change("one", lambda had, name=name: replace(had, **{name: 7}), 2_000, actor=GATEWAY) for name in LIMITS)
    )
    assert (await rows.all("acme"))[0].options == KeyOptions(**dict.fromkeys(LIMITS, 7))


async def test_an_unknown_or_revoked_key_has_no_options_to_change(rows: KeyRows):
    await rows.insert(_key("one"), actor=GATEWAY)
    await rows.revoke("one", 2_000, actor=GATEWAY)
    assert await rows.change("one", lambda had: had, 3_000, actor=GATEWAY) is None
    assert await rows.change("unknown", lambda had: had, 3_000, actor=GATEWAY) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("team", ""), ("team", "a\nb"), ("requests_per_minute", 0), ("tokens_per_minute", -1), ("parallel", 2**60)],
)
async def test_options_that_make_no_sense_are_refused(rows: KeyRows, name: str, value: object):
    bad = KeyOptions(**{name: value})
    with pytest.raises(InvalidField) as refused:
        await rows.insert(msgspec.structs.replace(_key("one"), **msgspec.structs.asdict(bad)), actor=GATEWAY)
    assert refused.value.param == name
    await rows.insert(_key("two"), actor=GATEWAY)
    with pytest.raises(InvalidField):
        await rows.change("two", lambda _: bad, 2_000, actor=GATEWAY)
    assert [row.options for row in await rows.all("acme")] == [KeyOptions()]
