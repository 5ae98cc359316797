"""Rows of sessions, links and failures: what has ended lets nobody in, a link works once, counts are exact."""

import asyncio

import msgspec
import pytest

from neuralrouting.errors import NotFound, PermissionDenied
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.failures import FailureRows
from neuralrouting.storage.sign_in import SEEN_EVERY_MS, SESSIONS_A_USER, SignInRows
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.users import UserRows
from people import DAY_MS, IDLE_MS, new_user, session

pytestmark = pytest.mark.anyio
LINK, OTHER = b"1" * 32, b"2" * 32


@pytest.fixture
def rows(database: Database) -> SignInRows:
    return SignInRows(database)


async def test_a_session_is_found_with_whose_it_is(database: Database, rows: SignInRows):
    user = await new_user(database, "billing")
    one = session(user.id)
    assert await rows.open(one, IDLE_MS)
    found = await rows.find(one.digest)
    assert found is not None
    assert (found.session, found.email, found.account_id, found.role) == (one, user.email, "acme", "billing")
    assert await rows.find(b"0" * 32) is None


async def test_nobody_who_is_disabled_or_changed_the_password_meanwhile_gets_a_session(
    database: Database, rows: SignInRows
):
    await new_user(database)
    user = await new_user(database, password_hash="$old")
    assert not await rows.open(session(user.id), IDLE_MS, proof="$other")
    assert not await rows.open(session("user_nobody"), IDLE_MS)
    await UserRows(database).set_disabled(user.id, 2_000, actor=GATEWAY)
    assert not await rows.open(session(user.id), IDLE_MS, proof="$old")
    assert await rows.of_user(user.id) == []


async def test_a_session_is_ended_by_its_user_or_by_none_that_is_not(database: Database, rows: SignInRows):
    user, other = await new_user(database), await new_user(database)
    one = session(user.id)
    await rows.open(one, IDLE_MS)
    assert not await rows.end(one.digest, other.id)
    assert await rows.end(one.digest, user.id)
    assert not await rows.end(one.digest)
    assert await rows.find(one.digest) is None


async def test_what_ran_out_is_swept_and_one_user_has_so_many_sessions(database: Database, rows: SignInRows):
    user, other = await new_user(database), await new_user(database)
    await rows.open(session(other.id, 1_000, lasts_ms=10), IDLE_MS)
    for number in range(SESSIONS_A_USER + 3):
        await rows.open(session(user.id, 2_000 + number), IDLE_MS)
    kept = await rows.of_user(user.id)
    assert [one.created_ms for one in kept] == [2_000 + n for n in range(SESSIONS_A_USER + 2, 2, -1)]
    assert await rows.of_user(other.id) == []
    await rows.open(session(user.id, 3_000 + IDLE_MS), IDLE_MS)
    assert len(await rows.of_user(user.id)) == 1


async def test_use_is_noted_once_a_minute(database: Database, rows: SignInRows):
    user = await new_user(database)
    one = session(user.id, 1_000)
    await rows.open(one, IDLE_MS)
    for now_ms, noted in ((2_000, 1_000), (1_000 + SEEN_EVERY_MS, 1_000 + SEEN_EVERY_MS)):
        await rows.seen(one.digest, now_ms)
        found = await rows.find(one.digest)
        assert found is not None
        assert found.session.seen_ms == noted
    seen = await UserRows(database).find(user.id)
    assert seen is not None
    assert seen.last_seen_ms == 1_000 + SEEN_EVERY_MS


async def test_the_first_link_makes_one_owner_and_no_second(database: Database, rows: SignInRows):
    for digest in (LINK, OTHER):
        await rows.add_link(digest, "acme", None, 1_000, 9_000, actor=GATEWAY)
    await AccountRows(database).ensure("acme", "acme", 1, actor=GATEWAY)
    link = await rows.link(LINK, 2_000)
    assert link is not None
    assert link.needs_password
    with pytest.raises(PermissionDenied):
        await rows.use_link(LINK, "ann@example.com", None, session(""), IDLE_MS)
    one = session("")
    user = await rows.use_link(LINK, "ann@example.com", "$hash", one, IDLE_MS)
    assert (user.role, user.account_id, user.has_password) == ("owner", "acme", True)
    assert await rows.of_user(user.id) == [msgspec.structs.replace(one, user_id=user.id)]
    for digest in (LINK, OTHER):
        assert await rows.link(digest, 2_000) is None
        with pytest.raises(NotFound):
            await rows.use_link(digest, "bob@example.com", "$hash", session(""), IDLE_MS)


