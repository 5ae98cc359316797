"""Key rows: revoked once and for good, and every change can be followed."""

import msgspec
import pytest

from neuralrouting.storage.database import Database, RowError
from neuralrouting.storage.keys import KeyRow, KeyRows

pytestmark = pytest.mark.anyio
DIGEST = bytes(range(32))


@pytest.fixture
async def rows(database: Database) -> KeyRows:
    keys = KeyRows(database)
    await keys.ensure_account("acme", "Acme", 1)
    return keys


def _key(key_id: str, created_ms: int = 1_000, *, account_id: str = "acme", live: bool = True) -> KeyRow:
    return KeyRow(key_id, account_id, "laptop", live, DIGEST, "9f3a", created_ms)


async def test_a_key_comes_back_as_it_was_written(rows: KeyRows):
    await rows.insert(_key("one", live=False))
    assert await rows.find("one") == msgspec.structs.replace(_key("one", live=False), changed_ms=1_000)
    assert await rows.find("two") is None


async def test_keys_are_listed_by_account(rows: KeyRows):
    await rows.ensure_account("other", "Other", 1)
    await rows.insert(_key("b", 2))
    await rows.insert(_key("a", 3))
    await rows.insert(_key("c", 1, account_id="other"))
    assert [row.id for row in await rows.all(None)] == ["c", "b", "a"]
    assert [row.id for row in await rows.all("acme")] == ["b", "a"]
    assert await rows.all("nobody") == []


async def test_a_key_is_revoked_once(rows: KeyRows):
    await rows.insert(_key("one"))
    assert await rows.revoke("one", 2_000)
    assert not await rows.revoke("one", 3_000)
    assert not await rows.revoke("unknown", 3_000)
    row = await rows.find("one")
    assert row is not None
    assert (row.revoked_ms, row.changed_ms) == (2_000, 2_000)


async def test_a_change_made_by_a_clock_that_is_behind_is_not_missed(rows: KeyRows):
    await rows.insert(_key("ahead", 9_000))
    seen = (await rows.all(None))[-1].changed_ms
    await rows.insert(_key("behind", 10))
    await rows.revoke("ahead", 20)
    assert [(row.id, row.changed_ms) for row in await rows.changed_since(seen + 1)] == [
        ("behind", 9_001),
        ("ahead", 9_002),
    ]


async def test_a_key_of_no_account_is_refused(rows: KeyRows):
    with pytest.raises(RowError):
        await rows.insert(_key("one", account_id="nobody"))


async def test_an_id_is_used_once(rows: KeyRows):
    await rows.insert(_key("one"))
    with pytest.raises(RowError):
        await rows.insert(_key("one"))


async def test_an_account_keeps_its_name(rows: KeyRows, database: Database):
    await rows.ensure_account("acme", "Another", 2)
    assert await database.fetch("SELECT id, name, created_ms FROM accounts") == [("acme", "Acme", 1)]


async def test_the_mode_of_the_shield_is_a_change_that_can_be_followed_and_taken_back(rows: KeyRows):
    await rows.insert(msgspec.structs.replace(_key("one"), shield_mode="monitor"))
    await rows.insert(_key("two"))
    assert [row.shield_mode for row in await rows.all("acme")] == ["monitor", None]
    assert await rows.set_shield_mode("two", "off", 2_000)
    assert [(row.id, row.shield_mode) for row in await rows.changed_since(1_500)] == [("two", "off")]
    assert await rows.set_shield_mode("two", None, 3_000)
    assert [(row.id, row.shield_mode) for row in await rows.changed_since(2_500)] == [("two", None)]


async def test_an_unknown_or_revoked_key_has_no_mode_to_change(rows: KeyRows):
    await rows.insert(_key("one"))
    await rows.revoke("one", 2_000)
    assert not await rows.set_shield_mode("one", "off", 3_000)
    assert not await rows.set_shield_mode("unknown", "off", 3_000)