async def test_of_links_used_at_once_one_lets_in(database: Database, rows: SignInRows):
    await AccountRows(database).ensure("acme", "acme", 1, actor=GATEWAY)
    for digest in (LINK, OTHER):
        await rows.add_link(digest, "acme", None, 1_000, 9_000, actor=GATEWAY)
    uses = [
        rows.use_link(digest, f"{name}@example.com", "$hash", session(""), IDLE_MS)
        for name, digest in (("a", LINK), ("b", OTHER), ("c", LINK), ("d", OTHER))
    ]
    done = await asyncio.gather(*uses, return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["NotFound", "NotFound", "NotFound", "UserRow"]
    assert len(await UserRows(database).all(None)) == 1


async def test_a_link_of_a_user_gives_a_password_where_one_is_needed_and_ends_other_sessions(
    database: Database, rows: SignInRows
):
    user = await new_user(database)
    await rows.add_link(LINK, "acme", user.id, 1_000, 9_000, actor=GATEWAY)
    with pytest.raises(PermissionDenied):
        await rows.use_link(LINK, None, None, session(""), IDLE_MS)
    await rows.use_link(LINK, None, "$one", session(""), IDLE_MS)
    await rows.add_link(LINK, "acme", user.id, 1_000, 9_000, actor=GATEWAY)
    await rows.use_link(LINK, None, None, session(""), IDLE_MS)
    assert len(await rows.of_user(user.id)) == 2
    await rows.add_link(LINK, "acme", user.id, 1_000, 9_000, actor=GATEWAY)
    await rows.use_link(LINK, None, "$two", session(""), IDLE_MS)
    assert len(await rows.of_user(user.id)) == 1
    found = await UserRows(database).with_hash(user.email)
    assert found is not None
    assert found[1] == "$two"


async def test_a_link_ends_with_its_time_its_successor_or_its_user(database: Database, rows: SignInRows):
    await new_user(database)
    user = await new_user(database)
    await rows.add_link(LINK, "acme", user.id, 1_000, 9_000, actor=GATEWAY)
    assert await rows.link(LINK, 8_999) is not None
    assert await rows.link(LINK, 9_000) is None
    with pytest.raises(NotFound):
        await rows.use_link(LINK, None, "$hash", session("", 9_000), IDLE_MS)
    await rows.add_link(OTHER, "acme", user.id, 1_000, 9_000, actor=GATEWAY)
    assert await rows.link(LINK, 2_000) is None
    await UserRows(database).set_disabled(user.id, 2_000, actor=GATEWAY)
    assert await rows.link(OTHER, 2_000) is None


async def test_tries_are_counted_to_the_limit_and_anew_after_the_window(database: Database):
    failures, limits = FailureRows(database), (("address:a", 5), ("person:p", 3))
    for now_ms in (1_000, 1_100, 1_200):
        assert await failures.tried(limits, now_ms, 900) is None
    assert await failures.tried(limits, 1_300, 900) == 1_900
    assert await failures.tried((("address:b", 5), ("person:q", 3)), 1_300, 900) is None
    assert await failures.tried(limits, 1_900, 900) is None


async def test_of_tries_at_one_time_only_so_many_go_on(database: Database):
    limits = (("address:a", 30), ("person:p", 10))
    workers = [FailureRows(database), FailureRows(database)]
    done = await asyncio.gather(*(workers[n % 2].tried(limits, 1_000, 900) for n in range(24)))
    assert done.count(None) == 10


async def test_a_success_forgets_the_person_and_takes_its_try_of_the_address_back(database: Database):
    failures, limits = FailureRows(database), (("address:a", 3), ("person:p", 3))
    for _ in range(2):
        assert await failures.tried(limits, 1_000, 900) is None
    assert await failures.tried(limits, 1_000, 900) is None
    await failures.succeeded("person:p", "address:a")
    assert await failures.tried(limits, 1_000, 900) is None
    assert await failures.tried(limits, 1_000, 900) == 1_900


async def test_what_no_longer_counts_is_swept(database: Database):
    failures = FailureRows(database)
    for number in range(20):
        await failures.tried(((f"person:{number}", 3),), 1_000, 900)
    await failures.tried((("person:last", 3),), 1_000 + DAY_MS, 900)
    assert await database.fetch("SELECT subject FROM sign_in_failures") == [("person:last",)]
